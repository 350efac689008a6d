//! Labelled pictures: where they are and which class each has, from folders, tables, IDX files and archives.

mod archive;
mod container;
mod faults;
mod folder;
mod idx;
mod members;
mod part;
mod sample;
mod split;
mod structure;
mod table;
mod tar;
mod zip;
mod zipped;
mod zstd;

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

pub use folder::{Collected, collect_images, collect_readable};
pub use sample::Sample;

use self::structure::{Found, Labelled};
use crate::decode::DecodeLimits;
use crate::error::{ImageError, Result};

/// Pictures with their classes.
#[derive(Clone, Debug, Default)]
pub struct Dataset {
    /// The names of the classes, in the order of their numbers.
    pub classes: Vec<String>,
    /// The pictures; sorted by class, then by name, unless the source has an order of its own.
    pub samples: Vec<Sample>,
}

/// The parts of a data set.
#[derive(Clone, Debug, Default)]
pub struct Splits {
    /// Pictures to learn from.
    pub train: Dataset,
    /// Pictures to choose by, if the source tells them apart.
    pub validation: Option<Dataset>,
    /// Pictures for the final figure, if the source has them beside the others.
    pub test: Option<Dataset>,
    /// What the user should know of how the source was understood: whole sentences, without its name.
    pub notes: Vec<String>,
    /// What may be decoded.
    pub limits: DecodeLimits,
}

impl Splits {
    /// Opens a data set to learn from:
    /// - a folder with one folder of pictures a class, or with such folders in `train` and in `val`, `test` or folders
    ///   of like names: `training_set`, `Testing`, `val2017`, `eval`, `holdout`, `seg_train` beside `seg_test`;
    /// - a folder of IDX files (MNIST), plain or gzipped, or one of them;
    /// - a `.csv` or `.tsv` table of paths and labels, with an optional column `split`;
    /// - an archive of such folders: zip, or tar, plain or compressed by gzip, xz, bzip2 or Zstandard. It is told by its
    ///   first bytes.
    ///
    /// Where there is only `test` beside `train`, it serves as validation.
    ///
    /// # Errors
    /// Names the file or folder and what is wrong: unreadable, no picture, a class without a picture or only one
    /// class, a class that only validation has.
    pub fn open(path: impl AsRef<Path>) -> Result<Splits> {
        Splits::open_within(path, DecodeLimits::default())
    }

    /// As [`Splits::open`], with other limits on what is unpacked and decoded than the default ones.
    ///
    /// # Errors
    /// As [`Splits::open`].
    pub fn open_within(path: impl AsRef<Path>, limits: DecodeLimits) -> Result<Splits> {
        let path = path.as_ref();
        let mut splits = Splits::open_any(path, limits)?;
        let classes = &splits.train.classes;
        let named: Vec<&str> =
            splits.classes_with_pictures().into_iter().map(|class| classes[class].as_str()).collect();
        let without_train = splits.train.samples.is_empty();
        if without_train || named.iter().all(|class| part::Name::of(class).part.is_some()) {
            let there = if without_train {
                format!("has {} alone and nothing to learn from", splits.parts_with_pictures())
            } else {
                format!("has pictures in {} but no class folders there", named.join(" and "))
            };
            let reason = format!(
                "{there}; expected a folder train with a folder for each class, such as train/cats/1.jpg; where a \
                 table tells the classes, give the table"
            );
            return Err(ImageError::Dataset { path: path.to_owned(), reason });
        }
        if let [class] = &classes[..] {
            return Err(ImageError::OneClass { path: path.to_owned(), class: class.clone() });
        }
        if let Some(class) = splits.train.counts().iter().position(|&count| count == 0) {
            let elsewhere = splits.classes_with_pictures().contains(&class);
            let (path, class) = (path.to_owned(), classes[class].clone());
            return Err(if elsewhere {
                ImageError::UnknownClass { path, class }
            } else {
                ImageError::EmptyClass { path, class }
            });
        }
        if splits.validation.is_none() {
            splits.validation = splits.test.take();
            if splits.validation.is_some() {
                splits.notes.push(
                    "there are no pictures for validation: those for the test serve, and the best epoch is chosen by them"
                        .into(),
                );
            }
        }
        Ok(splits)
    }

    /// Opens a data set as [`Splits::open`] does, whatever classes its parts have: to evaluate on it. There may be none
    /// to learn from.
    ///
    /// # Errors
    /// Names the file or folder and what is wrong: unreadable, or no picture in it.
    pub fn open_any(path: impl AsRef<Path>, limits: DecodeLimits) -> Result<Splits> {
        let path = path.as_ref();
        let found = if path.is_dir() {
            if let Some(found) = idx::in_folder(path, limits)? { found } else { from_folder(path, limits)? }
        } else {
            // The system's own reason is the best message for a file that is not there.
            let read = |source| ImageError::Read { path: path.to_owned(), source };
            // Before it is opened: a pipe would wait for its writer.
            if !fs::metadata(path).map_err(read)?.is_file() {
                return Err(read(std::io::Error::other("is neither a file nor a folder")));
            }
            if table::is_table(path) { table::read(path, limits)? } else { archive::read(path, limits)? }
        };
        if found.pictures.is_empty() {
            return Err(without_pictures(path, &found));
        }
        Ok(Splits { limits, ..numbered(found) })
    }

    fn parts(&self) -> impl Iterator<Item = (&'static str, &Dataset)> {
        let others = [("val", &self.validation), ("test", &self.test)];
        let others = others.into_iter().filter_map(|(name, part)| Some((name, part.as_ref()?)));
        std::iter::once(("train", &self.train)).chain(others)
    }

    fn parts_with_pictures(&self) -> String {
        let named = self.parts().filter(|(_, part)| !part.samples.is_empty()).map(|(name, _)| name);
        named.collect::<Vec<_>>().join(" and ")
    }

    /// The numbers of the classes that any part has a picture of, in order.
    fn classes_with_pictures(&self) -> Vec<usize> {
        let mut classes: Vec<usize> =
            self.parts().flat_map(|(_, part)| &part.samples).map(|sample| sample.class).collect();
        classes.sort_unstable();
        classes.dedup();
        classes
    }
}

fn from_folder(path: &Path, limits: DecodeLimits) -> Result<Found> {
    let listing = folder::list(path, limits)?;
    let name = |inside: &str| path.join(inside).display().to_string();
    let mut found = structure::read(&listing.members, &listing.folders, name);
    found.notes.extend(listing.notes);
    Ok(found)
}

/// Why a source with no picture in a class is none.
fn without_pictures(path: &Path, found: &Found) -> ImageError {
    const LISTED: usize = 3;
    let path = path.to_owned();
    if found.classes.is_empty() {
        return ImageError::NoClasses { path, pictures: found.loose };
    }
    let mut named: Vec<&str> = found.classes.iter().take(LISTED).map(|class| &**class).collect();
    let more = format!("{} more", found.classes.len() - named.len());
    if found.classes.len() > LISTED {
        named.push(&more);
    }
    ImageError::NoPictures { path, folders: named.join(", "), loose: found.loose }
}

/// Gives the classes numbers: their order as names, or as numbers where all are.
fn numbered(found: Found) -> Splits {
    let mut classes: Vec<Arc<str>> = found.classes.into_iter().collect();
    if classes.iter().all(|class| class.parse::<u32>().is_ok()) {
        classes.sort_by_key(|class| class.parse::<u32>().unwrap_or(0));
    }
    let numbers: HashMap<Arc<str>, usize> = classes.iter().cloned().zip(0..).collect();
    let mut parts: [Vec<Sample>; 3] = Default::default();
    for Labelled { part, class, name, source } in found.pictures {
        let class = numbers.get(&class).copied().unwrap_or_default();
        parts[part as usize].push(Sample { name, class, source });
    }
    for part in &mut parts {
        part.sort_by_key(|sample| sample.class);
    }
    let classes: Vec<String> = classes.iter().map(|class| class.to_string()).collect();
    let [train, validation, test] = parts.map(|samples| Dataset { classes: classes.clone(), samples });
    let some = |part: Dataset| (!part.samples.is_empty()).then_some(part);
    let (validation, test) = (some(validation), some(test));
    Splits { train, validation, test, notes: found.notes, limits: DecodeLimits::default() }
}
