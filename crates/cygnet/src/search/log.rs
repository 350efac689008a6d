//! The log of a search: a line for what it is, then a line for each network that was tried. A search that was stopped
//! goes on from it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use cygnet_search::controller::{Proposal, Trial};
use cygnet_zoo::Gene;
use serde::{Deserialize, Serialize};

use super::{Method, SearchError};

/// The longest log that is read, in bytes.
const MOST_BYTES: u64 = 256 << 20;

/// What all trials of a search depend on.
#[derive(Serialize)]
pub(super) struct Header {
    pub(super) version: String,
    pub(super) space: String,
    /// Numbers of options.
    pub(super) decisions: Vec<usize>,
    pub(super) image: usize,
    pub(super) limit: String,
    pub(super) method: Method,
    pub(super) networks: usize,
    pub(super) first_epochs: u32,
    pub(super) recipe: serde_json::Value,
    pub(super) seed: u64,
    /// Names the photos by their content.
    pub(super) pictures: u64,
}

/// A line of the log after the first.
#[derive(Serialize, Deserialize)]
struct Line {
    gene: Gene,
    choices: Vec<usize>,
    rung: u32,
    cost: f64,
    score: f64,
}

/// The log, open to be written.
pub(super) struct Log {
    path: PathBuf,
    file: File,
    trials: Vec<Trial>,
}

impl Log {
    /// Where it is in the search's folder.
    pub(super) fn path_in(folder: &Path) -> PathBuf {
        folder.join("log.jsonl")
    }

    /// Begins a log, or reads the one that is there if the search goes on; a last line that was not finished is
    /// removed.
    pub(super) fn open(folder: &Path, header: &Header, resumes: bool) -> Result<Log, SearchError> {
        let path = Log::path_in(folder);
        let failed = |source: io::Error| SearchError::Io { path: path.clone(), source };
        let wrong = |reason: String| SearchError::File { path: path.clone(), reason };
        let mine = serde_json::to_string(header).map_err(|error| wrong(error.to_string()))?;
        fs::create_dir_all(folder).map_err(failed)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(!resumes);
        let mut file = options.open(&path).map_err(failed)?;
        if let Err(fs::TryLockError::WouldBlock) = file.try_lock() {
            return Err(wrong("another search writes it now; give this one another --out".into()));
        }
        if !resumes {
            file.write_all(format!("{mine}\n").as_bytes()).and_then(|()| file.sync_data()).map_err(failed)?;
            return Ok(Log { path, file, trials: Vec::new() });
        }
        let mut text = String::new();
        (&file).take(MOST_BYTES + 1).read_to_string(&mut text).map_err(failed)?;
        if text.len() as u64 > MOST_BYTES {
            return Err(wrong(format!("is longer than {MOST_BYTES} bytes, as no search writes it")));
        }
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let mut lines = text[..whole].lines();
        match lines.next() {
            Some(theirs) if theirs == mine => {}
            Some(theirs) => {
                let what = differences(theirs, &mine);
                return Err(wrong(format!("is of another search ({what}); give what it was begun with")));
            }
            None => return Err(wrong("has no first line; begin again with --overwrite".into())),
        }
        let mut trials = Vec::new();
        for (number, line) in lines.enumerate() {
            let line: Line = serde_json::from_str(line).map_err(|error| {
                wrong(format!("line {}: {error}; begin again with --overwrite", number + 2))
            })?;
            let proposal = Proposal { choices: line.choices, rung: line.rung };
            trials.push(Trial { proposal, score: line.score });
        }
        file.set_len(whole as u64).map_err(failed)?;
        io::Seek::seek(&mut file, io::SeekFrom::End(0)).map_err(failed)?;
        Ok(Log { path, file, trials })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What an earlier run of the search tried as this number, from 0.
    pub(super) fn known(&self, number: usize) -> Option<&Trial> {
        self.trials.get(number)
    }

    /// Adds a trial, which is then on the disk.
    pub(super) fn add(
        &mut self,
        proposal: &Proposal,
        gene: &Gene,
        cost: f64,
        score: f64,
    ) -> Result<(), SearchError> {
        let Proposal { choices, rung } = proposal.clone();
        let line = Line { gene: gene.clone(), choices, rung, cost, score };
        let written = serde_json::to_string(&line).map_err(io::Error::other).and_then(|line| {
            self.file.write_all(format!("{line}\n").as_bytes())?;
            self.file.sync_data()
        });
        written.map_err(|source| SearchError::Io { path: self.path.clone(), source })
    }
}

/// The settings in which two first lines differ.
fn differences(theirs: &str, mine: &str) -> String {
    let read = |line: &str| serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(line);
    let (Ok(theirs), Ok(mine)) = (read(theirs), read(mine)) else {
        return "its first line is damaged".into();
    };
    let differs = |(name, value): (&String, &serde_json::Value)| {
        let was = theirs.get(name).unwrap_or(&serde_json::Value::Null);
        // Long values tell people nothing.
        let shown = |value: &serde_json::Value| {
            if value.is_array() || value.is_object() { "another".into() } else { value.to_string() }
        };
        (was != value).then(|| format!("{name} was {} and would be {}", shown(was), shown(value)))
    };
    mine.iter().filter_map(differs).collect::<Vec<_>>().join(", ")
}
