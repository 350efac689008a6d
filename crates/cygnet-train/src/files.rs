//! The files of a run: their names, and whose those are that have these names already.

use std::ffi::OsString;
use std::fs::{DirEntry, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::TrainError;

/// How every log begins.
pub(crate) const LOG_BEGINS: &str = "{\"event\":\"begin\"";

/// What tells a report from other pages.
pub(crate) const REPORT_HAS: &str = "<meta name=\"generator\" content=\"cygnet\">";

/// Bytes at the start of a log or report by which it is known.
const START: u64 = 1 << 10;

/// Where the files of a run are, beside its model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFiles {
    /// The best model, the run's result.
    pub model: PathBuf,
}

impl RunFiles {
    /// The files of a run whose result is `model`.
    #[must_use]
    pub fn of(model: impl Into<PathBuf>) -> RunFiles {
        RunFiles { model: model.into() }
    }

    /// Of `folder`, the files of the run without a name that began last and can be resumed.
    #[must_use]
    pub fn newest(folder: &Path) -> Option<RunFiles> {
        let runs = RunFiles::numbered(folder).take_while(|files| files.are_taken() || files.log().exists());
        runs.filter(|files| files.state().exists()).last()
    }

    /// Of `folder`, the files of runs without a name.
    pub(crate) fn numbered(folder: &Path) -> impl Iterator<Item = RunFiles> {
        let name = |number| match number {
            1 => "model.safetensors".into(),
            _ => format!("model-{number}.safetensors"),
        };
        (1..100_000u32).map(move |number| RunFiles::of(folder.join(name(number))))
    }

    /// Whether some of the files are there already.
    pub(crate) fn are_taken(&self) -> bool {
        self.taken().is_some()
    }

    /// The first of the files that is there already, be it as a link. An empty log is that of a run that did not begin.
    #[must_use]
    pub fn taken(&self) -> Option<PathBuf> {
        let is_there = |path: &PathBuf| match path.symlink_metadata() {
            Ok(found) => *path != self.log() || !found.is_file() || found.len() > 0,
            Err(_) => false,
        };
        self.all().into_iter().find(is_there)
    }

    /// The first of the files that cannot be written, because something else has its name.
    #[must_use]
    pub fn blocked(&self) -> Option<PathBuf> {
        let events = self.events();
        self.all().into_iter().find(|path| match path.metadata() {
            Ok(found) if *path == events => !found.is_dir(),
            Ok(found) => !found.is_file(),
            Err(_) => false,
        })
    }

    /// The first of the log and the report that is there and was not written by a run.
    #[must_use]
    pub fn foreign(&self) -> Option<PathBuf> {
        let begins = |path: &Path, with: &str| {
            let mut start = Vec::new();
            let read = File::open(path).and_then(|file| file.take(START).read_to_end(&mut start));
            read.is_err() || start.is_empty() || String::from_utf8_lossy(&start).contains(with)
        };
        let (log, report) = (self.log(), self.report());
        if log.exists() && !begins(&log, LOG_BEGINS) {
            return Some(log);
        }
        (report.exists() && !begins(&report, REPORT_HAS)).then_some(report)
    }

    /// All of them, the model first.
    #[must_use]
    pub fn all(&self) -> [PathBuf; 6] {
        [self.model.clone(), self.last(), self.state(), self.log(), self.report(), self.events()]
    }

    /// Removes what an earlier run left, but for its best model, which stays until there is a new one. Where that is a
    /// link, the link is removed and what it leads to stays.
    ///
    /// # Errors
    /// Names the file that stays.
    pub fn clear(&self) -> Result<(), TrainError> {
        let mut old = vec![self.last(), self.state(), self.report()];
        let is_link = |path: &PathBuf| path.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink());
        old.extend(Some(self.model.clone()).filter(is_link));
        let events = std::fs::read_dir(self.events()).into_iter().flatten().flatten();
        let is_events =
            |entry: &DirEntry| entry.file_name().to_string_lossy().starts_with("events.out.tfevents");
        old.extend(events.filter(is_events).map(|entry| entry.path()));
        old.into_iter().try_for_each(|path| match std::fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(TrainError::Write { path, source })
            }
            Ok(()) | Err(_) => Ok(()),
        })
    }

    /// What tells the model that is there from others; none if there is none.
    pub(crate) fn print_of_model(&self) -> Option<u64> {
        let mut print = 0xcbf2_9ce4_8422_2325u64;
        let mut file = File::open(&self.model).ok()?;
        let mut bytes = vec![0; 1 << 16];
        loop {
            let read = file.read(&mut bytes).ok()?;
            if read == 0 {
                return Some(print);
            }
            for &byte in &bytes[..read] {
                print = (print ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
    }

    fn beside(&self, ending: &str) -> PathBuf {
        let mut name: OsString = self.model.file_stem().unwrap_or_default().to_owned();
        name.push(ending);
        self.model.with_file_name(name)
    }

    /// The last model.
    #[must_use]
    pub fn last(&self) -> PathBuf {
        self.beside(".last.safetensors")
    }

    /// The state: optimiser, averages, place in the data.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.beside(".state.safetensors")
    }

    /// The log of metrics, a JSON object a line.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.beside(".log.jsonl")
    }

    /// The report.
    #[must_use]
    pub fn report(&self) -> PathBuf {
        self.beside(".html")
    }

    /// The folder of TensorBoard's event files.
    #[must_use]
    pub fn events(&self) -> PathBuf {
        self.beside(".events")
    }
}
