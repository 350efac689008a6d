//! Comparisons as lines of a file.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use cygnet_files::write_own;
use serde::{Deserialize, Serialize};

use crate::{Case, Times};

/// Most bytes of a file that is read.
const MOST_BYTES: u64 = 16 << 20;

/// What was measured on this machine, by what was compared. A line of its file is a comparison in JSON; lines that are damaged
/// are left out and counted.
#[derive(Clone, Debug, Default)]
pub struct Table {
    times: BTreeMap<Case, Times>,
    damaged: usize,
    /// Whether it has what its file does not have.
    is_new: bool,
}

#[derive(Serialize, Deserialize)]
struct Line {
    #[serde(flatten)]
    case: Case,
    ms: Vec<f64>,
    #[serde(default)]
    noise: f64,
}

impl Line {
    fn sound(self) -> Option<(Case, Times)> {
        let Line { case, ms, noise } = self;
        let times = Times { ms, noise };
        is_kept(&case, &times).then_some((case, times))
    }
}

impl Table {
    /// The table in a file; an empty one if there is none.
    ///
    /// # Errors
    /// If the file cannot be read, or is far too large.
    pub fn read(path: &Path) -> io::Result<Table> {
        let bytes = match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Table::default()),
            Err(error) => return Err(error),
            Ok(metadata) if !metadata.is_file() => return Err(io::Error::other("is not a file")),
            Ok(metadata) if metadata.len() > MOST_BYTES => return Err(io::Error::other("is too large")),
            Ok(_) => fs::read(path)?,
        };
        let mut table = Table::default();
        for line in bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            match serde_json::from_slice::<Line>(line).ok().and_then(Line::sound) {
                Some((case, times)) => _ = table.times.insert(case, times),
                None => table.damaged += 1,
            }
        }
        Ok(table)
    }

    /// Lines of its file that were left out.
    #[must_use]
    pub fn damaged(&self) -> usize {
        self.damaged
    }

    /// Which plan of a case is the fastest, by what is known.
    #[must_use]
    pub fn known(&self, case: &Case) -> Option<usize> {
        self.times.get(case).map(Times::fastest)
    }

    /// Takes in what was measured, in the order of the case's plans, unless that was [disturbed](Times::is_disturbed).
    pub fn insert(&mut self, case: Case, times: Times) {
        if is_kept(&case, &times) {
            self.times.insert(case, times);
            self.is_new = true;
        }
    }

    /// Writes it if it has something new, with what others have written into the file since it was read; of what both measured,
    /// theirs stays.
    ///
    /// # Errors
    /// The system's.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        if !self.is_new {
            return Ok(());
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut times = self.times.clone();
        times.extend(Table::read(path).unwrap_or_default().times);
        let mut text = Vec::new();
        for (case, Times { ms, noise }) in times {
            serde_json::to_writer(&mut text, &Line { case, ms, noise })?;
            text.push(b'\n');
        }
        write_own(path, |file| file.write_all(&text))
    }

    /// The file's name in a cache folder.
    #[must_use]
    pub fn path_in(folder: &Path) -> PathBuf {
        folder.join("latency.jsonl")
    }
}

fn is_kept(case: &Case, times: &Times) -> bool {
    times.ms.len() == case.plans.len() && times.is_sound() && !times.is_disturbed()
}
