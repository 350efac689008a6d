use anyhow::bail;
use cygnet::weights::Cache;
use cygnet::{Conversion, Converted};

use crate::args::{Convert, Pull};
use crate::output;
use crate::progress::Download;

pub(crate) fn convert(args: &Convert) -> anyhow::Result<bool> {
    let output = &args.output;
    if output.metadata().is_ok_and(|metadata| !metadata.is_file()) {
        bail!("{}: exists and is not a file", output.display());
    }
    if !output.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("safetensors")) {
        let better = output.with_extension("safetensors");
        bail!("{}: cygnet writes .safetensors files only; give {}", output.display(), better.display());
    }
    if let (Ok(input), Ok(output)) = (args.input.canonicalize(), output.canonicalize())
        && input == output
    {
        bail!("{}: would replace its own source; give another name", args.output.display());
    }
    if !args.overwrite && output.symlink_metadata().is_ok() {
        bail!("{}: exists already; give another name, or --overwrite to replace it", output.display());
    }
    let conversion = Conversion {
        network: args.network.clone(),
        classes: args.classes.map(|classes| classes as usize),
        weights_key: args.weights_key.clone(),
        labels: args.labels.clone(),
    };
    let Converted { model, notes } = conversion.run(&args.input)?;
    model.write(output)?;
    for note in notes {
        anstream::eprintln!("{} {}", output::styled(output::FAINT, "note:"), output::plain(&note));
    }
    let done = format!("{}: {} with {} classes", output.display(), model.id, model.graph.classes());
    eprintln!("{}", output::plain(&done));
    Ok(true)
}

pub(crate) fn pull(args: &Pull) -> anyhow::Result<bool> {
    let network = cygnet::network(&args.network)?;
    let (path, _) = cygnet::pull(&network, &Cache::from_env()?, &mut Download::default())?;
    output::line(&path.to_string_lossy())?;
    Ok(true)
}
