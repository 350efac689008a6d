//! The files that commands write.

use std::error::Error;
use std::io;
use std::path::Path;

use anyhow::{anyhow, bail};
use cygnet_files::is_same_file;

use crate::args::wrong_usage;

/// Whether `out` has one of the endings of files that the command writes. A folder, a device or a pipe is not replaced, whatever
/// its name.
pub(super) fn check_ending(out: &Path, endings: &[&str]) -> anyhow::Result<()> {
    if out.metadata().is_ok_and(|metadata| !metadata.is_file()) {
        bail!("{}: exists and is not a file", out.display());
    }
    if endings.iter().any(|ending| ends_in(out, ending)) {
        return Ok(());
    }
    let written = endings.iter().map(|ending| format!(".{ending}")).collect::<Vec<_>>().join(" and ");
    let better = out.with_extension("safetensors");
    Err(wrong_usage(format!(
        "{}: cygnet writes {written} files only; give {}",
        out.display(),
        better.display()
    )))
}

/// Whether the name of a file ends so.
pub(super) fn ends_in(out: &Path, ending: &str) -> bool {
    out.extension().is_some_and(|of| of.eq_ignore_ascii_case(ending))
}

/// Whether a file may be written there, before it takes work to make it.
pub(super) fn check_place(out: &Path, overwrite: bool) -> anyhow::Result<()> {
    if !overwrite && out.symlink_metadata().is_ok() {
        return Err(taken(out));
    }
    if let Some(folder) = out.parent().filter(|folder| *folder != Path::new("") && !folder.is_dir()) {
        bail!("{}: no such folder, to write {} to", folder.display(), out.display());
    }
    Ok(())
}

/// Refuses to write a file that something is made of, whatever its name there.
pub(super) fn check_source(out: &Path, source: &Path) -> anyhow::Result<()> {
    if source.is_file() && is_same_file(out, source) {
        bail!("{}: would replace its own source, {}; give another name", out.display(), source.display());
    }
    Ok(())
}

/// Tells of a new file that could not be written because another process was faster as if it had been there.
pub(super) fn written(out: &Path, result: Result<(), cygnet::Error>) -> anyhow::Result<()> {
    result.map_err(|error| if is_taken(&error) { taken(out) } else { error.into() })
}

fn taken(out: &Path) -> anyhow::Error {
    anyhow!("{}: exists already; give another name, or --overwrite to replace it", out.display())
}

fn is_taken(error: &cygnet::Error) -> bool {
    let causes = std::iter::successors(Some(error as &dyn Error), |error| (*error).source());
    let mut causes = causes.filter_map(|cause| cause.downcast_ref::<io::Error>());
    causes.any(|cause| cause.kind() == io::ErrorKind::AlreadyExists)
}
