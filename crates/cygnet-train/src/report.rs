//! The report of a run: one HTML file that needs nothing else.

pub mod page;
mod pictures;
mod plot;

use std::fmt::Write as _;
use std::path::Path;

pub use page::Fact;
use page::{bars, escape, facts};

use crate::data::TrainData;
use crate::metrics::Metrics;
use crate::recipe::Recipe;
use crate::trainer::Outcome;

/// The most classes whose confusion matrix is drawn.
const MATRIX: usize = 40;
/// The most classes whose pictures are counted in bars; of more, as many of the largest and of the smallest.
const BARS: usize = 60;

/// What a report says beside the outcome of its run.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    /// Its title.
    pub title: &'a str,
    /// The network's size, latency, accuracy and so on, for the head.
    pub facts: &'a [Fact],
    /// Date, version, command and so on.
    pub made: &'a [Fact],
    /// The model file, for commands that use it.
    pub model: &'a Path,
}

/// The report of a run: facts on top, how to use the model, then curves, pictures of each class, confusion, mistakes with
/// pictures, precision and recall of every class, and a sample of changed pictures. `data` is what the run was made on.
#[must_use]
pub fn report(page: &Page<'_>, outcome: &Outcome, data: &TrainData) -> String {
    let labels = &outcome.record.labels;
    let mut html = page::begin(page.title);
    facts(&mut html, page.facts);
    usage(&mut html, page.model);
    plot::curves(&mut html, &outcome.history, outcome.best);
    if let Some(training) = &outcome.record.training {
        balance(&mut html, &training.class_pictures, labels);
    }
    if !outcome.verdicts.is_empty() {
        let metrics = Metrics::of(&outcome.verdicts, labels.len());
        confusion(&mut html, &metrics, labels);
        pictures::mistakes(&mut html, &metrics, outcome, &data.validation);
        classes(&mut html, &metrics, labels);
    }
    let recipe = outcome.record.recipe.clone().map(serde_json::from_value::<Recipe>);
    if let Some(Ok(recipe)) = &recipe {
        pictures::changed(&mut html, &data.train, recipe, &outcome.model.preprocess, labels);
    }
    html.push_str("<h2>How it was made</h2>");
    facts(&mut html, page.made);
    if let Some(Ok(recipe)) = recipe {
        _ = write!(
            html,
            "<details><summary>Every setting of the recipe</summary><pre>{}</pre></details>",
            escape(&recipe.to_toml())
        );
    }
    html.push_str(page::END);
    html
}

/// Commands that use the model; a click selects one.
fn usage(html: &mut String, model: &Path) {
    let model = shell_word(&model.display().to_string());
    html.push_str("<h2>Use this model</h2>");
    for (what, command) in [
        ("Name what is in photos", format!("cygnet classify --model {model} photo.jpg")),
        ("Measure it on other labelled photos", format!("cygnet eval --model {model} photos/")),
        ("Train it further", format!("cygnet train photos/ --from {model}")),
    ] {
        _ = write!(html, "{what}:<pre class=\"copy\">{}</pre>", escape(&command));
    }
}

/// `text` as a shell takes it for one word.
#[must_use]
pub fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:=,+@%".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.into();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// How many pictures of each class were learnt from.
fn balance(html: &mut String, counts: &[usize], labels: &[String]) {
    let most = counts.iter().copied().max().unwrap_or(0).max(1);
    let mut order: Vec<usize> = (0..labels.len().min(counts.len())).collect();
    order.sort_by_key(|&class| (std::cmp::Reverse(counts[class]), class));
    html.push_str("<h2>Pictures learnt from</h2>");
    if order.len() > BARS {
        _ = write!(
            html,
            "<p>The {0} largest and the {0} smallest of {1} classes.</p>",
            BARS / 2,
            order.len()
        );
        order.drain(BARS / 2..order.len() - BARS / 2);
    }
    let share = |class: usize| counts[class] as f64 / most as f64;
    bars(
        html,
        order.into_iter().map(|class| (labels[class].clone(), share(class), counts[class].to_string())),
    );
}

fn confusion(html: &mut String, metrics: &Metrics, labels: &[String]) {
    _ = write!(
        html,
        "<h2>Confusion matrix</h2><p>Rows are right, columns are guessed. Over {} validation pictures {}, calibration error \
         {:.2} %.</p>",
        metrics.images,
        metrics.accuracy(),
        metrics.calibration_error
    );
    if labels.len() > MATRIX {
        _ = write!(html, "<p>Not drawn for {} classes; the pairs below say most of it.</p>", labels.len());
        return;
    }
    html.push_str("<div class=\"wide\"><table class=\"m\"><thead><tr><th></th>");
    let name = |label: &str| format!("<th title=\"{0}\"><span>{0}</span></th>", escape(label));
    labels.iter().for_each(|label| *html += &name(label));
    html.push_str("</tr></thead><tbody>");
    for (class, row) in metrics.confusion.iter().enumerate() {
        let own: u32 = row.iter().sum();
        _ = write!(html, "<tr>{}", name(&labels[class]));
        for (guess, &count) in row.iter().enumerate() {
            let share = if own == 0 { 0.0 } else { f64::from(count) / f64::from(own) };
            let colour = if class == guess { "44,160,44" } else { "214,39,40" };
            let text = if count == 0 { String::new() } else { count.to_string() };
            _ = write!(html, "<td style=\"background:rgba({colour},{share:.2})\">{text}</td>");
        }
        html.push_str("</tr>");
    }
    html.push_str("</tbody></table></div>");
}

fn classes(html: &mut String, metrics: &Metrics, labels: &[String]) {
    html.push_str("<h2>Accuracy of each class</h2><div class=\"wide\"><table class=\"classes\"><tr><th>class</th><th>pictures</th><th>precision, %</th><th>recall, %</th></tr>");
    let mut order: Vec<usize> = (0..labels.len()).collect();
    // Classes without pictures come last.
    let recall = |class: usize| metrics.classes[class].recall.unwrap_or(f64::INFINITY);
    order.sort_by(|&a, &b| recall(a).total_cmp(&recall(b)).then(a.cmp(&b)));
    let percent = |share: Option<f64>| share.map_or_else(|| "–".to_owned(), |share| format!("{share:.1}"));
    for class in order {
        let of = &metrics.classes[class];
        _ = write!(
            html,
            "<tr><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
            escape(&labels[class]),
            of.images,
            percent(of.precision),
            percent(of.recall)
        );
    }
    html.push_str("</table></div>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_are_one_word_for_a_shell() {
        assert_eq!(shell_word("a/b-2.safetensors"), "a/b-2.safetensors");
        assert_eq!(shell_word("my pet's.safetensors"), r"'my pet'\''s.safetensors'");
        assert_eq!(shell_word(""), "''");
    }

    #[test]
    fn of_very_many_classes_the_largest_and_smallest_are_counted() {
        let labels: Vec<String> = (0..100).map(|class| format!("class {class}")).collect();
        let mut html = String::new();
        balance(&mut html, &(1..=100).collect::<Vec<_>>(), &labels);
        assert!(html.contains("30 largest and the 30 smallest of 100 classes"));
        assert_eq!(html.matches("<i style").count(), 60);
        assert!(html.contains("class 99<") && html.contains("class 0<") && !html.contains("class 50<"));
    }
}
