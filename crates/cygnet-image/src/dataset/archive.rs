//! Data sets in one file that is no table: archives of class folders, and IDX files.

use std::path::Path;

use super::container::{self, Contents, Kind};
use super::structure::{self, Found};
use super::{idx, tar, zip};
use crate::decode::DecodeLimits;
use crate::error::{ImageError, Result};

pub(super) fn read(path: &Path, limits: DecodeLimits) -> Result<Found> {
    let Contents { kind, is_compressed, reader } = container::open(path, limits)?;
    let refused = |reason: String| Err(ImageError::Dataset { path: path.to_owned(), reason });
    let members = match kind {
        Kind::Tar if is_compressed => tar::of_stream(path, reader, limits)?,
        Kind::Tar => tar::of_file(path, limits)?,
        Kind::Zip if is_compressed => {
            return refused("is a compressed zip archive; unpack it once and give the .zip".into());
        }
        Kind::Zip => zip::of_file(path, limits)?,
        Kind::Idx => return idx::of_file(path, limits),
        Kind::Other(name) => {
            return refused(format!("is {name}, which is not read; unpack it and give the folder"));
        }
        Kind::Unknown => {
            return refused(
                "not a data set; give a folder of class folders, a .csv table, an IDX file of images or a .zip, \
                 .tar, .tar.gz, .tar.xz, .tar.bz2 or .tar.zst archive"
                    .into(),
            );
        }
    };
    let (members, notes) =
        members.into_pictures().map_err(|reason| ImageError::Dataset { path: path.to_owned(), reason })?;
    let mut found = structure::read(&members, &[], |inside| format!("{}:{inside}", path.display()));
    found.notes.extend(notes);
    Ok(found)
}
