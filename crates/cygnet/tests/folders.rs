//! Many photos on several threads: the same answers in the same order as on one.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use cygnet::graph::{Conv, Graph};
use cygnet::image::{Interpolation, Preprocess};
use cygnet::weights::WeightSet;
use cygnet::{Classifier, Guess, Model, evaluate};

/// Calls dark pictures `dark` and bright ones `bright`.
fn classifier() -> Classifier {
    called(&["dark", "bright"])
}

/// The same with other labels; more than two are never guessed.
fn called(labels: &[&str]) -> Classifier {
    let graph = Graph::build("light", [3, 8, 8], |net, image| {
        net.at("fc").linear(net.at("conv").conv(image, Conv::new(1, 1)).global_avg_pool(), labels.len())
    })
    .unwrap();
    let scores = |dark: f32, bright: f32| {
        let mut scores = vec![0.0; labels.len()];
        scores[..2].copy_from_slice(&[dark, bright]);
        scores
    };
    let model = Model {
        id: "light".into(),
        weights: WeightSet::of(&graph, [vec![1.0; 3], scores(-4.0, 4.0), scores(0.0, 0.0)]).unwrap(),
        graph,
        preprocess: Preprocess::imagenet(8, 1.0, Interpolation::Bilinear),
        labels: labels.iter().map(|&label| label.into()).collect(),
        licence: None,
        source: None,
        accuracy: None,
        recipe: None,
        training: None,
        compression: None,
        quantization: None,
        guessed: None,
        written_by: None,
    };
    Classifier::new(model).unwrap()
}

/// Writes a square BMP of one grey level.
fn write_picture(path: &Path, side: u32, grey: u8) {
    let size = 54 + (side * 3).next_multiple_of(4) * side;
    let mut bytes = b"BM".to_vec();
    for field in [size, 0, 54, 40, side, side, 1 | (24 << 16), 0, size - 54, 0, 0, 0, 0] {
        bytes.extend(field.to_le_bytes());
    }
    bytes.resize(size as usize, grey);
    std::fs::write(path, bytes).unwrap();
}

/// 120 pictures of different sizes and levels in the class folders 0 and 1, with an unreadable and a missing one.
fn pictures(folder: &Path) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    for index in 0..120u32 {
        let class = folder.join((index % 2).to_string());
        std::fs::create_dir_all(&class).unwrap();
        paths.push(class.join(format!("{index:03}.bmp")));
        write_picture(&paths[index as usize], 1 + index * 37 % 100, (index * 53 % 256) as u8);
    }
    std::fs::write(&paths[31], b"not a photo").unwrap();
    paths.push(folder.join("missing.bmp"));
    paths
}

fn on_threads<T>(answer: impl Fn(NonZeroUsize) -> T) -> [T; 3] {
    [1, 2, 7].map(|threads| answer(NonZeroUsize::new(threads).unwrap()))
}

#[test]
fn answers_do_not_depend_on_the_number_of_threads() {
    let (folder, classifier) = (tempfile::tempdir().unwrap(), classifier());
    let paths = pictures(folder.path());
    let [one, two, seven] = on_threads(|threads| {
        let mut answers: Vec<(PathBuf, Result<Vec<Guess>, String>)> = Vec::new();
        let done = classifier.classify_files(&paths, 2, threads, |path, answer| {
            answers.push((path.clone(), answer.map(|answer| answer.top).map_err(|error| error.to_string())));
            Ok::<_, Infallible>(())
        });
        assert_eq!(done, Ok(()));
        answers
    });
    assert!(one.iter().map(|(path, _)| path).eq(&paths));
    let failed: Vec<_> = one.iter().filter_map(|(_, answer)| answer.as_ref().err()).collect();
    assert!(
        failed.len() == 2 && failed[0].contains("031.bmp") && failed[1].contains("missing"),
        "{failed:?}"
    );
    assert_eq!((&two, &seven), (&one, &one));
}

#[test]
fn the_caller_may_stop_early() {
    let (folder, classifier) = (tempfile::tempdir().unwrap(), classifier());
    let paths = pictures(folder.path());
    on_threads(|threads| {
        let mut seen = 0;
        let stopped = classifier.classify_files(&paths, 1, threads, |_, _| {
            seen += 1;
            if seen == 5 { Err("enough") } else { Ok(()) }
        });
        assert_eq!((stopped, seen), (Err("enough"), 5));
    });
}

#[test]
fn accuracy_does_not_depend_on_the_number_of_threads() {
    let (folder, classifier) = (tempfile::tempdir().unwrap(), classifier());
    pictures(folder.path());
    let [one, two, seven] = on_threads(|threads| {
        let mut steps = Vec::new();
        let step = |done, total| steps.push((done, total));
        let result = evaluate(&classifier, folder.path(), threads, step).unwrap();
        assert!(steps.into_iter().eq((1..=120).map(|done| (done, 120))));
        result
    });
    assert_eq!((one.images, one.unreadable.len()), (119, 1));
    assert!(one.top1 > 0.0 && one.top1 < 100.0);
    assert_eq!((&two, &seven), (&one, &one));
}

#[test]
fn a_number_is_an_index_only_where_labels_are_no_numbers() {
    let folder = tempfile::tempdir().unwrap();
    pictures(folder.path());
    let told = |labels: &[&str]| {
        let result = evaluate(&called(labels), folder.path(), NonZeroUsize::MIN, |_, _| ());
        result
            .map(|result| result.classes.iter().map(|class| class.images).collect::<Vec<_>>())
            .map_err(Box::new)
    };
    assert_eq!(told(&["dark", "bright"]).unwrap(), [60, 59]);
    assert_eq!(told(&["1", "0"]).unwrap(), [59, 60]);
    assert_eq!(told(&["1", "other", "0"]).unwrap(), [59, 0, 60]);
    let message = told(&["1", "2", "10"]).unwrap_err().to_string();
    assert!(message.contains("0 is no label of this model, whose labels are numbers: 1, 2, 10"), "{message}");
}

#[test]
fn two_classes_of_one_name_are_not_merged() {
    let (folder, classifier) = (tempfile::tempdir().unwrap(), called(&["crane", "Ibis", "crane"]));
    write_in(folder.path(), &["crane", "ibis"]);
    let on_one = || evaluate(&classifier, folder.path(), NonZeroUsize::MIN, |_, _| ()).map_err(Box::new);
    let message = on_one().unwrap_err().to_string();
    assert!(message.contains("crane is the name of 2 classes of this model; call it 0 or 2"), "{message}");
    std::fs::rename(folder.path().join("crane"), folder.path().join("2")).unwrap();
    let result = on_one().unwrap();
    assert_eq!(result.classes.iter().map(|class| class.images).collect::<Vec<_>>(), [0, 1, 1]);
    let by_number = "folders that are no labels are taken for the model's numbers of classes: 2 is crane";
    assert_eq!(result.notes, [by_number]);
    write_in(folder.path(), &["Ibis"]);
    let notes = on_one().unwrap().notes;
    assert_eq!(notes, ["Ibis and ibis are both taken for class 1, Ibis", by_number]);
}

#[test]
fn what_train_lacks_is_evaluated() {
    let (folder, classifier) = (tempfile::tempdir().unwrap(), classifier());
    write_in(folder.path(), &["train/bright", "train/unknown", "test/bright", "test/dark"]);
    let result = evaluate(&classifier, folder.path(), NonZeroUsize::MIN, |_, _| ()).unwrap();
    assert_eq!(result.images, 2);
    assert_eq!(result.notes, ["the 2 test pictures of the data set are taken"]);
}

/// A picture in each folder.
fn write_in(root: &Path, folders: &[&str]) {
    for folder in folders {
        std::fs::create_dir_all(root.join(folder)).unwrap();
        write_picture(&root.join(folder).join("1.bmp"), 8, 200);
    }
}
