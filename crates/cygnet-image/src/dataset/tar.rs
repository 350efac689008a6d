//! Tar archives: which pictures they hold, and where.
//!
//! The list is read here rather than by the `tar` crate's iterator, which takes records of names and attributes into
//! memory whatever their length.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::sync::{Arc, Mutex};

use tar::{EntryType, Header, PaxExtensions};

use super::faults::{damaged, refused};
use super::folder::is_image;
use super::members::{Members, lies_in_sight};
use super::part::text;
use super::sample::Source;
use crate::decode::DecodeLimits;
use crate::error::{ImageError, Result};

/// The most bytes of a record of a name or of attributes.
const MOST_RECORD_BYTES: u64 = 1 << 20;

const BLOCK: u64 = 512;

/// Whether a tar archive begins so: with a header, which its checksum tells, or with the zeros of an empty one.
pub(super) fn is_header(block: &[u8]) -> bool {
    let Some(block) = block.first_chunk() else { return false };
    is_end(block) || is_sound(block)
}

fn is_end(block: &[u8; BLOCK as usize]) -> bool {
    block.iter().all(|&byte| byte == 0)
}

fn is_sound(block: &[u8; BLOCK as usize]) -> bool {
    let sum: u32 = block[..148].iter().chain(&block[156..]).map(|&byte| u32::from(byte)).sum();
    Header::from_byte_slice(block).cksum().is_ok_and(|told| told == sum + 8 * u32::from(b' '))
}

/// The pictures of a plain archive, which are read from it when they are needed.
pub(super) fn of_file(path: &Path, limits: DecodeLimits) -> Result<Members> {
    let failed = |source| ImageError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    let parts = Arc::new(Mutex::new(File::open(path).map_err(failed)?));
    let reader = BufReader::with_capacity(1 << 13, file);
    list(Plain { reader, length, parts }, limits).map_err(|error| damaged(path, &error))
}

/// The pictures of an unpacked archive, which are kept in memory as far as the limits allow.
pub(super) fn of_stream(path: &Path, reader: impl Read, limits: DecodeLimits) -> Result<Members> {
    list(Stream { reader, most: limits.max_unpacked, kept: 0 }, limits).map_err(|error| damaged(path, &error))
}

/// Where an archive's bytes come from.
trait Input: Read {
    fn skip(&mut self, count: u64) -> io::Result<()>;

    /// Goes over a file's bytes; where they are to be found later, if anywhere.
    fn file(&mut self, offset: u64, length: u64, is_picture: bool) -> io::Result<Option<Source>>;
}

struct Plain {
    reader: BufReader<File>,
    length: u64,
    parts: Arc<Mutex<File>>,
}

impl Read for Plain {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buffer)
    }
}

impl Input for Plain {
    fn skip(&mut self, count: u64) -> io::Result<()> {
        let count = i64::try_from(count).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        self.reader.seek_relative(count)
    }

    fn file(&mut self, offset: u64, length: u64, _: bool) -> io::Result<Option<Source>> {
        if offset.checked_add(length).is_none_or(|end| end > self.length) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.skip(length)?;
        Ok(Some(Source::Part { file: Arc::clone(&self.parts), offset, length }))
    }
}

struct Stream<R> {
    reader: R,
    most: u64,
    kept: u64,
}

impl<R: Read> Read for Stream<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buffer)
    }
}

impl<R: Read> Input for Stream<R> {
    fn skip(&mut self, count: u64) -> io::Result<()> {
        let skipped = io::copy(&mut (&mut self.reader).take(count), &mut io::sink())?;
        if skipped < count { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    fn file(&mut self, _: u64, length: u64, is_picture: bool) -> io::Result<Option<Source>> {
        if !is_picture {
            self.skip(length)?;
            return Ok(None);
        }
        self.kept = self.kept.saturating_add(length);
        if self.kept > self.most {
            return Err(refused(format!(
                "has more than {} bytes of pictures, which would be kept in memory; unpack it and give the folder, or \
                 raise the limit with --max-unpacked",
                self.most
            )));
        }
        // The length is only claimed: memory grows with what is there.
        let mut bytes = Vec::with_capacity(length.min(1 << 20) as usize);
        if (&mut self.reader).take(length).read_to_end(&mut bytes)? as u64 != length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes.shrink_to_fit();
        Ok(Some(Source::Memory { bytes: Arc::new(bytes) }))
    }
}

/// What extended headers say of the file behind them.
#[derive(Default)]
struct Extended {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    /// The name of a file that is stored without its holes.
    sparse: Option<Vec<u8>>,
    is_sparse: bool,
}

impl Extended {
    fn read_pax(&mut self, record: &[u8]) -> io::Result<()> {
        for extension in PaxExtensions::new(record) {
            let extension = extension?;
            match extension.key_bytes() {
                b"path" => self.path = Some(extension.value_bytes().to_vec()),
                b"linkpath" => self.link = Some(extension.value_bytes().to_vec()),
                b"GNU.sparse.name" => self.sparse = Some(extension.value_bytes().to_vec()),
                key if key.starts_with(b"GNU.sparse.") => self.is_sparse = true,
                b"size" => self.size = extension.value().ok().and_then(|size| size.parse().ok()),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Notes the archive's pictures, and the links to them.
fn list(mut input: impl Input, limits: DecodeLimits) -> io::Result<Members> {
    let mut members = Members::within(limits);
    let mut position = 0u64;
    let mut extended = Extended::default();
    let mut block = [0; BLOCK as usize];
    while read_block(&mut input, &mut block)? && !is_end(&block) {
        if !is_sound(&block) {
            return Err(io::Error::other("a header has another checksum"));
        }
        position += BLOCK;
        let header = Header::from_byte_slice(&block);
        let kind = header.entry_type();
        let own_size = header.entry_size()?;
        if is_record(kind) {
            let record = record(&mut input, own_size)?;
            match kind {
                EntryType::GNULongName => extended.path = Some(before_zero(record)),
                EntryType::GNULongLink => extended.link = Some(before_zero(record)),
                EntryType::XHeader => extended.read_pax(&record)?,
                _ => {}
            }
            position = behind(&mut input, position, own_size)?;
            continue;
        }
        let Extended { path, link, size, sparse, is_sparse } = std::mem::take(&mut extended);
        let is_sparse = is_sparse || sparse.is_some() || kind.is_gnu_sparse();
        let path = sparse.or(path).unwrap_or_else(|| header.path_bytes().into_owned());
        let link = link.or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned));
        let size = size.unwrap_or(own_size);
        let is_extended = header.as_gnu().is_some_and(|header| kind.is_gnu_sparse() && header.is_extended());
        // A file whose name ends so is a folder of an archive older than the type for them.
        let is_folder = path.ends_with(b"/");
        let path = text(&path);
        let is_picture = is_image(Path::new(&path)) && lies_in_sight(&path);
        if is_sparse && is_picture {
            return Err(refused(format!(
                "{path} is stored as a sparse file, which is not read; pack it again without --sparse, or unpack it and \
                 give the folder"
            )));
        }
        match kind {
            EntryType::Link | EntryType::Symlink => {
                let is_symbolic = kind == EntryType::Symlink;
                members.link(&path, &text(&link.unwrap_or_default()), is_symbolic).map_err(refused)?;
            }
            EntryType::Regular | EntryType::Continuous if !is_folder && !is_sparse => {
                if let Some(source) = input.file(position, size, is_picture)? {
                    members.file(&path, source).map_err(refused)?;
                }
                position = behind(&mut input, position, size)?;
                continue;
            }
            _ => {}
        }
        // The map of a sparse file goes on in blocks that its size does not count.
        let mut goes_on = is_extended;
        while goes_on {
            input.read_exact(&mut block)?;
            position += BLOCK;
            goes_on = block[504] == 1;
        }
        let size = if matches!(kind, EntryType::Link | EntryType::Symlink) { 0 } else { size };
        input.skip(size)?;
        position = behind(&mut input, position, size)?;
    }
    Ok(members)
}

fn is_record(kind: EntryType) -> bool {
    matches!(
        kind,
        EntryType::GNULongName | EntryType::GNULongLink | EntryType::XHeader | EntryType::XGlobalHeader
    )
}

/// A whole block; false at the end of the file.
fn read_block(input: &mut impl Input, block: &mut [u8; BLOCK as usize]) -> io::Result<bool> {
    let mut read = 0;
    while read < block.len() {
        match input.read(&mut block[read..])? {
            0 if read == 0 => return Ok(false),
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            more => read += more,
        }
    }
    Ok(true)
}

fn record(input: &mut impl Input, size: u64) -> io::Result<Vec<u8>> {
    if size > MOST_RECORD_BYTES {
        return Err(refused(format!(
            "has a record of a name or of attributes of {size} bytes; {MOST_RECORD_BYTES} are the most"
        )));
    }
    let mut record = vec![0; size as usize];
    input.read_exact(&mut record)?;
    Ok(record)
}

fn before_zero(mut name: Vec<u8>) -> Vec<u8> {
    name.truncate(name.iter().position(|&byte| byte == 0).unwrap_or(name.len()));
    name
}

/// Skips to the next block behind `size` bytes that are read already; where that is.
fn behind(input: &mut impl Input, position: u64, size: u64) -> io::Result<u64> {
    let rest = size.next_multiple_of(BLOCK) - size;
    input.skip(rest)?;
    position.checked_add(size + rest).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}
