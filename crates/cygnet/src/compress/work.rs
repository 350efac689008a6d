//! The folder of a compression that is not finished: what was asked for, what was tried, and the files of each attempt.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cygnet_files::write_own;
use cygnet_train::{Recipe, RunFiles};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Compressing, Tried};
use crate::train::name_of;
use crate::{Error, Model};

/// The files of a folder beside those of attempts.
const STATE: &str = "state.json";
const INPUT: &str = "input.safetensors";

#[derive(Serialize, Deserialize)]
struct State {
    /// What was asked for: only the same goes on.
    asked: Value,
    /// Seconds that were worked before.
    seconds: f64,
    tried: Vec<Tried>,
}

pub(super) struct Work {
    folder: PathBuf,
    state: State,
    began: Instant,
}

impl Work {
    /// Makes the folder, or goes on with what is there.
    pub(super) fn begin(
        model: &Model,
        data: &Path,
        how: &Compressing,
        recipe: &Recipe,
    ) -> Result<Work, Error> {
        let folder = how.work.clone();
        let refuse = |reason: &str| Err(Error::Record { path: folder.clone(), reason: reason.into() });
        let asked = json!({
            "goal": how.goal,
            "drop": how.drop,
            "methods": how.methods,
            "ranked": how.ranked,
            "recipe": recipe,
            "data": name_of(data),
            "teacher": how.teacher.as_ref().map(|teacher| &teacher.id),
        });
        let (state, input) = (folder.join(STATE), folder.join(INPUT));
        if how.resume {
            let read = fs::read(&state);
            let text = read.map_err(|source| Error::Read { path: state.clone(), source })?;
            let damaged = |error: serde_json::Error| Error::Record {
                path: state.clone(),
                reason: format!("is damaged: {error}; begin again with --overwrite"),
            };
            let state: State = serde_json::from_slice(&text).map_err(damaged)?;
            if state.asked != asked {
                return refuse(
                    "is of a compression that was asked otherwise; ask as then, or --overwrite it",
                );
            }
            let before = Model::open(&input)?;
            if (&before.graph, &before.weights) != (&model.graph, &model.weights) {
                return refuse("is of a compression of another model; --overwrite begins again");
            }
            return Ok(Work { folder, state, began: Instant::now() });
        }
        let failed = |source| Error::Write { path: folder.clone(), source };
        if folder.exists() {
            if !state.exists() && fs::read_dir(&folder).is_ok_and(|mut entries| entries.next().is_some()) {
                return refuse("is there already and holds something else; give another --out");
            }
            return refuse("is there already: --resume goes on with it, --overwrite begins again");
        }
        fs::create_dir(&folder).map_err(failed)?;
        model.write(&input)?;
        let state = State { asked, seconds: 0.0, tried: Vec::new() };
        let work = Work { folder, state, began: Instant::now() };
        work.write()?;
        Ok(work)
    }

    /// Removes the folder of an earlier compression, and nothing that is none.
    pub(super) fn clear(folder: &Path) -> Result<(), Error> {
        if !folder.join(STATE).exists() {
            return Ok(());
        }
        let failed = |source| Error::Write { path: folder.into(), source };
        for entry in fs::read_dir(folder).map_err(failed)?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_ours = ["cut-", "tuned-", "done-"].iter().any(|begin| name.starts_with(begin));
            if is_ours || name == INPUT {
                fs::remove_file(entry.path()).map_err(failed)?;
            }
        }
        fs::remove_file(folder.join(STATE)).map_err(failed)?;
        // What is not ours stays, and so does the folder.
        _ = fs::remove_dir(folder);
        Ok(())
    }

    pub(super) fn remove(&self) {
        _ = Work::clear(&self.folder);
    }

    /// Whether there is something to go on with.
    pub(super) fn has_begun(&self) -> bool {
        !self.state.tried.is_empty() || self.cut(self.state.tried.len()).exists()
    }

    pub(super) fn tried(&self) -> &[Tried] {
        &self.state.tried
    }

    /// The time that was worked before this process.
    pub(super) fn spent(&self) -> Duration {
        Duration::try_from_secs_f64(self.state.seconds).unwrap_or_default()
    }

    pub(super) fn push(&mut self, tried: Tried) -> Result<(), Error> {
        self.state.tried.push(tried);
        self.write()
    }

    fn write(&self) -> Result<(), Error> {
        let path = self.folder.join(STATE);
        let seconds = self.state.seconds + self.began.elapsed().as_secs_f64();
        let State { asked, tried, .. } = &self.state;
        let text = json!({"asked": asked, "seconds": seconds, "tried": tried}).to_string();
        write_own(&path, |file| file.write_all(text.as_bytes()))
            .map_err(|source| Error::Write { path, source })
    }

    fn of(&self, what: &str, number: usize) -> PathBuf {
        self.folder.join(format!("{what}-{}.safetensors", number + 1))
    }

    /// The smaller network of an attempt, before it learnt.
    pub(super) fn cut(&self, number: usize) -> PathBuf {
        self.of("cut", number)
    }

    /// The run in which it learns.
    pub(super) fn run(&self, number: usize) -> RunFiles {
        RunFiles::of(self.of("tuned", number))
    }

    /// Keeps what came of an attempt.
    pub(super) fn keep(&self, number: usize, model: &Model) -> Result<(), Error> {
        model.write(self.of("done", number))
    }

    /// What came of an attempt.
    pub(super) fn done(&self, number: usize) -> Result<Model, Error> {
        Model::open(self.of("done", number))
    }
}
