use std::io::Read;
use std::path::Path;

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

/// No image that is decoded within the limits is larger.
const STDIN_LIMIT: u64 = 1 << 30;

pub(crate) fn classify(args: &Classify) -> anyhow::Result<bool> {
    let classifier = super::classifier(&args.model)?;
    let mut good = true;
    for path in &args.paths {
        if path.as_os_str() == "-" {
            let mut bytes = Vec::new();
            let read = std::io::stdin().lock().take(STDIN_LIMIT).read_to_end(&mut bytes);
            good &= answer(args, &classifier, "-", read.map(|_| bytes))?;
            continue;
        }
        match collect_images([path]) {
            Ok(photos) => {
                for photo in photos {
                    good &= answer(args, &classifier, &photo.to_string_lossy(), std::fs::read(&photo))?;
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
fn answer(
    args: &Classify,
    classifier: &Classifier,
    path: &str,
    bytes: std::io::Result<Vec<u8>>,
) -> std::io::Result<bool> {
    let answer = bytes
        .map_err(|error| error.to_string())
        .and_then(|bytes| classifier.classify(&bytes, args.top.into()).map_err(|error| error.to_string()));
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
            let name = Path::new(path).display();
            complain(&format!("{name}: {problem}"));
            Ok(false)
        }
    }
}

fn print(path: &str, answer: &Answer) -> std::io::Result<()> {
    let ms = &answer.ms;
    let times = format!("decode {:.1} ms, prepare {:.1} ms, infer {:.1} ms", ms.decode, ms.prepare, ms.infer);
    output::line(&format!("{}  {}", styled(STRONG, path), styled(FAINT, &times)))?;
    for guess in &answer.top {
        let percent = 100.0 * guess.probability;
        let label: String = guess.label.chars().take(60).collect();
        output::line(&format!("  {percent:5.1} %  {}  {label}", output::bar(guess.probability, 24)))?;
    }
    Ok(())
}
