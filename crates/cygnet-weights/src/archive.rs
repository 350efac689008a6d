//! The zip archive that `torch.save` writes. What is read of it is bounded by its own size: see [`MAX_DIRECTORY_BYTES`],
//! [`MAX_INFLATION`] and [`FREE_BYTES`].

use std::{
    cell::Cell,
    io::{self, Cursor, Read, Seek, SeekFrom},
    rc::Rc,
};

use zip::{
    CompressionMethod, ZipArchive,
    read::{ArchiveOffset, Config},
    result::ZipError,
};

use crate::{WeightsError, tensor::Bytes};

/// Most bytes that a byte of a compressed archive, or of strided storage, may become.
pub(crate) const MAX_INFLATION: usize = 32;
/// Bytes that any file may inflate to.
pub(crate) const FREE_BYTES: usize = 64 << 20;
/// Most bytes of an archive's directory, which has about a hundred for each tensor.
const MAX_DIRECTORY_BYTES: u64 = 8 << 20;

/// A zip archive and what may still be inflated from it.
pub(crate) struct Archive<'a> {
    file: &'a Bytes,
    zip: ZipArchive<Metered<'a>>,
    /// First part of every name, with its slash.
    root: String,
    budget: u64,
    /// Bytes that may still be read from the file.
    unread: Rc<Cell<u64>>,
}

impl<'a> Archive<'a> {
    pub(crate) fn open(file: &'a Bytes) -> Result<Archive<'a>, WeightsError> {
        let damaged = |source| WeightsError::Zip { entry: "directory".into(), source };
        let unread = Rc::new(Cell::new(MAX_DIRECTORY_BYTES));
        let reader = Metered { bytes: Cursor::new(&file[..]), left: Rc::clone(&unread) };
        // `torch.save` puts the archive at the start of the file. Where a reader looks for the start instead, the
        // lengths of some names mislead it.
        let config = Config { archive_offset: ArchiveOffset::Known(0) };
        let zip = match ZipArchive::with_config(config, reader) {
            Ok(zip) => zip,
            Err(_) if unread.get() == 0 => {
                return Err(WeightsError::Archive {
                    reason: "its directory is larger than any checkpoint's",
                });
            }
            Err(ZipError::InvalidArchive(_)) if !has_end(file) => return Err(WeightsError::NoDirectory),
            Err(source) => return Err(damaged(source)),
        };
        if zip.has_duplicate_names() {
            return Err(WeightsError::Archive { reason: "two entries have the same name" });
        }
        let mut roots = Vec::new();
        for name in zip.file_names() {
            let name = name.map_err(damaged)?;
            if let Some(root) = name.strip_suffix("data.pkl")
                && (root.is_empty() || root.find('/') == Some(root.len() - 1))
            {
                roots.push(root.to_owned());
            }
        }
        let root = match (roots.pop(), roots.is_empty()) {
            (Some(root), true) => root,
            (None, _) => return Err(WeightsError::Archive { reason: "a zip file without data.pkl" }),
            (Some(_), false) => return Err(WeightsError::Archive { reason: "two entries named data.pkl" }),
        };
        let budget = file.len().saturating_mul(MAX_INFLATION).saturating_add(FREE_BYTES) as u64;
        // Entries do not overlap, so all of them together have no more bytes than the file.
        unread.set((file.len() as u64).saturating_add(MAX_DIRECTORY_BYTES));
        let mut archive = Archive { file, zip, root, budget, unread };
        if archive.has("constants.pkl") {
            return Err(WeightsError::WholeModule { global: "a TorchScript program".into() });
        }
        if archive.has("byteorder") && &*archive.entry("byteorder", None, 16)? != b"little" {
            return Err(WeightsError::Archive { reason: "the numbers are big-endian" });
        }
        Ok(archive)
    }

    fn has(&self, name: &str) -> bool {
        self.zip.index_for_name(&format!("{}{name}", self.root)).is_some()
    }

    /// The content of an entry, which must have `needed` bytes if given. A stored entry shares the file.
    pub(crate) fn entry(
        &mut self,
        name: &str,
        needed: Option<u64>,
        limit: u64,
    ) -> Result<Bytes, WeightsError> {
        let name = format!("{}{name}", self.root);
        let unread = Rc::clone(&self.unread);
        let damaged = |source| match unread.get() {
            0 => WeightsError::Archive { reason: "its entries lie over each other" },
            _ => WeightsError::Zip { entry: name.clone(), source },
        };
        let mut entry = self.zip.by_name(&name).map_err(damaged)?;
        let size = entry.size();
        if let Some(needed) = needed.filter(|&needed| needed != size) {
            return Err(WeightsError::EntrySize { entry: name, found: size, needed });
        }
        let limit = limit.min(self.budget);
        if size > limit {
            return Err(WeightsError::TooLarge { what: name, size, limit });
        }
        let damaged_data = |error| damaged(ZipError::Io(error));
        if entry.compression() == CompressionMethod::Stored
            && entry.compressed_size() == size
            && let Some(start) = entry.data_start()
            && let (Ok(start), Ok(end)) = (start.try_into(), start.saturating_add(size).try_into())
            && let Some(shared) = self.file.slice(start..end)
        {
            io::copy(&mut entry, &mut io::sink()).map_err(damaged_data)?;
            return Ok(shared);
        }
        self.budget -= size;
        let mut content = Vec::new();
        entry.take(size.saturating_add(1)).read_to_end(&mut content).map_err(damaged_data)?;
        if content.len() as u64 != size {
            let found = content.len() as u64;
            return Err(WeightsError::EntrySize { entry: name, found, needed: size });
        }
        Ok(content.into())
    }
}

/// Whether the record that ends an archive is anywhere in the file's last bytes, where a comment may follow it.
fn has_end(file: &[u8]) -> bool {
    const MARK: &[u8] = b"PK\x05\x06";
    const RECORD_BYTES: usize = 22;
    let tail = &file[file.len().saturating_sub(RECORD_BYTES + usize::from(u16::MAX))..];
    tail.windows(MARK.len()).any(|window| window == MARK)
}

/// The bytes of a file, of which only so many are read.
struct Metered<'a> {
    bytes: Cursor<&'a [u8]>,
    left: Rc<Cell<u64>>,
}

impl Read for Metered<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.bytes.read(buffer)?;
        let left = self.left.get().checked_sub(count as u64);
        self.left.set(left.unwrap_or(0));
        left.map(|_| count).ok_or_else(|| io::Error::other("more is read than the file has"))
    }
}

impl Seek for Metered<'_> {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.bytes.seek(position)
    }
}
