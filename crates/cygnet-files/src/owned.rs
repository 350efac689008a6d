//! Files of this user: written never through a link, never into a file of somebody else.

use std::{
    fs::{self, File, Metadata},
    io,
    path::Path,
};

/// A new and empty file. What had its name is removed: a link, but not what it leads to.
pub fn create(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    File::options().read(true).append(true).create_new(true).open(path)
}

/// The file that this user left at `path`, to be continued; anything else is an error.
pub fn reopen(path: &Path) -> io::Result<File> {
    let file = not_following(File::options().read(true).append(true)).open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_file() && is_own(&metadata) {
        Ok(file)
    } else {
        Err(io::ErrorKind::PermissionDenied.into())
    }
}

/// A regular file of this user, opened without following a link, to be locked and removed.
pub fn open(path: &Path) -> io::Result<File> {
    checked(not_following(File::options().read(true).write(true)).open(path)?)
}

fn checked(file: File) -> io::Result<File> {
    let metadata = file.metadata()?;
    if metadata.is_file() && is_own(&metadata) {
        Ok(file)
    } else {
        Err(io::ErrorKind::PermissionDenied.into())
    }
}

/// A file that processes lock.
pub fn lockable(path: &Path) -> io::Result<File> {
    if fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink()) {
        fs::remove_file(path)?;
    }
    not_following(File::options().create(true).append(true)).open(path)
}

/// Why others may have written into the folder, if they may.
pub fn shared_with(folder: &Path) -> Option<String> {
    fs::metadata(folder).ok().and_then(|metadata| shared_by(&metadata))
}

/// Whether nobody else can have written a file.
pub fn is_private(metadata: &Metadata) -> bool {
    shared_by(metadata).is_none() && !is_shared_with_group(metadata)
}

#[cfg(unix)]
mod system {
    use std::fs::{Metadata, OpenOptions};
    use std::os::unix::fs::{MetadataExt, OpenOptionsExt};

    use rustix::fs::OFlags;
    use rustix::process::geteuid;

    pub(crate) fn not_following(options: &mut OpenOptions) -> &mut OpenOptions {
        // A link is an error, and a pipe without a reader does not wait.
        options.custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed())
    }

    pub(crate) fn is_own(metadata: &Metadata) -> bool {
        metadata.uid() == geteuid().as_raw() && metadata.nlink() == 1
    }

    pub(crate) fn shared_by(metadata: &Metadata) -> Option<String> {
        let owner = metadata.uid();
        if owner != geteuid().as_raw() && owner != 0 {
            return Some(format!("belongs to another user ({owner})"));
        }
        (metadata.mode() & 0o002 != 0).then(|| "can be written by everybody".into())
    }

    /// Many systems give each user a group of the same number, which shares nothing.
    pub(crate) fn is_shared_with_group(metadata: &Metadata) -> bool {
        metadata.mode() & 0o020 != 0 && metadata.gid() != metadata.uid()
    }

    /// When the file's bytes or its record last changed, which no program can set, and which file it is.
    pub fn changed(metadata: &Metadata) -> (i128, String) {
        let changed = i128::from(metadata.ctime()) * 1_000_000_000 + i128::from(metadata.ctime_nsec());
        (changed, format!("{} {} {}", metadata.size(), metadata.dev(), metadata.ino()))
    }
}

#[cfg(not(unix))]
mod system {
    use std::fs::{Metadata, OpenOptions};
    use std::time::UNIX_EPOCH;

    pub(crate) fn not_following(options: &mut OpenOptions) -> &mut OpenOptions {
        options
    }

    pub(crate) fn is_own(metadata: &Metadata) -> bool {
        !metadata.is_symlink()
    }

    pub(crate) fn shared_by(_: &Metadata) -> Option<String> {
        None
    }

    pub(crate) fn is_shared_with_group(_: &Metadata) -> bool {
        false
    }

    /// When the file was last written, its length, and when it was made, which are no proof of its bytes.
    pub fn changed(metadata: &Metadata) -> (i128, String) {
        let since = |time: std::io::Result<std::time::SystemTime>| {
            let time = time.ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
            time.unwrap_or_default().as_nanos().cast_signed()
        };
        (since(metadata.modified()), format!("{} {}", metadata.len(), since(metadata.created())))
    }
}

use system::{is_own, is_shared_with_group, not_following, shared_by};

pub use system::changed;
