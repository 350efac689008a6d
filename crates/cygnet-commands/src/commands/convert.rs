use cygnet::hub::{Cache, is_url};
use cygnet::{Conversion, Converted, OnnxSettings};

use super::out;
use crate::args::{Batch, Convert, OnnxArgs, Pull};
use crate::output;
use crate::progress::Download;

pub(crate) fn convert(args: &Convert) -> anyhow::Result<bool> {
    let out = &args.output;
    out::check_ending(out, &["safetensors", "onnx"])?;
    let is_onnx = out::ends_in(out, "onnx");
    [Some(&args.input), args.labels.as_ref()]
        .into_iter()
        .flatten()
        .try_for_each(|source| out::check_source(out, source))?;
    out::check_place(out, args.overwrite)?;
    let (cache, mut progress) = (Cache::from_env()?, Download::default());
    let name = args.input.to_str().filter(|name| !args.input.exists() && !is_url(name));
    let id = name.and_then(cygnet::zoo::find);
    if let Some(name) = name.filter(|_| id.is_none()) {
        return Err(super::unknown(name));
    }
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
        preparing: args.preparing.preparing(),
        ignored: args.ignore.clone(),
        limits: args.graph_limits.limits(),
        ..Conversion::default()
    };
    let Converted { mut model, notes } = conversion.run(&input)?;
    if let Some(url) = args.input.to_str().filter(|input| is_url(input)) {
        model = model.fetched_from(url, &input);
    }
    match (is_onnx, args.overwrite) {
        (true, true) => model.write_onnx(out, &settings(&args.onnx))?,
        (true, false) => out::written(out, model.write_new_onnx(out, &settings(&args.onnx)))?,
        (false, true) => model.write(out)?,
        (false, false) => out::written(out, model.write_new(out))?,
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

fn settings(args: &OnnxArgs) -> OnnxSettings {
    let usual = OnnxSettings::default();
    let batch = match args.batch {
        None => usual.batch,
        Some(Batch::Dynamic) => None,
        Some(Batch::Fixed(count)) => Some(count),
    };
    let &OnnxArgs { opset, preprocess, softmax, fp16: half, .. } = args;
    OnnxSettings { opset: opset.unwrap_or(usual.opset), batch, preprocess, softmax, half }
}

pub(crate) fn pull(args: &Pull) -> anyhow::Result<bool> {
    let network = cygnet::network(&args.network)?;
    let (path, _) = cygnet::pull(&network, &Cache::from_env()?, &mut Download::default())?;
    output::line(&path.to_string_lossy())?;
    Ok(true)
}
