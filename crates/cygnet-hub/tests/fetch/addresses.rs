//! Addresses that users give.

use std::fs;

use cygnet_hub::FetchError;

use crate::server::{Answer, Server, closed, content, pages, sha256};
use crate::{NAME, cache};

#[test]
fn a_model_at_an_address_is_fetched_once_and_kept_under_its_address() {
    let (_folder, cache) = cache();
    let server = Server::start(&[Answer::Ranges]);
    let path = cache.fetch_url(&server.url, &mut ()).unwrap();
    assert_eq!(fs::read(&path).unwrap(), content());
    assert!(path.file_name().unwrap().to_str().unwrap().ends_with(&format!("-{NAME}")));
    assert_eq!(cache.clone().offline(true).fetch_url(&server.url, &mut ()).unwrap(), path);
    assert_eq!(server.requests(), [0]);
    let other = cache.fetch_url(&format!("{}?version=2", server.url), &mut ()).unwrap();
    assert_ne!(path, other);
}

#[test]
fn a_model_without_a_hash_that_has_changed_in_the_cache_is_fetched_again() {
    let (_folder, cache) = cache();
    let server = Server::start(&[Answer::Ranges]);
    let path = cache.fetch_url(&server.url, &mut ()).unwrap();
    fs::write(&path, vec![1; content().len()]).unwrap();
    assert_eq!(fs::read(cache.fetch_url(&server.url, &mut ()).unwrap()).unwrap(), content());
    assert_eq!(server.requests(), [0, 0]);
    // A file that is put there by hand, as the message about the network proposes, is taken.
    fs::remove_file(&path).unwrap();
    let cache = cache.offline(true);
    assert!(cache.fetch_url(&server.url, &mut ()).is_err());
    fs::write(&path, "by hand").unwrap();
    assert_eq!(fs::read_to_string(cache.fetch_url(&server.url, &mut ()).unwrap()).unwrap(), "by hand");
}

#[test]
fn a_beginning_without_a_hash_is_not_continued() {
    let (_folder, cache) = cache();
    let server = Server::start(&[Answer::Ranges]);
    let path = cache.fetch_url(&server.url, &mut ()).unwrap();
    let part = format!("{}.part", path.display());
    fs::rename(&path, &part).unwrap();
    fs::write(&part, vec![1; 1000]).unwrap();
    assert_eq!(fs::read(cache.fetch_url(&server.url, &mut ()).unwrap()).unwrap(), content());
    assert_eq!(server.requests(), [0, 0]);
}

#[test]
fn a_hash_in_the_address_is_checked() {
    let (_folder, cache) = cache();
    let server = Server::start(&[Answer::Ranges]);
    let url = |hash: &str| format!("{}#sha256={hash}", server.url);
    let message = cache.fetch_url(&url(&"0".repeat(64)), &mut ()).unwrap_err().to_string();
    assert!(message.contains("its SHA-256 is") && message.starts_with(&server.url), "{message}");
    assert!(cache.fetch_url(&url(&sha256(&content())), &mut ()).is_ok());
    assert!(matches!(cache.fetch_url(&url("12"), &mut ()), Err(FetchError::BadArtifact { .. })));
}

#[test]
fn a_photo_at_an_address_is_read_up_to_the_limit() {
    let (_folder, cache) = cache();
    let server = Server::start(&[Answer::Ranges]);
    assert_eq!(cache.read_url(&server.url, 200_000).unwrap(), content());
    let message = cache.read_url(&server.url, 199_999).unwrap_err().to_string();
    assert!(message.contains("200000 bytes instead of at most 199999"), "{message}");
    assert!(!cache.folder().exists());
}

#[test]
fn what_an_address_does_not_deliver_is_told_with_the_address() {
    let (_folder, cache) = cache();
    let endless = pages(|path, _| ("302 Found", format!("Location: {path}x\r\n"), Vec::new()));
    let missing = Server::start(&[Answer::NotFound]).url;
    let silent = Server::start(&[Answer::HalfThenSilence]).url;
    let nobody = closed();
    let cases = [
        (missing.as_str(), "status 404 (Not Found)"),
        (&endless, "too many redirects"),
        (&silent, "broke off"),
        (&nobody, "onnect"),
        ("http://example.org/x.pth", "is not encrypted; give an https address"),
        ("https://", "not an address"),
    ];
    for (url, reason) in cases {
        for message in [
            cache.fetch_url(url, &mut ()).unwrap_err().to_string(),
            cache.read_url(url, 1 << 20).unwrap_err().to_string(),
        ] {
            assert!(message.starts_with(url) && message.contains(reason), "{url}: {message}");
        }
    }
}

#[test]
fn an_address_that_is_led_elsewhere_is_followed() {
    let (_folder, cache) = cache();
    let server = Server::start(&[Answer::Ranges]);
    let target = server.url.clone();
    let url = pages(move |_, _| ("302 Found", format!("Location: {target}\r\n"), Vec::new()));
    assert_eq!(cache.read_url(&url, 1 << 20).unwrap(), content());
    assert_eq!(fs::read(cache.fetch_url(&url, &mut ()).unwrap()).unwrap(), content());
}

#[test]
fn offline_no_address_is_asked() {
    let (_folder, cache) = cache();
    let cache = cache.offline(true);
    for message in [
        cache.fetch_url("https://me:secret@example.org/x.pth", &mut ()).unwrap_err().to_string(),
        cache.read_url("https://me:secret@example.org/x.pth", 1).unwrap_err().to_string(),
    ] {
        assert!(
            message.starts_with("https://example.org/x.pth: ") && message.contains("CYGNET_OFFLINE"),
            "{message}"
        );
    }
}
