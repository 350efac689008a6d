use cygnet::runtime::{ByteLevel, KernelRow, Level, kernels as rows};
use serde::Serialize;

use crate::args::Kernels;
use crate::output::{self, Column};

#[derive(Serialize)]
struct Line {
    kernel: &'static str,
    #[serde(rename = "type")]
    element: &'static str,
    isa: &'static str,
    lanes: usize,
    tile: Option<[Option<usize>; 4]>,
    supported: bool,
    used: bool,
}

pub(crate) fn kernels(args: &Kernels) -> anyhow::Result<bool> {
    let chosen = super::level()?;
    let line = |row: KernelRow| Line {
        kernel: row.kernel.name(),
        element: row.set.element().name(),
        isa: row.set.name(),
        lanes: row.lanes(),
        tile: row.tile,
        supported: row.set.is_supported(),
        used: row.is_used(chosen),
    };
    let lines: Vec<Line> = rows().into_iter().map(line).collect();
    if args.json {
        lines.iter().try_for_each(output::json)?;
        return Ok(true);
    }
    let tile = |pixels: [Option<usize>; 4]| {
        pixels.map(|n| n.map_or_else(|| "-".into(), |n| n.to_string())).join(" ")
    };
    if args.csv {
        output::csv(["kernel", "type", "isa", "lanes", "tile", "supported", "used"])?;
        for line in &lines {
            let tile = line.tile.map_or_else(String::new, tile);
            let [supported, used] = [line.supported, line.used].map(|is| is.to_string());
            output::csv([
                line.kernel,
                line.element,
                line.isa,
                &line.lanes.to_string(),
                &tile,
                &supported,
                &used,
            ])?;
        }
        return Ok(true);
    }
    let yes = |is: bool, text: &str| if is { text.to_owned() } else { String::new() };
    let row = |line: &Line| {
        let supported = if line.supported { "yes" } else { "no" };
        vec![
            line.kernel.to_owned(),
            line.element.into(),
            line.isa.into(),
            line.lanes.to_string(),
            line.tile.map(tile).unwrap_or_default(),
            supported.into(),
            yes(line.used, "yes"),
        ]
    };
    let columns = [
        Column::word("kernel"),
        Column::word("type"),
        Column::word("isa"),
        Column::number("lanes").spare(),
        Column::number("pixels x 1-4 vectors").spare(),
        Column::word("supported"),
        Column::word("used"),
    ];
    output::table(&columns, lines.iter().map(row).collect())?;
    let best = Level::best();
    let why = match std::env::var("CYGNET_ISA") {
        Ok(cap) if !cap.is_empty() => format!("CYGNET_ISA={cap}, this CPU's best is {}", best.name()),
        _ => "this CPU's best; CYGNET_ISA would cap it".into(),
    };
    output::line("")?;
    let bytes = ByteLevel::within(chosen).name();
    output::line(&format!("{} is used, {bytes} for bytes: {why}", chosen.name()))?;
    Ok(true)
}
