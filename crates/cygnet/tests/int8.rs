//! Learning with the rounding of whole numbers: what comes out computes with them as it was last evaluated, and neither threads
//! nor interruptions change a byte of it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use cygnet::graph::{BuildError, Conv, Graph, Role};
use cygnet::image::{Image, Rng};
use cygnet::runtime::Session;
use cygnet::train::{
    Callback, Ended, Engine, EngineOptions, Grids, Quantize, RunFiles, Start, StepReport, Trained, Training,
    ValueGrid, train,
};
use cygnet::weights::{Dtype, Tensor, safetensors};
use cygnet::{Classifier, Model, evaluate};
use tempfile::TempDir;

const SIDE: usize = 16;

/// A residual, a gate and a norm that no layer can take.
fn small(classes: usize) -> Result<Graph, BuildError> {
    Graph::build("small", [3, SIDE, SIDE], |net, image| {
        let x = net.at("a.bn").batch_norm(net.at("a").conv(image, Conv::new(8, 3).stride(2))).relu6();
        let y = net.at("b.bn").batch_norm(net.at("b").depthwise(x, Conv::new(0, 3))).hard_swish();
        let squeezed = net.at("down").conv(y.global_avg_pool(), Conv::new(4, 1).bias()).relu();
        let y = y * net.at("up").conv(squeezed, Conv::new(8, 1).bias()).hard_sigmoid();
        let y = net.at("c.bn").batch_norm(net.at("c").conv(y, Conv::new(8, 1)));
        let x = net.at("d.bn").batch_norm((x + y).relu()).relu();
        net.at("fc").linear(x.global_avg_pool().dropout(0.1), classes)
    })
}

/// Stripes, upright or lying, on noise.
fn pictures(folder: &Path) {
    for class in ["lying", "upright"] {
        std::fs::create_dir_all(folder.join(class)).unwrap();
        for number in 0..24u64 {
            let mut rng = Rng::keyed(&[number, class.len() as u64]);
            let mut pixels: Vec<u8> = (0..SIDE * SIDE * 3).map(|_| rng.below(120) as u8).collect();
            for (i, pixel) in pixels.chunks_exact_mut(3).enumerate() {
                let line = if class == "lying" { i / SIDE } else { i % SIDE };
                pixel.iter_mut().for_each(|x| *x += if line.is_multiple_of(2) { 100 } else { 0 });
            }
            let png = Image::from_rgb(SIDE, SIDE, pixels).unwrap().to_png().unwrap();
            std::fs::write(folder.join(class).join(format!("{number}.png")), png).unwrap();
        }
    }
}

struct Bench {
    folder: TempDir,
}

impl Bench {
    /// Pictures, and a model in floating point that knows them.
    fn new() -> Bench {
        let bench = Bench { folder: tempfile::tempdir().unwrap() };
        pictures(&bench.path("photos"));
        let run =
            train(bench.path("photos")).graph("small", small).batch(8).epochs(6).set("augment.crop=fit");
        run.set("optimizer.rate=0.1").out(bench.path("float.safetensors")).run().unwrap();
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn ask(&self, out: &str) -> Training {
        let start = Start::File(self.path("float.safetensors"));
        let ask = train(self.path("photos")).graph("small", small).from(start).quantize(Quantize::Int8);
        ask.batch(8).set("optimizer.rate=0.01").out(self.path(out))
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }
}

/// Ends a run after some steps.
struct Stop {
    after: usize,
}

impl Callback for Stop {
    fn step(&mut self, _: &StepReport) -> ControlFlow<()> {
        self.after -= 1;
        if self.after == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

#[test]
fn the_model_computes_with_whole_numbers_as_it_was_evaluated() {
    let bench = Bench::new();
    let run = bench.ask("int8.safetensors").run().unwrap();
    assert_eq!((run.outcome.ended, run.outcome.history.len()), (Ended::Finished, 3));
    let said = run.facts.iter().find(|(name, _)| name == "precision").map(|(_, said)| said.as_str());
    assert_eq!(said, Some("int8, 4 of 6 layers"), "those of the gate are in bf16");
    let best = &run.outcome.history[run.outcome.best as usize - 1];
    assert!(best.validation_top1.is_some_and(|top1| top1 > 80.0), "{best:?}");
    let accuracy = run.outcome.record.accuracy.clone().unwrap();
    assert_eq!(Some(accuracy.top1), best.validation_top1);
    let rounding = run.outcome.rounding.unwrap();
    let float = Model::load(bench.path("float.safetensors").to_str().unwrap()).unwrap();
    assert_eq!(rounding.top1_before, float.accuracy.unwrap().top1, "of the same pictures");
    assert_eq!(rounding.lost, rounding.top1_before - accuracy.top1);
    assert!(rounding.agreement > 80.0 && rounding.agreement <= 100.0, "{rounding:?}");
    let told = run.facts.iter().find(|(name, _)| name == "before rounding").map(|(_, told)| told.as_str());
    assert!(
        told.is_some_and(|told| told.starts_with("top-1 was ") && told.ends_with(" % agree")),
        "{told:?}"
    );

    let read = Model::load(bench.path("int8.safetensors").to_str().unwrap()).unwrap();
    let made = run.clone().into_model();
    assert_eq!((&read.quantization, &read.weights), (&made.quantization, &made.weights));
    for (id, node) in read.graph.iter().filter(|(_, node)| node.op.facts().is_weighted) {
        let weight = read.weights.of_role(&read.graph, id, Role::Weight).map(Tensor::dtype);
        let is_gate = ["down", "up"].contains(&node.path.as_str());
        assert_eq!(weight, Some(if is_gate { Dtype::BF16 } else { Dtype::I8 }), "{}", node.path);
    }
    // What is evaluated in training is what the file computes.
    let classifier = Classifier::new(read.clone()).unwrap();
    let verdicts = &run.outcome.verdicts;
    assert!(!verdicts.is_empty());
    let all = evaluate(&classifier, &bench.path("photos"), std::num::NonZeroUsize::MIN, |_, _| ()).unwrap();
    assert!(all.top1 > 80.0, "{all:?}");
    let before = Model::load(bench.path("float.safetensors").to_str().unwrap()).unwrap();
    assert_ne!(read.graph.to_json(), before.graph.to_json(), "batch norms are folded");
    assert!(bench.bytes("int8.html").windows(12).any(|window| window == b"int8, 4 of 6"));
}

/// The first guess.
fn guess(logits: &[f32]) -> Option<usize> {
    (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b]))
}

/// How many of some images have the same first guess in the forward pass of training as in the network of whole numbers, and the
/// largest distance of logits as a share of the largest logit.
fn agreement(model: &Model, images: &[Vec<f32>]) -> (usize, f32) {
    let record = model.quantization.as_ref().unwrap();
    let mut grids = Grids { values: vec![None; model.graph.nodes().len()], scales: Vec::new() };
    let real = cygnet_quantize::simulated_weights(&model.graph, &model.weights, record);
    let mut params = real.to_lists(&model.graph).unwrap();
    for (number, (id, grid)) in record.values.iter().enumerate() {
        grids.values[id.0] = Some(ValueGrid { zero: grid.zero, scales: number });
        grids.scales.push(grid.scales.len());
        params.push(grid.scales.clone());
    }
    let mut engine = Engine::new(&model.graph, EngineOptions { grids, ..EngineOptions::new(1) }).unwrap();
    let mut session = Session::new(model.plan().unwrap());
    let mut whole = vec![0.0; session.outputs()];
    let (mut same, mut apart, mut largest) = (0, 0.0f32, 0.0f32);
    for image in images {
        session.run(image, &mut whole).unwrap();
        let simulated = engine.forward(&params, image).unwrap();
        same += usize::from(guess(&whole) == guess(simulated));
        for (a, b) in whole.iter().zip(simulated) {
            (apart, largest) = (apart.max((a - b).abs()), largest.max(a.abs()));
        }
    }
    (same, apart / largest)
}

#[test]
fn steps_are_made_with_what_the_whole_numbers_compute() {
    let bench = Bench::new();
    let model = bench.ask("int8.safetensors").epochs(1).run().unwrap().into_model();
    let of = |class: &str, number: usize| {
        let image = Image::open(bench.path(&format!("photos/{class}/{number}.png"))).unwrap();
        model.preprocess.apply(&image).unwrap()
    };
    let images: Vec<Vec<f32>> =
        ["lying", "upright"].iter().flat_map(|class| (0..24).map(|number| of(class, number))).collect();
    let (same, apart) = agreement(&model, &images);
    assert!(same == images.len() && apart < 0.03, "{same} of {}, {apart}", images.len());
}

#[test]
fn threads_and_interruptions_change_no_byte() {
    let bench = Bench::new();
    let two = std::num::NonZeroUsize::new(2).unwrap();
    for ema in ["ema=0", "ema=0.9"] {
        let out = |name: &str| format!("{ema}-{name}");
        let whole = bench.ask(&out("whole.safetensors")).set(ema).threads(two).run().unwrap();
        let mut runs = 0;
        let resumed = loop {
            runs += 1;
            let ask = bench.ask(&out("parts.safetensors")).set(ema).threads(std::num::NonZeroUsize::MIN);
            let run = ask.resume(runs > 1).run_with(&mut Stop { after: 2 }).unwrap();
            if run.outcome.ended == Ended::Finished {
                break run;
            }
            assert!(runs < 20, "every run goes on");
        };
        assert!(runs > 4, "{runs}");
        let told = |run: &cygnet::train::RunOutcome| {
            let told = run.outcome.history.iter().map(|epoch| (epoch.loss, epoch.validation_loss));
            told.collect::<Vec<_>>()
        };
        assert_eq!(told(&whole), told(&resumed));
        for part in ["", ".last"] {
            let [one, other] =
                ["whole", "parts"].map(|name| bench.bytes(&out(&format!("{name}{part}.safetensors"))));
            assert!(one == other, "{ema}{part}");
        }
    }
}

#[test]
fn states_whose_rounding_is_not_that_of_the_network_are_refused() {
    let bench = Bench::new();
    bench.ask("run.safetensors").epochs(1).run().unwrap();
    let path = RunFiles::of(bench.path("run.safetensors")).state();
    let (tensors, metadata) = safetensors::read(&path).unwrap();
    let refused = |tensors: &cygnet::weights::Tensors, metadata: &safetensors::Metadata| {
        safetensors::write(&path, tensors, metadata).unwrap();
        bench.ask("run.safetensors").epochs(2).resume(true).run().unwrap_err().to_string()
    };
    let key = cygnet::weights::RUN_KEY;
    let mut fewer: serde_json::Value = serde_json::from_str(&metadata[key]).unwrap();
    fewer["zeros"].as_object_mut().unwrap().remove("0");
    let mut changed = metadata.clone();
    changed.insert(key.into(), fewer.to_string());
    let told = refused(&tensors, &changed);
    assert!(
        told.contains("zeros are not those of the network's values") && told.contains("--overwrite"),
        "{told}"
    );
    for number in [0.0, -1.0, 1e30] {
        let mut damaged = tensors.clone();
        let name = "weights/quantization.scales.1";
        let shape = damaged[name].shape().to_vec();
        let mut numbers = damaged[name].to_f32().into_owned();
        numbers[0] = number;
        damaged.insert(name.into(), Tensor::from_f32(shape, &numbers).unwrap());
        let told = refused(&damaged, &metadata);
        assert!(told.contains(name) && told.contains("no scale"), "{told}");
    }
    let mut without = tensors.clone();
    without.shift_remove("momentum/quantization.scales.0");
    let told = refused(&without, &metadata);
    assert!(told.contains("has no tensor momentum/quantization.scales.0"), "{told}");
    // A model in floating point in the place of the run's own is none of its results.
    safetensors::write(&path, &tensors, &metadata).unwrap();
    std::fs::copy(bench.path("float.safetensors"), bench.path("run.safetensors")).unwrap();
    let told = bench.ask("run.safetensors").epochs(2).resume(true).run().unwrap_err().to_string();
    assert!(told.contains("is no result of the run"), "{told}");
}

#[test]
fn what_does_not_go_with_rounding_is_refused() {
    let bench = Bench::new();
    let ask = || bench.ask("no.safetensors");
    let told = |ask: Training| ask.run().unwrap_err().to_string();
    let part = told(ask().part(Trained::Head));
    assert!(part.contains("train is head, but must be all for quantize=int8"), "{part}");
    let scratch = told(ask().from(Start::Scratch));
    assert!(scratch.contains("train without --quantize first"), "{scratch}");
    std::fs::rename(bench.path("photos/lying"), bench.path("photos/flat")).unwrap();
    let other = told(ask());
    assert!(other.contains("knows other classes") && other.contains("--from"), "{other}");
}

#[test]
fn a_run_that_replaces_another_goes_on_before_its_first_epoch_is_done() {
    let bench = Bench::new();
    let ask = || {
        let ask = train(bench.path("photos")).graph("small", small).batch(8).epochs(2).seed(9);
        ask.set("augment.crop=fit").out(bench.path("float.safetensors"))
    };
    let old = bench.bytes("float.safetensors");
    let stopped = ask().overwrite(true).run_with(&mut Stop { after: 2 }).unwrap();
    assert_eq!(stopped.outcome.ended, Ended::Interrupted);
    assert!(bench.bytes("float.safetensors") == old, "it stays until there is a better one");
    // What nobody asked to be replaced is not.
    std::fs::write(bench.path("float.safetensors"), b"mine").unwrap();
    let refused = ask().resume(true).run().unwrap_err().to_string();
    assert!(refused.contains("is no model file"), "{refused}");
    std::fs::write(bench.path("float.safetensors"), &old).unwrap();
    let run = ask().resume(true).run().unwrap();
    assert_eq!((run.outcome.ended, run.outcome.history.len()), (Ended::Finished, 2));
    assert!(bench.bytes("float.safetensors") != old);
    // Once there is a result, an earlier run's model is none of this one.
    std::fs::write(bench.path("float.safetensors"), &old).unwrap();
    let refused = ask().resume(true).epochs(3).run().unwrap_err().to_string();
    assert!(refused.contains("is no result of the run"), "{refused}");
    let source = ask().from(Start::File(bench.path("float.safetensors"))).overwrite(true).run().unwrap_err();
    assert!(source.to_string().contains("which the run reads"), "{source}");
}
