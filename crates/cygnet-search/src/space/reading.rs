//! Spaces by name, and from TOML.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use cygnet_zoo::gene::{Block, Head, Stem};
use serde::Deserialize;
use thiserror::Error;

use super::{Space, StageSpace};

/// Spaces that come with Cygnet: name and text.
const BUILT_IN: &[(&str, &str)] = &[
    ("cpu", include_str!("../../spaces/cpu.toml")),
    ("fbnet", include_str!("../../spaces/fbnet.toml")),
    ("mnasnet", include_str!("../../spaces/mnasnet.toml")),
    ("mobilenet_v3", include_str!("../../spaces/mobilenet_v3.toml")),
    ("proxylessnas", include_str!("../../spaces/proxylessnas.toml")),
    ("spnasnet", include_str!("../../spaces/spnasnet.toml")),
];

/// The longest file, in bytes.
const MOST_BYTES: u64 = 64 << 10;
/// The most options of a decision, stages, and places of all stages together.
const OPTIONS: usize = 4096;
const STAGES: usize = 64;
const PLACES: usize = 512;
/// The most options of all decisions together.
const ALL_OPTIONS: usize = 1 << 18;

/// Why a space cannot be had.
#[derive(Debug, Error)]
pub enum SpaceError {
    /// No space has that name.
    #[error("no space is called {name}; there are {}, and files that end in .toml", names().join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// The file cannot be read.
    #[error("{file}: cannot read: {source}")]
    Read {
        /// The file.
        file: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The text is no space.
    #[error("{file}: {place}: {reason}")]
    Wrong {
        /// The file, or the space's name.
        file: String,
        /// Where in it.
        place: String,
        /// What is wrong, and what to write.
        reason: String,
    },
}

fn names() -> Vec<&'static str> {
    BUILT_IN.iter().map(|(name, _)| *name).collect()
}

/// A space as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    image: Vec<usize>,
    stem: Vec<String>,
    head: Vec<String>,
    stage: Vec<WrittenStage>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenStage {
    channels: Vec<usize>,
    #[serde(default = "one")]
    stride: usize,
    depth: Vec<usize>,
    blocks: Vec<String>,
    #[serde(default)]
    choose: Choose,
}

const fn one() -> usize {
    1
}

/// How blocks of a stage are chosen.
#[derive(Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Choose {
    /// Each place has any of the blocks.
    #[default]
    Each,
    /// The stage has one of the lines of blocks, and each place a block of it.
    Kind,
    /// All places have the same block.
    Alike,
}

impl Space {
    /// The names of the spaces that come with Cygnet.
    #[must_use]
    pub fn names() -> Vec<&'static str> {
        names()
    }

    /// The space of a name, or of a TOML file.
    ///
    /// # Errors
    /// If there is none, or the file is none; names the file and the place in it.
    pub fn named(name: &str) -> Result<Space, SpaceError> {
        if let Some((name, text)) = BUILT_IN.iter().find(|(built_in, _)| *built_in == name) {
            return Space::read(name, text);
        }
        let path = Path::new(name);
        let is_toml = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml"));
        if !is_toml {
            return Err(SpaceError::Unknown { name: name.into() });
        }
        let mut text = String::new();
        let read = File::open(path).and_then(|file| file.take(MOST_BYTES + 1).read_to_string(&mut text));
        read.map_err(|source| SpaceError::Read { file: name.into(), source })?;
        Space::read(name, &text)
    }

    /// The space that a text in TOML describes; `name` is what it is called.
    ///
    /// # Errors
    /// Names the place and what is wrong there.
    pub fn read(name: &str, text: &str) -> Result<Space, SpaceError> {
        let wrong = |place: String, reason: String| SpaceError::Wrong { file: name.into(), place, reason };
        let whole = |reason: String| wrong("space".into(), reason);
        if text.len() as u64 > MOST_BYTES {
            return Err(whole(format!("is longer than {MOST_BYTES} bytes; write fewer blocks")));
        }
        let written: Written = toml::from_str(text).map_err(|error| whole(error.message().into()))?;
        if written.stage.is_empty() || written.stage.len() > STAGES {
            return Err(whole(format!("has {} stages; write 1 to {STAGES}", written.stage.len())));
        }
        let ends = |what: &str, patterns: &[String]| {
            let texts = expanded(patterns).map_err(|reason| wrong(what.into(), reason))?;
            if texts.is_empty() {
                Err(wrong(what.into(), "is empty; write one at least".into()))
            } else {
                Ok(texts)
            }
        };
        let stems: Result<Vec<Stem>, _> =
            ends("stem", &written.stem)?.iter().map(|text| text.parse()).collect();
        let heads: Result<Vec<Head>, _> =
            ends("head", &written.head)?.iter().map(|text| text.parse()).collect();
        let stems = stems.map_err(|error| wrong(error.place, error.reason))?;
        let heads = heads.map_err(|error| wrong(error.place, error.reason))?;
        let of_ends = twice(&stems).map(|stem| stem.to_string()).or_else(|| Some(twice(&heads)?.to_string()));
        if let Some(text) = of_ends {
            return Err(whole(format!("{text} stands twice; leave one out")));
        }
        let mut stages = Vec::new();
        for (number, stage) in written.stage.iter().enumerate() {
            stages.push(stage.read().map_err(|reason| wrong(format!("stage {number}"), reason))?);
        }
        let places: usize = stages.iter().map(|stage| stage.depths.iter().max().unwrap_or(&0)).sum();
        if places > PLACES {
            return Err(whole(format!("has {places} places for blocks; the limit is {PLACES}")));
        }
        let most = |stage: &StageSpace| {
            stage.kinds.iter().map(Vec::len).sum::<usize>() * stage.depths.iter().max().unwrap_or(&0)
        };
        let options: usize = stages.iter().map(most).sum();
        if options > ALL_OPTIONS {
            return Err(whole(format!("has {options} options; the limit is {ALL_OPTIONS}")));
        }
        numbers("image", &written.image, 1..=4096).map_err(|reason| wrong("image".into(), reason))?;
        let (name, images) = (name.to_owned(), written.image);
        let mut space = Space { name, images, stems, heads, stages, decisions: Vec::new() };
        for stage in 0..space.stages.len() {
            let blocks = |kind: usize| space.options(stage, kind, 0);
            if (0..space.stages[stage].kinds.len()).any(|kind| blocks(kind).is_empty()) {
                let reason = "changes the map, so its first place needs a block; write one beside x";
                return Err(wrong(format!("stage {stage}"), reason.into()));
            }
        }
        space.decide();
        Ok(space)
    }
}

impl WrittenStage {
    fn read(&self) -> Result<StageSpace, String> {
        numbers("channels", &self.channels, 1..=1 << 16)?;
        numbers("depth", &self.depth, 1..=PLACES)?;
        if !(1..=2).contains(&self.stride) {
            return Err(format!("its stride is {}; write 1 or 2", self.stride));
        }
        let block = |text: &String| Block::read(text).map_err(|error| error.to_string());
        let of_lines = |lines: &[String]| -> Result<Vec<Option<Block>>, String> {
            expanded(lines)?.iter().map(block).collect()
        };
        let kinds = match self.choose {
            Choose::Each | Choose::Alike => vec![of_lines(&self.blocks)?],
            Choose::Kind => {
                let lines = self.blocks.iter().map(|line| of_lines(std::slice::from_ref(line)));
                lines.collect::<Result<_, _>>()?
            }
        };
        if kinds.is_empty() || kinds.iter().any(Vec::is_empty) {
            return Err("has no blocks; write one at least".into());
        }
        if let Some(block) = twice(&kinds.concat()) {
            return Err(format!("the block {} stands twice; leave one out", super::named(&block)));
        }
        let alike = self.choose == Choose::Alike;
        let (channels, depths) = (self.channels.clone(), self.depth.clone());
        Ok(StageSpace { channels, stride: self.stride, depths, kinds, alike })
    }
}

/// Refuses a list of numbers that is empty, names one twice, or one that is out of range.
fn numbers(what: &str, list: &[usize], range: std::ops::RangeInclusive<usize>) -> Result<(), String> {
    let (least, most) = (range.start(), range.end());
    if list.is_empty() || list.len() > OPTIONS {
        return Err(format!("{what} has {} numbers; write 1 to {OPTIONS}", list.len()));
    }
    if let Some(number) = list.iter().find(|number| !range.contains(number)) {
        return Err(format!("{what} has {number}; write {least} to {most}"));
    }
    twice(list).map_or(Ok(()), |number| Err(format!("{what} has {number} twice; leave one out")))
}

/// What a list names twice.
fn twice<T: Clone + PartialEq>(list: &[T]) -> Option<T> {
    (1..list.len()).find(|&at| list[..at].contains(&list[at])).map(|at| list[at].clone())
}

/// What patterns stand for, in order: `{3,5}` stands for 3 and for 5, as in shells.
fn expanded(patterns: &[String]) -> Result<Vec<String>, String> {
    let mut texts = Vec::new();
    for pattern in patterns {
        let mut begun = vec![String::new()];
        let mut rest = pattern.as_str();
        while let Some((before, after)) = rest.split_once('{') {
            let (options, after) =
                after.split_once('}').ok_or_else(|| format!("{pattern}: {{ is not closed"))?;
            let options: Vec<&str> = options.split(',').collect();
            if begun.len().saturating_mul(options.len()) > OPTIONS {
                return Err(format!("{pattern}: stands for more than {OPTIONS}; write fewer"));
            }
            let longer = |option: &&str| {
                let after = |text: &String| format!("{text}{before}{option}");
                begun.iter().map(after).collect::<Vec<_>>()
            };
            begun = options.iter().flat_map(longer).collect();
            rest = after;
        }
        texts.extend(begun.into_iter().map(|text| text + rest));
        if texts.len() > OPTIONS {
            return Err(format!("stand for more than {OPTIONS}; write fewer"));
        }
    }
    Ok(texts)
}
