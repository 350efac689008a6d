//! The index of Python packages, read over HTTP: where the archive with a known hash is.

use serde::Deserialize;

use super::{AttemptError, Cache, address, package::Package};

/// Most bytes of a package's page in the index.
const PAGE_BYTES: u64 = 16 << 20;

/// A page of the index in JSON form (PEP 691).
#[derive(Deserialize)]
struct Page {
    files: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    filename: String,
    url: String,
    #[serde(default)]
    hashes: std::collections::HashMap<String, String>,
}

impl Cache {
    /// Name and address of the package's archive.
    pub(super) fn listed(&self, package: &Package<'_>) -> Result<(String, String), AttemptError> {
        let url = format!("{}/{}/", self.index, package.name);
        let page = self.read(&url, PAGE_BYTES)?;
        let text = String::from_utf8_lossy(&page);
        let listed = match serde_json::from_str::<Page>(&text) {
            Ok(page) => page
                .files
                .into_iter()
                .find(|file| file.hashes.get("sha256").is_some_and(|hash| hash == package.archive_sha256))
                .map(|file| (file.filename, file.url)),
            Err(_) if text.contains("<a ") => linked(&text, package.archive_sha256),
            Err(_) => return Err(AttemptError::BadIndex),
        };
        let (name, link) =
            listed.ok_or_else(|| AttemptError::NotListed { sha256: package.archive_sha256.to_owned() })?;
        Ok((name, address::joined(&url, &link)))
    }
}

/// Name and link of the file with this hash on a page in HTML form (PEP 503).
fn linked(page: &str, sha256: &str) -> Option<(String, String)> {
    let end = page.find(&format!("#sha256={sha256}"))?;
    let start = page[..end].rfind(['"', '\''])? + 1;
    let link = page[start..end].replace("&amp;", "&");
    let name = link.rsplit('/').next()?.to_owned();
    Some((name, link))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_in_html_names_the_file_with_the_hash() {
        let page = "<a href=\"a-1.whl#sha256=aa\">a</a> <a\nhref='../../x/b-1.tar.gz#sha256=bb'>b</a>";
        assert_eq!(linked(page, "bb"), Some(("b-1.tar.gz".into(), "../../x/b-1.tar.gz".into())));
        assert_eq!(linked(page, "cc"), None);
    }
}
