//! The cache of a program that is built without the feature `fetch`.
#![cfg(not(feature = "fetch"))]

use cygnet_hub::{Artifact, Cache, FetchError, Source};

const ARTIFACT: Artifact<'_> = Artifact {
    file_name: "net.pth",
    sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    size: Some(3),
    sources: &[Source::Url("https://127.0.0.1:1/net.pth")],
};

#[test]
fn what_is_there_is_served_and_what_is_not_says_where_it_belongs() {
    let [cache, mirror] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let offline = Cache::at(cache.path()).offline(false);
    let missing = offline.fetch(&ARTIFACT, &mut ()).unwrap_err();
    assert!(matches!(missing, FetchError::Offline { .. }), "{missing}");
    let text = missing.to_string();
    assert!(text.starts_with("net.pth: not in the cache") && text.contains("feature fetch"), "{text}");
    assert!(text.ends_with(&format!("put the file at {}", cache.path().join("net.pth").display())), "{text}");
    let read = offline.read_url("https://127.0.0.1:1/photo.jpg", 9).unwrap_err();
    assert!(matches!(read, FetchError::OfflineAddress { .. }), "{read}");

    std::fs::write(mirror.path().join("net.pth"), "abc").unwrap();
    let mirrored = offline.mirrors(&format!("https://127.0.0.1:1/;{}", mirror.path().display()));
    assert_eq!(std::fs::read(mirrored.fetch(&ARTIFACT, &mut ()).unwrap()).unwrap(), b"abc");
}
