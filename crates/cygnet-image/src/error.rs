//! What can go wrong between a file and a tensor.

use std::path::PathBuf;

use cygnet_files::Size;

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, ImageError>;

/// The formats that are decoded.
const FORMATS: &str = match (cfg!(feature = "tiff"), cfg!(feature = "jxl")) {
    (false, false) => "JPEG, PNG, WebP, GIF or BMP",
    (true, false) => "JPEG, PNG, WebP, GIF, BMP or TIFF",
    (false, true) => "JPEG, PNG, WebP, GIF, BMP or JPEG XL",
    (true, true) => "JPEG, PNG, WebP, GIF, BMP, TIFF or JPEG XL",
};

/// Why a photo, a preprocessing record or a folder was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// A photo at a path; the reason is the source.
    #[error("{}: {reason}", path.display())]
    File {
        /// The photo's path.
        path: PathBuf,
        /// Why it was refused.
        #[source]
        reason: Box<ImageError>,
    },
    /// A file or folder cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// There are no bytes.
    #[error("is empty")]
    Empty,
    /// The first bytes belong to no known format.
    #[error("not a known image format; give {FORMATS}")]
    UnknownFormat,
    /// A format, or a variant of a format, that is not read.
    #[error("{format}: {what} is not supported; convert the picture to ordinary JPEG or PNG")]
    Unsupported {
        /// The format.
        format: &'static str,
        /// The variant.
        what: String,
    },
    /// A known format that is not read.
    #[error("{format} is {what}")]
    NotDecoded {
        /// The format.
        format: &'static str,
        /// How to convert it.
        what: &'static str,
    },
    /// The header promises more pixels than [`DecodeLimits`](crate::DecodeLimits) allows.
    #[error(
        "{width}x{height} is more than the limit of {max_pixels} pixels; shrink the picture, or raise the limit with \
         --max-pixels {}", width.saturating_mul(*height)
    )]
    TooLarge {
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
        /// The limit.
        max_pixels: usize,
    },
    /// Decoding takes more memory than [`DecodeLimits`](crate::DecodeLimits) allows.
    #[error(
        "decoding takes {} of memory, more than the limit of {}; convert the picture to ordinary JPEG or PNG, or raise \
         the limit with --max-decode {}MB", Size::of(*bytes), Size::of(*max_bytes), (bytes >> 20) + 1
    )]
    TooMuchMemory {
        /// Bytes that are needed at once.
        bytes: usize,
        /// The limit.
        max_bytes: usize,
    },
    /// The file is longer than any picture of its size.
    #[error("file of more than {} is longer than any picture of its size", Size::of(*max_bytes))]
    FileTooLong {
        /// The longest file that is read.
        max_bytes: usize,
    },
    /// The picture does not fit the memory.
    #[error("decoding takes {} of memory, which cannot be had", Size::of(*bytes))]
    NoMemory {
        /// Bytes that are needed at once.
        bytes: usize,
    },
    /// The file ends before the picture does.
    #[error("{format} file is truncated")]
    Truncated {
        /// The format.
        format: &'static str,
    },
    /// The content contradicts its format.
    #[error("{format} file is corrupt: {reason}")]
    Corrupt {
        /// The format.
        format: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// Width, height and number of bytes do not belong together.
    #[error("an RGB picture of {width}x{height} cannot have {bytes} bytes")]
    PixelCount {
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
        /// Bytes given.
        bytes: usize,
    },
    /// A preprocessing record that cannot be carried out.
    #[error("preprocess: {field}: {reason}")]
    Record {
        /// The field of [`Preprocess`](crate::Preprocess).
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The record has no resize rule and the picture has another size.
    #[error(
        "picture is {width}x{height} but the network takes {expected_width}x{expected_height} and its record has no \
         resize rule"
    )]
    WrongSize {
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
        /// Width of the network's input.
        expected_width: usize,
        /// Height of the network's input.
        expected_height: usize,
    },
    /// The longer side would become far too long when the shorter one is resized.
    #[error("picture is {width}x{height}, too narrow to be resized by its shorter side; crop it first")]
    TooNarrow {
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
    },
    /// The buffer for the tensor has another length.
    #[error("tensor buffer has {given} values, expected {expected}")]
    BufferLength {
        /// Values in the buffer.
        given: usize,
        /// Values of the tensor.
        expected: usize,
    },
    /// A path that does not exist.
    #[error("{}: no such file or folder", path.display())]
    Missing {
        /// The path as given.
        path: PathBuf,
    },
    /// A folder or pattern that leads to no picture.
    #[error("{pattern}: no picture there; looked for {FORMATS}")]
    NoImages {
        /// The path or pattern as given.
        pattern: String,
    },
    /// A pattern with a syntax error.
    #[error("{pattern}: not a valid pattern: {reason}")]
    Pattern {
        /// The pattern as given.
        pattern: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// A folder or archive without class folders.
    #[error(
        "{}: {} no class folders inside; expected a folder of pictures for each class, such as cats/1.jpg and \
        dogs/1.jpg{}",
        path.display(), found(*pictures), if *pictures == 0 { "" } else { ", or a .csv table of pictures and labels" }
    )]
    NoClasses {
        /// The folder or archive.
        path: PathBuf,
        /// Pictures in no class folder.
        pictures: usize,
    },
    /// Class folders of which none has a picture.
    #[error("{}: no picture in its folders {folders}{}; looked for {FORMATS}", path.display(), beside(*loose))]
    NoPictures {
        /// The folder that holds them.
        path: PathBuf,
        /// Their names.
        folders: String,
        /// Pictures beside them.
        loose: usize,
    },
    /// An archive, a table or an IDX file that cannot be read as a data set.
    #[error("{}: {reason}", path.display())]
    Dataset {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A data set from which nothing can be learnt.
    #[error("{}: only one class, {class}; a classifier needs pictures of at least two, each in a folder of its own", path.display())]
    OneClass {
        /// The data set.
        path: PathBuf,
        /// The only class.
        class: String,
    },
    /// A class without a picture.
    #[error("{}: class {class} has no picture; add some or remove the folder", path.display())]
    EmptyClass {
        /// The data set.
        path: PathBuf,
        /// The class.
        class: String,
    },
    /// A class of the validation pictures that is not trained.
    #[error("{}: class {class} has pictures for validation but none for training", path.display())]
    UnknownClass {
        /// The data set.
        path: PathBuf,
        /// The class.
        class: String,
    },
}

fn beside(pictures: usize) -> String {
    match pictures {
        0 => String::new(),
        1 => ", but 1 beside them".into(),
        more => format!(", but {more} beside them"),
    }
}

fn found(pictures: usize) -> String {
    match pictures {
        0 => "no pictures and".into(),
        1 => "1 picture, but".into(),
        more => format!("{more} pictures, but"),
    }
}

/// What is wrong with the file `name`, of which `text` tells: without its name, where it begins with that.
#[must_use]
pub fn without_name<'t>(text: &'t str, name: &str) -> &'t str {
    text.strip_prefix(name).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(text)
}
