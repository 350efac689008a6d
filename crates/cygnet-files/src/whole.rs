//! Files that are there whole or as they were before, whatever happens while they are written.

use std::{
    fs::{self, File},
    io,
    path::Path,
    time::Duration,
};

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
    if is_other { Err(io::Error::other("exists and is not a file")) } else { replace(&target, write) }
}

/// Writes a new file beside `path`, syncs it and renames it to `path`.
fn replace(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    clear(folder);
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut temporary = builder.prefix(PREFIX).rand_bytes(SUFFIX).tempfile_in(folder)?;
    // The lock ends with this process, however that ends: so a file without one belongs to nobody.
    let _ = temporary.as_file().try_lock();
    write(temporary.as_file_mut())?;
    temporary.as_file().sync_all()?;
    temporary.persist(path)?;
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    Ok(())
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
