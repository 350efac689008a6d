//! What settings of a run do to losses, gradients and weights, on pictures of a few pixels and networks of two layers.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cygnet::graph::{Conv, Graph, Param};
use cygnet::hub::Cache;
use cygnet::image::{BatchRecipe, Image, Rng, Splits, epoch_order};
use cygnet::runtime::{Reference, softmax};
use cygnet::train::{
    Balance, Callback, Ended, Engine, EngineOptions, Outcome, Recipe, RunFiles, RunInfo, Start, State,
    StepReport, Teacher, TrainData, TrainError, TrainOptions, Trainee, Trainer, trainee,
};
use cygnet::weights::{ModelFile, Tensor, Tensors, WeightSet, safetensors};
use tempfile::TempDir;

const SIDE: usize = 8;
const CLASSES: [(&str, usize); 3] = [("blue", 6), ("green", 10), ("red", 16)];

/// What all runs here have in common: every picture is seen as it is, and nothing is random but the order.
const PLAIN: [&str; 9] = [
    "image=8",
    "batch=8",
    "epochs=1",
    "validation=0",
    "augment.crop=fit",
    "augment.flip=0",
    "mix.label_smoothing=0",
    "schedule.warmup=0",
    "optimizer.rate_batch=0",
];

struct Bench {
    folder: TempDir,
}

impl Bench {
    /// Pictures of three colours on noise, more of one class than of another.
    fn new() -> Bench {
        let bench = Bench { folder: tempfile::tempdir().unwrap() };
        for (channel, (class, count)) in CLASSES.into_iter().enumerate() {
            let folder = bench.folder.path().join("photos").join(class);
            std::fs::create_dir_all(&folder).unwrap();
            for number in 0..count {
                let mut rng = Rng::keyed(&[number as u64, channel as u64]);
                let mut pixels: Vec<u8> = (0..SIDE * SIDE * 3).map(|_| rng.below(200) as u8).collect();
                pixels.iter_mut().skip(2 - channel).step_by(3).for_each(|x| *x = x.saturating_add(80));
                let png = Image::from_rgb(SIDE, SIDE, pixels).unwrap().to_png().unwrap();
                std::fs::write(folder.join(format!("{number:02}.png")), png).unwrap();
            }
        }
        bench
    }

    fn out(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn recipe(&self, settings: &[&str]) -> Recipe {
        let settings: Vec<String> =
            PLAIN.iter().chain(settings).map(|setting| (*setting).to_owned()).collect();
        Recipe::compose("scratch-small", &settings).unwrap()
    }

    fn trainer(&self, settings: &[&str], change: impl FnOnce(&mut Setup)) -> Trainer {
        let recipe = self.recipe(settings);
        let threads = NonZeroUsize::MIN;
        let splits = Splits::open(self.folder.path().join("photos")).unwrap();
        let data = TrainData::new(splits, &recipe, SIDE, 1 << 20, threads, |_, _| ()).unwrap();
        let mut setup = Setup { graph: network(0.0), options: TrainOptions::new(threads), teacher: None };
        change(&mut setup);
        let trainee = Trainee::from_scratch("small", setup.graph, 3);
        let trainer = Trainer::new(trainee, data, recipe, setup.options).unwrap();
        match setup.teacher {
            Some(teacher) => trainer.with_teacher(teacher).unwrap(),
            None => trainer,
        }
    }

    fn run(&self, settings: &[&str], change: impl FnOnce(&mut Setup)) -> Outcome {
        self.trainer(settings, change).run(&mut ()).unwrap()
    }

    /// The batches of the first epoch, made without the trainer: images, and targets with class weights.
    fn batches(&self, settings: &[&str]) -> Vec<(Vec<f32>, Vec<f32>)> {
        let recipe = self.recipe(settings);
        let splits = Splits::open(self.folder.path().join("photos")).unwrap();
        let data = TrainData::new(splits, &recipe, SIDE, 1 << 20, NonZeroUsize::MIN, |_, _| ()).unwrap();
        let labels: Vec<usize> = data.train.samples().iter().map(|sample| sample.class).collect();
        let order = epoch_order(&labels, 3, recipe.balance == Balance::Sampling, recipe.seed, 0);
        let batches = BatchRecipe {
            photos: Arc::clone(&data.train),
            classes: 3,
            preprocess: Trainee::from_scratch("small", network(0.0), 3).preprocess,
            augment: recipe.augment.clone(),
            mix: recipe.mix.clone(),
            finish: None,
            seed: recipe.seed,
        };
        let batch = |(number, pictures): (usize, &[usize])| {
            let mut batch = batches.batch(0, number, pictures).unwrap();
            if recipe.balance == Balance::Weights {
                for (row, &label) in batch.targets.chunks_exact_mut(3).zip(&batch.labels) {
                    // Weights are inverse to the pictures of a class and 1 in the mean.
                    let weight = 32.0 / (3.0 * CLASSES[label].1 as f32);
                    row.iter_mut().for_each(|target| *target *= weight);
                }
            }
            (batch.images, batch.targets)
        };
        order.chunks_exact(8).enumerate().map(batch).collect()
    }
}

struct Setup {
    graph: Graph,
    options: TrainOptions,
    teacher: Option<Teacher>,
}

/// Two stages and a classifier, with an auxiliary head after the first stage unless its weight is 0.
fn network(head: f32) -> Graph {
    Graph::build("small", [3, SIDE, SIDE], |net, image| {
        let x = net.at("one.conv").conv(image, Conv::new(8, 3));
        let x = net.at("one").feature(net.at("one.norm").batch_norm(x).relu());
        if head > 0.0 {
            net.at("head").linear(x.adaptive_avg_pool([2, 2]), 3).auxiliary(head);
        }
        let x = net.at("two.conv").conv(x, Conv::new(12, 3).stride(2));
        let x = net.at("two").feature(net.at("two.norm").batch_norm(x).relu());
        net.at("fc").linear(x.global_avg_pool(), 3)
    })
    .unwrap()
}

fn names(graph: &Graph) -> Vec<String> {
    graph.params().into_iter().map(|param| param.name).collect()
}

fn probabilities(graph: &Graph, weights: &WeightSet, images: &[f32], temperature: f32) -> Vec<f32> {
    let reference = Reference::<f32>::new(graph.clone(), &weights.select(graph).unwrap()).unwrap();
    let mut all = Vec::new();
    for image in images.chunks_exact(3 * SIDE * SIDE) {
        let mut logits = reference.run(image).unwrap();
        logits.iter_mut().for_each(|logit| *logit /= temperature);
        softmax(&mut logits, 3);
        all.extend(logits);
    }
    all
}

/// Mean cross-entropy of the first epoch's batches.
fn cross_entropy(graph: &Graph, weights: &WeightSet, batches: &[(Vec<f32>, Vec<f32>)]) -> f64 {
    let terms: Vec<f64> = batches
        .iter()
        .flat_map(|(images, targets)| {
            let given = probabilities(graph, weights, images, 1.0);
            targets.iter().zip(given).map(|(&t, p)| -f64::from(t) * f64::from(p).ln()).collect::<Vec<_>>()
        })
        .collect();
    3.0 * terms.iter().sum::<f64>() / terms.len() as f64
}

fn teacher() -> Teacher {
    let Trainee { graph, mut weights, preprocess, .. } = Trainee::from_scratch("teacher", network(0.0), 9);
    // Sure of itself, so that it matters.
    let (name, tensor) = weights.iter().find(|(name, _)| *name == "fc.weight").unwrap();
    let sure = tensor.to_f32().iter().map(|w| w * 8.0).collect();
    let (name, sure) = (name.to_owned(), Tensor::from_numbers(tensor.shape(), sure).unwrap());
    weights.insert(name, sure);
    Teacher { graph, weights, preprocess }
}

#[test]
fn losses_are_those_of_the_formulas() {
    let bench = Bench::new();
    let still = ["optimizer.rate=0", "optimizer.weight_decay=0", "frozen_batch_norm=true"];
    let cases: [&[&str]; 8] = [
        &[],
        &["mix.label_smoothing=0.3"],
        &["mix.mixup=1"],
        &["mix.cutmix=1"],
        &["mix.mixup=0.4", "mix.cutmix=1", "mix.label_smoothing=0.1"],
        &["balance=weights"],
        &["balance=weights", "mix.label_smoothing=0.2"],
        &["balance=sampling"],
    ];
    let start = Trainee::from_scratch("small", network(0.0), 3).weights;
    let mut seen = Vec::new();
    for case in cases {
        let settings = [&still[..], case].concat();
        let found = bench.run(&settings, |_| ()).history[0].loss;
        let wanted = cross_entropy(&network(0.0), &start, &bench.batches(&settings));
        assert!((found - wanted).abs() < 1e-5, "{case:?}: {found} for {wanted}");
        seen.push(found);
    }
    assert!((1..seen.len()).all(|i| !seen[..i].contains(&seen[i])), "every setting matters: {seen:?}");

    // The teacher's share of the targets.
    let settings = [&still[..], &["distill.share=0.4", "distill.temperature=3"]].concat();
    let found = bench.run(&settings, |setup| setup.teacher = Some(teacher())).history[0].loss;
    let mut batches = bench.batches(&settings);
    for (images, targets) in &mut batches {
        let answers = probabilities(&teacher().graph, &teacher().weights, images, 3.0);
        targets.iter_mut().zip(answers).for_each(|(t, answer)| *t += 0.4 * (answer - *t));
    }
    let wanted = cross_entropy(&network(0.0), &start, &batches);
    assert!((found - wanted).abs() < 1e-5, "{found} for {wanted}");
}

#[test]
fn a_teacher_draws_the_network_to_its_answers() {
    let bench = Bench::new();
    let settings = ["epochs=12", "optimizer.rate=0.1", "distill.share=1", "distill.temperature=1"];
    let images: Vec<f32> = bench.batches(&settings).into_iter().flat_map(|(images, _)| images).collect();
    let taught = bench.run(&settings, |setup| setup.teacher = Some(teacher())).model;
    let alone = bench.run(&settings, |_| ()).model;
    let wanted = probabilities(&teacher().graph, &teacher().weights, &images, 1.0);
    let distance = |model: &Trainee| {
        let given = probabilities(&model.graph, &model.weights, &images, 1.0);
        given.iter().zip(&wanted).map(|(a, b)| f64::from((a - b).abs())).sum::<f64>() / 32.0
    };
    let (taught, alone) = (distance(&taught), distance(&alone));
    assert!(taught < 0.5 * alone, "{taught} with a teacher, {alone} without");
}

#[test]
fn what_does_not_learn_stays_as_it_is_to_the_bit() {
    let bench = Bench::new();
    let start = Trainee::from_scratch("small", network(0.0), 3).weights;
    let decide = |learns: fn(&str) -> bool, after: &WeightSet| {
        for (name, before) in start.iter() {
            let (before, after) = (before.to_f32(), after.get(name).unwrap().to_f32());
            let is_statistic = name.contains("running");
            let same = before.iter().zip(&*after).all(|(a, b)| a.to_bits() == b.to_bits());
            assert_eq!(same, is_statistic || !learns(name), "{name}");
        }
    };
    for (part, learns) in [
        ("train=head", (|name| name.starts_with("fc")) as fn(&str) -> bool),
        ("train=last-0", |name| name.starts_with("fc")),
        ("train=last-1", |name| !name.starts_with("one")),
        ("train=last-2", |_| true),
    ] {
        let out = bench.out("part.safetensors");
        let outcome = bench.run(&["epochs=2", part], |setup| setup.options.out = Some(out.clone()));
        decide(learns, &outcome.model.weights);
        decide(learns, &ModelFile::read(&out).unwrap().tensors.into());
    }
}

/// Notes what a run says of itself, and may end it.
#[derive(Default)]
struct Watch {
    info: Option<RunInfo>,
    last_step: Option<usize>,
}

impl Callback for Watch {
    fn begin(&mut self, info: &RunInfo) {
        self.info = Some(info.clone());
    }

    fn step(&mut self, report: &StepReport) -> ControlFlow<()> {
        if self.last_step == Some(report.step) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

#[test]
fn a_limit_of_memory_splits_batches_and_changes_gradients_by_rounding_only() {
    let bench = Bench::new();
    let bytes = |batch, threads| {
        let threads = NonZeroUsize::new(threads).unwrap();
        let options = EngineOptions { frozen_batch_norm: true, threads, ..EngineOptions::new(batch) };
        Engine::memory_bytes(&network(0.0), &options).unwrap()
    };
    let settings = ["epochs=2", "frozen_batch_norm=true", "optimizer.rate=0.05"];
    let run = |limit: Option<u64>, threads: usize| {
        let trainer = bench.trainer(&settings, |setup| {
            setup.options.memory_bytes = limit;
            setup.options.threads = NonZeroUsize::new(threads).unwrap();
        });
        let mut watch = Watch::default();
        let outcome = trainer.run(&mut watch)?;
        let weights = outcome.model.weights.to_lists(&network(0.0)).unwrap();
        Ok::<_, TrainError>((watch.info.unwrap().parts, weights))
    };
    let (parts, whole) = run(None, 1).unwrap();
    assert_eq!(parts, 1);
    let limit = bytes(2, 1);
    assert!(limit < bytes(4, 1));
    let (parts, split) = run(Some(limit), 1).unwrap();
    assert_eq!(parts, 4, "parts of two images fit");
    let start = Trainee::from_scratch("small", network(0.0), 3).weights.to_lists(&network(0.0)).unwrap();
    for ((whole, split), start) in whole.iter().zip(&split).zip(&start) {
        let distance =
            |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f32>().sqrt();
        assert!(distance(whole, split) <= 1e-4 * distance(whole, start), "{}", distance(whole, split));
    }
    assert!(split == run(Some(limit), 1).unwrap().1, "the same run again");
    // Each thread has scratch memory of its own.
    assert!(split == run(Some(bytes(2, 2)), 2).unwrap().1, "on two threads");
    let refusal = run(Some(1000), 1).unwrap_err().to_string();
    assert!(
        refusal.contains("to learn from 1 at a time") && refusal.contains("the limit is 1000 bytes"),
        "{refusal}"
    );
}

#[test]
fn a_run_without_progress_ends_early() {
    let bench = Bench::new();
    let settings =
        ["epochs=9", "validation=0.3", "early_stop=2", "optimizer.rate=0", "frozen_batch_norm=true"];
    let outcome = bench.run(&settings, |_| ());
    assert_eq!((outcome.ended, outcome.best, outcome.history.len()), (Ended::Early, 1, 3));
    let settings = ["epochs=3", "validation=0.3", "optimizer.rate=0", "frozen_batch_norm=true"];
    assert_eq!(bench.run(&settings, |_| ()).ended, Ended::Finished);
}

#[test]
fn what_came_before_and_comes_after_the_steps_counts_as_time() {
    let bench = Bench::new();
    let settings = ["epochs=3", "validation=0.25"];
    let timed = |change: fn(&mut TrainOptions)| {
        bench.run(&settings, |setup| {
            setup.options.time = Some(Duration::from_secs(3600));
            change(&mut setup.options);
        })
    };
    assert_eq!(timed(|_| ()).ended, Ended::Finished);
    let changes: [fn(&mut TrainOptions); 2] = [
        |options| options.began = Instant::now().checked_sub(Duration::from_secs(3600)).unwrap(),
        |options| options.after = Duration::from_secs(3600),
    ];
    for change in changes {
        let outcome = timed(change);
        assert_eq!((outcome.ended, outcome.history.len()), (Ended::Time, 1));
        assert_eq!(outcome.history[0].share, 0.5, "one step of two");
        assert!(!outcome.verdicts.is_empty());
        assert!(outcome.history[0].to_string().contains("(50 % of an epoch)"), "{}", outcome.history[0]);
    }
}

#[test]
fn the_model_holds_the_averages_of_weights() {
    let bench = Bench::new();
    let out = bench.out("averaged.safetensors");
    let settings = ["batch=32", "epochs=2", "ema=0.9", "optimizer.rate=0.1"];
    let outcome = bench.run(&settings, |setup| setup.options.out = Some(out.clone()));
    let (state, _) = safetensors::read(RunFiles::of(&out).state()).unwrap();
    let once =
        bench.run(&["batch=32", "ema=0", "optimizer.rate=0.1", "epochs=1", "schedule.kind=step"], |_| ());
    let start = Trainee::from_scratch("small", network(0.0), 3).weights;
    for name in &names(&network(0.0)) {
        let of = |weights: &WeightSet| weights.get(name).unwrap().to_f32().into_owned();
        let (start, once) = (of(&start), of(&once.model.weights));
        let stored = |group: &str| state[&format!("{group}/{name}")].to_f32().into_owned();
        let (average, last) = (stored("average"), stored("weights"));
        assert!(average == of(&outcome.model.weights) && average != last, "{name}");
        // Young averages follow faster: after step n the decay is at most (1 + n) / (10 + n).
        for (at, &average) in average.iter().enumerate() {
            let first = start[at] + 9.0 / 11.0 * (once[at] - start[at]);
            let second = first + 9.0 / 12.0 * (last[at] - first);
            assert!((average - second).abs() < 1e-5 + 1e-5 * second.abs(), "{name}: {average} for {second}");
        }
    }
}

#[test]
fn heads_are_trained_and_resumed_but_not_in_the_model() {
    let bench = Bench::new();
    let settings = ["epochs=3", "optimizer.rate=0.1", "auxiliary=2"];
    let setup = |name: &str| {
        let out = bench.out(name);
        move |setup: &mut Setup| {
            setup.graph = network(0.3);
            setup.options.out = Some(out);
        }
    };
    let trainer = bench.trainer(&settings, setup("whole.safetensors"));
    let mut watch = Watch::default();
    let whole = trainer.run(&mut watch).unwrap();
    assert_eq!(watch.info.unwrap().auxiliary, 1);
    assert!(whole.model.graph.auxiliary().is_empty());
    let file = ModelFile::read(bench.out("whole.safetensors")).unwrap();
    assert!(!file.tensors.contains_key("head.weight") && !file.record.graph.to_string().contains("head"));

    let torn = bench.trainer(&settings, setup("torn.safetensors"));
    let mut watch = Watch { last_step: Some(3), ..Watch::default() };
    assert_eq!(torn.run(&mut watch).unwrap().ended, Ended::Interrupted);
    let path = RunFiles::of(bench.out("torn.safetensors")).state();
    let state = State::read(&path).unwrap();
    let resumed = cygnet::train::trainee_of(&state, &path).unwrap();
    assert_eq!(resumed.graph.auxiliary().len(), 1);
    let again = bench.trainer(&settings, setup("torn.safetensors")).resume(state).unwrap();
    again.run(&mut ()).unwrap();
    let bytes = |name: &str| std::fs::read(bench.out(name)).unwrap();
    assert!(bytes("torn.safetensors") == bytes("whole.safetensors"));

    // The loss is that of the output and the head's times its weights.
    let still = ["optimizer.rate=0", "optimizer.weight_decay=0", "frozen_batch_norm=true", "auxiliary=2"];
    let start = Trainee::from_scratch("small", network(0.3), 3);
    let batches = bench.batches(&still);
    let mut json = start.graph.to_json();
    json["output"] = json["auxiliary"][0]["node"].clone();
    let of_head = Graph::from_json(&json).unwrap();
    let wanted = cross_entropy(&start.graph, &start.weights, &batches)
        + 0.6 * cross_entropy(&of_head, &start.weights, &batches);
    let found = bench.run(&still, |setup| setup.graph = network(0.3)).history[0].loss;
    assert!((found - wanted).abs() < 1e-5, "{found} for {wanted}");
    for off in ["auxiliary=0", "train=head", "train=last-1"] {
        let mut watch = Watch::default();
        bench.trainer(&[off], |setup| setup.graph = network(0.3)).run(&mut watch).unwrap();
        assert_eq!(watch.info.unwrap().auxiliary, 0, "{off}");
    }
}

/// A checkpoint of torchvision's GoogLeNet, every parameter filled with its number.
fn checkpoint(path: &Path) -> Vec<Param> {
    let params = cygnet::network("googlenet").unwrap().build_with_heads().unwrap().params();
    let tensor = |(number, param): (usize, &Param)| {
        let values = vec![number as f32; param.shape.iter().product()];
        (param.name.clone(), Tensor::from_f32(param.shape.clone(), &values).unwrap())
    };
    let tensors: Tensors = params.iter().enumerate().map(tensor).collect();
    safetensors::write(path, &tensors, &Default::default()).unwrap();
    params
}

#[test]
fn heads_come_from_the_zoo_or_from_a_checkpoint_and_are_left_out_where_they_do_not_fit() {
    let bench = Bench::new();
    let cache = Cache::at(bench.out("cache")).offline(true);
    let labels = CLASSES.map(|(class, _)| class.to_owned());
    let get = |name: &str, start: &Start, settings: &[&str]| {
        trainee(name, start, &labels, &bench.recipe(settings), &cache, &mut ()).unwrap()
    };
    let fresh = get("googlenet", &Start::Scratch, &["image=32"]);
    assert_eq!(
        (fresh.graph.auxiliary().len(), fresh.notes.iter().any(|note| note.contains("heads"))),
        (2, false)
    );
    for off in ["auxiliary=0", "train=last-1", "train=head"] {
        assert!(get("googlenet", &Start::Scratch, &["image=32", off]).graph.auxiliary().is_empty());
    }
    let small = get("inception_v3", &Start::Scratch, &["image=96"]);
    assert!(small.graph.auxiliary().is_empty());
    assert!(small.weights.part(&small.graph).is_ok());
    assert!(small.notes.iter().any(|note| note.contains("window does not fit")));
    assert_eq!(get("inception_v3", &Start::Scratch, &["image=299"]).graph.auxiliary().len(), 1);

    let path = bench.out("googlenet.safetensors");
    let params = checkpoint(&path);
    let number = |name: &str| params.iter().position(|param| param.name == name).unwrap() as f32;
    let from = Start::File(path);
    let tuned = get("googlenet", &from, &["image=64"]);
    assert_eq!(tuned.graph.auxiliary().len(), 2);
    for param in &tuned.graph.params() {
        let is_new =
            ["fc", "aux1.fc2", "aux2.fc2"].iter().any(|path| param.name.starts_with(&format!("{path}.")));
        let values = tuned.weights.get(&param.name).unwrap().to_f32();
        assert_eq!(values.iter().all(|&x| x == number(&param.name)), !is_new, "{}", param.name);
    }
    assert!(get("googlenet", &from, &["auxiliary=0", "image=64"]).graph.auxiliary().is_empty());
}
