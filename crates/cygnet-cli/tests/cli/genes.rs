//! Genes where networks are named.

use cygnet::Model;
use cygnet::graph::{Limits, Param};
use cygnet::weights::WeightSet;
use cygnet::zoo::{Gene, Spec};

use super::Bench;

const GENE: &str = "gene:32-8s1-16s2_m3e2-24s2_f3e2_x_s3-32";

#[test]
fn a_gene_is_shown_and_timed_as_a_network_is() {
    let bench = Bench::new();
    let written = "gene:32-8s1-16s2_1m3e2-24s2_f3e2_x_s3-32";
    let shown = &bench.run(&["show", written, "--json"]).json()[0];
    assert_eq!((&shown["id"], &shown["input"]), (&GENE.into(), &serde_json::json!([3, 32, 32])));
    assert_eq!(shown["family"], serde_json::Value::Null);
    let text = bench.run(&["show", GENE, "--layers"]).out;
    assert!(text.contains(GENE) && text.contains("blocks.1.2.shuffle"), "{text}");
    let timed = &bench.run(&["bench", GENE, "--seconds", "0.01", "--json"]).json()[0];
    assert_eq!(timed["model"], GENE);
    assert!(timed["median_ms"].as_f64().unwrap() > 0.0);
}

#[test]
fn a_model_file_of_a_gene_needs_nothing_else() {
    let bench = Bench::new();
    let gene: Gene = GENE.parse().unwrap();
    let graph = gene.build(&Spec { classes: 3, ..gene.spec() }).unwrap();
    let preset = cygnet::network(GENE).unwrap().preset();
    let numbers = |param: &Param| vec![0.1; param.shape.iter().product()];
    let weights = WeightSet::of(&graph, graph.params().iter().map(numbers)).unwrap();
    let model = Model::new(graph, weights, cygnet::preprocess(&preset, [3, 32, 32])).unwrap();
    Model { id: GENE.into(), ..model }.write(bench.path("found.safetensors")).unwrap();
    let shown = &bench.run(&["show", "found.safetensors", "--json"]).json()[0];
    assert_eq!((&shown["id"], &shown["classes"]), (&GENE.into(), &3.into()));
    let read = Model::open(bench.path("found.safetensors")).unwrap();
    assert_eq!(Gene::of(&read.graph), Some(gene));
    read.graph.check(&Limits::default()).unwrap();

    // Bare weights of it are converted by its text.
    let run = bench.run(&["convert", "found.safetensors", "bare.onnx"]);
    assert_eq!(run.code, 0, "{}", run.err);
    let again = bench.run(&["convert", "found.safetensors", "again.safetensors", "--network", GENE]);
    assert_eq!(again.code, 0, "{}", again.err);
    let other =
        bench.run(&["convert", "found.safetensors", "c.safetensors", "--network", "gene:32-8-8_m3-8"]);
    assert_eq!(other.code, 1);
    assert!(other.err.contains("leave out --network"), "{}", other.err);
}

#[test]
fn a_text_that_is_no_gene_is_refused_with_its_place() {
    let bench = Bench::new();
    for command in ["show", "bench"] {
        let run = bench.run(&[command, "gene:32-16-16_m3e6-24_m4e6-8"]);
        assert_eq!((run.code, run.out.as_str()), (1, ""), "{command}");
        assert!(run.err.contains("stage 1, block 0 (m4e6): a kernel of 4 has no centre"), "{}", run.err);
    }
    let large = bench.run(&["bench", "gene:4096-65536-65536_512m3e64-65536"]);
    assert_eq!(large.code, 1);
    assert!(large.err.contains("over the limit"), "{}", large.err);
    let long = bench.run(&["show", &format!("gene:32-16-{}-8", "16_m3-".repeat(2000))]);
    assert!(long.code == 1 && long.err.chars().count() < 200, "{}", long.err);
}
