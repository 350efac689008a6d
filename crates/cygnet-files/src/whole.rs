//! Files that are there whole or as they were before, whatever happens while they are written.

use std::{
    fs::{self, File},
    io,
    path::Path,
    time::Duration,
};

use tempfile::NamedTempFile;

use crate::owned;

/// How the names of unfinished files begin; [`SUFFIX`] letters and digits follow.
const PREFIX: &str = ".cygnet-";
const SUFFIX: usize = 6;

/// Most entries of a folder that are looked at for unfinished files of earlier runs.
const MOST_ENTRIES: usize = 10_000;

/// An unfinished file is locked as soon as it is made; this is longer than that takes.
const UNLOCKED: Duration = Duration::from_secs(1);

/// Writes a file so that it is there whole or as it was before. What earlier runs that were killed left unfinished in the
/// same folder is removed.
///
/// # Errors
/// The system's, or that something other than a file has the name.
pub fn write_whole(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    // A link is written through; a device or a pipe is not replaced by a file.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let is_other = fs::metadata(&target).is_ok_and(|metadata| !metadata.is_file());
    if is_other {
        Err(io::Error::other("exists and is not a file"))
    } else {
        put(&target, write, |file| Ok(_ = file.persist(&target)?))
    }
}

/// As [`write_whole`], but what has the name is replaced if it is a link, and what that leads to stays as it is.
///
/// # Errors
/// As [`write_whole`].
pub fn write_own(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let is_other = |metadata: fs::Metadata| !metadata.is_file() && !metadata.is_symlink();
    if fs::symlink_metadata(path).is_ok_and(is_other) {
        return Err(io::Error::other("exists and is not a file"));
    }
    put(path, write, |file| Ok(_ = file.persist(path)?))
}

/// As [`write_whole`], but never in the place of a file: of several that write one at once a single one does.
///
/// # Errors
/// As [`write_whole`]; [`io::ErrorKind::AlreadyExists`] if something has the name.
pub fn write_new(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    if path.symlink_metadata().is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    put(path, write, |file| Ok(_ = file.persist_noclobber(path)?))
}

/// Writes a new file beside `path`, syncs it and has it renamed.
fn put(
    path: &Path,
    write: impl FnOnce(&mut File) -> io::Result<()>,
    rename: impl FnOnce(NamedTempFile) -> io::Result<()>,
) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    clear(folder);
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut temporary = builder.prefix(PREFIX).rand_bytes(SUFFIX).tempfile_in(folder).map_err(unnamed)?;
    // The lock ends with this process, however that ends: so a file without one belongs to nobody.
    let _ = temporary.as_file().try_lock();
    write(temporary.as_file_mut())?;
    temporary.as_file().sync_all()?;
    rename(temporary)?;
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    Ok(())
}

/// The error without the name of the unfinished file, which means nothing to anybody.
fn unnamed(error: io::Error) -> io::Error {
    let told = error.to_string();
    match told.split_once(" at path ") {
        Some((reason, _)) => io::Error::new(error.kind(), reason),
        None => error,
    }
}

/// Removes the unfinished files of this user that no process has locked.
fn clear(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().take(MOST_ENTRIES).flatten() {
        let name = entry.file_name();
        let suffix = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        let is_ours =
            |suffix: &str| suffix.len() == SUFFIX && suffix.bytes().all(|b| b.is_ascii_alphanumeric());
        if !suffix.is_some_and(is_ours) {
            continue;
        }
        let path = entry.path();
        let Ok(file) = owned::open(&path) else { continue };
        let changed = file.metadata().and_then(|metadata| metadata.modified());
        let is_old = changed.is_ok_and(|time| time.elapsed().is_ok_and(|age| age > UNLOCKED));
        if is_old && file.try_lock().is_ok() {
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::{io::Write, time::SystemTime};

    use super::*;

    fn left(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn of_several_that_write_a_new_file_one_does() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let write = |text: &[u8]| write_new(&path, |file| file.write_all(text));
        let late = write_new(&path, |file| {
            write(b"first").unwrap();
            file.write_all(b"second")
        });
        assert_eq!(late.unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(write(b"third").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(left(folder.path()), ["out"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_written_through_or_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let [link, target] = ["link", "target"].map(|name| folder.path().join(name));
        fs::write(&target, "before").unwrap();
        std::os::unix::fs::symlink("target", &link).unwrap();
        write_whole(&link, |file| file.write_all(b"through")).unwrap();
        assert!(link.is_symlink());
        write_own(&link, |file| file.write_all(b"own")).unwrap();
        assert!(!link.is_symlink());
        assert_eq!([fs::read(&link).unwrap(), fs::read(&target).unwrap()], [&b"own"[..], b"through"]);
        assert!(write_own(folder.path(), |_| Ok(())).is_err());
    }

    #[test]
    fn a_folder_that_is_not_there_is_told_without_the_name_of_the_unfinished_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("none/out");
        for written in [write_whole(&path, |_| Ok(())), write_new(&path, |_| Ok(()))] {
            let error = written.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::NotFound);
            assert!(!error.to_string().contains(PREFIX), "{error}");
        }
    }

    #[test]
    fn what_killed_runs_left_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let old = SystemTime::now() - Duration::from_secs(60);
        for name in [".cygnet-abc123", ".cygnet-LOCKED", ".cygnet-notes", ".cygnet-toolong", "mine"] {
            fs::write(path(name), "x").unwrap();
            File::options().write(true).open(path(name)).unwrap().set_modified(old).unwrap();
        }
        fs::write(path(".cygnet-recent"), "x").unwrap();
        let locked = File::open(path(".cygnet-LOCKED")).unwrap();
        locked.lock().unwrap();
        let mut kept =
            [".cygnet-LOCKED", ".cygnet-notes", ".cygnet-recent", ".cygnet-toolong", "mine", "out"].to_vec();
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(path("mine"), path(".cygnet-linked")).unwrap();
            kept.push(".cygnet-linked");
        }
        kept.sort_unstable();
        write_whole(&path("out"), |file| file.write_all(b"y")).unwrap();
        assert_eq!(left(folder.path()), kept);
    }
}
