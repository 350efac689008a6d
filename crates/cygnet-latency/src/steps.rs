//! The table of a device: networks that were timed step by step, as lines of a file.
//!
//! The file only grows. Its first line is the device, then comes a line for each network when it has been timed, and one for each
//! correction that was fitted. A process that is killed leaves whole lines and perhaps a torn one at the end, which the next drops.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use cygnet_files::owned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::clocked::Clocked;
use crate::correction::{Correction, Errors, Sample};
use crate::device::Device;
use crate::key::{Step, Work};
use crate::predictor::Predictor;

/// Most bytes of a file that is read.
const MOST_BYTES: u64 = 64 << 20;

/// The longest time that is believed, in milliseconds.
const MOST_MS: f64 = 1e9;

/// What was measured on a device.
#[derive(Clone, Debug, PartialEq)]
pub struct StepTable {
    device: Device,
    networks: Vec<Measured>,
    fits: Vec<Fit>,
    damaged: usize,
}

/// A network that was timed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// The space that it was drawn from.
    pub space: String,
    /// Its number among the draws.
    pub draw: u64,
    /// What it is called.
    pub name: String,
    /// What it was timed for.
    pub role: Role,
    /// `[channels, height, width]` of its image.
    pub image: [usize; 3],
    /// Bytes of its weights and of memory for its values.
    pub memory_bytes: u64,
    /// Milliseconds of a run.
    pub ms: f64,
    /// How far apart rounds were, as a share.
    pub spread: f64,
    /// Whether the machine had so much else to do that unsteady rounds count too.
    pub disturbed: bool,
    /// The machine's peak while it ran, in GFLOP/s a thread.
    pub peak_gflops: f64,
    /// Its steps; equal ones are one.
    pub steps: Vec<TimedStep>,
}

/// What a network is timed for. Its steps become entries in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// For its steps.
    Steps,
    /// To fit the correction.
    Fit,
    /// To see how far predictions are from times.
    Check,
}

/// A step of a network that was timed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimedStep {
    /// The step.
    #[serde(flatten)]
    pub step: Step,
    /// How often the network has it.
    pub times: usize,
    /// Milliseconds, of several the mean.
    pub ms: f64,
}

/// A correction for networks of a space, and how good it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fit {
    /// The space.
    pub space: String,
    /// `[channels, height, width]` of images.
    pub image: [usize; 3],
    /// What is between sums and times.
    #[serde(flatten)]
    pub correction: Correction,
    /// Networks that it was fitted on.
    pub fitted: usize,
    /// Errors on others, by entries of others still.
    #[serde(flatten)]
    pub errors: Errors,
    /// How far apart rounds were, as a share: the median over networks.
    pub noise: f64,
    /// The machine's peak, in GFLOP/s a thread: the median over networks.
    pub peak_gflops: f64,
}

/// A line of a file.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Device(Device),
    Network(Measured),
    Correction(Fit),
}

/// Why there is no table.
#[derive(Debug, Error)]
pub enum TableError {
    /// The system's reason.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// It is larger than any that is written.
    #[error("{}: is too large for a latency table, which has {MOST_BYTES} bytes at most", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The first line is no device.
    #[error("{}: is no latency table: its first line does not name a device; `cygnet latency build` makes one", path.display())]
    NoTable {
        /// The file.
        path: PathBuf,
    },
    /// No network is in it yet.
    #[error("{}: no network was timed yet; `cygnet latency build` goes on with it", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// It is of something else.
    #[error("{}: is of another device or version: {}; name it with --table to use it all the same, or build one here", path.display(), differences.join(", "))]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What is not the same.
        differences: Vec<String>,
    },
}

impl Measured {
    /// A network with what it took; `times` are those of its work, in order.
    #[must_use]
    pub fn new(space: &str, draw: u64, name: &str, role: Role, work: &Work, clocked: &Clocked) -> Measured {
        let mut steps: Vec<TimedStep> = Vec::new();
        for (step, &ms) in work.steps.iter().zip(&clocked.steps) {
            match steps.iter_mut().find(|known| known.step.key == step.key) {
                Some(known) => {
                    known.ms = (known.ms * known.times as f64 + ms) / (known.times + 1) as f64;
                    known.times += 1;
                }
                None => steps.push(TimedStep { step: step.clone(), times: 1, ms }),
            }
        }
        Measured {
            space: space.into(),
            draw,
            name: name.into(),
            role,
            image: work.image,
            memory_bytes: work.memory_bytes,
            ms: clocked.ms,
            spread: clocked.spread,
            disturbed: clocked.is_disturbed,
            peak_gflops: clocked.peak_gflops,
            steps,
        }
    }

    /// What it runs, equal steps side by side.
    fn work(&self) -> Work {
        let steps = self.steps.iter().flat_map(|timed| std::iter::repeat_n(timed.step.clone(), timed.times));
        Work { image: self.image, steps: steps.collect(), memory_bytes: self.memory_bytes }
    }

    fn is_sound(&self) -> bool {
        /// Steps of a network, as many as a plan has at most.
        const STEPS: usize = 1 << 17;
        let is_time = |ms: f64| ms > 0.0 && ms < MOST_MS;
        let count = self.steps.iter().fold(0usize, |sum, timed| sum.saturating_add(timed.times));
        let is_finite = self.spread.is_finite() && self.peak_gflops.is_finite();
        let are_times = is_time(self.ms) && self.steps.iter().all(|timed| is_time(timed.ms));
        is_finite && are_times && !self.steps.is_empty() && count <= STEPS
    }
}

impl StepTable {
    /// An empty one.
    #[must_use]
    pub fn new(device: Device) -> StepTable {
        StepTable { device, networks: Vec::new(), fits: Vec::new(), damaged: 0 }
    }

    /// The table in a file, of whatever device. Lines that are damaged are left out and counted.
    ///
    /// # Errors
    /// If it cannot be read, is far too large, or does not begin with a device.
    pub fn read(path: &Path) -> Result<StepTable, TableError> {
        let of_file = |error| TableError::Io { path: path.into(), error };
        let file = File::open(path).map_err(of_file)?;
        let metadata = file.metadata().map_err(of_file)?;
        if !metadata.is_file() {
            return Err(of_file(io::Error::other("is not a file")));
        }
        let mut bytes = Vec::new();
        file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(of_file)?;
        if bytes.len() as u64 > MOST_BYTES {
            return Err(TableError::TooLarge { path: path.into() });
        }
        StepTable::parse(&bytes).ok_or_else(|| TableError::NoTable { path: path.into() })
    }

    /// As [`StepTable::read`], and none if there is no file.
    ///
    /// # Errors
    /// As [`StepTable::read`].
    pub fn find(path: &Path) -> Result<Option<StepTable>, TableError> {
        match StepTable::read(path) {
            Err(TableError::Io { error, .. }) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            table => table.map(Some),
        }
    }

    /// The table in a file's bytes; none if the first line names no device.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<StepTable> {
        let mut lines = bytes.split_inclusive(|&byte| byte == b'\n');
        let Ok(Line::Device(device)) = serde_json::from_slice(lines.next()?) else { return None };
        let mut table = StepTable::new(device);
        for line in lines.filter(|line| line.ends_with(b"\n")) {
            match serde_json::from_slice(line) {
                Ok(Line::Network(network)) if network.is_sound() => table.networks.push(network),
                Ok(Line::Correction(fit)) if fit.correction.is_sound() => table.fits.push(fit),
                Ok(Line::Device(device)) if device == table.device => {}
                _ => table.damaged += 1,
            }
        }
        Some(table)
    }

    /// The table, if it is of a device.
    ///
    /// # Errors
    /// What differs.
    pub fn of_device(self, device: &Device, path: &Path) -> Result<StepTable, TableError> {
        let differences = self.device.differences(device);
        if differences.is_empty() {
            Ok(self)
        } else {
            Err(TableError::Foreign { path: path.into(), differences })
        }
    }

    /// What the times hold for.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// What was timed, in the order of time.
    #[must_use]
    pub fn networks(&self) -> &[Measured] {
        &self.networks
    }

    /// What was fitted, the newest last.
    #[must_use]
    pub fn fits(&self) -> &[Fit] {
        &self.fits
    }

    /// Lines of its file that were left out.
    #[must_use]
    pub fn damaged(&self) -> usize {
        self.damaged
    }

    /// Takes in a network.
    pub fn insert(&mut self, network: Measured) {
        if network.is_sound() {
            self.networks.push(network);
        }
    }

    /// Takes in a correction, which counts from now on.
    pub fn insert_fit(&mut self, fit: Fit) {
        if fit.correction.is_sound() {
            self.fits.push(fit);
        }
    }

    /// For each size of image its newest correction, or one that is fitted now where there are networks alone.
    #[must_use]
    pub fn corrections(&self) -> Vec<([usize; 3], Correction)> {
        let mut corrections: Vec<([usize; 3], Correction)> = Vec::new();
        for Fit { image, correction, .. } in self.fits.iter().rev() {
            if corrections.iter().all(|(known, _)| known != image) {
                corrections.push((*image, *correction));
            }
        }
        for Measured { space, image, .. } in &self.networks {
            if corrections.iter().all(|(known, _)| known != image)
                && let Some(fit) = self.fit(space, *image)
            {
                corrections.push((*image, fit.correction));
            }
        }
        corrections
    }

    /// Fits a correction for networks of a space and images: by entries of networks that were timed for their steps, on those
    /// that were timed to fit, with errors on those that were timed to check. None if there is no such network.
    #[must_use]
    pub fn fit(&self, space: &str, image: [usize; 3]) -> Option<Fit> {
        let of = |role: Role| {
            let own = move |network: &&Measured| network.space == space && network.image == image;
            self.networks.iter().filter(own).filter(move |network| network.role == role)
        };
        let base: Vec<&Measured> =
            self.networks.iter().filter(|network| network.role == Role::Steps).collect();
        let predictor = Predictor::of(&self.device, base)?;
        let sample = |network: &Measured| {
            let work = network.work();
            let mb_beyond_l2 = predictor.mb_beyond_l2(work.weight_bytes());
            Sample { sum_ms: predictor.predict(&work).sum_ms, mb_beyond_l2, ms: network.ms }
        };
        let [steps, fit, check] =
            [Role::Steps, Role::Fit, Role::Check].map(|role| of(role).map(sample).collect::<Vec<Sample>>());
        let fitted = if fit.is_empty() { &steps } else { &fit };
        let correction = Correction::fit(fitted);
        let all = || [Role::Steps, Role::Fit, Role::Check].into_iter().flat_map(of);
        let median = |mut numbers: Vec<f64>| {
            numbers.sort_by(f64::total_cmp);
            numbers.get(numbers.len() / 2).copied().unwrap_or(0.0)
        };
        all().next()?;
        Some(Fit {
            space: space.into(),
            image,
            correction,
            fitted: fitted.len(),
            errors: correction.errors(&check),
            noise: median(all().map(|network| network.spread).collect()),
            peak_gflops: median(all().map(|network| network.peak_gflops).collect()),
        })
    }

    /// The file's name in a cache folder, for an instruction set and a number of threads.
    #[must_use]
    pub fn path_in(folder: &Path, device: &Device) -> PathBuf {
        let threads = if device.threads == 1 { "thread" } else { "threads" };
        folder.join(format!("latency-{}-{}-{threads}.jsonl", device.isa, device.threads))
    }
}

/// A file of a table that grows line by line.
#[derive(Debug)]
pub struct Growing {
    path: PathBuf,
    file: File,
}

/// Whether a file, if there is one, begins as tables do, as far as it goes.
fn is_start_of_table(path: &Path) -> io::Result<bool> {
    const START: &[u8] = b"{\"device\":";
    let mut start = Vec::new();
    match File::open(path) {
        Ok(file) => file.take(START.len() as u64).read_to_end(&mut start)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(error),
    };
    Ok(START.starts_with(&start))
}

impl Growing {
    /// Opens the file of a table, or begins one; what is torn at its end is dropped.
    ///
    /// # Errors
    /// If it cannot be read or written, is no table, or is of another device.
    pub fn open(path: &Path, device: &Device) -> Result<(Growing, StepTable), TableError> {
        match StepTable::find(path)? {
            Some(table) => {
                let table = table.of_device(device, path)?;
                let of_file = |error| TableError::Io { path: path.into(), error };
                let file = owned::reopen(path).map_err(of_file)?;
                whole_lines(&file, path).map_err(of_file)?;
                Ok((Growing { path: path.into(), file }, table))
            }
            None => Growing::begin(path, device),
        }
    }

    /// Begins a table, in the place of another one of any device, or of the torn start of one, if there is such.
    ///
    /// # Errors
    /// If something else has the name, or it cannot be written.
    pub fn begin(path: &Path, device: &Device) -> Result<(Growing, StepTable), TableError> {
        let of_file = |error| TableError::Io { path: path.into(), error };
        if !is_start_of_table(path).map_err(of_file)? {
            return Err(TableError::NoTable { path: path.into() });
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(of_file)?;
        }
        let mut growing = Growing { path: path.into(), file: owned::create(path).map_err(of_file)? };
        growing.line(&Line::Device(device.clone()))?;
        Ok((growing, StepTable::new(device.clone())))
    }

    /// Adds a network.
    ///
    /// # Errors
    /// The system's.
    pub fn network(&mut self, network: &Measured) -> Result<(), TableError> {
        self.line(&Line::Network(network.clone()))
    }

    /// Adds a correction.
    ///
    /// # Errors
    /// The system's.
    pub fn fit(&mut self, fit: &Fit) -> Result<(), TableError> {
        self.line(&Line::Correction(fit.clone()))
    }

    fn line(&mut self, line: &Line) -> Result<(), TableError> {
        let written = serde_json::to_vec(line).map_err(io::Error::from).and_then(|mut text| {
            text.push(b'\n');
            self.file.write_all(&text)
        });
        written.map_err(|error| TableError::Io { path: self.path.clone(), error })
    }
}

/// Cuts off what is behind the last end of a line.
fn whole_lines(file: &File, path: &Path) -> io::Result<()> {
    let bytes = fs::read(path)?;
    let end = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1);
    if end < bytes.len() { file.set_len(end as u64) } else { Ok(()) }
}
