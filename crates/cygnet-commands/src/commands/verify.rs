use cygnet::image::without_name;
use cygnet::runtime::PlanOptions;
use cygnet::verify::{self, Outcome, verify_within};

use crate::args::{Executor, Verify};
use crate::output::{self, BAD, GOOD, path_of, plain, styled};
use crate::progress;

pub(crate) fn verify(args: &Verify) -> anyhow::Result<bool> {
    #[cfg(feature = "train")]
    if let Some(other) = &args.against {
        return super::against::against(args, other);
    }
    let executor = match args.executor {
        Executor::Reference => verify::Executor::Reference,
        Executor::Runtime => {
            let level = super::level()?;
            verify::Executor::Runtime(PlanOptions { strict: !args.fast, ..level.into() })
        }
    };
    let bar = progress::things(args.files.len() as u64, "verifying", "files");
    let mut passed = 0;
    if args.csv {
        output::csv(["file", "pass", "max_rel_diff", "first_bad_layer", "error"])?;
    }
    for file in &args.files {
        let outcome = verify_within(file, executor, &args.graph_limits.limits());
        passed += usize::from(outcome.pass);
        bar.inc(1);
        bar.suspend(|| match (args.json, args.csv) {
            (true, _) => output::json(&outcome),
            (_, true) => output::csv(fields(&outcome)),
            _ => print(&outcome),
        })?;
    }
    bar.finish_and_clear();
    output::talk(&format!("{passed} of {} pass", args.files.len()));
    Ok(passed == args.files.len())
}

fn fields(outcome: &Outcome) -> [String; 5] {
    let Outcome { file, pass, max_rel_diff, first_bad_layer, error } = outcome.clone();
    let difference = max_rel_diff.map_or_else(String::new, |diff| diff.to_string());
    [file, pass.to_string(), difference, first_bad_layer.unwrap_or_default(), error.unwrap_or_default()]
}

fn print(outcome: &Outcome) -> std::io::Result<()> {
    let verdict = if outcome.pass { styled(GOOD, "pass") } else { styled(BAD, "FAIL") };
    let difference = outcome.max_rel_diff.map_or_else(|| "       ".into(), |diff| format!("{diff:7.1e}"));
    let layer = outcome.first_bad_layer.iter().map(|layer| format!("first bad layer: {layer}"));
    let why = layer
        .chain(outcome.error.clone())
        .map(|text| plain(without_name(&cygnet::in_own_words(&text), &outcome.file)))
        .collect::<Vec<_>>()
        .join("  ");
    let name = plain(&outcome.file);
    let name =
        output::width().map_or(name.clone(), |columns| path_of(&name, columns.saturating_sub(BEFORE_NAME)));
    output::line(format!("{verdict}  {difference}  {name}  {why}").trim_end())
}

/// Columns before the name of a file.
const BEFORE_NAME: usize = 15;
