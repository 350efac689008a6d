//! Plans are compared once, and the answer is found again.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use cygnet_graph::{Conv, Graph};
use cygnet_latency::{Case, Run, Table, measure};
use cygnet_runtime::{Level, Plan};

fn plan(outputs: usize) -> Arc<Plan> {
    let graph = Graph::build("net", [3, 8, 8], |net, image| {
        net.at("fc").linear(net.at("conv").conv(image, Conv::new(outputs, 3)).global_avg_pool(), 2)
    });
    let graph = graph.unwrap();
    let weights: Vec<Vec<f32>> =
        graph.params().iter().map(|param| vec![0.1; param.shape.iter().product()]).collect();
    Arc::new(Plan::new(graph, &weights, Level::best()).unwrap())
}

#[test]
fn what_was_measured_is_found_again_for_the_same_steps_and_threads() {
    let folder = tempfile::tempdir().unwrap();
    let path = Table::path_in(&folder.path().join("new"));
    let plans = [plan(4), plan(8)];
    let case = |threads| Case::new(plans.iter().map(AsRef::as_ref), "avx2", threads, 1);
    let mut table = Table::read(&path).unwrap();
    assert_eq!(table.known(&case(Some(1))), None);
    table.insert(case(Some(1)), vec![2.0, 1.0]);
    table.insert(case(Some(2)), vec![2.0, 1.99]);
    table.write(&path).unwrap();
    let again = Table::read(&path).unwrap();
    assert_eq!([again.known(&case(Some(1))), again.known(&case(Some(2)))], [Some(1), Some(0)]);
    assert_eq!(again.known(&case(None)), None);
    let others = Case::new([&*plan(4), &*plan(16)], "avx2", Some(1), 1);
    let same = Case::new([&*plan(4), &*plan(8)], "avx2", Some(1), 1);
    assert_eq!([again.known(&others), again.known(&same)], [None, Some(1)]);
    // What another process wrote meanwhile stays, and decides.
    let mut late = Table::default();
    late.insert(case(Some(1)), vec![1.0, 2.0]);
    late.insert(others.clone(), vec![1.0, 2.0]);
    late.write(&path).unwrap();
    let all = Table::read(&path).unwrap();
    assert_eq!([all.known(&same), all.known(&others)], [Some(1), Some(0)]);
}

#[test]
fn damaged_lines_are_left_out_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = Table::path_in(folder.path());
    let mut table = Table::default();
    let case = Case::new([&*plan(4), &*plan(8)], "avx2", Some(1), 1);
    table.insert(case.clone(), vec![2.0, 1.0]);
    table.insert(Case::new([&*plan(4)], "avx2", Some(1), 1), vec![f64::NAN]);
    table.write(&path).unwrap();
    let sound = fs::read_to_string(&path).unwrap();
    assert_eq!(sound.lines().count(), 1);
    let wrong = [
        sound.replace("1.0]", "-1.0]"),
        sound.replace(",1.0]", "]"),
        sound.replace("1.0]", "1e999]"),
        sound[..sound.len() / 2].to_owned() + "\n",
        "\u{0}\u{1}\n[]\n".into(),
    ];
    for wrong in wrong {
        fs::write(&path, &wrong).unwrap();
        let table = Table::read(&path).unwrap();
        assert_eq!((table.known(&case), table.damaged()), (None, wrong.lines().count()), "{wrong}");
        fs::write(&path, wrong + &sound).unwrap();
        assert_eq!(Table::read(&path).unwrap().known(&case), Some(1));
    }
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(Table::read(&path).is_err() && table.write(&path).is_err());
}

#[test]
fn plans_are_run_in_turns() {
    let plans = [plan(4), plan(8)];
    let images = vec![0.5; 2 * 3 * 8 * 8];
    let run = Run { threads: Some(2), images: &images, duration: Duration::ZERO };
    let times = measure(&plans, run).unwrap();
    assert!(times.len() == 2 && times.iter().all(|time| *time > 0.0), "{times:?}");
    assert!(measure(&plans, Run { images: &images[1..], ..run }).is_err());
}
