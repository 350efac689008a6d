use std::path::{Path, PathBuf};

use anyhow::Context;
use cygnet::{Compressed, Compressing, Figures, Goal, Method, Ranked, Tried};
use serde::Serialize;

use super::out;
use super::train::{Screen, Stop, exit};
use crate::args::{Compress, CompressMethod, CompressRank};
use crate::output::{self, Column, plain};

pub(crate) fn compress(args: &Compress) -> anyhow::Result<bool> {
    std::fs::metadata(&args.data).with_context(|| args.data.display().to_string())?;
    let model = super::load(&args.model, args.graph_limits)?;
    let usual = || {
        let file = Path::new(&args.model).file_stem().filter(|_| Path::new(&args.model).is_file());
        let name = file.map_or_else(|| model.id.clone(), |name| name.to_string_lossy().into_owned());
        PathBuf::from(format!("{name}-compressed.safetensors"))
    };
    let file = args.out.clone().unwrap_or_else(usual);
    out::check_ending(&file, &["safetensors"])?;
    let missed = file.with_extension("best.safetensors");
    let pages = [&file, &missed].map(|path| path.with_extension("html"));
    for path in [&file, &missed, &pages[0], &pages[1]] {
        out::check_source(path, Path::new(&args.model))?;
        out::check_source(path, &args.data)?;
        out::check_place(path, args.overwrite)?;
    }
    let stop = Stop::listen().context("cannot listen for Ctrl-C")?;
    let mut screen = Screen::new(args.json, stop.clone());
    let how = how(args, file.with_extension("compress"), &screen)?;
    if args.overwrite {
        how.discard()?;
    }
    let bar = screen.bar();
    stop.finish_steps(screen.bar());
    let mut tell = |what: &str| bar.suspend(|| output::talk(what));
    let compressed = cygnet::compress(&model, &args.data, &how, &mut screen, &mut tell);
    stop.at_once();
    screen.clear();
    let mut compressed = compressed.map_err(super::of_model(&args.model))?;
    if compressed.interrupted {
        output::talk(&plain(&format!("stopped and saved in {}; --resume goes on", how.work.display())));
        exit();
    }
    compressed.notes.iter().for_each(|note| output::note(note));
    let written = compressed.model.as_ref().map(|model| {
        let path = if compressed.met { &file } else { &missed };
        if args.overwrite {
            model.write(path)?
        } else {
            out::written(path, model.write_new(path))?
        }
        Ok::<_, anyhow::Error>(path)
    });
    let written = written.transpose()?;
    if let Some(path) = written {
        compressed.after.bytes = std::fs::metadata(path).with_context(|| path.display().to_string())?.len();
    }
    if let Some(path) = written {
        let page = path.with_extension("html");
        let made_of = [
            ("version", concat!("cygnet ", env!("CARGO_PKG_VERSION")).to_owned()),
            ("model", args.model.clone()),
            ("data", args.data.display().to_string()),
            ("file", path.display().to_string()),
        ]
        .map(|(name, fact)| (name.to_owned(), fact));
        out::written(&page, compressed.write_page(&page, &made_of, args.overwrite))?;
        output::talk(&plain(&format!("{}: its report", page.display())));
    }
    how.discard()?;
    let Compressed { met, before, after, tried, .. } = &compressed;
    if args.json {
        output::json(&Line { file: written, met: *met, before, after, tried })?;
    } else {
        print(&compressed)?;
    }
    match written {
        Some(path) if *met => output::talk(&plain(&format!("{}: {}", path.display(), model.id))),
        Some(path) => output::talk(&plain(&format!("{}: the best of what was tried", path.display()))),
        None => output::talk("no file is written"),
    }
    Ok(*met)
}

/// What is asked for.
fn how(args: &Compress, work: PathBuf, screen: &Screen) -> anyhow::Result<Compressing> {
    let goal = args.latency.map(Goal::Latency).or(args.size.map(Goal::Size)).or(args.macs.map(Goal::Macs));
    let method = |method: &CompressMethod| match method {
        CompressMethod::Prune => Method::Prune,
        CompressMethod::Int8 => Method::Int8,
    };
    let epochs = args.epochs.map(|epochs| format!("epochs={epochs}"));
    let teacher = args.teacher.as_ref().map(|name| super::load(name, args.graph_limits)).transpose()?;
    Ok(Compressing {
        goal,
        drop: args.drop,
        methods: args.with.iter().map(method).collect(),
        ranked: match args.rank {
            CompressRank::Taylor => Ranked::Taylor,
            CompressRank::L1 => Ranked::L1,
            CompressRank::L2 => Ranked::L2,
            CompressRank::Gamma => Ranked::Gamma,
        },
        settings: epochs.into_iter().chain(args.set.iter().cloned()).collect(),
        teacher,
        time: args.time,
        threads: args.threads,
        limits: args.data_limits.limits(),
        resume: args.resume,
        watch: screen.watch(),
        ..Compressing::new(work)
    })
}

#[derive(Serialize)]
struct Line<'a> {
    file: Option<&'a PathBuf>,
    met: bool,
    before: &'a Figures,
    after: &'a Figures,
    tried: &'a [Tried],
}

/// What was and what is, and what was tried.
fn print(compressed: &Compressed) -> std::io::Result<()> {
    let tried = &compressed.tried;
    let rows = compressed.rows().into_iter().map(Vec::from).collect();
    output::table(&[Column::text(""), Column::number("before"), Column::number("now")], rows)?;
    if tried.is_empty() {
        return Ok(());
    }
    let row = |tried: &Tried| {
        let Figures { top1, ms, .. } = tried.figures;
        let fits = if tried.fits { "fits" } else { "" };
        vec![
            tried.aim.clone(),
            format!("{top1:.2} %"),
            format!("{:.2}", tried.lost),
            format!("{ms:.3}"),
            fits.into(),
        ]
    };
    let headings = [
        Column::text("tried"),
        Column::number("top-1"),
        Column::number("points lost"),
        Column::number("ms"),
        Column::text(""),
    ];
    output::table(&headings, tried.iter().map(row).collect())
}
