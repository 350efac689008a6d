//! Progress bars, on standard error and only where somebody looks.

use std::borrow::Cow;
use std::fmt;

use cygnet::hub::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::output::{self, end_of, plain};

/// Columns of a bar and the numbers behind it.
const BAR: usize = 64;

/// A bar that is not drawn where nobody looks, where the terminal cannot, or where nothing is to be said.
pub(crate) fn shown(total: Option<u64>) -> ProgressBar {
    let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
    if output::is_quiet() || std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb") {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    bar
}

fn bar(total: Option<u64>, message: impl Into<Cow<'static, str>>, counts: &str) -> ProgressBar {
    let bar = shown(total).with_message(message);
    let template = match total {
        Some(_) => format!("{{msg}} {{bar:24}} {counts} {{eta}}"),
        None => format!("{{spinner}} {{msg}} {counts}"),
    };
    if let Ok(style) = ProgressStyle::with_template(&template) {
        let rate =
            |state: &ProgressState, text: &mut dyn fmt::Write| _ = write!(text, "{}", rate(state.per_sec()));
        bar.set_style(style.with_key("rate", rate).progress_chars("━╸─"));
    }
    bar
}

/// How many a second, with as many places as tell something.
fn rate(a_second: f64) -> String {
    let places = if a_second < 10.0 { 2 } else { usize::from(a_second < 100.0) };
    format!("{a_second:.places$}")
}

/// A bar over `total` things, with their rate.
pub(crate) fn things(total: u64, what: &'static str, unit: &str) -> ProgressBar {
    bar(Some(total), what, &format!("{{pos}}/{{len}} {{rate}} {unit}/s"))
}

/// A bar over thousandths of something that has no number.
pub(crate) fn share(what: &'static str) -> ProgressBar {
    bar(Some(1000), what, "{percent} %")
}

/// Shows downloads.
#[derive(Default)]
pub(crate) struct Download {
    bar: Option<ProgressBar>,
}

impl Progress for Download {
    fn start(&mut self, total: Option<u64>, what: &str) {
        self.finish();
        let room = output::talk_width().map_or(usize::MAX, |columns| columns.saturating_sub(BAR).max(12));
        self.bar = Some(bar(total, end_of(&plain(what), room), "{bytes} {bytes_per_sec}"));
    }

    fn advance(&mut self, bytes: u64) {
        if let Some(bar) = &self.bar {
            bar.inc(bytes);
        }
    }

    fn message(&mut self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| output::talk(&plain(text))),
            None => output::talk(&plain(text)),
        }
    }

    fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}
