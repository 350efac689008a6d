use anyhow::bail;
use cygnet::hub::{Cache, is_url};
use cygnet::{Conversion, Converted};

use crate::args::{Convert, Pull};
use crate::output;
use crate::progress::Download;

pub(crate) fn convert(args: &Convert) -> anyhow::Result<bool> {
    let out = &args.output;
    if out.metadata().is_ok_and(|metadata| !metadata.is_file()) {
        bail!("{}: exists and is not a file", out.display());
    }
    if !out.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("safetensors")) {
        let better = out.with_extension("safetensors");
        bail!("{}: cygnet writes .safetensors files only; give {}", out.display(), better.display());
    }
    if let (Ok(input), Ok(output)) = (args.input.canonicalize(), out.canonicalize())
        && input == output
    {
        bail!("{}: would replace its own source; give another name", args.output.display());
    }
    if !args.overwrite && out.symlink_metadata().is_ok() {
        bail!("{}: exists already; give another name, or --overwrite to replace it", out.display());
    }
    let conversion = Conversion {
        network: args.network.clone(),
        classes: args.classes.map(|classes| classes as usize),
        weights_key: args.weights_key.clone(),
        labels: args.labels.clone(),
        limits: args.graph_limits.limits(),
    };
    let input = cygnet::local(&args.input, &Cache::from_env()?, &mut Download::default())?;
    let Converted { mut model, notes } = conversion.run(&input)?;
    if let Some(url) = args.input.to_str().filter(|input| is_url(input)) {
        model = model.fetched_from(url, &input);
    }
    model.write(out)?;
    for note in notes {
        output::note(&note);
    }
    let done = format!("{}: {} with {} classes", out.display(), model.id, model.graph.classes());
    output::talk(&output::plain(&done));
    Ok(true)
}

pub(crate) fn pull(args: &Pull) -> anyhow::Result<bool> {
    let network = cygnet::network(&args.network)?;
    let (path, _) = cygnet::pull(&network, &Cache::from_env()?, &mut Download::default())?;
    output::line(&path.to_string_lossy())?;
    Ok(true)
}
