//! Progress bars, on standard error and only where somebody looks.

use std::borrow::Cow;

use cygnet::weights::Progress;
use indicatif::{ProgressBar, ProgressStyle};

fn bar(total: Option<u64>, message: impl Into<Cow<'static, str>>, counts: &str) -> ProgressBar {
    let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new).with_message(message);
    let template = match total {
        Some(_) => format!("{{msg}} {{bar:30}} {counts} {{eta}}"),
        None => format!("{{spinner}} {{msg}} {counts}"),
    };
    if let Ok(style) = ProgressStyle::with_template(&template) {
        bar.set_style(style.progress_chars("━╸─"));
    }
    bar
}

/// A bar over `total` things, with their rate.
pub(crate) fn things(total: u64, what: &'static str, unit: &str) -> ProgressBar {
    bar(Some(total), what, &format!("{{pos}}/{{len}} {{per_sec}} {unit}"))
}

/// Shows downloads.
#[derive(Default)]
pub(crate) struct Download {
    bar: Option<ProgressBar>,
}

impl Progress for Download {
    fn start(&mut self, total: Option<u64>, what: &str) {
        self.finish();
        self.bar = Some(bar(total, what.to_owned(), "{bytes} {bytes_per_sec}"));
    }

    fn advance(&mut self, bytes: u64) {
        if let Some(bar) = &self.bar {
            bar.inc(bytes);
        }
    }

    fn message(&mut self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("{text}")),
            None => eprintln!("{text}"),
        }
    }

    fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}
