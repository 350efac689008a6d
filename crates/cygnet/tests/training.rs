//! Every family learns: a short run from random weights on a handful of easy pictures.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use cygnet::hub::Cache;
use cygnet::image::{Image, Rng, Splits};
use cygnet::train::{
    OptimizerKind, Recipe, Start, TrainData, TrainOptions, Trainer, fitting_recipe, trainee,
};
use cygnet::zoo::Family;

/// Square pictures of two classes: red at the top, or red at the bottom.
fn pictures(folder: &std::path::Path, side: usize) {
    for class in ["bottom", "top"] {
        std::fs::create_dir_all(folder.join(class)).unwrap();
        for number in 0..16u64 {
            let mut rng = Rng::keyed(&[number, class.len() as u64]);
            let mut pixels: Vec<u8> = (0..side * side * 3).map(|_| rng.below(80) as u8).collect();
            let from = if class == "top" { 0 } else { side / 2 };
            for y in from..from + side / 2 {
                (0..side).for_each(|x| pixels[(y * side + x) * 3] = 220);
            }
            let png = Image::from_rgb(side, side, pixels).unwrap().to_png().unwrap();
            std::fs::write(folder.join(class).join(format!("{number}.png")), png).unwrap();
        }
    }
}

/// A small network of each family, the side of its image, epochs and learning rate.
const NETWORKS: [(&str, Family, usize, u32, f64); 13] = [
    ("googlenet", Family::Inception, 64, 2, 0.003),
    ("xception", Family::Xception, 64, 2, 0.003),
    ("squeezenet1_1", Family::SqueezeNet, 64, 8, 0.0005),
    ("mobilenet_v1_0.25", Family::MobileNetV1, 32, 6, 0.003),
    ("mobilenet_v2_0.25", Family::MobileNetV2, 32, 6, 0.003),
    ("mobilenet_v3_small", Family::MobileNetV3, 32, 3, 0.003),
    ("mobilenext_0.25", Family::MobileNeXt, 32, 6, 0.003),
    ("shufflenet_v1_g3_0.25", Family::ShuffleNetV1, 32, 6, 0.003),
    ("shufflenet_v2_0.5", Family::ShuffleNetV2, 32, 6, 0.003),
    ("seresnet10", Family::SENet, 32, 2, 0.003),
    ("mnasnet_small", Family::MnasNet, 32, 3, 0.003),
    ("ghostnet", Family::GhostNet, 32, 3, 0.003),
    ("fbnet_a", Family::FBNet, 32, 5, 0.001),
];

#[test]
fn the_loss_of_every_family_falls_to_half_of_a_guess() {
    assert!(NETWORKS.iter().map(|(_, family, ..)| *family).eq(Family::ALL), "one network a family");
    let folder = tempfile::tempdir().unwrap();
    pictures(folder.path(), 32);
    let threads = NonZeroUsize::new(2).unwrap();
    let cache = Cache::at(folder.path().join("cache")).offline(true);
    let mut failures = Vec::new();
    for (id, family, side, epochs, rate) in NETWORKS {
        assert_eq!(cygnet::network(id).unwrap().row.family, family, "{id}");
        let settings = [
            format!("epochs={epochs}"),
            "batch=8".into(),
            "validation=0".into(),
            "augment.crop=fit".into(),
            "augment.flip=0.5".into(),
            "mix.label_smoothing=0".into(),
            "schedule.warmup=0.5".into(),
            "dropout=0".into(),
            "optimizer.rate_batch=0".into(),
            "optimizer.kind=adamw".into(),
            format!("optimizer.rate={rate}"),
            "optimizer.weight_decay=0.01".into(),
            format!("image={side}"),
            format!("smallest_map={}", if side == 32 { 3 } else { 0 }),
        ];
        let recipe = Recipe::compose("scratch-small", &settings).unwrap();
        let splits = Splits::open(folder.path()).unwrap();
        let labels = splits.train.classes.clone();
        let trainee = trainee(id, &Start::Scratch, &labels, &recipe, &cache, &mut ()).unwrap();
        let data = TrainData::new(splits, &recipe, side, 1 << 24, threads, |_, _| ()).unwrap();
        let outcome =
            Trainer::new(trainee, data, recipe, TrainOptions::new(threads)).unwrap().run(&mut ()).unwrap();
        let losses: Vec<f64> = outcome.history.iter().map(|epoch| epoch.loss).collect();
        // A guess between two classes costs ln 2.
        if losses.last().is_none_or(|last| *last > 0.5 * std::f64::consts::LN_2) {
            failures.push((id, losses));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn pictures_that_cannot_all_be_looked_at_in_time_end_the_run() {
    let folder = tempfile::tempdir().unwrap();
    pictures(folder.path(), 32);
    let recipe = Recipe::named("scratch-small").unwrap();
    let looked = |began: Instant| {
        let splits = Splits::open(folder.path()).unwrap();
        let time = Some((began, Duration::from_secs(1)));
        let looked = TrainData::new_until(splits, &recipe, 32, 0, NonZeroUsize::MIN, time, |_, _| ());
        looked.map(|data| data.pictures()).map_err(|error| error.to_string())
    };
    assert!(looked(Instant::now()).is_ok());
    let late = Instant::now().checked_sub(Duration::from_secs(60)).unwrap();
    let told = looked(late).unwrap_err();
    assert!(told.starts_with("a time of 1.0s is too short to find 32 pictures and look at each"), "{told}");
}

#[test]
fn the_recipe_fits_the_start_the_pictures_and_the_network() {
    let fitting = |network: &str, start: &Start, splits: Option<&Splits>, image: Option<usize>| {
        let fitting = fitting_recipe(network, start, splits, image);
        let recipe = Recipe::compose(fitting.recipe, &fitting.settings).unwrap();
        (recipe.name, recipe.image, recipe.optimizer.kind)
    };
    for (side, name, image) in [(28, "scratch-small", 32), (64, "scratch-small", 64), (66, "scratch", 0)] {
        let folder = tempfile::tempdir().unwrap();
        pictures(folder.path(), side);
        let splits = Splits::open(folder.path()).unwrap();
        let fits = |network: &str, image| fitting(network, &Start::Scratch, Some(&splits), image);
        assert_eq!(fits("mobilenet_v2", None), (name.into(), image, OptimizerKind::Sgd));
        assert_eq!(fits("squeezenet1_1", None), (name.into(), image, OptimizerKind::Adamw));
        assert_eq!(fits("mobilenet_v2", Some(224)).0, "scratch");
        assert_eq!(fitting("squeezenet1_1", &Start::Pretrained, Some(&splits), None).0, "finetune");
    }
    assert_eq!(fitting("ghostnet", &Start::Scratch, None, None).0, "scratch");
}
