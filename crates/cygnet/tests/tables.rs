//! The tables in README.md and docs/networks.md are those of the registry. `CYGNET_UPDATE=1` writes them anew.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write;
use std::path::Path;

use cygnet::graph::Cost;
use cygnet::zoo::{Family, Network, networks};

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

fn all() -> String {
    let mut table = "| id | family | flavour | params, M | MACs, M | side | top-1 | also called |\n|---|---|---|--:|--:|--:|--:|---|\n".to_owned();
    for network in networks() {
        let cost = network.build().unwrap().cost();
        let names: Vec<_> =
            network.names().iter().map(|name| format!("{}/{}", name.source, name.name)).collect();
        let [params, macs] = [cost.params, cost.macs].map(millions);
        let best = top1(std::slice::from_ref(&network));
        let (row, side, names) = (network.row, network.row.side, names.join(" "));
        let line = format!(
            "| {} | {:?} | {} | {params} | {macs} | {side} | {best} | {names} |",
            network.id, row.family, row.flavour
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

#[test]
fn the_tables_of_networks_are_those_of_the_registry() {
    check("README.md", "families", &families());
    check("docs/networks.md", "networks", &all());
}
