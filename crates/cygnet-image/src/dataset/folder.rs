//! Folders of labelled photos, and lists of photos from paths and patterns.
//!
//! Only names are looked at: nothing is decoded here. Hidden files and folders are ignored.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{ImageError, Result};

/// Names of pictures. The last five are of formats that are not decoded: such photos are told to be unreadable rather
/// than passed over.
const EXTENSIONS: [&str; 11] =
    ["jpg", "jpeg", "png", "webp", "bmp", "gif", "avif", "heic", "heif", "tif", "tiff"];

/// A folder with one folder of pictures for each class.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassFolder {
    /// The names of the class folders, sorted.
    pub classes: Vec<String>,
    /// Each picture with the index of its class, sorted by class, then by path.
    pub samples: Vec<(PathBuf, usize)>,
}

impl ClassFolder {
    /// Lists the folder. Pictures are found at any depth inside a class folder; a class may be empty.
    ///
    /// # Errors
    /// [`ImageError::Read`]; [`ImageError::NoClasses`] where there is no folder inside; [`ImageError::NoImages`]
    /// where no class has a picture.
    pub fn open(path: impl AsRef<Path>) -> Result<ClassFolder> {
        let path = path.as_ref();
        let mut folder = ClassFolder { classes: Vec::new(), samples: Vec::new() };
        for entry in entries(path)?.into_iter().filter(|entry| entry.is_dir()) {
            let class = folder.classes.len();
            folder.classes.push(entry.file_name().unwrap_or_default().to_string_lossy().into_owned());
            let mut files = Vec::new();
            walk(&entry, &mut files)?;
            folder.samples.extend(files.into_iter().map(|file| (file, class)));
        }
        if folder.classes.is_empty() {
            return Err(ImageError::NoClasses { path: path.to_owned() });
        }
        if folder.samples.is_empty() {
            return Err(ImageError::NoImages { pattern: path.display().to_string() });
        }
        Ok(folder)
    }
}

/// The pictures that `paths` name, sorted and without repetition. Each may be a file of any name, a folder (all
/// pictures inside, at any depth) or a pattern such as `photos/*.jpg`.
///
/// # Errors
/// [`ImageError::NoImages`] for a path or pattern that leads to none; [`ImageError::Pattern`]; [`ImageError::Read`].
pub fn collect_images<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Result<Vec<PathBuf>> {
    let mut images = Vec::new();
    for path in paths {
        let path = path.as_ref();
        let before = images.len();
        let pattern = path.to_string_lossy();
        if path.is_dir() {
            walk(path, &mut images)?;
        } else if path.exists() {
            images.push(path.to_owned());
        } else {
            matching(&pattern, &mut images)?;
        }
        if images.len() == before {
            return Err(ImageError::NoImages { pattern: pattern.into_owned() });
        }
    }
    images.sort();
    images.dedup();
    Ok(images)
}

/// Adds the pictures that a pattern matches, and those inside folders that it matches. Names that are not Unicode
/// match nothing; unreadable folders and links to folders are passed over.
fn matching(pattern: &str, images: &mut Vec<PathBuf>) -> Result<()> {
    const OPTIONS: glob::MatchOptions = glob::MatchOptions {
        case_sensitive: true,
        require_literal_separator: true,
        require_literal_leading_dot: true,
    };
    let parsed = glob::Pattern::new(pattern)
        .map_err(|error| ImageError::Pattern { pattern: pattern.to_owned(), reason: error.msg })?;
    let is_literal =
        |part: &std::path::Component<'_>| !part.as_os_str().to_string_lossy().contains(['*', '?', '[']);
    let parts: Vec<_> = Path::new(pattern).components().collect();
    let literal = parts.iter().take_while(|part| is_literal(part)).count();
    let depth = if pattern.contains("**") { usize::MAX } else { parts.len() - literal };

    let mut folders = vec![(parts[..literal].iter().collect::<PathBuf>(), depth)];
    while let Some((folder, depth)) = folders.pop() {
        let read = if folder == Path::new("") { Path::new(".") } else { &folder };
        for entry in entries(read).unwrap_or_default() {
            let entry = folder.join(entry.file_name().unwrap_or_default());
            let is_folder = entry.is_dir();
            match (parsed.matches_path_with(&entry, OPTIONS), is_folder) {
                (true, true) => walk(&entry, images)?,
                (true, false) if is_image(&entry) => images.push(entry),
                (false, true) if depth > 1 && !entry.is_symlink() => folders.push((entry, depth - 1)),
                _ => {}
            }
        }
    }
    Ok(())
}

/// What is not hidden in a folder, sorted.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let read = |source| ImageError::Read { path: folder.to_owned(), source };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(read)? {
        let entry = entry.map_err(read)?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

/// Adds the pictures at any depth, sorted; a link to a folder above it is not followed.
fn walk(folder: &Path, images: &mut Vec<PathBuf>) -> Result<()> {
    fn inside(folder: &Path, parents: &mut Vec<PathBuf>, images: &mut Vec<PathBuf>) -> Result<()> {
        let real = fs::canonicalize(folder)
            .map_err(|source| ImageError::Read { path: folder.to_owned(), source })?;
        if parents.contains(&real) {
            return Ok(());
        }
        parents.push(real);
        for entry in entries(folder)? {
            if entry.is_dir() {
                inside(&entry, parents, images)?;
            } else if is_image(&entry) {
                images.push(entry);
            }
        }
        parents.pop();
        Ok(())
    }
    inside(folder, &mut Vec::new(), images)
}

pub(super) fn is_image(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default();
    EXTENSIONS.iter().any(|known| extension.eq_ignore_ascii_case(known))
}
