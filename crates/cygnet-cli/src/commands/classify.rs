use cygnet::image::collect_images;
use cygnet::{Answer, Classifier};
use serde::Serialize;

use crate::args::Classify;
use crate::output::{self, FAINT, STRONG, styled};

#[derive(Serialize)]
struct Line<'a> {
    path: &'a str,
    model: &'a str,
    #[serde(flatten)]
    answer: &'a Answer,
}

pub(crate) fn classify(args: &Classify) -> anyhow::Result<bool> {
    let classifier = super::classifier(&args.model)?;
    let top = args.top.into();
    let mut good = true;
    for path in &args.paths {
        if path.as_os_str() == "-" {
            good &= report(args, &classifier, "-", classifier.classify_from(std::io::stdin().lock(), top))?;
            continue;
        }
        match collect_images([path]) {
            Ok(photos) => {
                for photo in photos {
                    let answer = classifier.classify_file(&photo, top);
                    good &= report(args, &classifier, &photo.to_string_lossy(), answer)?;
                }
            }
            Err(error) => {
                complain(&error.to_string());
                good = false;
            }
        }
    }
    Ok(good)
}

fn complain(problem: &str) {
    anstream::eprintln!("{} {problem}", styled(output::BAD, "error:"));
}

/// Prints what a photo shows; a photo that cannot be read is reported and does not end the rest.
fn report(
    args: &Classify,
    classifier: &Classifier,
    path: &str,
    answer: Result<Answer, cygnet::Error>,
) -> std::io::Result<bool> {
    match answer {
        Ok(answer) if args.json => {
            output::json(&Line { path, model: &classifier.model().id, answer: &answer })?;
            Ok(true)
        }
        Ok(answer) => {
            print(path, &answer)?;
            Ok(true)
        }
        Err(problem) => {
            complain(&if path == "-" { format!("standard input: {problem}") } else { problem.to_string() });
            Ok(false)
        }
    }
}

fn print(path: &str, answer: &Answer) -> std::io::Result<()> {
    let ms = &answer.ms;
    let times = format!("decode {:.1} ms, prepare {:.1} ms, infer {:.1} ms", ms.decode, ms.prepare, ms.infer);
    output::line(&format!("{}  {}", styled(STRONG, &output::plain(path)), styled(FAINT, &times)))?;
    for guess in &answer.top {
        let percent = 100.0 * guess.probability;
        let label: String = output::plain(&guess.label).chars().take(60).collect();
        output::line(&format!("  {percent:5.1} %  {}  {label}", output::bar(guess.probability, 24)))?;
    }
    Ok(())
}
