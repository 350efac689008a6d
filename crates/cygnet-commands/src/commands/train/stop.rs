//! The wish to stop: Ctrl-C, the end of the terminal, and what ends processes politely.

use std::io;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use indicatif::ProgressBar;

use crate::output;

/// Exit code of what was stopped by a signal.
const STOPPED: i32 = 130;

/// Ends this process as one that was stopped.
pub(in crate::commands) fn exit() -> ! {
    process::exit(STOPPED)
}

/// Whether somebody asked to stop.
#[derive(Clone, Default)]
pub(in crate::commands) struct Stop {
    asked: Arc<AtomicBool>,
    /// Where to say that the step is finished first; without it the process ends at once.
    bar: Arc<Mutex<Option<ProgressBar>>>,
}

impl Stop {
    /// Begins to listen.
    pub(in crate::commands) fn listen() -> io::Result<Stop> {
        let stop = Stop::default();
        let told = stop.clone();
        signals(move || told.ask())?;
        Ok(stop)
    }

    /// From now on the first wish is only noted.
    pub(in crate::commands) fn finish_steps(&self, bar: ProgressBar) {
        *self.bar.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar);
    }

    /// From now on the process ends at once, for there is nothing left to save.
    pub(in crate::commands) fn at_once(&self) {
        *self.bar.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(in crate::commands) fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    fn ask(&self) {
        let bar = self.bar.lock().unwrap_or_else(PoisonError::into_inner);
        match &*bar {
            Some(bar) if !self.asked.swap(true, Ordering::Relaxed) => {
                bar.suspend(|| output::talk("finishing the step; Ctrl-C again ends at once"));
            }
            _ => exit(),
        }
    }
}

/// Calls `ask` for every signal that wants this process to end.
#[cfg(unix)]
fn signals(ask: impl Fn() + Send + 'static) -> io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

    let mut wanted = vec![SIGINT, SIGTERM];
    // `nohup` has hang-ups ignored, and means it.
    if !is_ignored(SIGHUP) {
        wanted.push(SIGHUP);
    }
    let mut signals = signal_hook::iterator::Signals::new(wanted)?;
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || signals.forever().for_each(|_| ask()))
        .map(|_| ())
}

#[cfg(not(unix))]
fn signals(ask: impl Fn() + Send + 'static) -> io::Result<()> {
    ctrlc::set_handler(ask).map_err(io::Error::other)
}

/// Whether whoever started this process had it ignore a signal, where the system tells.
#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}
