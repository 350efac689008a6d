//! Metrics written while a run goes on: JSON lines, and TensorBoard's event files.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, BufWriter, Seek, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::TrainError;
use crate::callback::{Callback, EpochReport, RunInfo, StepReport};
use crate::files::RunFiles;

/// Writes a JSON object a line: one at the start, one every few steps, one an epoch. A resumed run's lines follow those
/// up to the state from which it goes on; what was told of steps that are made again is removed.
#[derive(Debug)]
pub struct JsonLog {
    path: PathBuf,
    file: File,
    resumes: bool,
    every: usize,
    failed: Option<io::Error>,
}

impl JsonLog {
    /// Opens a log, of which nothing changes before the run begins. Every `every`th step is logged. The file is locked
    /// while the log lives, so that no second run writes the same files; an empty one is then removed. A link of that
    /// name is replaced by a file.
    ///
    /// # Errors
    /// If the file cannot be written or another run holds it.
    pub fn new(path: &Path, append: bool, every: usize) -> Result<JsonLog, TrainError> {
        let failed = |source| TrainError::Write { path: path.into(), source };
        loop {
            let file = opened(path, append).map_err(failed)?;
            // The lock ends with the process. Where files cannot be locked there is no guard.
            if let Err(TryLockError::WouldBlock) = file.try_lock() {
                let reason = "another run writes it now; give this one another --out".into();
                return Err(TrainError::Run { path: path.into(), reason });
            }
            // Another run may have removed it before it was locked.
            if path.exists() {
                let every = every.max(1);
                return Ok(JsonLog { path: path.into(), file, resumes: append, every, failed: None });
            }
        }
    }

    /// Opens the log of a run without a name: the files are the first that are free of `model.safetensors`,
    /// `model-2.safetensors` and so on in `folder`, and stay this run's while the log lives.
    ///
    /// # Errors
    /// If no log can be written there.
    pub fn of_next_free(folder: &Path, every: usize) -> Result<(RunFiles, JsonLog), TrainError> {
        for files in RunFiles::numbered(folder).filter(|files| !files.are_taken()) {
            match JsonLog::new(&files.log(), false, every) {
                Ok(log) if !files.are_taken() => return Ok((files, log)),
                // Another run was faster.
                Ok(_) | Err(TrainError::Run { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let reason = "holds too many runs without a name; give --out".into();
        Err(TrainError::Run { path: folder.into(), reason })
    }

    fn line(&mut self, event: &'static str, value: &impl Serialize) {
        #[derive(Serialize)]
        struct Line<'a, T> {
            event: &'static str,
            #[serde(flatten)]
            value: &'a T,
        }
        let line = serde_json::to_string(&Line { event, value }).map_err(io::Error::other);
        let written = line.and_then(|line| self.file.write_all(format!("{line}\n").as_bytes()));
        self.failed = self.failed.take().or(written.err());
    }
}

impl Drop for JsonLog {
    fn drop(&mut self) {
        if self.file.metadata().is_ok_and(|metadata| metadata.len() == 0) {
            // One that stays does no harm.
            _ = fs::remove_file(&self.path);
        }
    }
}

impl Callback for JsonLog {
    fn begin(&mut self, info: &RunInfo) {
        let cut = if self.resumes {
            cut(&mut self.file, info.resumed_at, info.resumed_step)
        } else {
            self.file.set_len(0)
        };
        self.failed = self.failed.take().or(cut.err());
        self.line("begin", info);
    }

    fn step(&mut self, report: &StepReport) -> ControlFlow<()> {
        if report.step.is_multiple_of(self.every) {
            self.line("step", report);
        }
        ControlFlow::Continue(())
    }

    fn epoch(&mut self, report: &EpochReport) -> Result<(), TrainError> {
        self.line("epoch", report);
        self.failed.take().map_or(Ok(()), |source| Err(TrainError::Write { path: self.path.clone(), source }))
    }
}

/// Opens or makes a file. A link is replaced by a file of its own: what it leads to stays as it is, and is copied
/// where the file is to `go_on`.
fn opened(path: &Path, go_on: bool) -> io::Result<File> {
    let is_link = path.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink());
    let before = if is_link && go_on { File::open(path).ok() } else { None };
    if is_link {
        fs::remove_file(path)?;
    }
    let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
    if let Some(mut before) = before {
        io::copy(&mut before, &mut file)?;
    }
    Ok(file)
}

/// Ends the file before the first line that tells of more than `epochs` and `steps` of the next one, or that a killed
/// process left unfinished.
fn cut(file: &mut File, epochs: u64, steps: usize) -> io::Result<()> {
    #[derive(Deserialize)]
    struct Told {
        event: String,
        epoch: Option<u64>,
        step: Option<usize>,
    }
    let is_done = |line: &str| {
        let Ok(Told { event, epoch, step }) = serde_json::from_str(line) else { return false };
        match event.as_str() {
            "epoch" => epoch.is_some_and(|epoch| epoch <= epochs),
            "step" => epoch.is_some_and(|epoch| {
                epoch <= epochs || (epoch == epochs + 1 && step.is_some_and(|step| step <= steps))
            }),
            _ => true,
        }
    };
    file.rewind()?;
    let (mut reader, mut line, mut end) = (BufReader::new(&*file), String::new(), 0);
    while reader.read_line(&mut line).unwrap_or(0) > 0 && line.ends_with('\n') && is_done(&line) {
        end += line.len() as u64;
        line.clear();
    }
    file.set_len(end)
}

/// Writes an event file that TensorBoard reads: scalars only.
///
/// The format is a sequence of records, each a length, its checksum, a message and its checksum; messages are protocol
/// buffers of TensorFlow's `event.proto` and `summary.proto`.
#[derive(Debug)]
pub struct TensorBoard {
    path: PathBuf,
    file: BufWriter<File>,
    steps: usize,
    failed: Option<io::Error>,
}

impl TensorBoard {
    /// Begins a new event file in `folder`, which is made if need be.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn new(folder: &Path) -> Result<TensorBoard, TrainError> {
        let write = |source| TrainError::Write { path: folder.into(), source };
        fs::create_dir_all(folder).map_err(write)?;
        let now = now();
        let path = folder.join(format!("events.out.tfevents.{:010}.{}", now as u64, std::process::id()));
        let mut file = BufWriter::new(File::create(&path).map_err(write)?);
        let mut event = Vec::new();
        put_double(&mut event, 1, now);
        put_bytes(&mut event, 3, b"brain.Event:2");
        write_record(&mut file, &event).map_err(write)?;
        Ok(TensorBoard { path, file, steps: 0, failed: None })
    }

    fn scalars(&mut self, step: u64, values: &[(&str, Option<f64>)]) {
        let mut summary = Vec::new();
        for (tag, value) in values.iter().filter_map(|(tag, value)| Some((tag, (*value)?))) {
            let mut message = Vec::new();
            put_bytes(&mut message, 1, tag.as_bytes());
            put_key(&mut message, 2, 5);
            message.extend((value as f32).to_le_bytes());
            put_bytes(&mut summary, 1, &message);
        }
        let mut event = Vec::new();
        put_double(&mut event, 1, now());
        put_key(&mut event, 2, 0);
        put_varint(&mut event, step);
        put_bytes(&mut event, 5, &summary);
        let written = write_record(&mut self.file, &event);
        self.failed = self.failed.take().or(written.err());
    }
}

impl Callback for TensorBoard {
    fn begin(&mut self, info: &RunInfo) {
        if info.resumed_at == 0 && info.resumed_step == 0 {
            return;
        }
        // A start of a session makes readers forget what earlier files tell of this step and later ones.
        let mut event = Vec::new();
        put_double(&mut event, 1, now());
        put_key(&mut event, 2, 0);
        put_varint(&mut event, info.resumed_at * info.steps as u64 + info.resumed_step as u64 + 1);
        put_bytes(&mut event, 7, &[1 << 3, 1]);
        let written = write_record(&mut self.file, &event);
        self.failed = self.failed.take().or(written.err());
    }

    fn step(&mut self, report: &StepReport) -> ControlFlow<()> {
        self.steps = report.steps;
        let step = (report.epoch - 1) * report.steps as u64 + report.step as u64;
        let values = [
            ("train/loss", Some(report.loss)),
            ("train/accuracy", Some(report.accuracy)),
            ("train/rate", Some(report.rate)),
            ("speed/images_per_s", Some(report.images_per_s)),
        ];
        self.scalars(step, &values);
        ControlFlow::Continue(())
    }

    fn epoch(&mut self, report: &EpochReport) -> Result<(), TrainError> {
        let values = [
            ("validation/loss", report.validation_loss),
            ("validation/top1", report.validation_top1),
            ("validation/top5", report.validation_top5),
        ];
        self.scalars(report.epoch * self.steps as u64, &values);
        let flushed = self.file.flush();
        let failed = self.failed.take().or(flushed.err());
        failed.map_or(Ok(()), |source| Err(TrainError::Write { path: self.path.clone(), source }))
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_key(out: &mut Vec<u8>, field: u64, wire: u64) {
    put_varint(out, field << 3 | wire);
}

fn put_double(out: &mut Vec<u8>, field: u64, value: f64) {
    put_key(out, field, 1);
    out.extend(value.to_le_bytes());
}

fn put_bytes(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    put_key(out, field, 2);
    put_varint(out, bytes.len() as u64);
    out.extend(bytes);
}

fn write_record(out: &mut impl Write, message: &[u8]) -> io::Result<()> {
    let length = (message.len() as u64).to_le_bytes();
    out.write_all(&length)?;
    out.write_all(&masked_checksum(&length).to_le_bytes())?;
    out.write_all(message)?;
    out.write_all(&masked_checksum(message).to_le_bytes())
}

/// CRC-32C, rotated and shifted as TensorFlow's record writer does.
fn masked_checksum(bytes: &[u8]) -> u32 {
    let mut sum = !0u32;
    for byte in bytes {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = (sum >> 1) ^ (0x82f6_3b78 & (sum & 1).wrapping_neg());
        }
    }
    (!sum).rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_has_one_writer_and_goes_on_with_a_new_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        let mut log = JsonLog::new(&path, false, 1).unwrap();
        let second = JsonLog::new(&path, false, 1).unwrap_err().to_string();
        assert!(second.contains("log.jsonl: another run writes it now"), "{second}");
        log.line("a", &serde_json::json!({"x": 1}));
        log.file.write_all(b"{\"event\":").unwrap();
        drop(log);
        let mut log = JsonLog::new(&path, true, 1).unwrap();
        cut(&mut log.file, 0, 0).unwrap();
        log.line("b", &serde_json::json!({}));
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"event\":\"a\",\"x\":1}\n{\"event\":\"b\"}\n");
        drop(log);
        drop(JsonLog::new(&path, false, 1).unwrap());
        assert!(fs::read_to_string(&path).unwrap().ends_with("{\"event\":\"b\"}\n"));
        fs::write(&path, "").unwrap();
        drop(JsonLog::new(&path, false, 1).unwrap());
        assert!(!path.exists());
    }

    #[cfg(unix)]
    #[test]
    fn nothing_is_written_through_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("log.jsonl"), folder.path().join("other"));
        for (go_on, told) in [(false, ""), (true, "{\"event\":\"a\"}\n")] {
            fs::write(&other, "{\"event\":\"a\"}\n").unwrap();
            std::os::unix::fs::symlink("other", &path).unwrap();
            let mut log = JsonLog::new(&path, go_on, 1).unwrap();
            log.line("b", &serde_json::json!({}));
            drop(log);
            assert_eq!(fs::read_to_string(&path).unwrap(), format!("{told}{{\"event\":\"b\"}}\n"));
            assert_eq!(fs::read_to_string(&other).unwrap(), "{\"event\":\"a\"}\n");
            fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn names_are_free_for_one_run_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let take = || JsonLog::of_next_free(folder.path(), 1).unwrap();
        let name = |files: &RunFiles| files.model.file_name().unwrap().to_owned();
        let ((first, log), (second, _other)) = (take(), take());
        assert_eq!((name(&first), name(&second)), ("model.safetensors".into(), "model-2.safetensors".into()));
        drop(log);
        let (again, mut log) = take();
        assert_eq!(again, first);
        log.line("a", &serde_json::json!({}));
        drop(log);
        assert_eq!(name(&take().0), "model-3.safetensors");
    }

    #[test]
    fn a_resumed_run_tells_each_step_and_epoch_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        let line =
            |event, epoch, step| format!("{{\"event\":\"{event}\",\"epoch\":{epoch},\"step\":{step}}}\n");
        let told = [
            line("begin", 0, 0),
            line("step", 1, 4),
            line("epoch", 1, 0),
            line("step", 2, 4),
            line("step", 2, 8),
        ];
        let after = |epochs, steps| {
            fs::write(&path, told.concat() + &line("epoch", 2, 0)).unwrap();
            cut(&mut JsonLog::new(&path, true, 1).unwrap().file, epochs, steps).unwrap();
            fs::read_to_string(&path).unwrap()
        };
        assert_eq!(after(2, 0), told.concat() + &line("epoch", 2, 0));
        assert_eq!(after(1, 8), told.concat());
        assert_eq!(after(1, 5), told[..4].concat());
        assert_eq!(after(1, 0), told[..3].concat());
        assert_eq!(after(0, 3), told[0]);
    }

    #[test]
    fn checksums_are_those_of_crc_32c() {
        let unmasked = |bytes: &[u8]| masked_checksum(bytes).wrapping_sub(0xa282_ead8).rotate_left(15);
        assert_eq!(unmasked(b"123456789"), 0xe306_9283);
        assert_eq!(unmasked(&[0; 32]), 0x8a91_36aa);
    }

    #[test]
    fn a_scalar_is_found_where_the_format_puts_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut board = TensorBoard::new(folder.path()).unwrap();
        board.scalars(300, &[("a/b", Some(0.5)), ("none", None)]);
        board.file.flush().unwrap();
        let bytes = fs::read(&board.path).unwrap();
        let mut records = Vec::new();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
            assert_eq!(rest[8..12], masked_checksum(&rest[..8]).to_le_bytes());
            let message = &rest[12..][..length];
            assert_eq!(rest[12 + length..][..4], masked_checksum(message).to_le_bytes());
            records.push(message);
            rest = &rest[16 + length..];
        }
        assert_eq!(records.len(), 2);
        assert_eq!(records[0][9..], [&[0x1a, 13][..], b"brain.Event:2"].concat());
        // Step 300 as a varint, then the summary with one value: tag and float.
        let value = [&[0x0a, 3][..], b"a/b", &[0x15], &0.5f32.to_le_bytes()].concat();
        let summary = [&[0x0a, value.len() as u8][..], &value].concat();
        let tail = [&[0x10, 0xac, 0x02, 0x2a, summary.len() as u8][..], &summary].concat();
        assert_eq!(records[1][9..], tail);
    }
}
