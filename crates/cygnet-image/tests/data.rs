//! Divided sets, surveys, batches and their changes.
#![allow(clippy::unwrap_used, reason = "a test that fails should stop")]

mod made;

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use cygnet_image::{
    Augment, BatchRecipe, Batches, Crop, Dataset, Image, Interpolation, Mix, Photos, Preprocess, Rng, Sample,
    Splits, contradictions, duplicates, epoch_order,
};

use made::{pictures, png, write};

fn threads(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).unwrap()
}

#[test]
fn a_split_takes_its_share_of_every_class_and_follows_its_seed() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &pictures("", &[("a", 20), ("b", 10), ("c", 2), ("d", 1)]));
    let whole = Splits::open(folder.path()).unwrap().train;
    let names =
        |dataset: &Dataset| dataset.samples.iter().map(|sample| sample.name.clone()).collect::<Vec<_>>();
    let (train, validation) = whole.clone().split(0.2, 5);
    assert_eq!((train.counts(), validation.counts()), (vec![16, 8, 1, 1], vec![4, 2, 1, 0]));
    assert_eq!(names(&validation), names(&whole.clone().split(0.2, 5).1));
    assert_ne!(names(&validation), names(&whole.clone().split(0.2, 6).1));
    let mut all = [names(&train), names(&validation)].concat();
    all.sort();
    assert_eq!(all, names(&whole));
    let weights = whole.balanced_weights();
    assert_eq!(weights, [33.0 / 80.0, 33.0 / 40.0, 33.0 / 8.0, 33.0 / 4.0]);
}

#[test]
fn a_survey_finds_unreadable_files_and_pictures_that_are_in_both_parts() {
    let folder = tempfile::tempdir().unwrap();
    let mut files = pictures("train/", &[("a", 3), ("b", 3)]);
    files.insert("train/a/broken.png".into(), b"\x89PNG\r\n\x1a\nbroken".to_vec());
    files.insert("val/a/copy.png".into(), files["train/b/001.png"].clone());
    files.insert("val/b/other.png".into(), png([9, 9, 9], 5));
    write(folder.path(), &files);
    let splits = Splits::open(folder.path()).unwrap();
    let train = Photos::new(splits.train.samples, None, 1 << 20);
    let validation = Photos::new(splits.validation.unwrap().samples, None, 0);
    let (survey, other) = (train.survey(threads(3), |_| ()), validation.survey(threads(1), |_| ()));
    let unreadable: Vec<_> = survey.unreadable.iter().map(|(index, _)| *index).collect();
    assert!(train.samples()[unreadable[0]].name.ends_with("broken.png"));
    assert!(survey.unreadable[0].1.to_string().contains("broken.png"));
    let pairs = duplicates((&train, &survey), (&validation, &other)).unwrap();
    assert_eq!(pairs.len(), 1);
    assert!(train.samples()[pairs[0].0].name.ends_with("001.png"));
    assert!(validation.samples()[pairs[0].1].name.ends_with("copy.png"));
    assert!(contradictions(&train, &survey).unwrap().is_empty());
    let train = train.without(&unreadable);
    assert_eq!(train.samples().len(), 6);
    assert!(train.survey(threads(2), |_| ()).unreadable.is_empty());
}

#[test]
fn one_picture_under_two_labels_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let mut files = pictures("", &[("a", 3), ("b", 3)]);
    files.insert("b/copy.png".into(), files["a/001.png"].clone());
    files.insert("b/same.png".into(), files["b/001.png"].clone());
    write(folder.path(), &files);
    let photos = Photos::new(Splits::open(folder.path()).unwrap().train.samples, None, 0);
    let pairs = contradictions(&photos, &photos.survey(threads(2), |_| ())).unwrap();
    let name = |index: usize| &photos.samples()[index].name;
    assert!(matches!(pairs[..], [(a, b)] if name(a).ends_with("001.png") && name(b).ends_with("copy.png")));
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_unreadable() {
    for path in ["/dev/zero", "/dev"] {
        let photos = Photos::new(vec![Sample::file(path.into(), 0)], None, 0);
        let survey = photos.survey(threads(1), |_| ());
        assert!(survey.unreadable[0].1.to_string().contains("is not a file"), "{:?}", survey.unreadable);
    }
}

#[test]
fn large_photos_are_kept_reduced_whether_memory_suffices_or_not() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("a")).unwrap();
    fs::create_dir_all(folder.path().join("b")).unwrap();
    fs::write(folder.path().join("a/1.png"), png([1, 2, 3], 50)).unwrap();
    fs::write(folder.path().join("b/1.png"), png([4, 5, 6], 10)).unwrap();
    let samples = Splits::open(folder.path()).unwrap().train.samples;
    for budget in [0, u64::MAX] {
        let photos = Photos::new(samples.clone(), Some(20), budget);
        let sides = |index| photos.get(index).map(|image| (image.width, image.height)).unwrap();
        assert_eq!([sides(0), sides(1), sides(0)], [(20, 20), (10, 10), (20, 20)]);
    }
}

/// A recipe that uses every change there is.
fn recipe(folder: &Path, budget: u64) -> BatchRecipe {
    write(folder, &pictures("", &[("a", 9), ("b", 14)]));
    let samples = Splits::open(folder).unwrap().train.samples;
    BatchRecipe {
        photos: Arc::new(Photos::new(samples, None, budget)),
        classes: 2,
        preprocess: Preprocess::imagenet(10, 0.875, Interpolation::Bilinear),
        augment: Augment {
            crop: Crop::Resized,
            flip: 0.5,
            vertical_flip: 0.5,
            rotation: 20.0,
            brightness: 0.4,
            contrast: 0.4,
            saturation: 0.4,
            hue: 0.1,
            rand_augment: 2,
            erase: 0.5,
            ..Augment::default()
        },
        mix: Mix { mixup: 0.2, cutmix: 1.0, label_smoothing: 0.1 },
        finish: None,
        seed: 11,
    }
}

#[test]
fn batches_do_not_depend_on_threads_memory_or_where_they_begin() {
    let folder = tempfile::tempdir().unwrap();
    let all = |budget, epoch, first, count| {
        let recipe = recipe(folder.path(), budget);
        let labels: Vec<usize> = recipe.photos.samples().iter().map(|sample| sample.class).collect();
        let order = epoch_order(&labels, 2, false, 11, epoch);
        let batches = Batches::new(Arc::new(recipe), epoch, order, 4, first, threads(count));
        batches.map(|batch| batch.unwrap()).collect::<Vec<_>>()
    };
    let expected = all(0, 0, 0, 1);
    assert_eq!(expected.len(), 5, "23 pictures make 5 whole batches of 4");
    assert_eq!(all(1 << 20, 0, 0, 2), expected);
    assert_eq!(all(700, 0, 0, 5), expected);
    assert_eq!(all(0, 0, 3, 2), expected[3..]);
    assert_ne!(all(0, 1, 0, 1)[0].images, expected[0].images);
    for batch in &expected {
        assert!(batch.images.iter().all(|value| value.is_finite()));
        for row in batch.targets.chunks(2) {
            assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6, "{row:?}");
        }
    }
}

#[test]
fn an_unreadable_picture_ends_the_epoch_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = recipe(folder.path(), 0);
    fs::remove_file(folder.path().join("b/003.png")).unwrap();
    let order = (0..recipe.photos.samples().len()).collect();
    let results: Vec<_> = Batches::new(Arc::new(recipe), 0, order, 4, 0, threads(2)).collect();
    assert!(results[3].as_ref().unwrap_err().to_string().contains("003.png"));
    assert!(results[4].is_ok());
}

#[test]
fn dropping_an_epoch_ends_its_threads() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = Arc::new(recipe(folder.path(), 0));
    let order = (0..23).cycle().take(2300).collect();
    let mut batches = Batches::new(Arc::clone(&recipe), 0, order, 4, 0, threads(3));
    assert!(batches.next().unwrap().is_ok());
    drop(batches);
    assert_eq!(Arc::strong_count(&recipe), 1);
}

#[test]
fn balanced_epochs_draw_each_class_equally_often() {
    let labels: Vec<usize> = [vec![0; 90], vec![1; 10], vec![3; 20]].concat();
    let order = epoch_order(&labels, 4, true, 1, 0);
    let mut counts = [0; 4];
    order.iter().for_each(|&index| counts[labels[index]] += 1);
    assert_eq!(counts, [40, 40, 0, 40]);
    let mut seen = order.clone();
    seen.retain(|&index| labels[index] == 1);
    seen.sort_unstable();
    assert_eq!(seen, (90..100).flat_map(|index| [index; 4]).collect::<Vec<_>>());
    let plain = epoch_order(&labels, 4, false, 1, 0);
    assert_ne!(plain, epoch_order(&labels, 4, false, 1, 1));
    let mut sorted = plain;
    sorted.sort_unstable();
    assert_eq!(sorted, (0..120).collect::<Vec<_>>());
}

#[test]
fn without_changes_a_training_picture_is_the_evaluated_one() {
    let image = Image::from_rgb(30, 20, (0..1800).map(|i| (i % 251) as u8).collect()).unwrap();
    let preprocess = Preprocess::imagenet(16, 0.875, Interpolation::Bilinear);
    let changed = Augment::default().apply(&image, &preprocess, &mut Rng::new(1)).unwrap();
    assert_eq!(changed, preprocess.fit(&image).unwrap());
}

#[test]
fn resized_crops_have_the_asked_share_of_the_area() {
    // Each pixel's red and green tell its place, so the window can be read off the corners of the crop.
    let pixels = (0..200 * 200).flat_map(|i| [(i % 200) as u8, (i / 200) as u8, 0]).collect();
    let image = Image::from_rgb(200, 200, pixels).unwrap();
    let preprocess = Preprocess::imagenet(50, 1.0, Interpolation::Nearest);
    let augment = Augment { crop: Crop::Resized, crop_scale: [0.1, 0.5], ..Augment::default() };
    let mut shares = Vec::new();
    for seed in 0..200 {
        let crop = augment.apply(&image, &preprocess, &mut Rng::new(seed)).unwrap();
        let (first, last) = (&crop.pixels[..3], &crop.pixels[crop.pixels.len() - 3..]);
        let side = |channel: usize| f64::from(last[channel] - first[channel]) * 50.0 / 49.0;
        shares.push(side(0) * side(1) / 40_000.0);
        assert!((0.7..1.45).contains(&(side(0) / side(1))), "{first:?} {last:?}");
    }
    let (least, most) =
        (shares.iter().copied().fold(1.0, f64::min), shares.iter().copied().fold(0.0, f64::max));
    assert!((0.085..0.13).contains(&least) && (0.45..0.53).contains(&most), "{least} {most}");
}

#[test]
fn erased_windows_have_the_asked_share_and_probability() {
    let augment = Augment { erase: 0.25, erase_scale: [0.1, 0.2], ..Augment::default() };
    let mut hits = 0;
    for seed in 0..400 {
        let mut tensor = vec![1.0; 2 * 40 * 40];
        augment.erase(&mut tensor, [2, 40, 40], &mut Rng::new(seed));
        let zeros = tensor.iter().filter(|&&value| value == 0.0).count() as f64 / 3200.0;
        hits += usize::from(zeros > 0.0);
        assert!(zeros == 0.0 || (0.085..0.22).contains(&zeros), "{zeros}");
    }
    assert!((70..130).contains(&hits), "{hits}");
}

#[test]
fn mixed_targets_follow_the_mixed_pixels() {
    for (mix, whole) in
        [(Mix { mixup: 1.0, ..Mix::default() }, false), (Mix { cutmix: 1.0, ..Mix::default() }, true)]
    {
        for seed in 0..50 {
            // Every pixel is the number of its class, so the mean tells how much of each class there is.
            let labels = [0, 1, 2, 3];
            let mut images: Vec<f32> =
                labels.iter().flat_map(|&class| vec![class as f32; 3 * 8 * 8]).collect();
            let mut targets = vec![0.0; 16];
            mix.apply(&mut images, [8, 8], &labels, &mut targets, &mut Rng::new(seed));
            for (image, target) in images.chunks(192).zip(targets.chunks(4)) {
                let mean = image.iter().sum::<f32>() / 192.0;
                let expected: f32 =
                    target.iter().enumerate().map(|(class, share)| class as f32 * share).sum();
                assert!((mean - expected).abs() < 1e-4, "{mean} {expected}");
                assert!(!whole || image.iter().all(|value| value.fract() == 0.0), "cutmix mixes no pixels");
            }
        }
    }
}

#[test]
fn smoothed_labels_are_spread_evenly() {
    let mix = Mix { label_smoothing: 0.2, ..Mix::default() };
    let mut targets = vec![0.0; 8];
    mix.apply(&mut [0.0; 2], [1, 1], &[2, 0], &mut targets, &mut Rng::new(0));
    for (target, expected) in targets.iter().zip([0.05, 0.05, 0.85, 0.05, 0.85, 0.05, 0.05, 0.05]) {
        assert!((target - expected).abs() < 1e-6, "{targets:?}");
    }
}

#[test]
fn settings_out_of_range_are_named() {
    let refusal = |augment: Augment| augment.check().unwrap_err().to_string();
    assert!(refusal(Augment { flip: 1.5, ..Augment::default() }).contains("flip: 1.5"));
    assert!(refusal(Augment { crop_scale: [0.0, 1.0], ..Augment::default() }).contains("crop_scale"));
    assert!(refusal(Augment { brightness: f64::NAN, ..Augment::default() }).contains("brightness"));
    assert!(refusal(Augment { magnitude: 31, ..Augment::default() }).contains("magnitude"));
    assert!(Augment::default().check().is_ok());
}
