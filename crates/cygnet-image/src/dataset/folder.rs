//! Folders of labelled photos, and lists of photos from paths and patterns.
//!
//! Only names are looked at: nothing is decoded here. Hidden files and folders are ignored. Links are followed, but not
//! to a folder that holds them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::part::{is_hidden, text};
use super::sample::Source;
use super::structure::{Member, sort};
use crate::decode::DecodeLimits;
use crate::error::{ImageError, Result};

/// Names of pictures; also of formats that may not be decoded: such photos are told to be unreadable rather than passed
/// over.
const EXTENSIONS: [&str; 15] = [
    "jpg", "jpeg", "jpe", "jfif", "png", "webp", "bmp", "dib", "gif", "tif", "tiff", "jxl", "avif", "heic",
    "heif",
];

/// The most folders of one listing, so that links that lead from one to another come to an end.
const MOST_FOLDERS: usize = 1 << 20;

/// What a folder of labelled photos holds, at any depth.
#[derive(Default)]
pub(super) struct Listing {
    /// In path order.
    pub(super) members: Vec<Member>,
    /// Folders, also those without pictures.
    pub(super) folders: Vec<String>,
    pub(super) notes: Vec<String>,
}

/// Lists a data set's folder.
pub(super) fn list(root: &Path, limits: DecodeLimits) -> Result<Listing> {
    let mut listing = Listing::default();
    let mut walk = Walk::of(root, limits);
    let (mut circles, mut nowhere) = (Vec::new(), Vec::new());
    let mut unreadable = None;
    walk.inside(root, "", &mut |entry| match entry {
        Entry::Picture(path, inside) => {
            listing.members.push(Member { path: inside, source: Source::File(path) });
        }
        Entry::Folder(inside) => listing.folders.push(inside),
        Entry::Circle(path) => circles.push(path),
        Entry::Nowhere(path) => nowhere.push(path),
        Entry::Unreadable(error) => _ = unreadable.get_or_insert(error),
    })?;
    if let Some(error) = unreadable {
        return Err(error);
    }
    for (links, what) in
        [(circles, "a link to a folder that holds it"), (nowhere, "a link that leads to nothing")]
    {
        let Some(first) = links.first() else { continue };
        let more = match links.len() - 1 {
            0 => String::new(),
            more => format!(", and {more} more such links"),
        };
        listing.notes.push(format!("{}: {what}{more}; left out", first.display()));
    }
    sort(&mut listing.members);
    Ok(listing)
}

/// The pictures that `paths` name, sorted and without repetition. Each may be a file of any name, a folder (all
/// pictures inside, at any depth) or a pattern such as `photos/*.jpg`.
///
/// # Errors
/// [`ImageError::Missing`] for a path that does not exist; [`ImageError::NoImages`] for a folder or pattern that leads
/// to no picture; [`ImageError::Pattern`]; [`ImageError::Read`].
pub fn collect_images<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Result<Vec<PathBuf>> {
    let mut images = Vec::new();
    for path in paths {
        let Collected { images: found, unreadable } = collect_readable(path, DecodeLimits::default())?;
        if let Some(error) = unreadable.into_iter().next() {
            return Err(error);
        }
        images.extend(found);
    }
    images.sort();
    images.dedup();
    Ok(images)
}

/// The pictures that a path names, and what could not be looked into.
#[derive(Debug, Default)]
pub struct Collected {
    /// The pictures, sorted and without repetition.
    pub images: Vec<PathBuf>,
    /// Folders below the path that cannot be read: [`ImageError::Read`].
    pub unreadable: Vec<ImageError>,
}

/// The pictures that `path` names, as for [`collect_images`]; a folder inside that cannot be read does not end the search.
///
/// # Errors
/// As [`collect_images`]; [`ImageError::Dataset`] where there are more than `limits` allow.
pub fn collect_readable(path: impl AsRef<Path>, limits: DecodeLimits) -> Result<Collected> {
    let path = path.as_ref();
    let pattern = path.to_string_lossy();
    let mut found = Collected::default();
    let mut walk = Walk::of(path, limits);
    if path.is_dir() {
        walk.pictures(path, &mut found)?;
    } else if path.exists() {
        found.images.push(path.to_owned());
    } else if pattern.contains(['*', '?', '[']) {
        matching(&pattern, &mut walk, &mut found)?;
    } else {
        return Err(ImageError::Missing { path: path.to_owned() });
    }
    if found.images.is_empty() {
        let none = ImageError::NoImages { pattern: pattern.into_owned() };
        return Err(found.unreadable.into_iter().next().unwrap_or(none));
    }
    found.images.sort();
    found.images.dedup();
    Ok(found)
}

/// Adds the pictures that a pattern matches, and those inside folders that it matches. Names that are not Unicode
/// match nothing; links to folders on the way to a match are passed over.
fn matching(pattern: &str, walk: &mut Walk, found: &mut Collected) -> Result<()> {
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
        let inside = match entries(read) {
            Ok(inside) => inside,
            // What is not there matches nothing.
            Err(_) if !read.exists() => continue,
            Err(error) => {
                found.unreadable.push(error);
                continue;
            }
        };
        for (entry, kind) in inside {
            let entry = folder.join(entry.file_name().unwrap_or_default());
            match (parsed.matches_path_with(&entry, OPTIONS), kind == Kind::Folder) {
                (true, true) => walk.pictures(&entry, found)?,
                (true, false) if is_image(&entry) => found.images.push(entry),
                (false, true) if depth > 1 && !entry.is_symlink() => folders.push((entry, depth - 1)),
                _ => {}
            }
        }
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// Or a link to one.
    Folder,
    File,
    /// A link to something else than a folder.
    Link,
}

/// What is not hidden in a folder, sorted.
fn entries(folder: &Path) -> Result<Vec<(PathBuf, Kind)>> {
    let read = |source| ImageError::Read { path: folder.to_owned(), source };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(read)? {
        let entry = entry.map_err(read)?;
        if !is_hidden(&entry.file_name().to_string_lossy()) {
            let (path, kind) = (entry.path(), entry.file_type().map_err(read)?);
            let kind = match kind.is_symlink() {
                _ if kind.is_dir() => Kind::Folder,
                true if path.is_dir() => Kind::Folder,
                true => Kind::Link,
                false => Kind::File,
            };
            paths.push((path, kind));
        }
    }
    paths.sort();
    Ok(paths)
}

/// What a walk meets, with its path below the walk's root.
enum Entry {
    Picture(PathBuf, String),
    Folder(String),
    /// A link to a folder above it.
    Circle(PathBuf),
    /// A link to what is not there, which may have been a folder.
    Nowhere(PathBuf),
    /// A folder that cannot be looked into.
    Unreadable(ImageError),
}

/// Walks through folders and all inside.
struct Walk {
    /// What was named.
    root: PathBuf,
    /// The real paths of the folders on the way.
    parents: Vec<PathBuf>,
    folders: usize,
    pictures: usize,
    limits: DecodeLimits,
}

impl Walk {
    fn of(root: &Path, limits: DecodeLimits) -> Walk {
        Walk { root: root.to_owned(), parents: Vec::new(), folders: 0, pictures: 0, limits }
    }

    fn refused(&self, reason: String) -> ImageError {
        ImageError::Dataset { path: self.root.clone(), reason }
    }

    /// Adds the pictures at any depth; a link to a folder above it is not followed.
    fn pictures(&mut self, folder: &Path, found: &mut Collected) -> Result<()> {
        self.inside(folder, "", &mut |entry| match entry {
            Entry::Picture(path, _) => found.images.push(path),
            Entry::Unreadable(error) => found.unreadable.push(error),
            Entry::Folder(_) | Entry::Circle(_) | Entry::Nowhere(_) => {}
        })
    }

    fn inside(&mut self, folder: &Path, name: &str, met: &mut dyn FnMut(Entry)) -> Result<()> {
        let real =
            fs::canonicalize(folder).map_err(|source| ImageError::Read { path: folder.to_owned(), source });
        let looked = real.and_then(|real| Ok((real, entries(folder)?)));
        let (real, entries) = match looked {
            Ok(looked) => looked,
            Err(error) => {
                met(Entry::Unreadable(error));
                return Ok(());
            }
        };
        if self.parents.iter().any(|parent| parent.starts_with(&real)) {
            met(Entry::Circle(folder.to_owned()));
            return Ok(());
        }
        self.folders += 1;
        if self.folders > MOST_FOLDERS {
            let reason =
                format!("more than {MOST_FOLDERS} folders inside; links among them may lead in circles");
            return Err(self.refused(reason));
        }
        if !name.is_empty() {
            met(Entry::Folder(name.to_owned()));
        }
        self.parents.push(real);
        for (entry, kind) in entries {
            let own = text(entry.file_name().unwrap_or_default().as_encoded_bytes());
            let inside = if name.is_empty() { own } else { format!("{name}/{own}") };
            if kind == Kind::Folder {
                self.inside(&entry, &inside, met)?;
            } else if is_image(&entry) {
                self.pictures += 1;
                if self.pictures > self.limits.max_pictures {
                    return Err(self.refused(self.limits.too_many_pictures()));
                }
                met(Entry::Picture(entry, inside));
            } else if kind == Kind::Link
                && let Err(source) = fs::metadata(&entry)
            {
                met(match source.kind() {
                    io::ErrorKind::NotFound => Entry::Nowhere(entry),
                    _ => Entry::Unreadable(ImageError::Read { path: entry, source }),
                });
            }
        }
        self.parents.pop();
        Ok(())
    }
}

pub(super) fn is_image(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default();
    EXTENSIONS.iter().any(|known| extension.eq_ignore_ascii_case(known))
}
