//! A file in a zip archive, unpacked when it is read.

use std::io::{self, Read};
use std::sync::Arc;

use bzip2::read::BzDecoder;
use flate2::read::DeflateDecoder;
use rawzip::{CompressionMethod, FileReader, ZipArchive, ZipArchiveEntryWayfinder, ZipFileHeaderRecord};

use super::zstd::ZstdReader;

/// A file in a zip archive.
#[derive(Clone, Debug)]
pub(super) struct Zipped {
    archive: Arc<ZipArchive<FileReader>>,
    place: ZipArchiveEntryWayfinder,
    method: CompressionMethod,
    is_encrypted: bool,
}

impl Zipped {
    /// The file of an entry of the archive's list.
    pub(super) fn of(archive: &Arc<ZipArchive<FileReader>>, entry: &ZipFileHeaderRecord<'_>) -> Zipped {
        Zipped {
            archive: Arc::clone(archive),
            place: entry.wayfinder(),
            method: entry.compression_method(),
            is_encrypted: entry.flags().is_encrypted(),
        }
    }

    /// Hands its unpacked bytes to `take`; if that reads to the end, their checksum is compared.
    pub(super) fn read<T>(&self, take: impl FnOnce(&mut dyn Read) -> io::Result<T>) -> io::Result<T> {
        if self.is_encrypted {
            return Err(io::Error::other("it is encrypted; unpack the archive and give the folder"));
        }
        let entry = self.archive.get_entry(self.place).map_err(io::Error::other)?;
        let packed = entry.reader();
        match self.method {
            CompressionMethod::STORE => take(&mut entry.verifying_reader(packed)),
            CompressionMethod::DEFLATE => take(&mut entry.verifying_reader(DeflateDecoder::new(packed))),
            CompressionMethod::BZIP2 => take(&mut entry.verifying_reader(BzDecoder::new(packed))),
            CompressionMethod::ZSTD => take(&mut entry.verifying_reader(ZstdReader::new(packed))),
            method => Err(io::Error::other(format!(
                "it is packed by {method}, which is not read; unpack the archive and give the folder"
            ))),
        }
    }
}
