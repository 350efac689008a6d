//! Addresses that users give: a model is kept in the cache under its address, a photo is only read.

use std::path::PathBuf;

use sha2::{Digest, Sha256};

#[cfg(feature = "fetch")]
use super::AttemptError;
use super::{Artifact, Cache, FetchError, Progress, Source, part};

/// Longest end of an address that becomes part of a file's name.
const NAME_LENGTH: usize = 80;

/// Whether `text` is the address of a file, `https://…`, and no path.
pub fn is_url(text: &str) -> bool {
    let starts =
        |prefix: &str| text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    starts("https://") || starts("http://")
}

impl Cache {
    /// The file at an `https` address, or an `http` one of this machine, fetched if it is not in the cache yet. It
    /// stays there under its address: removing it is the way to fetch it anew. `#sha256=HASH` at the address's end is
    /// what the file must have.
    ///
    /// # Errors
    /// Says why the address did not deliver: no connection, a status, another hash, more bytes than any model has.
    pub fn fetch_url(&self, url: &str, progress: &mut dyn Progress) -> Result<PathBuf, FetchError> {
        let (address, sha256) = match url.split_once("#sha256=") {
            Some((address, sha256)) => (address, sha256),
            None => (url.split('#').next().unwrap_or_default(), ""),
        };
        #[cfg(feature = "fetch")]
        check(address)
            .map_err(|source| FetchError::Address { url: shown(address), source: Box::new(source) })?;
        let file_name = file_name(address);
        let sources = [Source::Url(address)];
        let artifact = Artifact { file_name: &file_name, sha256, size: None, sources: &sources };
        self.fetch(&artifact, progress).map_err(|error| match error {
            FetchError::Unavailable { mut attempts, .. } if !attempts.is_empty() => {
                let (url, source) = attempts.swap_remove(attempts.len() - 1);
                FetchError::Address { url, source: Box::new(source) }
            }
            FetchError::Offline { path, .. } => FetchError::Offline { file_name: shown(address), path },
            other => other,
        })
    }

    /// The bytes at an `https` address, or an `http` one of this machine: at most `limit` of them and in two minutes.
    ///
    /// # Errors
    /// Says why the address did not deliver.
    pub fn read_url(&self, url: &str, limit: u64) -> Result<Vec<u8>, FetchError> {
        #[cfg(feature = "fetch")]
        if !self.offline {
            let read = check(url).and_then(|()| self.read(url, limit));
            return read.map_err(|source| FetchError::Address { url: shown(url), source: Box::new(source) });
        }
        let _ = limit;
        Err(FetchError::OfflineAddress { url: shown(url) })
    }
}

/// Refuses what is no address, and addresses of other machines that are not encrypted.
#[cfg(feature = "fetch")]
fn check(url: &str) -> Result<(), AttemptError> {
    let bad = |reason: String| AttemptError::BadUrl { reason };
    let uri: ureq::http::Uri =
        url.parse().map_err(|error: ureq::http::uri::InvalidUri| bad(error.to_string()))?;
    let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(|| bad("it names no server".into()))?;
    let is_here = host == "localhost" || host == "[::1]" || host.starts_with("127.");
    match uri.scheme_str() {
        Some("https") => Ok(()),
        Some("http") if is_here => Ok(()),
        Some("http") => Err(AttemptError::Unencrypted { url: shown(url) }),
        _ => Err(bad("it starts with neither https nor http".into())),
    }
}

/// The name in the cache: what tells addresses apart, then what people know it by.
fn file_name(url: &str) -> String {
    let hash = part::hex(&Sha256::digest(url.as_bytes())[..8]);
    let path = url.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
    let end = path.rsplit('/').next().unwrap_or_default();
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || ['.', '-', '_'].contains(c);
    let mut plain: Vec<char> = end.chars().filter(is_plain).collect();
    let plain: String = plain.split_off(plain.len().saturating_sub(NAME_LENGTH)).into_iter().collect();
    format!("{hash}-{plain}")
}

/// An address without the user's name and password.
pub fn shown(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let authority = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let host = rest[..authority].rfind('@').map_or(0, |at| at + 1);
    format!("{scheme}://{}", &rest[host..])
}

/// The address that `link` means on the page at `page`.
pub(super) fn joined(page: &str, link: &str) -> String {
    let scheme = page.find("://").map_or(0, |at| at + 3);
    let root = page[scheme..].find('/').map_or(page.len(), |at| scheme + at);
    if is_url(link) {
        return link.to_owned();
    }
    if let Some(rest) = link.strip_prefix("//") {
        return format!("{}//{rest}", &page[..scheme.saturating_sub(2)]);
    }
    if link.starts_with('/') {
        return format!("{}{link}", &page[..root]);
    }
    let folder = page[root..].rfind('/').map_or("", |end| &page[root..root + end]);
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in link.split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    format!("{}/{}", &page[..root], parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_becomes_a_plain_file_name_of_its_own() {
        let name = |url| file_name(url);
        assert!(name("https://a.org/x/net.safetensors?download=true").ends_with("-net.safetensors"));
        assert_ne!(name("https://a.org/net.pth"), name("https://b.org/net.pth"));
        for url in
            ["https://a.org", "https://a.org/..", "https://a.org/%2e%2e%2f", "https://a.org/a\u{202e}b\\c:d"]
        {
            let name = name(url);
            assert!(name.len() > 16 && !name.contains(['/', '\\', ':']) && name.is_ascii(), "{name}");
        }
        assert!(name(&format!("https://a.org/{}.pth", "x".repeat(500))).len() < 100);
    }

    #[test]
    fn passwords_are_not_shown() {
        assert_eq!(shown("https://me:secret@a.org/x?y@z"), "https://a.org/x?y@z");
        assert_eq!(shown("https://a.org/x@y"), "https://a.org/x@y");
    }

    #[test]
    fn links_are_joined_to_their_page() {
        let page = "https://a.org/simple/nets/";
        assert_eq!(joined(page, "https://b.org/x.whl"), "https://b.org/x.whl");
        assert_eq!(joined(page, "//b.org/x.whl"), "https://b.org/x.whl");
        assert_eq!(joined(page, "/files/x.whl"), "https://a.org/files/x.whl");
        assert_eq!(joined(page, "x.whl"), "https://a.org/simple/nets/x.whl");
        assert_eq!(joined(page, "../../files/./x.whl"), "https://a.org/files/x.whl");
    }

    #[test]
    #[cfg(feature = "fetch")]
    fn only_this_machine_may_answer_without_encryption() {
        for url in ["https://a.org/x", "http://127.0.0.1:80/x", "http://localhost/x", "http://[::1]:8080/x"] {
            assert!(check(url).is_ok(), "{url}");
        }
        for url in
            ["http://a.org/x", "http://127.evil.org@a.org/", "ftp://a.org/x", "https://", "https://a b/"]
        {
            assert!(check(url).is_err(), "{url}");
        }
    }
}
