//! Labelled pictures: where they are and which class each has, from folders, tables, IDX files and archives.

mod archive;
mod folder;
mod idx;
mod split;
mod table;

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

pub use folder::{ClassFolder, collect_images};

use crate::decode::{DecodeLimits, Image, read_within};
use crate::error::{ImageError, Result};

/// Pictures with their classes.
#[derive(Clone, Debug, Default)]
pub struct Dataset {
    /// The names of the classes, in the order of their numbers.
    pub classes: Vec<String>,
    /// The pictures; sorted by class, then by name, unless the source has an order of its own.
    pub samples: Vec<Sample>,
}

/// A picture with its class.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Its path, or its place in an archive or IDX file.
    pub name: String,
    /// The number of its class.
    pub class: usize,
    source: Source,
}

/// Where a picture's bytes are.
#[derive(Clone, Debug)]
enum Source {
    /// A file of its own.
    File(PathBuf),
    /// A part of a file.
    Part { file: Arc<Mutex<File>>, offset: u64, length: u64 },
    /// An encoded picture in memory.
    Memory { bytes: Arc<Vec<u8>>, range: Range<usize> },
    /// Grey levels in memory.
    Grey { bytes: Arc<Vec<u8>>, offset: usize, width: usize, height: usize },
}

impl Sample {
    /// A picture in a file of its own.
    #[must_use]
    pub fn file(path: PathBuf, class: usize) -> Sample {
        Sample { name: path.display().to_string(), class, source: Source::File(path) }
    }

    /// The picture's file, if it has one of its own.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        if let Source::File(path) = &self.source { Some(path) } else { None }
    }

    /// The bytes of the picture's file, or its pixels where it has none.
    ///
    /// # Errors
    /// [`ImageError::Read`]; [`ImageError::File`] if it is too long for a picture within the limits.
    pub fn bytes(&self, limits: DecodeLimits) -> Result<Cow<'_, [u8]>> {
        let failed = |source| ImageError::Read { path: self.name.clone().into(), source };
        match &self.source {
            Source::File(path) => read_within(path, limits).map(Cow::Owned),
            Source::Part { length, .. } if *length > limits.max_bytes() as u64 => {
                Err(ImageError::File { path: self.name.clone().into(), reason: Box::new(limits.too_long()) })
            }
            Source::Part { file, offset, length } => {
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                let mut bytes = Vec::new();
                file.seek(SeekFrom::Start(*offset)).map_err(failed)?;
                Read::take(&mut *file, *length).read_to_end(&mut bytes).map_err(failed)?;
                Ok(Cow::Owned(bytes))
            }
            Source::Memory { bytes, range } => Ok(Cow::Borrowed(&bytes[range.clone()])),
            Source::Grey { bytes, offset, width, height } => {
                Ok(Cow::Borrowed(&bytes[*offset..offset + width * height]))
            }
        }
    }

    /// The decoded picture.
    ///
    /// # Errors
    /// [`ImageError::Read`] and [`ImageError::File`].
    pub fn decode(&self, limits: DecodeLimits) -> Result<Image> {
        self.picture(&self.bytes(limits)?, limits)
    }

    /// The picture that its bytes hold.
    pub(crate) fn picture(&self, bytes: &[u8], limits: DecodeLimits) -> Result<Image> {
        if let Source::Grey { width, height, .. } = self.source {
            return Image::from_rgb(width, height, bytes.iter().flat_map(|&level| [level; 3]).collect());
        }
        Image::decode(bytes, limits)
            .map_err(|reason| ImageError::File { path: self.name.clone().into(), reason: Box::new(reason) })
    }
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
}

impl Splits {
    /// Opens a data set:
    /// - a folder with one folder of pictures a class, or with such folders in `train` and in `val`, `valid`,
    ///   `validation` or `test`;
    /// - a folder of IDX files (MNIST), plain or `.gz`, or one of them;
    /// - a `.csv` or `.tsv` table of paths and labels, with an optional column `split`;
    /// - a `.tar`, `.tar.gz` or `.tar.xz` archive of such folders.
    ///
    /// Where there is only `test` beside `train`, it serves as validation.
    ///
    /// # Errors
    /// Names the file or folder and what is wrong: unreadable, no picture, a class without a picture or only one
    /// class, a class that only validation has.
    pub fn open(path: impl AsRef<Path>) -> Result<Splits> {
        let path = path.as_ref();
        let labelled = if path.is_dir() {
            if let Some(labelled) = idx::in_folder(path)? { labelled } else { from_folder(path)? }
        } else {
            let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
            // The system's own reason is the best message for a file that is not there.
            fs::metadata(path).map_err(|source| ImageError::Read { path: path.to_owned(), source })?;
            if name.ends_with(".csv") || name.ends_with(".tsv") {
                table::read(path)?
            } else if archive::is_archive(&name) {
                archive::read(path)?
            } else if idx::is_images(&name) {
                idx::of_file(path)?
            } else {
                return Err(ImageError::Dataset {
                    path: path.to_owned(),
                    reason: "not a data set; give a folder of class folders, a .csv table, an IDX file of images or \
                             a .tar, .tar.gz or .tar.xz archive"
                        .into(),
                });
            }
        };
        assemble(path, labelled)
    }
}

/// Which part of the data set a picture belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Train,
    Validation,
    Test,
}

impl Part {
    fn named(name: &str) -> Option<Part> {
        match name.to_lowercase().as_str() {
            "train" | "training" => Some(Part::Train),
            "val" | "valid" | "validation" | "dev" => Some(Part::Validation),
            "test" | "testing" => Some(Part::Test),
            _ => None,
        }
    }
}

/// A picture before classes have numbers.
struct Labelled {
    part: Part,
    class: String,
    name: String,
    source: Source,
}

/// What a source found; classes without a picture are named too.
#[derive(Default)]
struct Found {
    pictures: Vec<Labelled>,
    classes: BTreeSet<String>,
}

fn from_folder(path: &Path) -> Result<Found> {
    let folder = ClassFolder::open(path);
    // A folder train without folders inside is the class of trains.
    let is_train = |name: &String| {
        Part::named(name) == Some(Part::Train)
            && !matches!(ClassFolder::open(path.join(name)), Err(ImageError::NoClasses { .. }))
    };
    let parts: Vec<(Part, PathBuf)> = match &folder {
        Ok(ClassFolder { classes, .. }) if classes.iter().any(is_train) => {
            classes.iter().filter_map(|class| Some((Part::named(class)?, path.join(class)))).collect()
        }
        _ => Vec::new(),
    };
    let mut found = Found::default();
    let mut add = |part, ClassFolder { classes, samples }: ClassFolder| {
        found.pictures.extend(samples.into_iter().map(|(path, class)| Labelled {
            part,
            class: classes[class].clone(),
            name: path.display().to_string(),
            source: Source::File(path),
        }));
        found.classes.extend(classes);
    };
    if parts.is_empty() {
        add(Part::Train, folder?);
    }
    for (part, folder) in parts {
        add(part, ClassFolder::open(folder)?);
    }
    Ok(found)
}

fn assemble(path: &Path, found: Found) -> Result<Splits> {
    let mut classes: Vec<String> = found.classes.into_iter().collect();
    if classes.iter().all(|class| class.parse::<u32>().is_ok()) {
        classes.sort_by_key(|class| class.parse::<u32>().unwrap_or(0));
    }
    if found.pictures.is_empty() {
        return Err(ImageError::NoImages { pattern: path.display().to_string() });
    }
    if classes.iter().all(|class| Part::named(class).is_some()) {
        let reason =
            format!("has {} but no folder train with class folders to learn from", classes.join(" and "));
        return Err(ImageError::Dataset { path: path.to_owned(), reason });
    }
    let mut parts: [Vec<Sample>; 3] = Default::default();
    let numbers: HashMap<&str, usize> = classes.iter().map(String::as_str).zip(0..).collect();
    for Labelled { part, class, name, source } in found.pictures {
        let class = numbers.get(class.as_str()).copied().unwrap_or_default();
        parts[part as usize].push(Sample { name, class, source });
    }
    for part in &mut parts {
        part.sort_by_key(|sample| sample.class);
    }
    let [train, validation, test] = parts.map(|samples| Dataset { classes: classes.clone(), samples });
    if let [class] = &classes[..] {
        return Err(ImageError::OneClass { path: path.to_owned(), class: class.clone() });
    }
    let counts = train.counts();
    if let Some(class) = counts.iter().position(|&count| count == 0) {
        let elsewhere = validation.samples.iter().chain(&test.samples).any(|sample| sample.class == class);
        let (path, class) = (path.to_owned(), classes[class].clone());
        return Err(if elsewhere {
            ImageError::UnknownClass { path, class }
        } else {
            ImageError::EmptyClass { path, class }
        });
    }
    let some = |part: Dataset| (!part.samples.is_empty()).then_some(part);
    let (validation, test) = match (some(validation), some(test)) {
        (None, test) => (test, None),
        both => both,
    };
    Ok(Splits { train, validation, test })
}
