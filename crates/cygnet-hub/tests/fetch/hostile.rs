//! A cache that others can write into.

#![cfg(unix)]

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    thread,
    time::Duration,
};

use cygnet_hub::{Artifact, Progress, Source};

use crate::server::{Answer, Server, content, sha256};
use crate::{NAME, cache, fetch, fetch_showing};

/// Keeps what is told.
#[derive(Default)]
struct Told(Vec<String>);

impl Progress for Told {
    fn start(&mut self, _: Option<u64>, _: &str) {}
    fn advance(&mut self, _: u64) {}
    fn message(&mut self, text: &str) {
        self.0.push(text.into());
    }
    fn finish(&mut self) {}
}

#[test]
fn links_in_the_cache_are_never_written_through() {
    for extension in ["part", "lock", "ok"] {
        let (folder, cache) = cache();
        let victim = folder.path().join("victim");
        fs::write(&victim, "mine").unwrap();
        fs::create_dir_all(cache.folder()).unwrap();
        symlink(&victim, cache.folder().join(format!("{NAME}.{extension}"))).unwrap();
        let server = Server::start(&[Answer::Ranges]);
        assert_eq!(fetch(&cache, &[Source::Url(&server.url)]).unwrap(), content(), "{extension}");
        assert_eq!(fs::read_to_string(&victim).unwrap(), "mine", "{extension}");
        assert_eq!(server.requests(), [0], "{extension}");
    }
}

#[test]
fn a_link_to_nothing_makes_no_file_elsewhere() {
    for extension in ["part", "lock", "ok"] {
        let (folder, cache) = cache();
        let elsewhere = folder.path().join("elsewhere");
        fs::create_dir_all(cache.folder()).unwrap();
        symlink(&elsewhere, cache.folder().join(format!("{NAME}.{extension}"))).unwrap();
        let server = Server::start(&[Answer::Ranges]);
        assert_eq!(fetch(&cache, &[Source::Url(&server.url)]).unwrap(), content(), "{extension}");
        assert!(!elsewhere.exists(), "{extension}");
    }
}

#[test]
fn a_hard_link_to_somebody_elses_file_is_not_continued() {
    let (folder, cache) = cache();
    let victim = folder.path().join("victim");
    fs::write(&victim, &content()[..1000]).unwrap();
    fs::create_dir_all(cache.folder()).unwrap();
    fs::hard_link(&victim, cache.folder().join(format!("{NAME}.part"))).unwrap();
    let server = Server::start(&[Answer::Ranges]);
    assert_eq!(fetch(&cache, &[Source::Url(&server.url)]).unwrap(), content());
    assert_eq!(fs::read(&victim).unwrap(), &content()[..1000]);
}

#[test]
fn a_folder_that_everybody_writes_is_told_and_its_notes_are_not_believed() {
    let (_folder, cache) = cache();
    fs::create_dir_all(cache.folder()).unwrap();
    fs::set_permissions(cache.folder(), fs::Permissions::from_mode(0o777)).unwrap();
    let server = Server::start(&[Answer::Ranges]);
    let sources = [Source::Url(&server.url)];
    let mut told = Told::default();
    fetch_showing(&cache, &sources, &mut told).unwrap();
    assert!(told.0[0].contains("can be written by everybody"), "{:?}", told.0);
    let path = cache.folder().join(NAME);
    let mut changed = content();
    changed[0] ^= 1;
    fs::write(&path, &changed).unwrap();
    // What the note would be for the changed file, as somebody else may write it.
    thread::sleep(Duration::from_millis(100));
    let forged = Artifact { file_name: NAME, sha256: &sha256(&changed)[..16], size: None, sources: &[] };
    cache.fetch(&forged, &mut ()).unwrap();
    let note = cache.folder().join(format!("{NAME}.ok"));
    let text = fs::read_to_string(&note).unwrap().replace(&sha256(&changed), &sha256(&content()));
    fs::write(&note, text).unwrap();
    assert_eq!(fetch(&cache, &sources).unwrap(), content());
    assert_eq!(server.requests(), [0, 0]);
}

#[test]
fn how_much_of_a_hash_is_published_is_told() {
    let (_folder, cache) = cache();
    let server = Server::start(&[Answer::Ranges]);
    let sources = [Source::Url(&server.url)];
    let hash = sha256(&content());
    let cases = [(8, "the first 8 of 64 digits"), (0, "no hash"), (64, "")];
    for (digits, text) in cases {
        let mut told = Told::default();
        let name = format!("{digits}.bin");
        let artifact = Artifact { file_name: &name, sha256: &hash[..digits], size: None, sources: &sources };
        cache.fetch(&artifact, &mut told).unwrap();
        assert_eq!(told.0.is_empty(), text.is_empty(), "{:?}", told.0);
        assert!(told.0.iter().all(|line| line.contains(text)), "{:?}", told.0);
    }
}

#[test]
fn a_source_that_failed_is_told_with_the_one_that_did_not() {
    let (_folder, cache) = cache();
    let (first, second) = (Server::start(&[Answer::NotFound]), Server::start(&[Answer::Ranges]));
    let mut told = Told::default();
    fetch_showing(&cache, &[Source::Url(&first.url), Source::Url(&second.url)], &mut told).unwrap();
    let expected = format!("{NAME} came from {}; {} did not have it: ", second.url, first.url);
    assert!(told.0.iter().any(|line| line.starts_with(&expected)), "{:?}", told.0);
}
