//! The cache against a server on this machine.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod addresses;
mod hostile;
mod packages;
mod server;

use std::{fs, thread, time::Duration};

use cygnet_hub::{Artifact, AttemptError, Cache, FetchError, Progress, Source};
use tempfile::TempDir;

use server::{Answer, Server, closed, content, sha256};

const NAME: &str = "net.safetensors";

/// A hash that no file has.
const NO_HASH: &str = "0000000000000000000000000000000000000000000000000000000000000000";

pub(crate) fn cache() -> (TempDir, Cache) {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path().join("cache"));
    let cache = cache.index(&closed());
    (folder, cache.timeouts(Duration::from_secs(3), Duration::from_millis(300)))
}

pub(crate) fn fetch(cache: &Cache, sources: &[Source<'_>]) -> Result<Vec<u8>, FetchError> {
    fetch_showing(cache, sources, &mut ())
}

fn fetch_showing(
    cache: &Cache,
    sources: &[Source<'_>],
    progress: &mut dyn Progress,
) -> Result<Vec<u8>, FetchError> {
    let hash = sha256(&content());
    let size = Some(content().len() as u64);
    let artifact = Artifact { file_name: NAME, sha256: &hash[..16], size, sources };
    cache.fetch(&artifact, progress).map(|path| fs::read(path).unwrap())
}

pub(crate) fn attempts(result: Result<Vec<u8>, FetchError>) -> Vec<AttemptError> {
    match result {
        Err(error @ FetchError::Unavailable { .. }) => {
            let told = error.to_string();
            let FetchError::Unavailable { attempts, path, .. } = error else { unreachable!() };
            assert!(told.contains("CYGNET_MIRROR") && told.contains(path.to_str().unwrap()), "{told}");
            attempts.into_iter().map(|(_, error)| error).collect()
        }
        other => panic!("not unavailable: {:?}", other.map(|bytes| bytes.len())),
    }
}

#[test]
fn a_file_is_fetched_once_and_then_found() {
    let (folder, cache) = cache();
    let server = Server::start(&[Answer::Ranges]);
    for _ in 0..2 {
        assert_eq!(fetch(&cache, &[Source::Url(&server.url)]).unwrap(), content());
    }
    assert_eq!(server.requests(), [0]);
    assert!(!folder.path().join("cache").join(format!("{NAME}.part")).exists());
}

#[test]
fn a_file_changed_in_the_cache_under_the_same_size_and_time_is_fetched_again() {
    let (_folder, cache) = cache();
    let server = Server::start(&[Answer::Ranges]);
    let sources = [Source::Url(&server.url)];
    fetch(&cache, &sources).unwrap();
    let path = cache.folder().join(NAME);
    let mut changed = content();
    changed[0] ^= 1;
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    thread::sleep(Duration::from_millis(100));
    assert_eq!(fetch(&cache, &sources).unwrap(), content());
    fs::write(&path, changed).unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
    assert_eq!(fetch(&cache, &sources).unwrap(), content());
    assert_eq!(server.requests(), [0, 0]);
    fs::File::open(&path).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(fetch(&cache, &sources).unwrap(), content());
    assert_eq!(server.requests(), [0, 0]);
}

#[test]
fn a_part_left_by_an_earlier_run_is_resumed() {
    let (_folder, cache) = cache();
    fs::create_dir_all(cache.folder()).unwrap();
    fs::write(cache.folder().join(format!("{NAME}.part")), &content()[..150_000]).unwrap();
    let server = Server::start(&[Answer::Ranges]);
    assert_eq!(fetch(&cache, &[Source::Url(&server.url)]).unwrap(), content());
    assert_eq!(server.requests(), [150_000]);
}

#[test]
fn a_whole_part_left_by_an_earlier_run_needs_no_request() {
    let (_folder, cache) = cache();
    fs::create_dir_all(cache.folder()).unwrap();
    fs::write(cache.folder().join(format!("{NAME}.part")), content()).unwrap();
    let server = Server::start(&[Answer::NotFound]);
    assert_eq!(fetch(&cache, &[Source::Url(&server.url)]).unwrap(), content());
    assert!(server.requests().is_empty());
}

#[test]
fn a_server_without_ranges_starts_over() {
    let (_folder, cache) = cache();
    fs::create_dir_all(cache.folder()).unwrap();
    fs::write(cache.folder().join(format!("{NAME}.part")), b"beginning").unwrap();
    let server = Server::start(&[Answer::WholeFile]);
    assert_eq!(fetch(&cache, &[Source::Url(&server.url)]).unwrap(), content());
    assert_eq!(server.requests(), [9]);
}

#[test]
fn a_part_of_another_file_is_thrown_away() {
    let (_folder, cache) = cache();
    fs::create_dir_all(cache.folder()).unwrap();
    fs::write(cache.folder().join(format!("{NAME}.part")), [255; 1000]).unwrap();
    let server = Server::start(&[Answer::Ranges]);
    assert_eq!(fetch(&cache, &[Source::Url(&server.url)]).unwrap(), content());
    assert_eq!(server.requests(), [1000, 0]);
}

#[test]
fn a_body_that_breaks_off_is_taken_up_where_it_broke() {
    let (_folder, cache) = cache();
    let server = Server::start(&[Answer::HalfThenClose, Answer::HalfThenClose, Answer::Ranges]);
    assert_eq!(fetch(&cache, &[Source::Url(&server.url)]).unwrap(), content());
    assert_eq!(server.requests(), [0, 100_000, 150_000]);
}

#[test]
fn a_body_that_always_breaks_off_is_an_error_and_no_file() {
    let (_folder, cache) = cache();
    let server = Server::start(&[Answer::HalfThenClose]);
    let errors = attempts(fetch(&cache, &[Source::Url(&server.url)]));
    assert!(matches!(errors[..], [AttemptError::Interrupted(_)]), "{errors:?}");
    assert_eq!(server.requests().len(), 4);
    assert!(!cache.folder().join(NAME).exists());
}

#[test]
fn the_next_source_is_tried_after_a_wrong_file_a_refusal_and_a_missing_server() {
    let (_folder, cache) = cache();
    let (wrong, missing) = (Server::start(&[Answer::OtherFile]), Server::start(&[Answer::NotFound]));
    let good = Server::start(&[Answer::Ranges]);
    let closed = format!("{}/{NAME}", closed());
    let bad = [Source::Url(&wrong.url), Source::Url(&missing.url), Source::Url(&closed)];
    let errors = attempts(fetch(&cache, &bad));
    assert!(
        matches!(
            errors[..],
            [AttemptError::WrongHash { .. }, AttemptError::Status(404), AttemptError::Http(_)]
        ),
        "{errors:?}"
    );
    assert!(!cache.folder().join(format!("{NAME}.part")).exists());
    let all = [&bad[..], &[Source::Url(&good.url)]].concat();
    assert_eq!(fetch(&cache, &all).unwrap(), content());
    assert_eq!(good.requests(), [0]);
}

#[test]
fn a_transfer_that_stands_still_gives_way_to_the_next_source() {
    let (_folder, cache) = cache();
    let (silent, good) = (Server::start(&[Answer::HalfThenSilence]), Server::start(&[Answer::Ranges]));
    let sources = [Source::Url(&silent.url), Source::Url(&good.url)];
    assert_eq!(fetch(&cache, &sources).unwrap(), content());
    assert_eq!((silent.requests(), good.requests()), (vec![0], vec![100_000]));
}

#[test]
fn a_server_with_a_file_of_another_size_is_not_read() {
    let (_folder, cache) = cache();
    let server = Server::start(&[Answer::Ranges]);
    let hash = sha256(&content());
    let sources = [Source::Url(&server.url)];
    let artifact = Artifact { file_name: NAME, sha256: &hash, size: Some(9), sources: &sources };
    let message = cache.fetch(&artifact, &mut ()).unwrap_err().to_string();
    assert!(message.contains("has 200000 bytes instead of 9"), "{message}");
}

#[test]
fn offline_only_the_cache_and_mirror_folders_are_asked() {
    let (folder, cache) = cache();
    let server = Server::start(&[Answer::Ranges]);
    let sources = [Source::Url(&server.url), packages::source(NO_HASH, "net.bin")];
    let prefix = server.url.strip_suffix(NAME).unwrap();
    let bare = cache.clone().offline(true);
    assert!(matches!(fetch(&bare, &sources), Err(FetchError::Offline { .. })));
    assert!(!bare.folder().exists(), "what is not written to is not made");
    let offline = cache.clone().offline(true).mirrors(prefix);
    let message = fetch(&offline, &sources).unwrap_err().to_string();
    assert!(message.contains("CYGNET_OFFLINE") && message.contains(offline.folder().to_str().unwrap()));
    assert!(server.requests().is_empty());
    let mirror = folder.path().join("mirror");
    fs::create_dir(&mirror).unwrap();
    fs::write(mirror.join(NAME), content()).unwrap();
    let list = format!("{}/empty;{}", folder.path().display(), mirror.display());
    let missing = fetch(&offline.clone().mirrors(&list), &sources);
    assert!(matches!(missing, Err(FetchError::NoMirror { .. })), "{missing:?}");
    fs::create_dir(folder.path().join("empty")).unwrap();
    assert_eq!(fetch(&offline.clone().mirrors(&list), &sources).unwrap(), content());
    fs::remove_dir_all(mirror).unwrap();
    assert_eq!(fetch(&offline, &sources).unwrap(), content());
}

#[test]
fn mirrors_come_first_and_their_files_are_checked_too() {
    let (folder, cache) = cache();
    fs::write(folder.path().join(NAME), b"something else").unwrap();
    let (mirror, origin) = (Server::start(&[Answer::Ranges]), Server::start(&[Answer::Ranges]));
    let prefix = mirror.url.strip_suffix(NAME).unwrap();
    let cache = cache.mirrors(&format!("{};{prefix}", folder.path().display()));
    assert_eq!(fetch(&cache, &[Source::Url(&origin.url)]).unwrap(), content());
    assert_eq!((mirror.requests(), origin.requests()), (vec![0], vec![]));
}

#[test]
fn an_address_keeps_its_colons_behind_whatever_separates_it() {
    for between in [";", "; ", ":"] {
        let (folder, cache) = cache();
        let mirror = Server::start(&[Answer::Ranges]);
        let prefix = mirror.url.strip_suffix(NAME).unwrap();
        let cache = cache.mirrors(&format!("{}{between}{prefix}", folder.path().display()));
        assert_eq!(fetch(&cache, &[]).unwrap(), content(), "{between}");
        assert_eq!(mirror.requests(), [0]);
    }
    let (_folder, cache) = cache();
    let told = fetch(&cache.mirrors("ftp://host/weights"), &[]).unwrap_err().to_string();
    assert!(told.starts_with("ftp://host/weights: no such folder; CYGNET_MIRROR"), "{told}");
}

#[test]
fn many_who_want_the_same_file_share_one_download() {
    let (_folder, cache) = cache();
    let server = Server::start(&[Answer::Ranges]);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_eq!(fetch(&cache, &[Source::Url(&server.url)]).unwrap(), content()));
        }
    });
    assert_eq!(server.requests(), [0]);
}

#[test]
fn progress_adds_up_to_the_file() {
    #[derive(Default)]
    struct Count(u64, Option<u64>, bool);
    impl Progress for Count {
        fn start(&mut self, total: Option<u64>, _: &str) {
            (self.0, self.1, self.2) = (0, total, false);
        }
        fn advance(&mut self, bytes: u64) {
            self.0 += bytes;
        }
        fn message(&mut self, _: &str) {}
        fn finish(&mut self) {
            self.2 = true;
        }
    }
    let (_folder, cache) = cache();
    let server = Server::start(&[Answer::HalfThenClose, Answer::Ranges]);
    let mut count = Count::default();
    fetch_showing(&cache, &[Source::Url(&server.url)], &mut count).unwrap();
    assert_eq!((count.0, count.1, count.2), (200_000, Some(200_000), true));
}

#[test]
fn names_with_folders_and_hashes_that_are_none_are_refused() {
    let (_folder, cache) = cache();
    for (file_name, sha256) in
        [("../x", "01234567"), ("a\\b", "01234567"), ("", "01234567"), ("x", "0123"), ("x", "0123456g")]
    {
        let artifact = Artifact { file_name, sha256, size: None, sources: &[] };
        let error = cache.fetch(&artifact, &mut ()).unwrap_err();
        assert!(matches!(error, FetchError::BadArtifact { .. }), "{error}");
    }
}

#[cfg(unix)]
#[test]
fn a_full_disk_is_told_with_the_file_and_its_size_and_leaves_no_part() {
    if std::env::var_os("SMALL_DISK").is_none() {
        let script = "trap '' XFSZ; ulimit -f 300; exec \"$0\" \"$@\"";
        let mut command = std::process::Command::new("sh");
        command.arg("-c").arg(script).arg(std::env::current_exe().unwrap());
        let name = "a_full_disk_is_told_with_the_file_and_its_size_and_leaves_no_part";
        let output = command.args(["--exact", name, "--nocapture"]).env("SMALL_DISK", "1").output().unwrap();
        assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "{output:?}");
        return;
    }
    let (_folder, cache) = cache();
    let (first, second) = (Server::start(&[Answer::Ranges]), Server::start(&[Answer::Ranges]));
    let error = fetch(&cache, &[Source::Url(&first.url), Source::Url(&second.url)]).unwrap_err();
    let message = error.to_string();
    assert!(message.contains(&format!("{NAME}.part")) && message.contains("needs 195 KB"), "{message}");
    assert!(!cache.folder().join(format!("{NAME}.part")).exists() && !cache.folder().join(NAME).exists());
    assert!(second.requests().is_empty());
}

#[test]
fn passwords_of_mirrors_are_not_told() {
    let (_folder, cache) = cache();
    let mirror = closed().replace("http://", "http://user:secret@");
    let told = fetch(&cache.mirrors(&mirror), &[]).unwrap_err().to_string();
    assert!(told.contains("127.0.0.1") && !told.contains("secret"), "{told}");
}
