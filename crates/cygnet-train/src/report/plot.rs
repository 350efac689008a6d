//! Curves over the epochs as SVG.

use std::fmt::Write as _;

use super::escape;
use crate::callback::EpochReport;

/// A line of a plot: name, class of its colour, points.
type Curve<'a> = (&'a str, &'a str, Vec<(f64, f64)>);

/// Below this share of the height for all but the highest tenth of its values a plot is flattened.
const FLAT: f64 = 0.25;
/// From this share on a logarithmic axis helps; else what is too high is cut off.
const HELPED: f64 = 0.15;

/// How values become heights.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Scale {
    Linear,
    Logarithmic,
    /// Linear up to a value.
    Cut(f64),
}

pub(super) fn curves(html: &mut String, history: &[EpochReport], best: u64) {
    let line = |value: fn(&EpochReport) -> Option<f64>| -> Vec<(f64, f64)> {
        history.iter().filter_map(|report| Some((report.epoch as f64, value(report)?))).collect()
    };
    html.push_str("<h2>Curves</h2><div class=\"plots\">");
    let loss = [("training", "a", line(|r| Some(r.loss))), ("validation", "b", line(|r| r.validation_loss))];
    let accuracy =
        [("training", "a", line(|r| Some(r.accuracy))), ("validation", "b", line(|r| r.validation_top1))];
    plot(html, "loss", &loss, Some(best));
    plot(html, "accuracy, %", &accuracy, Some(best));
    plot(html, "learning rate", &[("", "c", line(|r| Some(r.rate)))], None);
    html.push_str("</div>");
    _ = write!(
        html,
        "<p>Best epoch: {best}. Training figures are on changed pictures and, for the loss, softened labels; \
         validation figures are on the pictures as they are.</p>"
    );
}

impl Scale {
    /// The scale on which a few high values do not press all others to the bottom.
    fn of(values: &[f64]) -> Scale {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let [low, .., high] = sorted[..] else { return Scale::Linear };
        let rest = sorted[sorted.len() - 1 - sorted.len().div_ceil(10)];
        if sorted.len() < 4 || rest <= low || rest - low >= FLAT * (high - low) {
            Scale::Linear
        } else if low > 0.0 && (rest / low).ln() >= HELPED * (high / low).ln() {
            Scale::Logarithmic
        } else {
            Scale::Cut(rest + FLAT * (rest - low))
        }
    }
}

fn plot(html: &mut String, title: &str, curves: &[Curve<'_>], best: Option<u64>) {
    const SIZE: [f64; 2] = [320.0, 210.0];
    const MARGIN: [f64; 4] = [46.0, 10.0, 24.0, 34.0];
    let points = || curves.iter().flat_map(|(_, _, points)| points).filter(|(_, y)| y.is_finite());
    let bounds = |of: fn(&(f64, f64)) -> f64| {
        let low = points().map(of).fold(f64::INFINITY, f64::min);
        let high = points().map(of).fold(f64::NEG_INFINITY, f64::max);
        (low, high)
    };
    if points().next().is_none() {
        return;
    }
    let ((left, right), (low, high)) = (bounds(|p| p.0), bounds(|p| p.1));
    let kind = Scale::of(&points().map(|p| p.1).collect::<Vec<_>>());
    let (highest, high) = if let Scale::Cut(cut) = kind { (high, cut) } else { (high, high) };
    let is_log = kind == Scale::Logarithmic;
    let scale = |value: f64| if is_log { value.ln() } else { value.min(high) };
    let share = |value: f64, low: f64, high: f64| if low < high { (value - low) / (high - low) } else { 0.5 };
    let [bottom, top] = [SIZE[1] - MARGIN[3], MARGIN[2]];
    let x = |value: f64| MARGIN[0] + share(value, left, right) * (SIZE[0] - MARGIN[0] - MARGIN[1]);
    let y = |value: f64| bottom - share(scale(value), scale(low), scale(high)) * (bottom - top);
    let marks = |marks: &[f64]| {
        let mut marks = marks.to_vec();
        marks.dedup();
        marks
    };
    let title = match kind {
        Scale::Linear => title.to_owned(),
        Scale::Logarithmic => format!("{title} (logarithmic)"),
        Scale::Cut(_) => format!("{title} (up to {}, cut off)", short(highest, highest)),
    };
    _ = write!(
        html,
        "<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">",
        SIZE[0],
        SIZE[1],
        escape(&title)
    );
    _ = write!(html, "<text class=\"t\" x=\"6\" y=\"14\">{}</text>", escape(&title));
    let middle = if is_log { (low * high).sqrt() } else { (low + high) / 2.0 };
    for value in marks(&[low, middle, high]) {
        let (at, right) = (y(value), SIZE[0] - MARGIN[1]);
        let range = if is_log { value } else { high - low };
        _ = write!(html, "<path class=\"grid\" d=\"M{} {at:.1}H{right}\"/>", MARGIN[0]);
        _ = write!(html, "<text x=\"2\" y=\"{:.1}\">{}</text>", at + 4.0, short(value, range));
    }
    for value in marks(&[left, right]) {
        let at = bottom + 14.0;
        _ = write!(html, "<text class=\"mid\" x=\"{:.1}\" y=\"{at}\">{value:.0}</text>", x(value));
    }
    let centre = (MARGIN[0] + SIZE[0] - MARGIN[1]) / 2.0;
    _ = write!(html, "<text class=\"mid\" x=\"{centre}\" y=\"{}\">epoch</text>", SIZE[1] - 6.0);
    if let Some(best) = best.map(|best| best as f64).filter(|best| (left..=right).contains(best)) {
        let at = x(best);
        let side = if at > centre { "end" } else { "start" };
        let text = if at > centre { at - 4.0 } else { at + 4.0 };
        _ = write!(html, "<path class=\"best\" d=\"M{at:.1} {top}V{bottom}\"/>");
        // Beside the end of a rising curve there is room below, and above that of a falling one.
        let ends = curves.last().and_then(|(_, _, points)| Some((points.first()?.1, points.last()?.1)));
        let is_rising = ends.is_some_and(|(first, last)| first < last);
        let height = if is_rising { bottom - 6.0 } else { top + 10.0 };
        _ = write!(html, "<text class=\"{side}\" x=\"{text:.1}\" y=\"{height}\">best</text>");
    }
    for (number, (name, colour, points)) in curves.iter().enumerate() {
        let path: Vec<String> = points
            .iter()
            .filter(|(_, y)| y.is_finite())
            .map(|&(epoch, value)| format!("{:.1} {:.1}", x(epoch), y(value)))
            .collect();
        if let [point] = &path[..] {
            let (x, y) = point.split_once(' ').unwrap_or_default();
            _ = write!(html, "<circle class=\"{colour}\" cx=\"{x}\" cy=\"{y}\" r=\"3\"/>");
        } else if !path.is_empty() {
            _ = write!(html, "<path class=\"line {colour}\" d=\"M{}\"/>", path.join("L"));
        }
        let at = SIZE[0] - 124.0 + 56.0 * number as f64;
        if !path.is_empty() {
            _ = write!(html, "<text class=\"{colour}\" x=\"{at}\" y=\"14\">{}</text>", escape(name));
        }
    }
    html.push_str("</svg>");
}

/// A number in seven characters or so, told apart from others at half of `range`, which may be 0.
fn short(value: f64, range: f64) -> String {
    let range = if range > 0.0 { range } else { value.abs() };
    match value.abs().max(range) {
        0.0 => "0".into(),
        size if !(0.01..1e7).contains(&size) => format!("{value:.1e}"),
        _ => format!("{value:.*}", (1.0 - range.log10()).ceil().clamp(0.0, 5.0) as usize),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_tell_close_values_apart_and_stay_at_a_constant() {
        let labels = |values: &[f64]| {
            let points = values.iter().enumerate().map(|(i, &value)| (i as f64 + 1.0, value)).collect();
            let mut html = String::new();
            plot(&mut html, "loss", &[("", "a", points)], None);
            let texts = html.split("<text x=\"2\"").skip(1);
            let text = |part: &str| part[part.find('>').unwrap() + 1..part.find('<').unwrap()].to_owned();
            texts.map(text).collect::<Vec<_>>()
        };
        assert_eq!(labels(&[1.3906, 1.3851]), ["1.3851", "1.3879", "1.3906"]);
        assert_eq!(labels(&[0.0, 100.0, 50.0]), ["0", "50", "100"]);
        assert_eq!(labels(&[0.1, 0.01]), ["0.010", "0.055", "0.100"]);
        assert_eq!(labels(&[1e-5, 5e-3]), ["1.0e-5", "2.5e-3", "5.0e-3"]);
        assert_eq!(labels(&[0.0097]), ["9.7e-3"]);
        assert_eq!(labels(&[0.02, 0.02, f64::NAN]), ["0.020"]);
        assert_eq!(labels(&[0.0, 0.0]), ["0"]);
        assert_eq!(labels(&[0.0, 3e38]), ["0.0e0", "1.5e38", "3.0e38"]);
    }

    #[test]
    fn one_spike_does_not_flatten_a_curve_and_a_usual_fall_stays_as_it_is() {
        assert_eq!(Scale::of(&[0.5, 0.4, 5.0, 0.3, 0.2]), Scale::Logarithmic);
        assert_eq!(Scale::of(&[2.3, 1.0, 0.5, 0.3, 0.2]), Scale::Linear);
        assert_eq!(Scale::of(&[0.0, 0.1, 0.2, 9.0]), Scale::Cut(0.25));
        for few in [&[1.0, 1.0, 1.0, 9.0][..], &[1.0, 9.0], &[]] {
            assert_eq!(Scale::of(few), Scale::Linear);
        }
        let points = [3.9, 3.6, 90.0, 3.4, 3.5].iter().zip(1..).map(|(&y, x)| (f64::from(x), y)).collect();
        let mut html = String::new();
        plot(&mut html, "loss", &[("training", "a", points)], Some(4));
        for part in ["loss (up to 90, cut off)", ">epoch<", ">best<", "class=\"best\"", ">4.0"] {
            assert!(html.contains(part), "{part}: {html}");
        }
    }
}
