//! Entries of tar archives, right or not.

/// A tar header with a right checksum, and the body filled up to whole blocks.
pub(crate) fn tar_entry(kind: tar::EntryType, path: &str, link: &str, claimed: u64, body: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_path(path).unwrap();
    if !link.is_empty() {
        header.set_link_name_literal(link).unwrap();
    }
    header.set_size(claimed);
    header.set_mode(0o644);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend(body);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}
