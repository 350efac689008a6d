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
    let suffix = match precision {
        Precision::Int8 => "int8",
        Precision::Bf16 => "bf16",
    };
    let usual = || {
        let file = Path::new(&args.model).file_stem().filter(|_| Path::new(&args.model).is_file());
        let name = file.map_or_else(|| model.id.clone(), |name| name.to_string_lossy().into_owned());
        PathBuf::from(format!("{name}-{suffix}.safetensors"))
    };
    let out = args.out.clone().unwrap_or_else(usual);
    out::check_ending(&out, &["safetensors"])?;
    out::check_place(&out, args.overwrite)?;
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
    let Quantized { model: made, report, notes } = quantized.map_err(super::of_model(&args.model))?;
    notes.iter().for_each(|note| output::note(note));
    if args.overwrite {
        made.write(&out)?;
    } else {
        out::written(&out, made.write_new(&out))?;
    }
    if args.json {
        output::json(&Line { file: &out, report: &report })?;
    } else {
        print(&report)?;
    }
    let is_left = precision == Precision::Int8 && report.layers.int8 == 0;
    let done = match is_left {
        true => format!("{}: {} in floating point as before", out.display(), made.id),
        false => format!("{}: {} in {suffix}", out.display(), made.id),
    };
    output::talk(&plain(&done));
    Ok(true)
}

#[derive(Serialize)]
struct Line<'a> {
    file: &'a Path,
    #[serde(flatten)]
    report: &'a QuantizeReport,
}

/// What was and what is, and the most sensitive layers.
fn print(report: &QuantizeReport) -> std::io::Result<()> {
    let percent = |share: f64| format!("{share:.2} %");
    let mb = |bytes: usize| format!("{:.2} MB", bytes as f64 / 1e6);
    let ms = |ms: f64| format!("{ms:.2} ms");
    let row = |what: &str, before: String, now: String| vec![what.to_owned(), before, now];
    let mut rows = Vec::new();
    if let (Some(before), Some(now)) = (report.top1_before, report.top1) {
        rows.push(row("top-1", percent(before), percent(now)));
    }
    rows.push(row("agreement", String::new(), percent(report.agreement)));
    let lost = format!("{:.2}, at most {:.2}", report.lost, report.lost_at_most);
    rows.push(row("points lost", String::new(), lost));
    rows.push(row("KL", String::new(), format!("{:.4}", report.kl)));
    rows.push(row("time of a photo", ms(report.ms_before), ms(report.ms)));
    rows.push(row("weights", mb(report.bytes_before), mb(report.bytes)));
    let counts = report.layers;
    let all = counts.int8 + counts.bf16 + counts.f32;
    for (name, count) in [("int8", counts.int8), ("bf16", counts.bf16), ("f32", counts.f32)] {
        if count > 0 {
            rows.push(row(&format!("layers in {name}"), String::new(), format!("{count} of {all}")));
        }
    }
    let photos = format!("on {}", output::pictures(report.images));
    let headings = [Column::text(&photos), Column::number("before"), Column::number("now")];
    output::table(&headings, rows)?;
    let mut worst: Vec<_> = report.sensitivity.iter().collect();
    worst.sort_by(|a, b| b.noise.total_cmp(&a.noise));
    let Some(most) = worst.first().map(|layer| layer.noise).filter(|noise| *noise > 0.0) else {
        return Ok(());
    };
    let row = |layer: &&cygnet::LayerNoise| {
        let bar = output::bar((layer.noise / most) as f32, BAR);
        vec![plain(&layer.layer), format!("{:.4} %", 100.0 * layer.noise), bar]
    };
    let headings = [Column::text("most sensitive layers"), Column::number("noise"), Column::text("")];
    output::table(&headings, worst.iter().take(SHOWN).map(row).collect())
}
