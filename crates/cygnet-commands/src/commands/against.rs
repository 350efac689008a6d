use std::path::PathBuf;

use cygnet::image::collect_readable;
use cygnet::verify::{Against, Explanation, PhotoOutcome};
use serde::Serialize;

use crate::args::{Verify, wrong_usage};
use crate::output::{self, BAD, GOOD, STRONG, path_of, plain, styled};
use crate::progress;

/// What is told of two models after the photos.
#[derive(Serialize)]
struct Verdict<'a> {
    model: &'a str,
    against: &'a str,
    pass: bool,
    photos: usize,
    failed: usize,
    max_rel_diff: f64,
    same_top1: usize,
    #[serde(flatten)]
    explanation: Option<&'a Explanation>,
}

/// Holds a model against another over photos.
pub(crate) fn against(args: &Verify, other: &str) -> anyhow::Result<bool> {
    let [model] = &args.files[..] else {
        return Err(wrong_usage("with --against there is one argument, a model".into()));
    };
    let model = model.to_string_lossy();
    let photos = photos(args)?;
    let load = |name: &str| super::load(name, args.graph_limits);
    let pair = Against::new(load(&model)?, load(other)?)?.within(args.picture_limits.limits());
    let bar = progress::things(photos.len() as u64, "verifying", "photos");
    let mut outcomes: Vec<(&PathBuf, PhotoOutcome)> = Vec::new();
    let mut unread = 0;
    for path in &photos {
        let outcome = pair.photo(path);
        bar.inc(1);
        bar.suspend(|| match outcome {
            Ok(outcome) => {
                let printed = if args.json { output::json(&outcome) } else { print(&outcome) };
                outcomes.push((path, outcome));
                printed
            }
            Err(error) => {
                unread += 1;
                output::note(&format!("not compared: {error}"));
                Ok(())
            }
        })?;
    }
    bar.finish_and_clear();
    let order = |a: &&(&PathBuf, PhotoOutcome), b: &&(&PathBuf, PhotoOutcome)| {
        a.1.max_rel_diff.total_cmp(&b.1.max_rel_diff)
    };
    let Some((path, worst)) = outcomes.iter().max_by(order) else {
        anyhow::bail!("no photo could be read");
    };
    let failed = outcomes.iter().filter(|(_, outcome)| !outcome.pass).count();
    let explanation = pair.explain(path)?;
    let verdict = Verdict {
        model: &model,
        against: other,
        pass: failed == 0 && unread == 0,
        photos: outcomes.len(),
        failed,
        max_rel_diff: worst.max_rel_diff,
        same_top1: outcomes.iter().filter(|(_, outcome)| outcome.top1[0] == outcome.top1[1]).count(),
        explanation: Some(&explanation),
    };
    if args.json {
        output::json(&verdict)?;
    } else {
        conclude(&verdict, &pair, &explanation)?;
    }
    Ok(verdict.pass)
}

/// The photos that are asked for.
fn photos(args: &Verify) -> anyhow::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for path in args.photo.iter().chain(&args.data) {
        paths.extend(collect_readable(path, args.picture_limits.limits())?.images);
    }
    if paths.is_empty() {
        return Err(wrong_usage(
            "--against wants photos: give some with --photo, or a folder with --data".into(),
        ));
    }
    Ok(cygnet::spread(&paths, args.images as usize).cloned().collect())
}

/// Columns before the name of a photo.
const BEFORE_NAME: usize = 15;

fn print(outcome: &PhotoOutcome) -> std::io::Result<()> {
    let verdict = if outcome.pass { styled(GOOD, "pass") } else { styled(BAD, "FAIL") };
    let [ours, theirs] = &outcome.top1;
    let answers = if ours == theirs { ours.clone() } else { format!("{ours}, not {theirs}") };
    let answers = plain(&answers);
    let name = plain(&outcome.photo);
    let room = |columns: usize| columns.saturating_sub(BEFORE_NAME + 2 + answers.chars().count().min(40));
    let name = output::width().map_or(name.clone(), |columns| path_of(&name, room(columns)));
    output::line(&format!("{verdict}  {:7.1e}  {name}  {answers}", outcome.max_rel_diff))
}

fn conclude(verdict: &Verdict<'_>, pair: &Against, explanation: &Explanation) -> std::io::Result<()> {
    let Verdict { photos, failed, same_top1, max_rel_diff, .. } = verdict;
    let mut lines = vec![format!(
        "{} of {photos} photos pass, {same_top1} have the same first guess; the largest difference of a logit is \
         {max_rel_diff:.1e} of their spread",
        photos - failed
    )];
    lines.push(format!("allowed: {}", pair.allowed()));
    // Where all pass nothing parts: one of the two may only begin elsewhere, with pixels for example.
    let told = explanation.layers.as_ref().filter(|layers| !verdict.pass || layers.parting.is_none());
    if let Some(layers) = told {
        let last = layers.last_same.iter().map(|last| format!("; the last before they part is {last}"));
        let last = last.filter(|_| layers.parting.is_some()).collect::<String>();
        lines.push(format!(
            "given the same input, {} of {} layers compute the same{last}",
            layers.same, layers.compared
        ));
        if let Some(parting) = &layers.parting {
            let other = parting.other.iter().filter(|other| **other != parting.layer);
            let other: String = other.map(|other| format!(" ({other} there)")).collect();
            let diff: String =
                parting.diff.iter().map(|diff| format!(", by {diff:.1e} of the spread")).collect();
            lines.push(format!("they part at {}{other}{diff}", parting.layer));
        }
    }
    for line in lines {
        output::line(&plain(&line))?;
    }
    if verdict.pass {
        return Ok(());
    }
    if explanation.causes.is_empty() {
        output::line("no cause is known")?;
    }
    for cause in &explanation.causes {
        output::line(&format!("{} {}", styled(STRONG, "likely cause:"), plain(cause)))?;
    }
    Ok(())
}
