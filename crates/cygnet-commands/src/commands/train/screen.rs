//! What a run shows while it goes: a progress bar and a line an epoch.

use std::fmt::Write as _;
use std::ops::ControlFlow;
use std::sync::Arc;

use cygnet::train::{Callback, EpochReport, RunInfo, StepReport, TrainError, Watch};
use indicatif::{ProgressBar, ProgressStyle};

use super::stop::Stop;
use crate::output::{self, FAINT, GOOD, styled};
use crate::progress::shown;

/// The progress bar, a line an epoch, and the wish to stop.
pub(in crate::commands) struct Screen {
    bar: ProgressBar,
    json: bool,
    stop: Stop,
    epochs: u64,
    /// The number of epochs that there will be.
    planned: String,
}

impl Screen {
    pub(in crate::commands) fn new(json: bool, stop: Stop) -> Screen {
        let bar = shown(Some(0));
        if let Ok(style) = ProgressStyle::with_template("{prefix} {bar:10} {wide_msg}") {
            bar.set_style(style.progress_chars("━╸─"));
        }
        Screen { bar, json, stop, epochs: 0, planned: String::new() }
    }

    /// The bar, so that others write above it.
    pub(in crate::commands) fn bar(&self) -> ProgressBar {
        self.bar.clone()
    }

    /// Shows what is done to pictures beside the steps.
    pub(in crate::commands) fn watch(&self) -> Watch {
        let bar = self.bar.clone();
        Watch(Arc::new(move |what, done, total| {
            bar.set_prefix(what);
            bar.set_length(total as u64);
            bar.set_position(done as u64);
            bar.set_message(format!("{done}/{total} pictures"));
        }))
    }

    /// Takes the bar away for good.
    pub(in crate::commands) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

/// Hours, minutes, seconds.
fn clock(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// How many epochs there will be: fewer than asked for where the time is up before.
fn planned(report: &StepReport) -> String {
    let behind = (report.epoch - 1) as f64 + report.step as f64 / report.steps as f64;
    let planned = (behind / report.done).ceil().max(report.epoch as f64);
    let about = if report.done < 1.0 { "~" } else { "" };
    if planned < report.epochs as f64 { format!("{about}{planned}") } else { report.epochs.to_string() }
}

impl Callback for Screen {
    fn begin(&mut self, info: &RunInfo) {
        self.epochs = info.epochs;
        self.planned = info.epochs.to_string();
        let [images, validation] = info.images;
        let mut text = format!(
            "{} by {}: {images} pictures of {} classes\n{validation} for validation, {} params learn, {} a step",
            output::plain(&info.network),
            output::plain(&info.recipe),
            info.classes,
            output::count(info.trained_params as u64),
            output::pictures(info.batch)
        );
        if info.parts > 1 {
            _ = write!(text, " in {} parts", info.parts);
        }
        match info.auxiliary {
            0 => {}
            1 => text += "\nwith an auxiliary head",
            count => _ = write!(text, "\nwith {count} auxiliary heads"),
        }
        self.bar.suspend(|| output::talk(&styled(FAINT, &text)));
    }

    fn step(&mut self, report: &StepReport) -> ControlFlow<()> {
        self.planned = planned(report);
        self.bar.set_prefix(format!("epoch {}/{}", report.epoch, self.planned));
        self.bar.set_length(report.steps as u64);
        self.bar.set_position(report.step as u64);
        self.bar.set_message(format!(
            "{}/{}  {:.0} images/s  loss {:.3}  {:.1} %  {} left",
            report.step,
            report.steps,
            report.images_per_s,
            report.loss,
            report.accuracy,
            clock(report.left)
        ));
        if self.stop.is_asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn epoch(&mut self, report: &EpochReport) -> Result<(), TrainError> {
        if self.json {
            #[derive(serde::Serialize)]
            struct Line<'a> {
                event: &'static str,
                #[serde(flatten)]
                report: &'a EpochReport,
            }
            let printed = self.bar.suspend(|| output::json(&Line { event: "epoch", report }));
            return printed.map_err(|source| TrainError::Write { path: "standard output".into(), source });
        }
        let width = self.epochs.to_string().len();
        let mut text = format!("epoch {:>width$}/{}  {report}", report.epoch, self.planned);
        if report.best {
            _ = write!(text, "  {}", styled(GOOD, "best"));
        }
        self.bar.suspend(|| output::talk(&text));
        Ok(())
    }
}
