//! The tables in README.md and docs/networks.md are those of the registry and of the newest record of benchmarks.
//! `CYGNET_UPDATE=1` writes them anew.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use cygnet::graph::Cost;
use cygnet::zoo::{Checkpoint, Family, Network, networks};

fn millions(n: u64) -> String {
    let value = n as f64 / 1e6;
    if value < 10.0 { format!("{value:.2}") } else { format!("{value:.0}") }
}

fn range(costs: &[Cost], what: fn(&Cost) -> u64) -> String {
    let (least, most) = (costs.iter().map(what).min().unwrap(), costs.iter().map(what).max().unwrap());
    if least == most { millions(least) } else { format!("{}–{}", millions(least), millions(most)) }
}

/// The best published top-1, as text.
fn top1(networks: &[Network]) -> String {
    let all =
        networks.iter().flat_map(|network| network.checkpoints()).map(|checkpoint| checkpoint.accuracy[0]);
    all.filter(|top1| top1.is_finite()).reduce(f32::max).map_or_else(String::new, |top1| format!("{top1:.1}"))
}

fn families() -> String {
    let mut table =
        "| family | networks | variants | params, M | MACs, M | best top-1 |\n|---|---|--:|--:|--:|--:|\n"
            .to_owned();
    for family in Family::ALL {
        let members: Vec<Network> = networks().filter(|network| network.row.family == family).collect();
        let costs: Vec<Cost> = members.iter().map(|network| network.build().unwrap().cost()).collect();
        let mut ids: Vec<&str> = members.iter().map(|network| network.row.id).collect();
        ids.dedup();
        let shown = ids.iter().take(4).map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", ");
        let more = if ids.len() > 4 { ", …" } else { "" };
        let [params, macs] = [range(&costs, |cost| cost.params), range(&costs, |cost| cost.macs)];
        let best = top1(&members);
        writeln!(table, "| {family:?} | {shown}{more} | {} | {params} | {macs} | {best} |", members.len())
            .unwrap();
    }
    table
}

/// Tag and source of weights, where that is not the row's flavour, and what they are checked by, where that is not much.
fn weights(network: &Network, checkpoint: &Checkpoint) -> String {
    let source = network.source_of(checkpoint);
    let source = if source == network.row.flavour { String::new() } else { format!(" ({source})") };
    let mark = match checkpoint.sha256.len() {
        0 => "†",
        64 => "",
        _ => "\\*",
    };
    format!("{}{source}{mark}", checkpoint.tag)
}

fn all() -> String {
    let mut table =
        "| id | family | flavour | params, M | MACs, M | side | top-1 | weights | also called |\n\
         |---|---|---|--:|--:|--:|--:|---|---|\n"
            .to_owned();
    for network in networks() {
        let cost = network.build().unwrap().cost();
        let names: Vec<_> =
            network.names().iter().map(|name| format!("{}/{}", name.source, name.name)).collect();
        let [params, macs] = [cost.params, cost.macs].map(millions);
        let default = network.default_checkpoint().map(|checkpoint| checkpoint.accuracy[0]);
        let top1 =
            default.filter(|top1| top1.is_finite()).map_or_else(String::new, |top1| format!("{top1:.1}"));
        let weights: Vec<_> =
            network.checkpoints().iter().map(|checkpoint| weights(&network, checkpoint)).collect();
        let (row, side, names) = (network.row, network.row.side, names.join(" "));
        let line = format!(
            "| {} | {:?} | {} | {params} | {macs} | {side} | {top1} | {} | {names} |",
            network.id,
            row.family,
            row.flavour,
            weights.join(" ")
        );
        writeln!(table, "{line}").unwrap();
    }
    table
}

fn check(file: &str, mark: &str, table: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(&format!("<!-- {mark} -->\n")).unwrap();
    let (_, after) = rest.split_once("<!-- end -->").unwrap();
    let wanted = format!("{before}<!-- {mark} -->\n{table}<!-- end -->{after}");
    if std::env::var_os("CYGNET_UPDATE").is_some() {
        std::fs::write(&path, &wanted).unwrap();
    } else {
        assert!(text == wanted, "{file} is not up to date: run `just tables`");
    }
}

/// A row of a record: names of columns and their values.
type Row = HashMap<String, String>;

/// The newest record, if there is one: its date and rows.
fn newest_record() -> Option<(String, Vec<Row>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../benches/record");
    let entries =
        |path: &Path| std::fs::read_dir(path).into_iter().flatten().map(|entry| entry.unwrap().path());
    let files = entries(&folder).flat_map(|cpu| entries(&cpu).collect::<Vec<_>>());
    let name = |path: &Path| path.file_stem().unwrap().to_str().unwrap().to_owned();
    let (date, _, path) = files.map(|path| (name(&path), name(path.parent().unwrap()), path)).max()?;
    let text = std::fs::read_to_string(path).unwrap();
    assert!(!text.contains('"'), "a value has a comma");
    let mut lines = text.lines().map(|line| line.split(',').map(String::from).collect::<Vec<_>>());
    let head = lines.next().unwrap();
    let row = |line: Vec<String>| {
        assert_eq!(line.len(), head.len());
        head.iter().cloned().zip(line).collect()
    };
    Some((date, lines.map(row).collect()))
}

/// What engines are called outside of records.
fn engine_name(engine: &str) -> &str {
    match engine {
        "ort" => "ONNX Runtime",
        "openvino" => "OpenVINO",
        "mnn" => "MNN",
        "litert" => "LiteRT",
        "openvino-qdq" => "OpenVINO (QDQ)",
        other => other,
    }
}

/// Precisions that a record may have, as they are called in the readme.
const PRECISIONS: [(&str, &str); 3] = [
    ("fp32", "32-bit floats"),
    ("int8", "whole numbers of 8 bits, in files that each runtime's own tools made"),
    ("bf16", "16-bit floats (bf16)"),
];

/// The tables of speed of the newest record, one a precision.
fn speed() -> String {
    let Some((date, rows)) = newest_record() else { return "Nothing is recorded yet.\n".into() };
    let tables = PRECISIONS.iter().filter_map(|(precision, called)| {
        let rows: Vec<&Row> = rows.iter().filter(|row| row["precision"] == *precision).collect();
        speed_at(&rows, called, &date)
    });
    tables.collect::<Vec<_>>().join("\n")
}

/// Our own time and those of the others in the smallest setting, then the ratio to the best of them in all settings.
fn speed_at(rows: &[&Row], called: &str, date: &str) -> Option<String> {
    let number = |row: &Row, key: &str| row[key].parse::<f64>().unwrap();
    let setting = |row: &Row| [number(row, "threads") as u64, number(row, "batch") as u64];
    let ours: Vec<&Row> = rows.iter().copied().filter(|row| row["role"] == "subject").collect();
    let first = ours.iter().min_by_key(|row| setting(row))?;
    let shown: Vec<&Row> = rows.iter().copied().filter(|row| setting(row) == setting(first)).collect();
    let peers: BTreeMap<&str, &str> = shown
        .iter()
        .filter(|row| row["role"] == "peer")
        .map(|row| (row["engine"].as_str(), row["version"].as_str()))
        .collect();
    let count = |n: u64, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let [threads, batch] = setting(first);
    let versions = peers.iter().map(|(engine, version)| format!("{} {version}", engine_name(engine)));
    let mut text = format!(
        "Median ms of {} on {}, {}, {date}: {called}, with the share of the core's peak at 32 bits.\nThe ratio is the time of \
         the fastest other runtime divided by ours.\n{} {}; {}.\n\n",
        count(batch, "image"),
        count(threads, "thread"),
        first["cpu"],
        first["engine"],
        first["version"],
        versions.collect::<Vec<_>>().join(", "),
    );
    let names: Vec<&str> = peers.keys().map(|engine| engine_name(engine)).collect();
    writeln!(text, "| network | {} | {} | ratio |", first["engine"], names.join(" | ")).unwrap();
    writeln!(text, "|---|--:|{}--:|", "--:|".repeat(peers.len())).unwrap();
    for own in ours.iter().filter(|row| setting(row) == setting(first)) {
        let of_model = || shown.iter().filter(|row| row["model"] == own["model"]);
        let least = of_model().map(|row| number(row, "median_ms")).reduce(f64::min).unwrap();
        let cell = |row: &Row| {
            let ms = number(row, "median_ms");
            let digits = if ms < 10.0 { format!("{ms:.2}") } else { format!("{ms:.1}") };
            let strong = if ms == least { "**" } else { "" };
            format!("{strong}{digits}{strong} ({:.0} %)", number(row, "fma_peak_pct"))
        };
        let peer = |engine: &&str| of_model().find(|row| row["engine"] == **engine).map(|row| cell(row));
        let others: Vec<String> =
            peers.keys().map(|engine| peer(engine).unwrap_or_else(|| "–".into())).collect();
        let ratio = own["ratio"].parse::<f64>().map_or_else(|_| String::new(), |ratio| format!("{ratio:.2}"));
        writeln!(text, "| {} | {} | {} | {ratio} |", own["model"], cell(own), others.join(" | ")).unwrap();
    }
    text.push_str("\nGeometric mean of the ratios:\n\n");
    let settings: BTreeSet<[u64; 2]> = ours.iter().map(|row| setting(row)).collect();
    for [threads, batch] in settings {
        let ratios = ours.iter().filter(|row| setting(row) == [threads, batch]);
        let ratios: Vec<f64> = ratios.filter_map(|row| row["ratio"].parse().ok()).collect();
        let mean = (ratios.iter().map(|ratio| ratio.ln()).sum::<f64>() / ratios.len() as f64).exp();
        let setting = format!("{}, batch {batch}", count(threads, "thread"));
        writeln!(text, "- {setting}: {mean:.2} over {}", count(ratios.len() as u64, "network")).unwrap();
    }
    Some(text)
}

#[test]
fn the_tables_of_networks_are_those_of_the_registry() {
    check("README.md", "families", &families());
    check("docs/networks.md", "networks", &all());
}

#[test]
fn the_table_of_speed_is_that_of_the_newest_record() {
    check("README.md", "speed", &speed());
}

#[test]
fn results_of_the_comparison_become_a_record_that_later_ones_join() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../benches/record.py");
    let folder = tempfile::tempdir().unwrap();
    let result = |name: &str, threads: u64, ms: [f64; 2]| {
        let row = |engine: &str, role: &str, ms: f64| {
            serde_json::json!({"model": "net", "engine": engine, "role": role, "version": "1.2", "threads": threads,
                "precision": "fp32", "batch": 1, "rounds": 5, "median_ms": ms, "min_ms": ms, "spread_pct": 1.0,
                "fma_peak_pct": 50.0, "disturbed": 0, "relerr": "", "best_peer": "", "ratio": ""})
        };
        let machine =
            serde_json::json!({"cpu": "Some(R) CPU", "fma_gflops_per_core": 100.5, "date": "2030-01-02"});
        let rows = [row("cygnet", "subject", ms[0]), row("ort", "peer", ms[1])];
        let file = folder.path().join(name);
        std::fs::write(&file, serde_json::json!({"machine": machine, "rows": rows}).to_string()).unwrap();
        file
    };
    let record = |files: &[PathBuf], cpu: &[&str]| {
        let mut command = Command::new("python3");
        command.arg(&script).args(files).arg("--folder").arg(folder.path().join("record")).args(cpu);
        command.output()
    };
    let cpu = ["--cpu", "Some(R)  CPU @ 3"];
    let one = [result("a.json", 1, [2.0, 3.0]), result("b.json", 2, [1.0, 2.0])];
    let done = match record(&one, &cpu) {
        Ok(done) => done,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            println!("skipped: there is no python3");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    assert!(done.status.success(), "{done:?}");
    assert!(record(&[result("c.json", 2, [0.5, 2.5])], &cpu).unwrap().status.success());
    let text = std::fs::read_to_string(folder.path().join("record/some-cpu-3/2030-01-02.csv")).unwrap();
    let starts: Vec<String> = text.lines().map(|line| line[..line.len().min(38)].to_owned()).collect();
    assert_eq!(
        starts,
        [
            "model,engine,threads,batch,precision,r",
            "net,cygnet,1,1,fp32,subject,1.2,2.0,2.",
            "net,ort,1,1,fp32,peer,1.2,3.0,3.0,1.0,",
            "net,cygnet,2,1,fp32,subject,1.2,0.5,0.",
            "net,ort,2,1,fp32,peer,1.2,2.5,2.5,1.0,",
        ]
    );
    for wrong in ["{}", "no", "{\"machine\": {\"cpu\": \"x\", \"date\": \"../..\"}, \"rows\": []}"] {
        let file = folder.path().join("wrong.json");
        std::fs::write(&file, wrong).unwrap();
        let done = record(&[file], &cpu).unwrap();
        assert!(!done.status.success());
        assert!(String::from_utf8_lossy(&done.stderr).contains("wrong.json: not a result"), "{done:?}");
    }
}
