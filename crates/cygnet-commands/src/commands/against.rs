use std::path::{Path, PathBuf};

use cygnet::image::collect_readable;
use cygnet::verify::{Against, Explanation, PhotoOutcome};
use cygnet::{Converted, Model};
use serde::Serialize;

use crate::args::{GraphLimits, Verify, wrong_usage};
use crate::output::{self, BAD, FAINT, GOOD, STRONG, path_of, pictures, plain, styled, wrapped};
use crate::progress;

/// The most photos that have a line each; of more only those have one that fail most.
const SHOWN: usize = 10;

/// The most photos on which causes are judged.
const JUDGED: usize = 100;

/// Columns of a verdict, and of what stands below it.
const VERDICT: usize = 6;

/// What is told of two models after the photos.
#[derive(Serialize)]
struct Verdict<'a> {
    model: &'a str,
    against: &'a str,
    pass: bool,
    photos: usize,
    failed: usize,
    unread: usize,
    max_rel_diff: f64,
    mean_rel_diff: f64,
    same_top1: usize,
    #[serde(flatten)]
    explanation: &'a Explanation,
}

/// A photo that could not be read.
#[derive(Serialize)]
struct Unread<'a> {
    photo: &'a Path,
    error: String,
}

/// Holds a model against another over photos.
pub(crate) fn against(args: &Verify, other: &str) -> anyhow::Result<bool> {
    let [model] = &args.files[..] else {
        return Err(wrong_usage("with --against there is one argument, a model".into()));
    };
    let model = model.to_string_lossy();
    let photos = photos(args)?;
    let [(model, ours), (other, theirs)] =
        [named(&model, args.graph_limits)?, named(other, args.graph_limits)?];
    let pair = Against::new((&model, ours), (&other, theirs))?.within(args.picture_limits.limits());
    pair.notes().iter().for_each(|note| output::note(note));
    if args.csv {
        let agreement = ["max_rel_diff", "mean_rel_diff", "input_diff"];
        let answers = ["top1", "against_top1", "same_top1", "error"];
        output::csv(["photo", "pass"].into_iter().chain(agreement).chain(answers))?;
    }
    let bar = progress::things(photos.len() as u64, "verifying", "photos");
    let mut outcomes: Vec<(&Path, PhotoOutcome)> = Vec::new();
    let mut unread = 0;
    for path in &photos {
        let outcome = pair.photo(path);
        bar.inc(1);
        bar.suspend(|| match outcome {
            Ok(outcome) => {
                let printed = match (args.json, args.csv) {
                    (true, _) => output::json(&outcome),
                    (_, true) => output::csv(fields(&outcome)),
                    _ => Ok(()),
                };
                outcomes.push((path, outcome));
                printed
            }
            Err(error) => {
                unread += 1;
                let error = output::chain(&error);
                output::warning(&format!("not compared: {error}"));
                let path_of_photo = || path.to_string_lossy();
                match (args.json, args.csv) {
                    (true, _) => output::json(&Unread { photo: path, error }),
                    (_, true) => output::csv([&path_of_photo()[..], "", "", "", "", "", "", "", &error]),
                    _ => Ok(()),
                }
            }
        })?;
    }
    bar.finish_and_clear();
    if outcomes.is_empty() {
        anyhow::bail!("no photo could be read");
    }
    if !(args.json || args.csv || output::is_quiet()) {
        show(&outcomes)?;
    }
    let worst = worst(&outcomes);
    let failed = worst.iter().filter(|(_, outcome)| !outcome.pass).count();
    // Where all pass the layers alone are of interest.
    let judged: Vec<&Path> = cygnet::spread(&worst[..failed.max(1)], JUDGED).map(|(path, _)| *path).collect();
    let bar = progress::things(judged.len() as u64, "looking for causes", "photos");
    let explanation = pair.explain(&judged, |_, _| bar.inc(1));
    bar.finish_and_clear();
    let explanation = explanation?;
    let count = outcomes.len();
    let verdict = Verdict {
        model: &model,
        against: &other,
        pass: failed == 0 && unread == 0,
        photos: count,
        failed,
        unread,
        max_rel_diff: outcomes.iter().map(|(_, outcome)| outcome.max_rel_diff).fold(0.0, f64::max),
        mean_rel_diff: outcomes.iter().map(|(_, outcome)| outcome.mean_rel_diff).sum::<f64>() / count as f64,
        same_top1: outcomes.iter().filter(|(_, outcome)| outcome.same_top1).count(),
        explanation: &explanation,
    };
    if args.json {
        output::json(&verdict)?;
    } else if args.csv {
        let [largest, mean] = [verdict.max_rel_diff, verdict.mean_rel_diff].map(|diff| diff.to_string());
        let same = verdict.same_top1.to_string();
        output::csv([
            "",
            if verdict.pass { "true" } else { "false" },
            &largest,
            &mean,
            "",
            "",
            "",
            &same,
            "",
        ])?;
        told(&verdict, &pair, output::talk_width()).iter().for_each(|line| output::talk(line));
    } else {
        told(&verdict, &pair, output::width()).iter().try_for_each(|line| output::line(line))?;
    }
    Ok(verdict.pass)
}

/// The model that an argument names, with what messages call it. What was decided about it is told.
fn named(name: &str, limits: GraphLimits) -> anyhow::Result<(String, Model)> {
    let Converted { model, notes } = super::converted(name, limits)?;
    let name = super::name_of(name, &model.id);
    notes.iter().for_each(|note| output::note(&format!("{name}: {note}")));
    Ok((name, model))
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

fn fields(outcome: &PhotoOutcome) -> [String; 9] {
    let PhotoOutcome { photo, pass, input_diff, max_rel_diff, mean_rel_diff, top1, same_top1 } = outcome;
    let [ours, theirs] = top1.clone();
    let input = input_diff.map_or_else(String::new, |diff| diff.to_string());
    let [largest, mean] = [max_rel_diff, mean_rel_diff].map(f64::to_string);
    [
        photo.clone(),
        pass.to_string(),
        largest,
        mean,
        input,
        ours,
        theirs,
        same_top1.to_string(),
        String::new(),
    ]
}

/// Photos that fail before others, and those that differ most first.
fn worst<'a>(outcomes: &'a [(&'a Path, PhotoOutcome)]) -> Vec<&'a (&'a Path, PhotoOutcome)> {
    let mut worst: Vec<_> = outcomes.iter().collect();
    worst.sort_by(|(_, a), (_, b)| a.pass.cmp(&b.pass).then(b.mean_rel_diff.total_cmp(&a.mean_rel_diff)));
    worst
}

/// A line a photo; of many photos those that fail, the worst first, and how many others there are.
fn show(outcomes: &[(&Path, PhotoOutcome)]) -> std::io::Result<()> {
    if outcomes.len() <= SHOWN {
        return outcomes.iter().try_for_each(|(_, outcome)| print(outcome));
    }
    let failing: Vec<_> = worst(outcomes).into_iter().filter(|(_, outcome)| !outcome.pass).collect();
    failing.iter().take(SHOWN).try_for_each(|(_, outcome)| print(outcome))?;
    let (pass, fail) = (outcomes.len() - failing.len(), failing.len().saturating_sub(SHOWN));
    let others = match (pass, fail) {
        (pass, 0) => format!("{pass} pass"),
        (0, fail) => format!("{fail} more fail"),
        (pass, fail) => format!("{fail} more fail, {pass} pass"),
    };
    output::line(&styled(FAINT, &format!("{others}; --csv and --json have a line each")))
}

/// Columns before the name of a photo.
const BEFORE_NAME: usize = 15;

fn print(outcome: &PhotoOutcome) -> std::io::Result<()> {
    let [ours, theirs] = &outcome.top1;
    let answers = if outcome.same_top1 { ours.clone() } else { format!("{ours}, not {theirs}") };
    let answers = plain(&answers);
    let name = plain(&outcome.photo);
    let room = |columns: usize| columns.saturating_sub(BEFORE_NAME + 2 + answers.chars().count().min(40));
    let name = output::width().map_or(name.clone(), |columns| path_of(&name, room(columns)));
    output::line(&format!("{}  {:7.1e}  {name}  {answers}", word(outcome.pass), outcome.max_rel_diff))
}

fn word(pass: bool) -> String {
    if pass { styled(GOOD, "pass") } else { styled(BAD, "FAIL") }
}

/// The verdict, by how much answers differ, where the networks part, and why.
fn told(verdict: &Verdict<'_>, pair: &Against, columns: Option<usize>) -> Vec<String> {
    let Verdict { model, against, photos, failed, unread, same_top1, .. } = verdict;
    let unread = match unread {
        0 => String::new(),
        count => format!(", {} could not be read", pictures(*count)),
    };
    let mut facts = vec![
        format!(
            "{model} against {against}: {} of {} pass{unread}, {same_top1} have the same first guess",
            photos - failed,
            pictures(*photos)
        ),
        format!(
            "logits differ by {:.1e} of their spread on average, {:.1e} at most; allowed: {}",
            verdict.mean_rel_diff,
            verdict.max_rel_diff,
            pair.allowed()
        ),
    ];
    let Explanation { layers, causes } = verdict.explanation;
    // Where all pass nothing parts: one of the two may only begin elsewhere, with pixels for example.
    if let Some(layers) = layers.as_ref().filter(|layers| *failed > 0 || layers.parting.is_none()) {
        let last = layers.last_same.iter().map(|last| format!("; the last before they part is {last}"));
        let last = last.filter(|_| layers.parting.is_some()).collect::<String>();
        facts.push(format!(
            "given the same input, {} of {} layers compute the same{last}",
            layers.same, layers.compared
        ));
        if let Some(parting) = &layers.parting {
            let other = parting.other.iter().filter(|other| **other != parting.layer);
            let other: String = other.map(|other| format!(" ({other} there)")).collect();
            let diff = parting.diff.iter().map(|diff| format!(", by {diff:.1e} of the spread"));
            facts.push(format!("they part at {}{other}{}", parting.layer, diff.collect::<String>()));
        }
    }
    let mut lines = Vec::new();
    for (index, fact) in facts.iter().enumerate() {
        let first = if index == 0 { word(verdict.pass) } else { "    ".into() };
        lines.extend(block(&first, &plain(fact), columns));
    }
    if *failed > 0 && causes.is_empty() {
        lines.extend(block("    ", "no cause is known", columns));
    }
    if *failed > 0 {
        let cause = styled(STRONG, "likely cause:");
        lines.extend(
            causes.iter().flat_map(|text| block("    ", &format!("{cause} {}", plain(text)), columns)),
        );
    }
    lines
}

/// Text in lines that fit, the first of which follows a word of four letters.
fn block(first: &str, text: &str, columns: Option<usize>) -> Vec<String> {
    let words: Vec<&str> = text.split(' ').collect();
    let room = columns.map_or(usize::MAX, |columns| columns.saturating_sub(VERDICT).max(VERDICT));
    let lines = wrapped(&words, 1, room);
    let before = |index: usize| if index == 0 { first } else { "    " };
    lines.iter().enumerate().map(|(index, line)| format!("{}  {line}", before(index))).collect()
}
