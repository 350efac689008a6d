//! The report of a quantised model: one HTML file that needs nothing else.

use std::fmt::Write as _;
use std::io::Write as _;
use std::ops::Range;
use std::path::Path;

use cygnet_files::{write_new, write_whole};
use cygnet_train::{Fact, page};

use super::photos::LEFT_OUT;
use super::{Distribution, LayerNoise, Quantized};
use crate::Error;

/// Most layers whose sensitivity has a bar.
const BARS: usize = 40;

impl Quantized {
    /// Writes the [report](Quantized::page), in the place of a file only if it may be replaced.
    ///
    /// # Errors
    /// If it cannot be written; the source is of the kind [`std::io::ErrorKind::AlreadyExists`] if something has the name that may
    /// not be replaced.
    pub fn write_page(&self, path: &Path, made: &[Fact], may_replace: bool) -> Result<(), Error> {
        let page = self.page(made);
        let write = |file: &mut std::fs::File| file.write_all(page.as_bytes());
        let written = if may_replace { write_whole(path, write) } else { write_new(path, write) };
        written.map_err(|source| Error::Write { path: path.into(), source })
    }

    /// The report: what it was and is, what its user should know, how sensitive layers are, and where the numbers of the most
    /// sensitive ones lie on their grids. `made` says how it was made.
    #[must_use]
    pub fn page(&self, made: &[Fact]) -> String {
        let Quantized { model, report, notes, distributions } = self;
        let mut html = page::begin(&format!("{} in {}", model.id, report.precision.name()));
        let header = page::escape(&report.judged_on());
        _ = write!(
            html,
            "<table class=\"facts\"><tr><th>on {header}</th><td class=\"n\">before</td><td class=\"n\">now</td></tr>"
        );
        for [name, before, now] in
            report.rows().iter().map(|row| row.each_ref().map(|cell| page::escape(cell)))
        {
            _ = write!(
                html,
                "<tr><th>{name}</th><td class=\"n\">{before}</td><td class=\"n\">{now}</td></tr>"
            );
        }
        html.push_str("</table>");
        for note in notes {
            _ = write!(html, "<p>{}</p>", page::escape(&sentence(note)));
        }
        let worst = report.worst();
        if let Some(most) = worst.first().map(|layer| layer.noise) {
            html.push_str("<h2>Sensitive layers</h2>");
            let first = if worst.len() > BARS {
                format!(" The first {BARS} of {}.", worst.len())
            } else {
                String::new()
            };
            _ = write!(
                html,
                "<p>What rounding one layer alone, with its input, does to the answers: mean square of the change, as a share of \
                 the answers’ variance. Layers that compute with something else now say so.{first}</p>"
            );
            let bar = |layer: &&LayerNoise| {
                let is_kept = layer.precision != report.precision.name();
                let kept = if is_kept { format!(", {}", layer.precision) } else { String::new() };
                (layer.layer.clone(), layer.noise / most, format!("{:.4} %{kept}", 100.0 * layer.noise))
            };
            page::bars(&mut html, worst.iter().take(BARS).map(bar));
        }
        if !distributions.is_empty() {
            html.push_str(
                "<h2>Numbers of the most sensitive layers</h2><p>How many inputs and weights fall on each step of their grids; \
                 heights are square roots of shares, so that rare ones are seen. Inputs beyond 0 and 255 are cut off. A grid of \
                 which few steps are used is wide for the sake of rare numbers, or because the layer’s weights got finer steps by it.</p><div class=\"plots\">",
            );
            for Distribution { path, zero, inputs, weights } in distributions {
                let marks = [0, i32::from(*zero), 255];
                histogram(&mut html, &format!("{path}: inputs"), inputs, Distribution::INPUTS, &marks);
                let marks = [-127, 0, 127];
                histogram(&mut html, &format!("{path}: weights"), weights, Distribution::WEIGHTS, &marks);
            }
            html.push_str("</div>");
        }
        html.push_str("<h2>How it was made</h2>");
        page::facts(&mut html, made);
        html.push_str(page::END);
        html
    }
}

/// A note with a capital and a full stop, unless it begins with the name of a photo.
fn sentence(note: &str) -> String {
    let mut letters = note.chars();
    match letters.next() {
        Some(first) if !note.contains(LEFT_OUT) => {
            format!("{}{}.", first.to_uppercase(), letters.as_str())
        }
        _ => note.to_owned(),
    }
}

/// Shares of numbers in bins of a range, the part of them beyond the first and the last mark in another colour.
fn histogram(html: &mut String, title: &str, shares: &[f64], range: Range<i32>, marks: &[i32]) {
    const SIZE: [f64; 2] = [320.0, 130.0];
    const SIDE: f64 = 14.0;
    const TOP: f64 = 22.0;
    const BOTTOM: f64 = 112.0;
    let title = page::escape(title);
    _ = write!(
        html,
        "<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{title}\"><text class=\"t\" x=\"6\" y=\"14\">{title}</text>",
        SIZE[0], SIZE[1]
    );
    let length = f64::from(range.end - range.start);
    let x = |step: f64| SIDE + (step - f64::from(range.start)) / length * (SIZE[0] - 2.0 * SIDE);
    let most = shares.iter().copied().fold(0.0, f64::max);
    let [first, last] = [marks.first(), marks.last()].map(|mark| mark.copied().unwrap_or_default());
    let mut bars = [String::new(), String::new()];
    for (bin, &share) in shares.iter().enumerate().filter(|(_, share)| **share > 0.0) {
        let start = f64::from(range.start) + Distribution::STEPS as f64 * bin as f64;
        let is_cut = start + f64::from(Distribution::STEPS) <= f64::from(first) || start > f64::from(last);
        let height = (share / most).sqrt() * (BOTTOM - TOP);
        let [from, to] = [x(start), x(start + f64::from(Distribution::STEPS))];
        _ = write!(bars[usize::from(is_cut)], "M{from:.1} {BOTTOM}v-{height:.1}H{to:.1}V{BOTTOM}z");
    }
    for (class, bars) in ["a", "b"].iter().zip(&bars).filter(|(_, bars)| !bars.is_empty()) {
        _ = write!(html, "<path class=\"bar {class}\" d=\"{bars}\"/>");
    }
    _ = write!(html, "<path class=\"grid\" d=\"M{SIDE} {BOTTOM}H{}\"/>", SIZE[0] - SIDE);
    let mut seen = Vec::new();
    for &mark in marks {
        // Numbers that would stand on each other are left out.
        let at = x(f64::from(mark));
        if seen.iter().any(|other: &f64| (other - at).abs() < 24.0) {
            continue;
        }
        seen.push(at);
        _ = write!(html, "<path class=\"grid\" d=\"M{at:.1} {TOP}V{BOTTOM}\"/>");
        _ = write!(html, "<text class=\"mid\" x=\"{at:.1}\" y=\"{}\">{mark}</text>", BOTTOM + 14.0);
    }
    html.push_str("</svg>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_off_has_another_colour() {
        let mut html = String::new();
        let mut shares = vec![0.0; 96];
        (shares[0], shares[16], shares[79], shares[80]) = (0.1, 0.5, 0.3, 0.1);
        histogram(&mut html, "a<b", &shares, Distribution::INPUTS, &[0, 3, 255]);
        let bars = |class: &str| {
            let path = html.split(&format!("class=\"bar {class}\" d=\"")).nth(1).unwrap_or_default();
            path.split('"').next().unwrap_or_default().matches('M').count()
        };
        assert_eq!([bars("a"), bars("b")], [2, 2], "{html}");
        assert!(html.contains("a&lt;b") && html.contains(">255<") && !html.contains(">3<"), "{html}");
    }

    #[test]
    fn notes_are_sentences() {
        assert_eq!(sentence("more photos tell more"), "More photos tell more.");
        assert_eq!(sentence("b.jpg: left out: broken"), "b.jpg: left out: broken");
        assert_eq!(sentence("labels are not used: a/b: none"), "Labels are not used: a/b: none.");
    }
}
