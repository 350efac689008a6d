//! Tar archives of class folders. A plain archive is read in place; a compressed one is unpacked into memory.

use std::fs::File;
use std::io::{BufReader, Read};
use std::ops::Range;
use std::path::{Component, Path};
use std::sync::{Arc, Mutex};

use flate2::read::MultiGzDecoder;
use lzma_rust2::XzReader;

use super::{Found, Labelled, Part, Source, folder::is_image};
use crate::error::{ImageError, Result};

/// The most bytes that a compressed archive's pictures may have together.
const LIMIT: usize = 4 << 30;

pub(super) fn is_archive(name: &str) -> bool {
    [".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz"].iter().any(|end| name.ends_with(end))
}

/// A picture in the archive: its folders and name, and its place in the file or in memory.
struct Member {
    path: Vec<String>,
    start: u64,
    length: u64,
}

pub(super) fn read(path: &Path) -> Result<Found> {
    let failed = |source| ImageError::Read { path: path.to_owned(), source };
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let file = File::open(path).map_err(failed)?;
    let buffered = BufReader::with_capacity(1 << 16, file);
    let compressed: Option<Box<dyn Read>> = if name.ends_with("xz") {
        Some(Box::new(XzReader::new(buffered, true)))
    } else if name.ends_with("gz") {
        Some(Box::new(MultiGzDecoder::new(buffered)))
    } else {
        None
    };
    match compressed {
        Some(reader) => {
            let mut bytes = Vec::new();
            let members = members(path, reader, Some(&mut bytes))?;
            let bytes = Arc::new(bytes);
            let source = |range: Range<u64>| Source::Memory {
                bytes: Arc::clone(&bytes),
                range: range.start as usize..range.end as usize,
            };
            Ok(labelled(path, &members, source))
        }
        None => {
            let members = members(path, BufReader::new(File::open(path).map_err(failed)?), None)?;
            let file = Arc::new(Mutex::new(File::open(path).map_err(failed)?));
            let source = |range: Range<u64>| Source::Part {
                file: Arc::clone(&file),
                offset: range.start,
                length: range.end - range.start,
            };
            Ok(labelled(path, &members, source))
        }
    }
}

/// The pictures inside; their bytes are appended to `unpacked` where there is one.
fn members(path: &Path, reader: impl Read, mut unpacked: Option<&mut Vec<u8>>) -> Result<Vec<Member>> {
    let wrong = |reason: String| ImageError::Dataset { path: path.to_owned(), reason };
    let broken = |error: std::io::Error| wrong(format!("damaged archive: {error}"));
    let mut members = Vec::new();
    for entry in tar::Archive::new(reader).entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        let inside = entry.path().map_err(broken)?.into_owned();
        let parts: Vec<String> = inside
            .components()
            .filter(|part| !matches!(part, Component::CurDir | Component::RootDir))
            .map(|part| part.as_os_str().to_string_lossy().into_owned())
            .collect();
        let hidden = parts.iter().any(|part| part.starts_with('.'));
        if !entry.header().entry_type().is_file() || !is_image(&inside) || hidden {
            continue;
        }
        let mut member = Member { path: parts, start: entry.raw_file_position(), length: entry.size() };
        if let Some(bytes) = unpacked.as_deref_mut() {
            member.start = bytes.len() as u64;
            let room = (LIMIT - bytes.len()) as u64;
            if member.length > room {
                return Err(wrong(format!(
                    "unpacks to more than {} GB of pictures; unpack it and give the folder",
                    LIMIT >> 30
                )));
            }
            entry.read_to_end(bytes).map_err(broken)?;
            if bytes.len() as u64 - member.start != member.length {
                return Err(wrong("damaged archive: ends early".into()));
            }
        }
        members.push(member);
    }
    members.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(members)
}

/// Classes and parts by the folders' names, below the folder that holds all others. Pictures that are in no class
/// folder, and with a `train` folder those outside the parts, are left out.
fn labelled<'m>(path: &Path, members: &'m [Member], source: impl Fn(Range<u64>) -> Source) -> Found {
    let mut depth = 0;
    loop {
        let mut within = members.iter().filter(|member| member.path.len() > depth + 1);
        let Some(first) = within.clone().next().map(|member| &member.path[depth]) else { break };
        // A class has a folder of its own, so a level below the shared ones remains.
        let goes_on = within.clone().any(|member| member.path.len() > depth + 2);
        if !goes_on || Part::named(first).is_some() || !within.all(|member| member.path[depth] == *first) {
            break;
        }
        depth += 1;
    }
    let below = |member: &'m Member| member.path.get(depth..).unwrap_or_default();
    // A folder train without folders inside is the class of trains.
    let is_train = |member: &'m Member| match below(member) {
        [first, _, _, ..] => Part::named(first) == Some(Part::Train),
        _ => false,
    };
    let has_parts = members.iter().any(is_train);
    let mut found = Found::default();
    for member in members {
        let [first, rest @ ..] = below(member) else { continue };
        let (part, class) = match Part::named(first) {
            Some(part) if has_parts => (part, rest),
            None if has_parts => continue,
            _ => (Part::Train, below(member)),
        };
        let [class, _, ..] = class else { continue };
        found.classes.insert(class.clone());
        found.pictures.push(Labelled {
            part,
            class: class.clone(),
            name: format!("{}:{}", path.display(), member.path.join("/")),
            source: source(member.start..member.start + member.length),
        });
    }
    found
}
