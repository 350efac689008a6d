//! Plans are compared once, and the answer is found again.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::cell::Cell;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use cygnet_graph::{Conv, Graph};
use cygnet_latency::{Case, Machine, Run, Table, Times, in_turns, measure};
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

fn exact(ms: &[f64]) -> Times {
    Times { ms: ms.to_vec(), noise: 0.0 }
}

#[test]
fn what_was_measured_is_found_again_for_the_same_steps_and_threads() {
    let folder = tempfile::tempdir().unwrap();
    let path = Table::path_in(&folder.path().join("new"));
    let plans = [plan(4), plan(8)];
    let case = |threads| Case::new(plans.iter().map(AsRef::as_ref), "avx2", threads, 1);
    let mut table = Table::read(&path).unwrap();
    assert_eq!(table.known(&case(Some(1))), None);
    table.insert(case(Some(1)), exact(&[2.0, 1.0]));
    table.insert(case(Some(2)), exact(&[2.0, 1.99]));
    table.write(&path).unwrap();
    let again = Table::read(&path).unwrap();
    assert_eq!([again.known(&case(Some(1))), again.known(&case(Some(2)))], [Some(1), Some(0)]);
    assert_eq!(again.known(&case(None)), None);
    let others = Case::new([&*plan(4), &*plan(16)], "avx2", Some(1), 1);
    let same = Case::new([&*plan(4), &*plan(8)], "avx2", Some(1), 1);
    assert_eq!([again.known(&others), again.known(&same)], [None, Some(1)]);
    // What another process wrote meanwhile stays, and decides.
    let mut late = Table::default();
    late.insert(case(Some(1)), exact(&[1.0, 2.0]));
    late.insert(others.clone(), exact(&[1.0, 2.0]));
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
    table.insert(case.clone(), exact(&[2.0, 1.0]));
    table.insert(Case::new([&*plan(4)], "avx2", Some(1), 1), exact(&[f64::NAN]));
    table.write(&path).unwrap();
    let sound = fs::read_to_string(&path).unwrap();
    assert_eq!(sound.lines().count(), 1);
    let wrong = [
        sound.replace("1.0]", "-1.0]"),
        sound.replace(",1.0]", "]"),
        sound.replace("1.0]", "1e999]"),
        sound.replace(r#""noise":0.0"#, r#""noise":-0.1"#),
        sound.replace(r#""noise":0.0"#, r#""noise":0.9"#),
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
    assert!(
        times.ms.len() == 2 && times.ms.iter().all(|time| *time > 0.0) && times.noise >= 0.0,
        "{times:?}"
    );
    assert!(measure(&plans, Run { images: &images[1..], ..run }).is_err());
}

/// A machine whose time is set, and whose speeds are those of a list.
struct Made<'a> {
    now: &'a Cell<Duration>,
    speeds: std::array::IntoIter<f64, 2>,
}

impl Machine for Made<'_> {
    fn now(&mut self) -> Duration {
        self.now.get()
    }

    fn speed(&mut self) -> f64 {
        self.speeds.next().unwrap()
    }
}

/// Times of two things; `ms` says what the run of a number of one of them takes.
fn made(speeds: [f64; 2], ms: impl Fn(usize, usize) -> f64) -> Times {
    let now = Cell::new(Duration::ZERO);
    let mut machine = Made { now: &now, speeds: speeds.into_iter() };
    let mut runs = [0; 2];
    let mut run = |index: usize| {
        now.set(now.get() + Duration::from_secs_f64(ms(index, runs[index]) / 1e3));
        runs[index] += 1;
        Ok::<(), ()>(())
    };
    in_turns(&mut machine, 2, Duration::from_millis(100), &mut run).unwrap()
}

#[test]
fn what_other_work_disturbed_is_not_kept_and_the_first_is_taken_unless_another_is_beyond_the_noise() {
    let near = |left: f64, right: f64| (left - right).abs() < 1e-6;
    let case = Case::new([&*plan(4), &*plan(8)], "avx2", Some(1), 1);
    let kept = |times: &Times| {
        let mut table = Table::default();
        table.insert(case.clone(), times.clone());
        table.known(&case)
    };
    // A first run that takes long is none of the noise, nor is a run now and then.
    let usual =
        |index: usize, run: usize| [2.0, 1.8][index] * if run == 0 || run % 10 == 9 { 5.0 } else { 1.0 };
    let quiet = made([100.0, 102.0], usual);
    assert!(near(quiet.ms[0], 2.0) && near(quiet.ms[1], 1.8) && near(quiet.noise, 0.02), "{quiet:?}");
    assert_eq!((quiet.fastest(), kept(&quiet)), (1, Some(1)));
    // The machine became slower, or the runs, or every third run was interrupted.
    let slower = made([100.0, 80.0], usual);
    assert!(near(slower.noise, 0.25), "{slower:?}");
    let late = made([100.0; 2], |index, run| usual(index, run) * if run > 20 { 1.5 } else { 1.0 });
    let shared = made([100.0; 2], |index, run| [2.0, 1.8][index] * [1.0, 1.3, 1.6][run % 3]);
    for times in [&slower, &late, &shared] {
        assert!(times.is_disturbed(), "{times:?}");
        assert_eq!((times.fastest(), kept(times)), (0, None), "{times:?}");
    }
    // Twice as fast is beyond that noise, for this time.
    let clear = made([100.0, 80.0], |index, run| usual(index, run) * [1.0, 0.5][index]);
    assert_eq!((clear.fastest(), kept(&clear)), (1, None), "{clear:?}");
    // What is within the noise is not taken, however often it is looked up.
    let noisy = made([100.0, 92.0], |index, _| [2.0, 1.9][index]);
    assert_eq!((noisy.fastest(), kept(&noisy)), (0, Some(0)), "{noisy:?}");
}
