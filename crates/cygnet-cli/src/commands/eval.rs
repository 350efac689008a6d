use std::time::Instant;

use crate::args::Eval;
use crate::output::{self, STRONG, styled};
use crate::progress;

pub(crate) fn eval(args: &Eval) -> anyhow::Result<bool> {
    let classifier = super::classifier(&args.model)?;
    let bar = progress::things(0, "evaluating", "images");
    let start = Instant::now();
    let result = cygnet::evaluate(&classifier, &args.folder, args.threads, |done, total| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    let elapsed = start.elapsed();
    let result = result?;
    for (path, problem) in &result.unreadable {
        anstream::eprintln!("{} {}: {problem}", styled(output::BAD, "error:"), path.display());
    }
    if args.json {
        output::json(&result)?;
    } else {
        let top = |name: &str, percent: f64| format!("{} {percent:.2} %", styled(STRONG, name));
        let (top1, top5) = (top("top-1", result.top1), top("top-5", result.top5));
        output::line(&format!("{} images  {top1}  {top5}", result.images))?;
    }
    output::rate(result.images, elapsed);
    Ok(result.unreadable.is_empty())
}
