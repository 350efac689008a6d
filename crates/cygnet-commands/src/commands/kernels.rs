use cygnet::runtime::{KernelRow, Level, kernels as rows};
use serde::Serialize;

use crate::args::Kernels;
use crate::output::{self, Column};

#[derive(Serialize)]
struct Line {
    kernel: &'static str,
    isa: &'static str,
    lanes: usize,
    tile: Option<[usize; 4]>,
    supported: bool,
    used: bool,
}

pub(crate) fn kernels(args: &Kernels) -> anyhow::Result<bool> {
    let chosen = super::level()?;
    let line = |row: KernelRow| Line {
        kernel: row.kernel.name(),
        isa: row.level.name(),
        lanes: row.lanes(),
        tile: row.tile,
        supported: row.level.is_supported(),
        used: row.is_used(chosen),
    };
    let lines: Vec<Line> = rows().into_iter().map(line).collect();
    if args.json {
        lines.iter().try_for_each(output::json)?;
        return Ok(true);
    }
    if args.csv {
        output::csv(["kernel", "isa", "lanes", "tile", "supported", "used"])?;
        for line in &lines {
            let tile = line.tile.map_or_else(String::new, |pixels| pixels.map(|n| n.to_string()).join(" "));
            let [supported, used] = [line.supported, line.used].map(|is| is.to_string());
            output::csv([line.kernel, line.isa, &line.lanes.to_string(), &tile, &supported, &used])?;
        }
        return Ok(true);
    }
    let yes = |is: bool, text: &str| if is { text.to_owned() } else { String::new() };
    let row = |line: &Line| {
        let tile = line.tile.map(|pixels| pixels.map(|n| n.to_string()).join(" "));
        let supported = if line.supported { "yes" } else { "no" };
        vec![
            line.kernel.to_owned(),
            line.isa.into(),
            line.lanes.to_string(),
            tile.unwrap_or_default(),
            supported.into(),
            yes(line.used, "yes"),
        ]
    };
    let columns = [
        Column::word("kernel"),
        Column::word("isa"),
        Column::number("lanes"),
        Column::number("pixels x 1-4 vectors"),
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
    output::line(&format!("{} is used: {why}", chosen.name()))?;
    Ok(true)
}
