//! Pictures of a report: mistakes, and what the network saw while it learnt.

use std::collections::HashSet;
use std::fmt::Write as _;

use base64::Engine as _;
use cygnet_image::{Image, Interpolation, Photos, Preprocess, Rng};

use super::escape;
use crate::metrics::{Metrics, Verdict};
use crate::recipe::{Recipe, Trained};
use crate::trainer::Outcome;

/// Longer side of a picture in the page, in pixels.
const THUMBNAIL: usize = 128;
/// Pairs of confused classes with pictures, pictures of each, and other mistakes.
const PAIRS: usize = 8;
const OF_A_PAIR: usize = 4;
const WORST: usize = 16;
/// Changed pictures.
const CHANGED: usize = 12;

/// Mistakes with their pictures, none of them twice.
pub(super) fn mistakes(html: &mut String, metrics: &Metrics, outcome: &Outcome, photos: &Photos) {
    let labels = &outcome.record.labels;
    let mut wrong: Vec<(usize, &Verdict)> =
        outcome.verdicts.iter().enumerate().filter(|(_, verdict)| verdict.guess != verdict.class).collect();
    wrong.sort_by(|a, b| b.1.confidence.total_cmp(&a.1.confidence).then(a.0.cmp(&b.0)));
    if wrong.is_empty() {
        html.push_str("<h2>Mistakes</h2><p>None on the validation pictures.</p>");
        return;
    }
    let mut shown = HashSet::new();
    html.push_str("<h2>Most confused pairs</h2><div class=\"pairs\">");
    for (class, guess, count) in metrics.confused(PAIRS) {
        let (right, guessed) = (escape(&labels[class]), escape(&labels[guess]));
        let of = metrics.classes[class].images;
        _ = write!(html, "<section><h3>{right} taken for {guessed}: {count} of {of}</h3><div class=\"row\">");
        let pair = wrong.iter().filter(|(_, verdict)| (verdict.class, verdict.guess) == (class, guess));
        for (index, verdict) in pair.take(OF_A_PAIR) {
            shown.insert(*index);
            mistake(html, photos, *index, verdict, labels);
        }
        html.push_str("</div></section>");
    }
    html.push_str("</div>");
    wrong.retain(|(index, _)| !shown.contains(index));
    if !wrong.is_empty() {
        html.push_str(
            "<h2>Other mistakes</h2><p>The surest of the other wrong answers.</p><div class=\"row\">",
        );
        wrong.iter().take(WORST).for_each(|(index, verdict)| mistake(html, photos, *index, verdict, labels));
        html.push_str("</div>");
    }
}

fn mistake(html: &mut String, photos: &Photos, index: usize, verdict: &Verdict, labels: &[String]) {
    let caption = format!(
        "is {}, guessed {} ({:.0} %)",
        labels[verdict.class],
        labels[verdict.guess],
        100.0 * verdict.confidence
    );
    let photo = photos.get(index).ok();
    figure(html, &photos.samples()[index].name, photo.as_deref(), &caption);
}

/// Some pictures as the network sees them while it learns.
pub(super) fn changed(
    html: &mut String,
    photos: &Photos,
    recipe: &Recipe,
    preprocess: &Preprocess,
    labels: &[String],
) {
    let count = photos.samples().len();
    if recipe.train == Trained::Head || count == 0 {
        return;
    }
    html.push_str("<h2>Pictures as they are learnt from</h2><p>Cut out and changed at random by the recipe");
    if recipe.mix.mixup > 0.0 || recipe.mix.cutmix > 0.0 || recipe.augment.erase > 0.0 {
        html.push_str(", before they are mixed or parts of them erased");
    }
    html.push_str(".</p><div class=\"row\">");
    for place in 0..CHANGED.min(count) {
        let index = place * count / CHANGED.min(count);
        let sample = &photos.samples()[index];
        let mut rng = Rng::keyed(&[recipe.seed, 0, 0, place as u64]);
        let picture =
            photos.get(index).and_then(|photo| recipe.augment.apply(&photo, preprocess, &mut rng)).ok();
        figure(html, &sample.name, picture.as_ref(), labels.get(sample.class).map_or("", String::as_str));
    }
    html.push_str("</div>");
}

fn figure(html: &mut String, name: &str, image: Option<&Image>, caption: &str) {
    _ = write!(html, "<figure title=\"{}\">", escape(name));
    if let Some(image) = image
        && let Some(data) = thumbnail(image)
    {
        // Single pixels of a small picture are to be seen.
        let class = if image.width.max(image.height) < THUMBNAIL { " class=\"small\"" } else { "" };
        _ = write!(html, "<img alt=\"\"{class} src=\"data:image/png;base64,{data}\">");
    }
    _ = write!(html, "<figcaption>{}</figcaption></figure>", escape(caption));
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
