//! The files of an archive as they would lie in a folder when unpacked: later ones in place of earlier ones of the same
//! name, links followed.

use std::path::Path;

use cygnet_files::Size;

use super::folder::is_image;
use super::part::is_hidden;
use super::sample::Source;
use super::structure::{Member, sort};
use crate::decode::DecodeLimits;

/// The most files and links of an archive that are noted.
const MOST_MEMBERS: usize = 1 << 23;

/// The most bytes of all their names.
const MOST_NAME_BYTES: usize = 1 << 30;

/// Of the most pictures so many may be there by links: a few links to folders of links stand for any number.
const LINKED: usize = 16;

/// The longest chain of links that is followed, Linux's.
const LONGEST_CHAIN: usize = 40;

pub(super) struct Members {
    files: Vec<Member>,
    links: Vec<Link>,
    pictures: usize,
    name_bytes: usize,
    limits: DecodeLimits,
}

/// A link's place and what it leads to, both below the archive's root.
struct Link {
    path: String,
    target: Option<String>,
}

impl Members {
    pub(super) fn within(limits: DecodeLimits) -> Members {
        Members { files: Vec::new(), links: Vec::new(), pictures: 0, name_bytes: 0, limits }
    }

    /// Notes a file, which need not be a picture: links may lead to it.
    ///
    /// # Errors
    /// A whole sentence, if there are too many.
    pub(super) fn file(&mut self, path: &str, source: Source) -> Result<(), String> {
        if let Some(path) = below_root("", path) {
            self.count(path.len())?;
            self.pictures += usize::from(is_image(Path::new(&path)));
            if self.pictures > self.limits.max_pictures {
                return Err(self.limits.too_many_pictures());
            }
            self.files.push(Member { path, source });
        }
        Ok(())
    }

    /// Notes a link; the target of a symbolic one is seen from its folder, that of a hard one from the root.
    ///
    /// # Errors
    /// As [`Members::file`].
    pub(super) fn link(&mut self, path: &str, target: &str, is_symbolic: bool) -> Result<(), String> {
        let Some(path) = below_root("", path).filter(|path| lies_in_sight(path)) else { return Ok(()) };
        let folder = if is_symbolic { path.rsplit_once('/').map_or("", |(folder, _)| folder) } else { "" };
        let target = if is_symbolic && target.starts_with('/') { None } else { below_root(folder, target) };
        self.count(path.len() + target.as_ref().map_or(0, String::len))?;
        self.links.push(Link { path, target });
        Ok(())
    }

    fn count(&mut self, bytes: usize) -> Result<(), String> {
        self.name_bytes += bytes;
        if self.name_bytes > MOST_NAME_BYTES || self.files.len() + self.links.len() >= MOST_MEMBERS {
            return Err(format!(
                "has more than {MOST_MEMBERS} files, or {} of their names; unpack it and give the folder",
                Size::of(MOST_NAME_BYTES)
            ));
        }
        Ok(())
    }

    /// The pictures, in path order, and notes of links that lead to none.
    ///
    /// # Errors
    /// A whole sentence, if links make too many of them.
    pub(super) fn into_pictures(self) -> Result<(Vec<Member>, Vec<String>), String> {
        let Members { mut files, mut links, limits, .. } = self;
        let most = (limits.max_pictures / LINKED).max(1);
        last_of_each(&mut files);
        let mut linked = 0;
        let mut by_folder = false;
        for _ in 0..LONGEST_CHAIN {
            let mut added = Vec::new();
            links.retain(|link| {
                let before = added.len();
                if linked <= most {
                    follow(link, &files, by_folder, most + 1 - linked, &mut added);
                    linked += added.len() - before;
                }
                added.len() == before
            });
            if linked > most {
                return Err(format!(
                    "has links that stand for more than {most} pictures; unpack it and give the folder, or raise the limit of \
                     all pictures, which is {LINKED} times that, with --max-pictures"
                ));
            }
            // What a folder holds is known when the links to files inside are followed.
            match (added.is_empty(), by_folder) {
                (true, true) => break,
                (is_empty, _) => by_folder = is_empty,
            }
            files.extend(added);
            last_of_each(&mut files);
        }
        links.retain(|link| {
            let name = link.path.rsplit('/').next().unwrap_or_default();
            is_image(Path::new(&link.path)) || !name.contains('.')
        });
        let mut notes = Vec::new();
        if let Some(Link { path, .. }) = links.first() {
            let count = links.len();
            let links = if count == 1 { "1 link".into() } else { format!("{count} links") };
            notes.push(format!("{links} to nothing in the archive left out, first {path}"));
        }
        files.retain(|file| is_image(Path::new(&file.path)) && lies_in_sight(&file.path));
        sort(&mut files);
        Ok((files, notes))
    }
}

/// Sorts by path as text; of the same path the last stays.
fn last_of_each(files: &mut Vec<Member>) {
    files.reverse();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files.dedup_by(|later, first| later.path == first.path);
}

/// Adds what a link stands for: a file, or, with `by_folder`, all that a folder holds, as far as that is `most`. `files` are
/// in the order of their paths as text.
fn follow(link: &Link, files: &[Member], by_folder: bool, most: usize, added: &mut Vec<Member>) {
    let Some(target) = &link.target else { return };
    let copy = |path: String, file: &Member| Member { path, source: file.source.clone() };
    if let Ok(place) = files.binary_search_by(|file| file.path.cmp(target)) {
        added.push(copy(link.path.clone(), &files[place]));
        return;
    }
    let inside = if target.is_empty() { String::new() } else { format!("{target}/") };
    // A folder that holds the link would be in itself.
    if !by_folder || link.path.starts_with(&inside) {
        return;
    }
    let first = files.partition_point(|file| file.path < inside);
    let within = files[first..].iter().take_while(|file| file.path.starts_with(&inside));
    let pictures = within.filter(|file| is_image(Path::new(&file.path)));
    let linked = |file: &Member| copy(format!("{}/{}", link.path, &file.path[inside.len()..]), file);
    added.extend(pictures.take(most).map(linked));
}

/// The path without `.` and `..`; none where it leads out of the archive.
fn below_root(folder: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in folder.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => _ = parts.pop()?,
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Whether no folder on the way is hidden.
pub(super) fn lies_in_sight(path: &str) -> bool {
    path.split('/').filter(|part| !matches!(*part, "" | ".")).all(|part| !is_hidden(part))
}
