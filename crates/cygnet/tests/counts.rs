//! Every network that somebody has counted, against the counts.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;

use cygnet::zoo::{Family, Network, Spec, find};

/// Rows that are not reached by the name of a constructor: variant, implementation, id, image side.
const IDS: &str = include_str!("counts/ids.tsv");

/// Rows whose counts differ, and why: variant, implementation, reason.
const EXCEPTIONS: &str = include_str!("counts/exceptions.tsv");

fn table(text: &str) -> HashMap<(&str, &str), Vec<&str>> {
    text.lines()
        .map(|line| {
            let mut cells = line.split('\t');
            ((cells.next().unwrap(), cells.next().unwrap()), cells.collect())
        })
        .collect()
}

#[test]
fn every_counted_network_has_the_same_params_macs_and_activations() {
    let Some(path) = cygnet_testing::shared("reference/zoo.tsv") else { return };
    let text = std::fs::read_to_string(path).unwrap();
    let (ids, exceptions) = (table(IDS), table(EXCEPTIONS));
    let (mut checked, mut excepted, mut wrong) = (0, 0, Vec::new());
    for line in text.lines().skip(1) {
        let cells: Vec<&str> = line.split('\t').collect();
        let &[family, variant, implementation, input, params, macs, activations, ..] = &cells[..] else {
            continue;
        };
        if !cells.last().is_some_and(|notes| notes.starts_with("VERIFIED-RUN"))
            || family.starts_with("FBNetV3")
        {
            continue;
        }
        let source = implementation.split(' ').next().unwrap();
        let (network, side): (Option<Network>, _) = match ids.get(&(variant, implementation)) {
            Some(cells) => (find(cells[0]), cells[1].parse().unwrap()),
            None => {
                let side = input.rsplit('x').next().unwrap().parse().unwrap();
                (find(&format!("{source}/{}", variant.split(' ').next().unwrap())), side)
            }
        };
        let found = network.map(|network| {
            let spec = Spec { image: [3, side, side], ..network.spec() };
            (network.row.build)(&spec).unwrap().cost()
        });
        let wanted = [params, macs, activations].map(|cell| cell.parse::<u64>().ok());
        let given = found.map(|cost| [cost.params, cost.macs, cost.activations]);
        let equal = given.is_some_and(|given| {
            wanted.iter().zip(given).all(|(wanted, given)| wanted.is_none_or(|wanted| wanted == given))
        });
        match (equal, exceptions.contains_key(&(variant, implementation))) {
            (true, false) => checked += 1,
            (false, true) => excepted += 1,
            (true, true) => {
                wrong.push(format!("{variant} ({implementation}) is listed as an exception but is equal"))
            }
            (false, false) => {
                wrong.push(format!("{family} {variant} ({implementation}): {wanted:?}, ours {given:?}"))
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), wrong.len() + checked, wrong.join("\n"));
    assert!(checked >= 300, "{checked} rows checked, {excepted} exceptions");
}

#[test]
fn every_family_is_in_the_zoo() {
    for family in Family::ALL {
        assert!(cygnet::zoo::networks().any(|network| network.row.family == family), "{family:?}");
    }
}
