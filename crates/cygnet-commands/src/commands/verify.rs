use anyhow::Context;
use cygnet::runtime::{Level, PlanOptions};
use cygnet::verify::{self, Outcome, verify as check};

use crate::args::{Executor, Verify};
use crate::output::{self, BAD, GOOD, styled};
use crate::progress;

pub(crate) fn verify(args: &Verify) -> anyhow::Result<bool> {
    let executor = match args.executor {
        Executor::Reference => verify::Executor::Reference,
        Executor::Runtime => {
            let level = Level::chosen().map_err(anyhow::Error::msg).context("CYGNET_ISA")?;
            verify::Executor::Runtime(PlanOptions { level, strict: !args.fast, features: false })
        }
    };
    let bar = progress::things(args.files.len() as u64, "verifying", "files");
    let mut passed = 0;
    for file in &args.files {
        let outcome = check(file, executor);
        passed += usize::from(outcome.pass);
        bar.inc(1);
        bar.suspend(|| if args.json { output::json(&outcome) } else { print(&outcome) })?;
    }
    bar.finish_and_clear();
    eprintln!("{passed} of {} pass", args.files.len());
    Ok(passed == args.files.len())
}

fn print(outcome: &Outcome) -> std::io::Result<()> {
    let verdict = if outcome.pass { styled(GOOD, "pass") } else { styled(BAD, "FAIL") };
    let name = output::plain(&outcome.file);
    let difference = outcome.max_rel_diff.map_or_else(|| "       ".into(), |diff| format!("{diff:7.1e}"));
    let layer = outcome.first_bad_layer.iter().map(|layer| format!("first bad layer: {layer}"));
    let why = layer.chain(outcome.error.clone()).collect::<Vec<_>>().join("  ");
    output::line(format!("{verdict}  {difference}  {name}  {why}").trim_end())
}
