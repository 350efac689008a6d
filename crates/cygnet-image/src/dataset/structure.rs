//! What the folders of pictures mean: one reading for folders, for archives of any kind, and at any depth.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::part::{Name, Part, is_neutral};
use super::sample::Source;

/// A picture before its folders have a meaning.
#[derive(Clone)]
pub(super) struct Member {
    /// Its folders below the data set's root, and its name, with `/` between.
    pub(super) path: String,
    pub(super) source: Source,
}

/// A picture before classes have numbers.
pub(super) struct Labelled {
    pub(super) part: Part,
    pub(super) class: Arc<str>,
    pub(super) name: String,
    pub(super) source: Source,
}

/// What a source found; classes without a picture are named too.
#[derive(Default)]
pub(super) struct Found {
    pub(super) pictures: Vec<Labelled>,
    pub(super) classes: BTreeSet<Arc<str>>,
    /// Pictures that are in no class folder.
    pub(super) loose: usize,
    /// What the user may not expect: what was left out, or taken for something else than its name says.
    pub(super) notes: Vec<String>,
}

impl Found {
    pub(super) fn class(&mut self, name: &str) -> Arc<str> {
        if let Some(class) = self.classes.get(name) {
            return Arc::clone(class);
        }
        let class: Arc<str> = name.into();
        self.classes.insert(Arc::clone(&class));
        class
    }

    pub(super) fn add(&mut self, part: Part, class: &str, name: String, source: Source) {
        let class = self.class(class);
        self.pictures.push(Labelled { part, class, name, source });
    }
}

/// Path order: folder by folder.
pub(super) fn sort(members: &mut [Member]) {
    members.sort_by(|a, b| a.path.split('/').cmp(b.path.split('/')));
}

/// What a folder of the level of parts or classes holds.
#[derive(Default)]
struct Folder<'a> {
    pictures: usize,
    /// Folders inside that hold pictures.
    inside: BTreeSet<&'a str>,
    /// Pictures that lie in none of them.
    loose: usize,
}

/// Classes and parts by the folders' names, below the folder that holds all others. `members` are in path order;
/// `folders` are those of the source that may hold no picture, which then are classes without one; `name` makes a
/// picture's name of its path.
///
/// Folders are parts where one to learn from has class folders inside: a folder `train` that has none is the class of
/// trains. A part's name may have other words, as `seg_train` has, where another part's name has the same or the other
/// part has classes of the same names. Pictures in no class folder, and those beside the parts, are left out, which the
/// notes tell.
pub(super) fn read(members: &[Member], folders: &[String], name: impl Fn(&str) -> String) -> Found {
    let depth = shared(members, folders);
    let mut tops: BTreeMap<&str, Folder<'_>> = BTreeMap::new();
    let mut found = Found::default();
    let mut outside = 0;
    for member in members {
        let mut parts = member.path.split('/').skip(depth);
        match (parts.next(), parts.next(), parts.next()) {
            (Some(top), Some(inside), deeper) => {
                let folder = tops.entry(top).or_default();
                folder.pictures += 1;
                if deeper.is_some() {
                    folder.inside.insert(inside);
                } else {
                    folder.loose += 1;
                }
            }
            _ => outside += 1,
        }
    }
    let layout = layout(&tops);
    let mut loose = 0;
    let skip = match &layout {
        Layout::Parts(parts) => parts.iter().map(|(&top, _)| (top, doubled(members, depth, top))).collect(),
        Layout::Classes | Layout::PartsOfClasses => BTreeMap::new(),
    };
    for member in members {
        let below: Vec<&str> = member.path.split('/').skip(depth).collect();
        let (part, class) = match (&layout, &below[..]) {
            (Layout::Classes, [class, _, ..]) => (Part::Train, *class),
            (Layout::PartsOfClasses, [class, part, _, ..]) => {
                (Part::named(part).unwrap_or(Part::Train), *class)
            }
            (Layout::Parts(parts), [top, rest @ ..]) => {
                let Some(part) = parts.get(top) else { continue };
                match rest.get(skip[top]..).unwrap_or_default() {
                    [class, _, ..] => (*part, *class),
                    _ => {
                        loose += 1;
                        continue;
                    }
                }
            }
            _ => continue,
        };
        found.add(part, class, name(&member.path), member.source.clone());
    }
    for folder in folders {
        let below: Vec<&str> = folder.split('/').skip(depth).collect();
        match (&layout, &below[..]) {
            (Layout::Classes | Layout::PartsOfClasses, [class]) => _ = found.class(class),
            (Layout::Parts(parts), [top, rest @ ..]) if parts.contains_key(top) => {
                if let Some([class]) = rest.get(skip[top]..) {
                    found.class(class);
                }
            }
            _ => {}
        }
    }
    found.loose = outside + loose;
    notes(&tops, &layout, outside, loose, &mut found.notes);
    found
}

/// How many folders hold all others. A class has a folder of its own, so a level below them remains.
fn shared(members: &[Member], folders: &[String]) -> usize {
    let mut depth = 0;
    loop {
        let within = || members.iter().filter(|member| member.path.split('/').count() > depth + 1);
        let at = |path: &str| path.split('/').nth(depth).unwrap_or_default().to_owned();
        let Some(first) = within().next().map(|member| at(&member.path)) else { return depth };
        let goes_on = within().any(|member| member.path.split('/').count() > depth + 2);
        let mut others = within()
            .map(|member| member.path.as_str())
            .chain(folders.iter().map(String::as_str).filter(|folder| folder.split('/').count() > depth));
        if !goes_on
            || Name::of(&first).part.is_some()
            || !others.all(|path| path.split('/').nth(depth) == Some(&first))
        {
            return depth;
        }
        depth += 1;
    }
}

enum Layout<'a> {
    /// Every folder is a class.
    Classes,
    /// These folders hold the classes.
    Parts(BTreeMap<&'a str, Part>),
    /// Every folder is a class whose own folders are parts.
    PartsOfClasses,
}

fn layout<'a>(tops: &BTreeMap<&'a str, Folder<'a>>) -> Layout<'a> {
    let names: Vec<(&'a str, Name)> = tops.keys().map(|&top| (top, Name::of(top))).collect();
    let alike = |(a, name): &(&str, Name), (b, other): &(&str, Name)| {
        name.rest == other.rest || tops[a].inside.intersection(&tops[b].inside).next().is_some()
    };
    let holds_classes = |top: &str| !tops[top].inside.is_empty();
    let is_train = |named: &(&str, Name)| named.1.part == Some(Part::Train) && holds_classes(named.0);
    let learnt: Vec<&(&str, Name)> = names
        .iter()
        .filter(|named| is_train(named))
        .filter(|named| {
            let is_partner = |other: &(&str, Name)| {
                other.1.part.is_some_and(|part| part != Part::Train) && alike(named, other)
            };
            named.1.rest.is_empty() || names.len() == 1 || names.iter().any(is_partner)
        })
        .collect();
    if !learnt.is_empty() {
        let part = |named: &(&'a str, Name)| {
            let belongs = named.1.rest.is_empty() || learnt.iter().any(|other| alike(named, other));
            named.1.part.filter(|_| belongs).map(|part| (named.0, part))
        };
        return Layout::Parts(names.iter().filter_map(part).collect());
    }
    if names.iter().all(|named| named.1.part.is_some()) && names.iter().any(|named| holds_classes(named.0)) {
        return Layout::Parts(names.iter().filter_map(|named| Some((named.0, named.1.part?))).collect());
    }
    let divided = |folder: &Folder<'_>| {
        let parts: Vec<Option<Part>> = folder.inside.iter().map(|inside| Part::named(inside)).collect();
        folder.loose == 0 && parts.contains(&Some(Part::Train)) && !parts.contains(&None)
    };
    if !tops.is_empty() && tops.values().all(divided) { Layout::PartsOfClasses } else { Layout::Classes }
}

/// Levels between a part and its classes: archives are unpacked into `train/train`, and pictures put into `images`.
fn doubled(members: &[Member], depth: usize, top: &str) -> usize {
    let part = Name::of(top);
    let mut skip = 0;
    loop {
        let below =
            |member: &Member, place: usize| member.path.split('/').nth(depth + place).map(str::to_owned);
        let mut within = members
            .iter()
            .filter(|member| member.path.split('/').nth(depth) == Some(top))
            .filter(|member| member.path.split('/').count() > depth + skip + 2)
            .peekable();
        let Some(first) = within.peek().and_then(|member| below(member, skip + 1)) else { return skip };
        let says_nothing = Name::of(&first) == part || is_neutral(&first);
        let holds_classes = |member: &Member| {
            below(member, skip + 1).as_ref() == Some(&first) && below(member, skip + 3).is_some()
        };
        if !says_nothing || !within.all(holds_classes) {
            return skip;
        }
        skip += 1;
    }
}

fn pictures(count: usize) -> String {
    if count == 1 { "1 picture".into() } else { format!("{count} pictures") }
}

fn notes(
    tops: &BTreeMap<&str, Folder<'_>>,
    layout: &Layout<'_>,
    outside: usize,
    loose: usize,
    notes: &mut Vec<String>,
) {
    if outside > 0 {
        notes.push(format!("{} beside the class folders left out", pictures(outside)));
    }
    match layout {
        Layout::Parts(parts) => {
            let plain = |top: &str| matches!(top, "train" | "val" | "valid" | "validation" | "test");
            if parts.keys().any(|top| !plain(top)) {
                let read: Vec<String> =
                    parts.iter().map(|(top, part)| format!("{top} is read as {}", part.name())).collect();
                notes.push(read.join(", "));
            }
            for (top, folder) in tops.iter().filter(|(top, _)| !parts.contains_key(*top)) {
                notes.push(format!(
                    "{top}: its {} left out; beside train only folders such as val and test are taken",
                    pictures(folder.pictures)
                ));
            }
            if loose > 0 {
                notes.push(format!("{} of the parts in no class folder left out", pictures(loose)));
            }
        }
        Layout::PartsOfClasses => {
            notes.push("every class is divided by its own folders train and others".into())
        }
        Layout::Classes => {
            let mut folders = tops.values();
            let Some(first) = folders.next() else { return };
            let alike = |folder: &Folder<'_>| folder.inside == first.inside && folder.loose == 0;
            if tops.len() > 1 && first.inside.len() > 1 && first.loose == 0 && folders.all(alike) {
                let classes: Vec<&str> = tops.keys().copied().take(3).collect();
                let inside: Vec<&str> = first.inside.iter().copied().take(3).collect();
                notes.push(format!(
                    "the classes are {}; each has folders {} inside, which are not told apart",
                    classes.join(", "),
                    inside.join(", ")
                ));
            }
        }
    }
}
