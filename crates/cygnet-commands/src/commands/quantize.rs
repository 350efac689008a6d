use std::path::{Path, PathBuf};

use cygnet::{Precision, QuantizeReport, Quantized, Quantizing};
use serde::Serialize;

use super::out;
use crate::args::{Quantize, QuantizePrecision};
use crate::output::{self, Column, plain};
use crate::progress;

/// Layers whose sensitivity is shown.
const SHOWN: usize = 8;

/// Columns of a bar of the most sensitive layer.
const BAR: usize = 24;

pub(crate) fn quantize(args: &Quantize) -> anyhow::Result<bool> {
    if let Some(data) = &args.data {
        std::fs::metadata(data).map_err(|error| anyhow::anyhow!("{}: {error}", data.display()))?;
    }
    let model = super::load(&args.model, args.graph_limits)?;
    let precision = match args.precision {
        QuantizePrecision::Int8 => Precision::Int8,
        QuantizePrecision::Bf16 => Precision::Bf16,
    };
    let suffix = precision.name();
    let usual = || {
        let file = Path::new(&args.model).file_stem().filter(|_| Path::new(&args.model).is_file());
        let name = file.map_or_else(|| model.id.clone(), |name| name.to_string_lossy().into_owned());
        PathBuf::from(format!("{name}-{suffix}.safetensors"))
    };
    let out = args.out.clone().unwrap_or_else(usual);
    out::check_ending(&out, &["safetensors"])?;
    let page = out.with_extension("html");
    for path in [&out, &page] {
        [Some(Path::new(&args.model)), args.data.as_deref()]
            .into_iter()
            .flatten()
            .try_for_each(|source| out::check_source(path, source))?;
        out::check_place(path, args.overwrite)?;
    }
    let how = Quantizing {
        precision,
        images: args.images as usize,
        drop: args.drop,
        threads: args.threads.get(),
        memory_bytes: args.memory,
        limits: args.data_limits.limits(),
    };
    let bar = progress::shown(None);
    bar.enable_steady_tick(std::time::Duration::from_millis(200));
    let mut tell = |what: &str| bar.set_message(what.to_owned());
    let quantized = cygnet::quantize(&model, args.data.as_deref(), &how, &mut tell);
    bar.finish_and_clear();
    let quantized = quantized.map_err(super::of_model(&args.model))?;
    let Quantized { model: made, report, notes, .. } = &quantized;
    notes.iter().for_each(|note| output::note(note));
    if args.overwrite {
        made.write(&out)?;
    } else {
        out::written(&out, made.write_new(&out))?;
    }
    let data =
        args.data.as_ref().map_or_else(|| "generated images".into(), |data| data.display().to_string());
    let made_of = [
        ("version", concat!("cygnet ", env!("CARGO_PKG_VERSION")).to_owned()),
        ("model", args.model.clone()),
        ("data", data),
        ("file", out.display().to_string()),
    ]
    .map(|(name, fact)| (name.to_owned(), fact));
    out::written(&page, quantized.write_page(&page, &made_of, args.overwrite))?;
    if args.json {
        output::json(&Line { file: &out, page: &page, report })?;
    } else {
        print(report)?;
    }
    let is_left = precision == Precision::Int8 && report.layers.int8 == 0;
    let done = match is_left {
        true => format!("{}: {} in floating point as before", out.display(), made.id),
        false => format!("{}: {} in {suffix}", out.display(), made.id),
    };
    output::talk(&plain(&done));
    output::talk(&plain(&format!("{}: its report", page.display())));
    Ok(true)
}

#[derive(Serialize)]
struct Line<'a> {
    file: &'a Path,
    page: &'a Path,
    #[serde(flatten)]
    report: &'a QuantizeReport,
}

/// What was and what is, and the most sensitive layers.
fn print(report: &QuantizeReport) -> std::io::Result<()> {
    let photos = format!("on {}", report.judged_on());
    let headings = [Column::text(&photos), Column::number("before"), Column::number("now")];
    output::table(&headings, report.rows().into_iter().map(Vec::from).collect())?;
    let worst = report.worst();
    let Some(most) = worst.first().map(|layer| layer.noise) else { return Ok(()) };
    let row = |layer: &&cygnet::LayerNoise| {
        let bar = output::bar((layer.noise / most) as f32, BAR);
        vec![plain(&layer.layer), format!("{:.4} %", 100.0 * layer.noise), bar]
    };
    let headings = [Column::text("most sensitive layers"), Column::number("noise"), Column::word("").spare()];
    output::table(&headings, worst.iter().take(SHOWN).map(row).collect())
}
