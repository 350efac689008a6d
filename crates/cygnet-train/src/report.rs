//! The report of a run: one HTML file that needs nothing else.

use std::fmt::Write as _;

use base64::Engine as _;
use cygnet_image::{Image, Interpolation, Photos};

use crate::callback::EpochReport;
use crate::metrics::{Metrics, Verdict};
use crate::recipe::Recipe;
use crate::trainer::Outcome;

/// Side of a thumbnail's longer side in pixels.
const THUMBNAIL: usize = 96;
/// Pairs of confused classes with pictures, pictures of each, and worst mistakes.
const PAIRS: usize = 8;
const OF_A_PAIR: usize = 4;
const WORST: usize = 16;
/// The most classes whose confusion matrix is drawn.
const MATRIX: usize = 40;

/// A figure and what it is, for the head of the report.
pub type Fact = (String, String);

/// The report of a run: `facts` such as the network's size and latency on top, then curves, confusion, mistakes with
/// pictures, and precision and recall of every class. `photos` are the pictures that `outcome.verdicts` are about.
#[must_use]
pub fn report(title: &str, facts: &[Fact], outcome: &Outcome, photos: &Photos) -> String {
    let labels = &outcome.record.labels;
    let mut html = String::new();
    let title = escape(title);
    _ = write!(
        html,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>{STYLE}"
    );
    _ = write!(html, "</head><body><h1>{title}</h1><table class=\"facts\">");
    for (name, value) in facts {
        _ = write!(html, "<tr><th>{}</th><td>{}</td></tr>", escape(name), escape(value));
    }
    html.push_str("</table>");
    curves(&mut html, &outcome.history, outcome.best);
    if !outcome.verdicts.is_empty() {
        let metrics = Metrics::of(&outcome.verdicts, labels.len());
        confusion(&mut html, &metrics, labels);
        mistakes(&mut html, &metrics, outcome, photos);
        classes(&mut html, &metrics, labels);
    }
    let recipe = outcome.record.recipe.clone().map(serde_json::from_value::<Recipe>);
    if let Some(Ok(recipe)) = recipe {
        _ = write!(
            html,
            "<h2>Recipe</h2><details><summary>Every setting</summary><pre>{}</pre></details>",
            escape(&recipe.to_toml())
        );
    }
    html.push_str("</body></html>\n");
    html
}

const STYLE: &str = "<style>\
:root{color-scheme:light dark}body{font:15px/1.45 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2.2rem}table{border-collapse:collapse}\
th,td{padding:.15rem .7rem .15rem 0;text-align:left}td.n{text-align:right;font-variant-numeric:tabular-nums}\
.plots{display:flex;flex-wrap:wrap;gap:1rem}svg{background:#8881;border-radius:4px}svg text{font:11px system-ui;fill:#888}\
.m td{padding:.2rem .35rem;text-align:center;font-size:12px;border:1px solid #8883}.m th{font-size:12px;font-weight:normal}\
.m thead th{writing-mode:vertical-rl;padding:.3rem 0}.row{display:flex;flex-wrap:wrap;gap:.7rem}\
figure{margin:0;width:6.5rem}figure img{max-width:6rem;max-height:6rem;image-rendering:auto;display:block}\
figcaption{font-size:11px;line-height:1.25;overflow-wrap:anywhere}pre{font-size:12px}</style>";

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A line of a plot: name, colour, points.
type Curve<'a> = (&'a str, &'a str, Vec<(f64, f64)>);

fn curves(html: &mut String, history: &[EpochReport], best: u64) {
    let line = |value: fn(&EpochReport) -> Option<f64>| -> Vec<(f64, f64)> {
        history.iter().filter_map(|report| Some((report.epoch as f64, value(report)?))).collect()
    };
    html.push_str("<h2>Curves</h2><div class=\"plots\">");
    let loss = [
        ("training", "#1f77b4", line(|r| Some(r.loss))),
        ("validation", "#d62728", line(|r| r.validation_loss)),
    ];
    let accuracy = [
        ("training", "#1f77b4", line(|r| Some(r.accuracy))),
        ("validation", "#d62728", line(|r| r.validation_top1)),
    ];
    plot(html, "loss", &loss);
    plot(html, "accuracy, %", &accuracy);
    plot(html, "learning rate", &[("", "#2ca02c", line(|r| Some(r.rate)))]);
    html.push_str("</div>");
    _ = write!(
        html,
        "<p>Best epoch: {best}. Training figures are on changed pictures and, for the loss, softened labels; \
         validation figures are on the pictures as they are.</p>"
    );
}

fn plot(html: &mut String, title: &str, curves: &[Curve<'_>]) {
    const SIZE: [f64; 2] = [300.0, 190.0];
    const MARGIN: [f64; 4] = [42.0, 8.0, 22.0, 22.0];
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
    let share = |value: f64, low: f64, high: f64| if low < high { (value - low) / (high - low) } else { 0.5 };
    let x = |value: f64| MARGIN[0] + share(value, left, right) * (SIZE[0] - MARGIN[0] - MARGIN[1]);
    let y = |value: f64| SIZE[1] - MARGIN[3] - share(value, low, high) * (SIZE[1] - MARGIN[2] - MARGIN[3]);
    let marks = |marks: &[f64]| {
        let mut marks = marks.to_vec();
        marks.dedup();
        marks
    };
    _ = write!(
        html,
        "<svg viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\" role=\"img\">",
        SIZE[0], SIZE[1]
    );
    _ = write!(html, "<text x=\"{}\" y=\"14\">{}</text>", MARGIN[0], escape(title));
    for value in marks(&[low, (low + high) / 2.0, high]) {
        let (at, right) = (y(value), SIZE[0] - MARGIN[1]);
        _ = write!(html, "<path d=\"M{} {at:.1}H{right}\" stroke=\"#8884\"/>", MARGIN[0]);
        _ = write!(html, "<text x=\"2\" y=\"{:.1}\">{}</text>", at + 4.0, short(value, high - low));
    }
    for value in marks(&[left, right]) {
        _ = write!(html, "<text x=\"{:.1}\" y=\"{}\">{value:.0}</text>", x(value) - 6.0, SIZE[1] - 6.0);
    }
    for (number, (name, colour, points)) in curves.iter().enumerate() {
        let path: Vec<String> = points
            .iter()
            .filter(|(_, y)| y.is_finite())
            .map(|&(epoch, value)| format!("{:.1} {:.1}", x(epoch), y(value)))
            .collect();
        if let [point] = &path[..] {
            let (x, y) = point.split_once(' ').unwrap_or_default();
            _ = write!(html, "<circle cx=\"{x}\" cy=\"{y}\" r=\"3\" fill=\"{colour}\"/>");
        }
        _ = write!(
            html,
            "<path d=\"M{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.8\"/>",
            path.join("L")
        );
        let at = SIZE[0] - 150.0 + 75.0 * number as f64;
        _ = write!(html, "<text x=\"{at}\" y=\"14\" style=\"fill:{colour}\">{}</text>", escape(name));
    }
    html.push_str("</svg>");
}

/// A number in seven characters or so, told apart from others at half of `range`, which may be 0.
fn short(value: f64, range: f64) -> String {
    let range = if range > 0.0 { range } else { value.abs() };
    match value.abs().max(range) {
        0.0 => "0".into(),
        size if size < 0.01 => format!("{value:.1e}"),
        _ => format!("{value:.*}", (1.0 - range.log10()).ceil().clamp(0.0, 5.0) as usize),
    }
}

fn confusion(html: &mut String, metrics: &Metrics, labels: &[String]) {
    _ = write!(
        html,
        "<h2>Confusion matrix</h2><p>Rows are right, columns are guessed. Over {} pictures {}, calibration error {:.2} \
         %.</p>",
        metrics.images,
        metrics.accuracy(),
        metrics.calibration_error
    );
    if labels.len() > MATRIX {
        _ = write!(html, "<p>Not drawn for {} classes; the pairs below say most of it.</p>", labels.len());
        return;
    }
    html.push_str("<table class=\"m\"><thead><tr><th></th>");
    labels.iter().for_each(|label| _ = write!(html, "<th>{}</th>", escape(label)));
    html.push_str("</tr></thead>");
    for (class, row) in metrics.confusion.iter().enumerate() {
        let own: u32 = row.iter().sum();
        _ = write!(html, "<tr><th>{}</th>", escape(&labels[class]));
        for (guess, &count) in row.iter().enumerate() {
            let share = if own == 0 { 0.0 } else { f64::from(count) / f64::from(own) };
            let colour = if class == guess { "44,160,44" } else { "214,39,40" };
            let text = if count == 0 { String::new() } else { count.to_string() };
            _ = write!(html, "<td style=\"background:rgba({colour},{share:.2})\">{text}</td>");
        }
        html.push_str("</tr>");
    }
    html.push_str("</table>");
}

fn mistakes(html: &mut String, metrics: &Metrics, outcome: &Outcome, photos: &Photos) {
    let labels = &outcome.record.labels;
    let mut wrong: Vec<(usize, &Verdict)> =
        outcome.verdicts.iter().enumerate().filter(|(_, verdict)| verdict.guess != verdict.class).collect();
    wrong.sort_by(|a, b| b.1.confidence.total_cmp(&a.1.confidence).then(a.0.cmp(&b.0)));
    if wrong.is_empty() {
        html.push_str("<h2>Mistakes</h2><p>None on the validation pictures.</p>");
        return;
    }
    html.push_str("<h2>Most confused pairs</h2>");
    for (class, guess, count) in metrics.confused(PAIRS) {
        let (right, guessed) = (escape(&labels[class]), escape(&labels[guess]));
        let of = metrics.classes[class].images;
        _ = write!(html, "<h3>{right} taken for {guessed}: {count} of {of}</h3><div class=\"row\">");
        let pair = wrong.iter().filter(|(_, verdict)| (verdict.class, verdict.guess) == (class, guess));
        pair.take(OF_A_PAIR).for_each(|(index, verdict)| figure(html, photos, *index, verdict, labels));
        html.push_str("</div>");
    }
    html.push_str("<h2>Worst mistakes</h2><p>The surest wrong answers.</p><div class=\"row\">");
    wrong.iter().take(WORST).for_each(|(index, verdict)| figure(html, photos, *index, verdict, labels));
    html.push_str("</div>");
}

fn figure(html: &mut String, photos: &Photos, index: usize, verdict: &Verdict, labels: &[String]) {
    let name = &photos.samples()[index].name;
    let thumbnail = photos.get(index).ok().and_then(|image| thumbnail(&image));
    _ = write!(html, "<figure title=\"{}\">", escape(name));
    if let Some(data) = thumbnail {
        _ = write!(html, "<img alt=\"\" src=\"data:image/png;base64,{data}\">");
    }
    _ = write!(
        html,
        "<figcaption>is {}, guessed {} ({:.0} %)</figcaption></figure>",
        escape(&labels[verdict.class]),
        escape(&labels[verdict.guess]),
        100.0 * verdict.confidence
    );
}

fn thumbnail(image: &Image) -> Option<String> {
    let longer = image.width.max(image.height);
    let scaled = |side: usize| (side * THUMBNAIL / longer).max(1);
    let small = if longer > THUMBNAIL {
        image.resized(scaled(image.width), scaled(image.height), Interpolation::Bilinear).ok()?
    } else {
        image.clone()
    };
    Some(base64::engine::general_purpose::STANDARD.encode(small.to_png().ok()?))
}

fn classes(html: &mut String, metrics: &Metrics, labels: &[String]) {
    html.push_str("<h2>Classes</h2><table><tr><th>class</th><th>pictures</th><th>precision, %</th><th>recall, %</th></tr>");
    let mut order: Vec<usize> = (0..labels.len()).collect();
    order.sort_by(|&a, &b| metrics.classes[a].recall.total_cmp(&metrics.classes[b].recall).then(a.cmp(&b)));
    for class in order {
        let of = &metrics.classes[class];
        _ = write!(
            html,
            "<tr><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{:.1}</td><td class=\"n\">{:.1}</td></tr>",
            escape(&labels[class]),
            of.images,
            of.precision,
            of.recall
        );
    }
    html.push_str("</table>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_tell_close_values_apart_and_stay_at_a_constant() {
        let labels = |values: &[f64]| {
            let points = values.iter().enumerate().map(|(i, &value)| (i as f64 + 1.0, value)).collect();
            let mut html = String::new();
            plot(&mut html, "loss", &[("", "#000", points)]);
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
    }
}
