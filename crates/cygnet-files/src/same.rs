//! Whether two paths are of one file.

use std::path::Path;

/// Whether both paths lead to the same file, be it through links of either kind; not if one leads nowhere.
#[must_use]
pub fn is_same_file(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(a), Ok(b)) => a == b || has_same_content(&a, &b),
        _ => false,
    }
}

/// Whether two names are hard links to one file.
#[cfg(unix)]
fn has_same_content(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    match (one.metadata(), other.metadata()) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}

#[cfg(not(unix))]
fn has_same_content(_: &Path, _: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_is_the_same_under_all_its_names() -> std::io::Result<()> {
        let folder = tempfile::tempdir()?;
        let [file, other, hard] = ["file", "other", "hard"].map(|name| folder.path().join(name));
        fs::write(&file, "same")?;
        fs::write(&other, "same")?;
        fs::hard_link(&file, &hard)?;
        assert!(is_same_file(&file, &folder.path().join(".").join("file")));
        assert!(!is_same_file(&file, &other) && !is_same_file(&file, &folder.path().join("none")));
        assert_eq!(is_same_file(&file, &hard), cfg!(unix));
        #[cfg(unix)]
        {
            let link = folder.path().join("link");
            std::os::unix::fs::symlink(&file, &link)?;
            assert!(is_same_file(&link, &file) && is_same_file(&hard, &link));
        }
        Ok(())
    }
}
