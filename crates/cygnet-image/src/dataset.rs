//! Folders of labelled photos, and lists of photos from paths and patterns.
//!
//! Only names are looked at: nothing is decoded here. Hidden files and folders are ignored.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{ImageError, Result};

const EXTENSIONS: [&str; 6] = ["jpg", "jpeg", "png", "webp", "bmp", "gif"];

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
            let options = glob::MatchOptions { require_literal_leading_dot: true, ..Default::default() };
            let found = glob::glob_with(&pattern, options)
                .map_err(|error| ImageError::Pattern { pattern: pattern.to_string(), reason: error.msg })?;
            for entry in found {
                let entry = entry.map_err(|error| ImageError::Read {
                    path: error.path().to_owned(),
                    source: error.into(),
                })?;
                if entry.is_dir() {
                    walk(&entry, &mut images)?;
                } else if is_image(&entry) {
                    images.push(entry);
                }
            }
        }
        if images.len() == before {
            return Err(ImageError::NoImages { pattern: pattern.into_owned() });
        }
    }
    images.sort();
    images.dedup();
    Ok(images)
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

fn is_image(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default();
    EXTENSIONS.iter().any(|known| extension.eq_ignore_ascii_case(known))
}
