//! Which container a file is, told by its first bytes, and what is inside a compressed one.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::path::Path;
use std::rc::Rc;

use bzip2::read::MultiBzDecoder;
use flate2::read::MultiGzDecoder;
use lzma_rust2::XzReader;

use super::faults::{damaged, refused};
use super::tar;
use super::zstd::ZstdReader;
use crate::decode::DecodeLimits;
use crate::error::{ImageError, Result};

/// Of a compressed file so many times the bytes of its pictures are unpacked; what is beyond would take minutes.
const BESIDE_PICTURES: u64 = 4;

/// The most memory of an xz decoder, in kB; `xz -9` needs 65 MB.
const XZ_MEMORY_KB: u32 = 512 << 10;

/// Bytes that tell any container.
const BLOCK: usize = 512;

/// What a file holds, once unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Tar,
    Zip,
    Idx,
    /// A container that is not read, by its name.
    Other(&'static str),
    Unknown,
}

/// A file, unpacked where it is compressed.
pub(super) struct Contents {
    pub(super) kind: Kind,
    pub(super) is_compressed: bool,
    pub(super) reader: Box<dyn Read>,
}

/// Looks into a file.
///
/// # Errors
/// If it cannot be read, or its first bytes cannot be unpacked.
pub(super) fn open(path: &Path, limits: DecodeLimits) -> Result<Contents> {
    let failed = |source| ImageError::Read { path: path.to_owned(), source };
    let mut file = BufReader::with_capacity(1 << 16, File::open(path).map_err(failed)?);
    let first = block(&mut file).map_err(failed)?;
    let starts = |magic: &[u8]| first.starts_with(magic);
    let file = Cursor::new(first.clone()).chain(file);
    let given = Rc::default();
    let file = Fed { inner: file, taken: 0, given: Rc::clone(&given) };
    let unpacked: Box<dyn Read> = if starts(b"\x1f\x8b") {
        Box::new(MultiGzDecoder::new(file))
    } else if starts(b"\xfd7zXZ\0") {
        Box::new(XzReader::new_mem_limit(file, true, XZ_MEMORY_KB))
    } else if starts(b"BZh") {
        Box::new(MultiBzDecoder::new(file))
    } else if starts(b"\x28\xb5\x2f\xfd") {
        Box::new(ZstdReader::new(file))
    } else {
        return Ok(Contents { kind: kind(&first), is_compressed: false, reader: Box::new(file.inner) });
    };
    let most = limits.max_unpacked.saturating_mul(BESIDE_PICTURES);
    let mut unpacked = Bounded { inner: unpacked, most, given };
    let first = block(&mut unpacked).map_err(|error| damaged(path, &error))?;
    let reader = Box::new(Cursor::new(first.clone()).chain(unpacked));
    Ok(Contents { kind: kind(&first), is_compressed: true, reader })
}

/// The first bytes, fewer of a short file.
fn block(reader: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut first = Vec::new();
    reader.take(BLOCK as u64).read_to_end(&mut first)?;
    Ok(first)
}

fn kind(first: &[u8]) -> Kind {
    const OTHERS: [(&[u8], &str); 8] = [
        (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
        (b"Rar!", "a rar archive"),
        (b"\x1f\x9d", "an old compress (.Z) file"),
        (b"LZIP", "an lzip file"),
        (b"\x04\x22\x4d\x18", "an lz4 file"),
        (b"\x89HDF", "an HDF5 file"),
        (b"PAR1", "a Parquet file"),
        (b"\x93NUMPY", "a NumPy file"),
    ];
    if let Some((_, name)) = OTHERS.iter().find(|(magic, _)| first.starts_with(magic)) {
        Kind::Other(name)
    } else if first.starts_with(b"PK\x03\x04") || first.starts_with(b"PK\x05\x06") {
        Kind::Zip
    } else if first.starts_with(&[0, 0, 8, 3]) || first.starts_with(&[0, 0, 8, 1]) {
        Kind::Idx
    } else if tar::is_header(first) {
        Kind::Tar
    } else {
        Kind::Unknown
    }
}

/// Bytes of a compressed file that may be read before anything comes of them, beside twice as many as come.
const FOR_NOTHING: u64 = 64 << 20;

/// Ends in an error where a compressed file has far more bytes than they unpack to, as none of pictures has.
struct Fed<R> {
    inner: R,
    taken: u64,
    /// Bytes unpacked so far.
    given: Rc<Cell<u64>>,
}

impl<R: Read> Read for Fed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.taken += read as u64;
        if self.taken > FOR_NOTHING + 2 * self.given.get() {
            return Err(refused("unpacks to next to nothing; download or copy the file again".into()));
        }
        Ok(read)
    }
}

/// Ends in an error where more is read.
struct Bounded<R> {
    inner: R,
    most: u64,
    /// Bytes unpacked so far.
    given: Rc<Cell<u64>>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.given.set(self.given.get() + read as u64);
        if self.given.get() > self.most {
            return Err(refused(format!(
                "unpacks to more than {} bytes; unpack it and give the folder, or raise the limit with --max-unpacked",
                self.most
            )));
        }
        Ok(read)
    }
}
