use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cygnet::graph::Graph;
use cygnet::hub::Cache;
use cygnet::latency::{
    Building, Built, Checked, Device, Fit, LatencyError, Predictor, Progress, Space, StepTable, TableError,
    Work, Zoo, build, check, predictor_of, work_of, work_of_model,
};
use cygnet::runtime::PlanOptions;
#[cfg(feature = "train")]
use cygnet::{latency::Draw, zoo::Spec};
use serde::Serialize;

use super::bench::ms;
use crate::args::{Latency, LatencyBuild, LatencyCheck, LatencyCommand, LatencyPredict, LatencyShow};
use crate::output::{self, Column, plain, shape};
use crate::progress;

/// Networks that are shown of a check, those that are predicted worst.
const SHOWN: usize = 8;

pub(crate) fn latency(args: &Latency) -> anyhow::Result<bool> {
    match &args.command {
        LatencyCommand::Build(args) => built(args),
        LatencyCommand::Show(args) => shown(args),
        LatencyCommand::Check(args) => checked(args),
        LatencyCommand::Predict(args) => predicted(args),
    }
}

/// This machine with so many threads, and how its plans are made.
fn this(threads: NonZeroUsize) -> anyhow::Result<(Device, PlanOptions)> {
    let options: PlanOptions = super::level()?.into();
    Ok((Device::this(options, threads.get()), options))
}

/// The file of this machine's table.
fn own_path(device: &Device) -> anyhow::Result<PathBuf> {
    Ok(StepTable::path_in(Cache::from_env()?.folder(), device))
}

/// The space of a name.
#[cfg(not(feature = "train"))]
fn space(name: &str) -> anyhow::Result<Box<dyn Space>> {
    anyhow::ensure!(name == Zoo.name(), "no space is called {name}; there is {}", Zoo.name());
    Ok(Box::new(Zoo))
}

/// The space of a name: of genes, or the zoo.
#[cfg(feature = "train")]
fn space(name: &str) -> anyhow::Result<Box<dyn Space>> {
    Ok(if name == Zoo.name() { Box::new(Zoo) } else { Box::new(Genes(cygnet_search::Space::named(name)?)) })
}

/// Networks of genes.
#[cfg(feature = "train")]
struct Genes(cygnet_search::Space);

/// Classes of networks of genes, in turns: the last layer of each has steps of its own.
#[cfg(feature = "train")]
const CLASSES: [usize; 3] = [1000, 10, 100];

#[cfg(feature = "train")]
impl Space for Genes {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn draw(&self, number: u64, image: usize) -> Option<Draw> {
        let space = self.0.for_image(image);
        let gene = space.gene(&space.sample(&mut cygnet::image::Rng::keyed(&[number])));
        let classes = CLASSES[(number % CLASSES.len() as u64) as usize];
        let graph = gene.build(&Spec { classes, ..gene.spec() }).ok()?;
        Some(Draw { name: format!("{gene} of {classes} classes"), graph })
    }
}

fn built(args: &LatencyBuild) -> anyhow::Result<bool> {
    let (device, options) = this(args.threads)?;
    let own = own_path(&device)?;
    let path = args.out.as_ref().unwrap_or(&own);
    let space = space(&args.space)?;
    let mut building = Building::new(&*space, args.image, args.threads.get(), options);
    building.anew = args.overwrite;
    building.time = [args.seconds, 2.0 * args.seconds].map(Duration::from_secs_f64);
    // What the cache has of an older version is of no use to anybody.
    if args.out.is_none()
        && let Ok(Some(table)) = StepTable::find(path)
        && let Err(TableError::Foreign { differences, .. }) = table.of_device(&device, path)
    {
        output::note(&format!("{}: is of {}: begun anew", path.display(), differences.join(", ")));
        building.anew = true;
    }
    let bar = progress::share("measuring");
    let mut watch = |progress: Progress| {
        bar.set_position((progress.share * 1000.0) as u64);
        bar.set_message(format!("measuring: {} networks, {} steps", progress.networks, progress.steps));
    };
    let built = build(path, &building, &mut watch);
    bar.finish_and_clear();
    let Built { table, fit, timed, is_short } = match built {
        Err(LatencyError::Table(error @ TableError::Foreign { .. })) => {
            let hint = "give another --out, or --overwrite to begin it anew".into();
            return Err(output::Hinted { problem: error.to_string(), hint }.into());
        }
        built => built?,
    };
    note_damaged(path, &table);
    if timed == 0 {
        output::talk(&plain(&format!(
            "{}: has {} networks of {}x{} pixels already; --overwrite begins it anew",
            path.display(),
            space.name(),
            args.image,
            args.image
        )));
    }
    if is_short {
        output::warning(&format!(
            "{}: there was too little time, or the machine was busy: predictions are off by {} at the median; build it again with --overwrite when nothing \
             else runs",
            path.display(),
            percent(fit.errors.median_error)
        ));
    }
    let line = Table::of(path, &table);
    if args.json {
        output::json(&line)?
    } else {
        line.print()?
    }
    Ok(true)
}

fn shown(args: &LatencyShow) -> anyhow::Result<bool> {
    let path = match &args.file {
        Some(file) => file.clone(),
        None => own_path(&this(args.threads)?.0)?,
    };
    let table = there(StepTable::find(&path)?, &path, args.file.is_some())?;
    note_damaged(&path, &table);
    let line = Table::of(&path, &table);
    if args.json {
        output::json(&line)?
    } else {
        line.print()?
    }
    Ok(true)
}

/// What is told of a table.
#[derive(Serialize)]
struct Table<'t> {
    file: &'t Path,
    #[serde(flatten)]
    device: &'t Device,
    networks: usize,
    steps: usize,
    /// Different steps by kernel.
    kernels: BTreeMap<&'t str, usize>,
    corrections: &'t [Fit],
}

impl<'t> Table<'t> {
    fn of(file: &'t Path, table: &'t StepTable) -> Table<'t> {
        let mut keys: Vec<&cygnet::latency::Key> =
            table.networks().iter().flat_map(|network| &network.steps).map(|timed| &timed.step.key).collect();
        keys.sort_unstable();
        keys.dedup();
        let mut kernels = BTreeMap::new();
        keys.iter().for_each(|key| *kernels.entry(key.name()).or_default() += 1);
        let (networks, steps) = (table.networks().len(), keys.len());
        Table { file, device: table.device(), networks, steps, kernels, corrections: table.fits() }
    }

    fn print(&self) -> std::io::Result<()> {
        let Device { version, cpu, isa, threads, .. } = self.device;
        let threads = if *threads == 1 { "1 thread".into() } else { format!("{threads} threads") };
        let rows = [
            ("file", self.file.display().to_string()),
            ("device", format!("{cpu}, {isa}, {threads}")),
            ("version", version.clone()),
            ("networks", self.networks.to_string()),
            ("steps", self.steps.to_string()),
        ];
        for (name, value) in rows {
            output::line(&format!("{name:<10} {}", plain(&value)))?;
        }
        let columns = [Column::text("kernel"), Column::number("steps")];
        output::line("")?;
        let row = |(name, steps): (&&str, &usize)| vec![plain(name), steps.to_string()];
        output::table(&columns, self.kernels.iter().map(row).collect())?;
        if self.corrections.is_empty() {
            return Ok(());
        }
        let columns = [
            Column::word("space"),
            Column::number("image"),
            Column::number("constant ms"),
            Column::number("factor"),
            Column::number("ms/MB").spare(),
            Column::number("checked"),
            Column::number("median error"),
            Column::number("95 %"),
            Column::number("noise"),
            Column::number("GFLOP/s").spare(),
        ];
        let row = |fit: &Fit| {
            vec![
                plain(&fit.space),
                shape(&fit.image[1..]),
                format!("{:.4}", fit.correction.constant_ms),
                format!("{:.3}", fit.correction.factor),
                format!("{:.4}", fit.correction.ms_per_mb_beyond_l2),
                fit.errors.networks.to_string(),
                percent(fit.errors.median_error),
                percent(fit.errors.p95_error),
                percent(fit.noise),
                format!("{:.0}", fit.peak_gflops),
            ]
        };
        output::line("")?;
        output::table(&columns, self.corrections.iter().map(row).collect())
    }
}

fn checked(args: &LatencyCheck) -> anyhow::Result<bool> {
    let (device, options) = this(args.threads)?;
    let own = own_path(&device)?;
    let path = args.table.as_ref().unwrap_or(&own);
    let table = there(StepTable::find(path)?, path, args.table.is_some())?.of_device(&device, path)?;
    note_damaged(path, &table);
    let predictor = Predictor::new(&table).ok_or_else(|| TableError::Empty { path: path.clone() })?;
    let last = table.networks().last();
    let space = match (&args.space, last) {
        (Some(name), _) => space(name)?,
        (None, Some(network)) => space(&network.space)?,
        (None, None) => Box::new(Zoo),
    };
    let image = args.image.or_else(|| last.map(|network| network.image[1])).unwrap_or(224);
    let bar = progress::things(args.networks.into(), "timing", "networks");
    let mut watch = |networks: usize| bar.set_position(networks as u64);
    let checked = check(&predictor, (&*space, image), options, args.networks.into(), &mut watch);
    bar.finish_and_clear();
    let checked = checked?;
    if checked.disturbed {
        output::note("the machine was busy: errors have its noise too; check again when nothing else runs");
    }
    if args.json {
        output::json(&checked)?;
    } else if args.csv {
        output::csv(["network", "predicted_ms", "measured_ms", "missing_keys"])?;
        for row in &checked.rows {
            let numbers = [row.predicted_ms, row.measured_ms].map(|ms| ms.to_string());
            output::csv(
                [row.network.clone()].into_iter().chain(numbers).chain([row.missing_keys.to_string()]),
            )?;
        }
    } else {
        print_checked(&checked)?;
    }
    Ok(true)
}

fn print_checked(checked: &Checked) -> std::io::Result<()> {
    let off = |row: &cygnet::latency::Row| row.predicted_ms / row.measured_ms - 1.0;
    let mut rows: Vec<&cygnet::latency::Row> = checked.rows.iter().collect();
    rows.sort_by(|a, b| off(b).abs().total_cmp(&off(a).abs()));
    let columns = [
        Column::path("predicted worst"),
        Column::number("predicted ms"),
        Column::number("measured ms"),
        Column::number("off"),
        Column::number("missing keys"),
    ];
    let row = |row: &&cygnet::latency::Row| {
        vec![
            plain(&row.network),
            ms(row.predicted_ms),
            ms(row.measured_ms),
            format!("{:+.1} %", 100.0 * off(row)),
            row.missing_keys.to_string(),
        ]
    };
    output::table(&columns, rows.iter().take(SHOWN).map(row).collect())?;
    let errors = &checked.errors;
    output::line(&format!(
        "\n{} networks of {}x{} pixels: median error {}, 95 % within {}, all within {}; noise {}",
        errors.networks,
        checked.image,
        checked.image,
        percent(errors.median_error),
        percent(errors.p95_error),
        percent(errors.max_error),
        percent(checked.noise)
    ))
}

#[derive(Serialize)]
struct Predicted {
    network: String,
    predicted_ms: f64,
    isa: String,
    threads: usize,
    missing_keys: usize,
    steps: usize,
}

fn predicted(args: &LatencyPredict) -> anyhow::Result<bool> {
    let predictor = match &args.table {
        Some(path) => {
            let table = StepTable::read(path)?;
            note_damaged(path, &table);
            Predictor::new(&table).ok_or_else(|| TableError::Empty { path: path.clone() })?
        }
        None => {
            let (device, _) = this(args.threads)?;
            let path = own_path(&device)?;
            let found = predictor_of(Cache::from_env()?.folder(), &device)?;
            there(found, &path, false)?
        }
    };
    let work = work(args, predictor.device().options()).map_err(super::of_model(&args.network))?;
    let prediction = predictor.predict(&work);
    let Device { isa, threads, cpu, .. } = predictor.device();
    let line = Predicted {
        network: args.network.clone(),
        predicted_ms: prediction.ms,
        isa: isa.clone(),
        threads: *threads,
        missing_keys: prediction.missing_keys,
        steps: work.steps.len(),
    };
    if args.json {
        output::json(&line)?;
        return Ok(true);
    }
    let threads = if *threads == 1 { "1 thread".into() } else { format!("{threads} threads") };
    let missing = match line.missing_keys {
        0 => "every step was measured".into(),
        1 => "1 step was not measured and is an estimate".into(),
        missing => format!("{missing} steps were not measured and are estimates"),
    };
    let text =
        format!("{}: {} ms on {cpu}, {isa}, {threads}; {missing}", line.network, ms(line.predicted_ms));
    output::line(&plain(&text))?;
    Ok(true)
}

/// What the network that was named runs.
fn work(args: &LatencyPredict, options: PlanOptions) -> anyhow::Result<Work> {
    let name = &args.network;
    let resized = |graph: Graph| match args.image {
        Some(side) => graph.resized(side, side),
        None => Ok(graph),
    };
    if let Some(network) = cygnet::zoo::find(name) {
        let graph = resized(network.build()?)?;
        super::note_small(name, &graph);
        return Ok(work_of(&graph, options)?);
    }
    if !Path::new(name).is_file() && !cygnet::hub::is_url(name) {
        return Err(super::unknown(name));
    }
    let mut model = super::load(name, args.graph_limits)?;
    model.graph = resized(model.graph)?;
    super::note_small(name, &model.graph);
    Ok(work_of_model(&model, options)?)
}

/// What the latency table of this machine says of some work on so many threads, where it has one; what is wrong with a table is
/// told.
pub(super) fn predicted_ms(
    options: PlanOptions,
    threads: usize,
    work: impl FnOnce() -> Option<Work>,
) -> Option<f64> {
    let cache = Cache::from_env().ok()?;
    match predictor_of(cache.folder(), &Device::this(options, threads)) {
        Ok(predictor) => Some(predictor?.predict(&work()?).ms),
        Err(error) => {
            output::note(&format!("{error}"));
            None
        }
    }
}

/// What there must be of a table; `is_named` says that somebody named its file.
fn there<T>(found: Option<T>, path: &Path, is_named: bool) -> anyhow::Result<T> {
    found.ok_or_else(|| {
        if is_named {
            return anyhow::anyhow!("{}: no such file", path.display());
        }
        let problem = format!("{}: there is no latency table of this device yet", path.display());
        let hint = "`cygnet latency build` measures one in about three minutes; --table names a file".into();
        output::Hinted { problem, hint }.into()
    })
}

fn note_damaged(path: &Path, table: &StepTable) {
    match table.damaged() {
        0 => {}
        1 => output::warning(&format!("{}: 1 damaged line is ignored", path.display())),
        lines => output::warning(&format!("{}: {lines} damaged lines are ignored", path.display())),
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}
