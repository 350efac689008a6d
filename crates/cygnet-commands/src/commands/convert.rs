use std::error::Error;
use std::io;
use std::path::Path;

use anyhow::{anyhow, bail};
use cygnet::hub::{Cache, is_url};
use cygnet::{Conversion, Converted, OnnxSettings};

use crate::args::{Batch, Convert, OnnxArgs, Pull};
use crate::output;
use crate::progress::Download;

pub(crate) fn convert(args: &Convert) -> anyhow::Result<bool> {
    let out = &args.output;
    if out.metadata().is_ok_and(|metadata| !metadata.is_file()) {
        bail!("{}: exists and is not a file", out.display());
    }
    let ends_in = |wanted: &str| out.extension().is_some_and(|ending| ending.eq_ignore_ascii_case(wanted));
    if !ends_in("safetensors") && !ends_in("onnx") {
        let better = out.with_extension("safetensors");
        bail!(
            "{}: cygnet writes .safetensors and .onnx files only; give {}",
            out.display(),
            better.display()
        );
    }
    let OnnxArgs { preprocess, softmax, fp16, .. } = args.onnx;
    if !ends_in("onnx") && (preprocess || softmax || fp16) {
        bail!("{}: --preprocess, --softmax and --fp16 are for OUT.onnx", out.display());
    }
    if let (Ok(input), Ok(output)) = (args.input.canonicalize(), out.canonicalize())
        && input == output
    {
        bail!("{}: would replace its own source; give another name", args.output.display());
    }
    if !args.overwrite && out.symlink_metadata().is_ok() {
        return Err(taken(args));
    }
    if let Some(folder) = out.parent().filter(|folder| *folder != Path::new("") && !folder.is_dir()) {
        bail!("{}: no such folder, to write {} to", folder.display(), out.display());
    }
    let (cache, mut progress) = (Cache::from_env()?, Download::default());
    let id = args.input.to_str().filter(|_| !args.input.exists()).and_then(cygnet::zoo::find);
    let input = match &id {
        Some(network) => cygnet::pull(network, &cache, &mut progress)?.0,
        None => cygnet::local(&args.input, &cache, &mut progress)?,
    };
    let of_zoo = || id.is_some().then(|| args.input.display().to_string());
    let conversion = Conversion {
        network: args.network.clone().or_else(of_zoo),
        classes: args.classes.map(|classes| classes as usize),
        weights_key: args.weights_key.clone(),
        labels: args.labels.clone(),
        ignored: args.ignore.clone(),
        limits: args.graph_limits.limits(),
        ..Conversion::default()
    };
    let Converted { mut model, notes } = conversion.run(&input)?;
    if let Some(url) = args.input.to_str().filter(|input| is_url(input)) {
        model = model.fetched_from(url, &input);
    }
    if ends_in("onnx") {
        model.write_onnx(out, &settings(&args.onnx))?;
    } else if args.overwrite {
        model.write(out)?;
    } else {
        model.write_new(out).map_err(|error| if is_taken(&error) { taken(args) } else { error.into() })?;
    }
    for note in notes {
        output::note(&note);
    }
    if args.classes.is_none() {
        super::note_nameless(&model);
    }
    let classes = output::classes(model.graph.classes());
    let done = format!("{}: {} with {classes}", out.display(), model.id);
    output::talk(&output::plain(&done));
    Ok(true)
}

/// That there is a file of the name already.
fn taken(args: &Convert) -> anyhow::Error {
    anyhow!("{}: exists already; give another name, or --overwrite to replace it", args.output.display())
}

/// Whether another process was faster.
fn is_taken(error: &cygnet::Error) -> bool {
    let causes = std::iter::successors(Some(error as &dyn Error), |error| (*error).source());
    let mut causes = causes.filter_map(|cause| cause.downcast_ref::<io::Error>());
    causes.any(|cause| cause.kind() == io::ErrorKind::AlreadyExists)
}

fn settings(args: &OnnxArgs) -> OnnxSettings {
    let batch = match args.batch {
        Batch::Dynamic => None,
        Batch::Fixed(count) => Some(count),
    };
    let &OnnxArgs { opset, preprocess, softmax, fp16: half, .. } = args;
    OnnxSettings { opset, batch, preprocess, softmax, half }
}

pub(crate) fn pull(args: &Pull) -> anyhow::Result<bool> {
    let network = cygnet::network(&args.network)?;
    let (path, _) = cygnet::pull(&network, &Cache::from_env()?, &mut Download::default())?;
    output::line(&path.to_string_lossy())?;
    Ok(true)
}
