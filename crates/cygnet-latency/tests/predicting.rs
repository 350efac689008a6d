//! What is measured of steps predicts networks, and a table knows what it holds for.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;

use cygnet_graph::{Conv, Graph};
use cygnet_latency::{
    Clocked, Correction, Device, Errors, Growing, Measured, Prediction, Predictor, Role, Sample, StepTable,
    TableError, Work,
};
use cygnet_runtime::{Level, Plan, PlanOptions};

/// Layers of some widths one after the other; names change nothing.
fn graph(name: &str, widths: &[usize], side: usize) -> Graph {
    let graph = Graph::build(name, [3, side, side], |net, image| {
        let mut x = net.at(format!("{name}.stem")).conv(image, Conv::new(8, 3).stride(2)).relu();
        for (i, &width) in widths.iter().enumerate() {
            x = net.at(format!("{name}.{i}")).conv(x, Conv::new(width, 1)).relu6();
        }
        net.at("fc").linear(x.global_avg_pool(), 10)
    });
    graph.unwrap()
}

fn work(name: &str, widths: &[usize], side: usize) -> Work {
    let graph = graph(name, widths, side);
    Work::of(&Plan::outline_of(&graph, Level::Scalar).unwrap(), graph.input_shape())
}

fn device() -> Device {
    Device::this(PlanOptions::from(Level::Scalar), 1)
}

/// What each step of some work takes on a machine whose times are known: a constant, and a part for what it has to do.
fn ms_of(work: &Work) -> Vec<f64> {
    let ms = |step: &cygnet_latency::Step| {
        1e-4 + 1e-8 * step.macs as f64 + 1e-7 * (step.bytes + step.weight_bytes) as f64
    };
    work.steps.iter().map(ms).collect()
}

fn clocked(ms: f64, steps: Vec<f64>) -> Clocked {
    Clocked { ms, steps, spread: 0.01, is_disturbed: false, peak_gflops: 100.0 }
}

/// A network whose run takes a constant and a little more than its steps.
fn measured(draw: u64, role: Role, work: &Work) -> Measured {
    let steps = ms_of(work);
    let ms = 0.002 + 1.05 * steps.iter().sum::<f64>();
    Measured::new("made", draw, &format!("net {draw}"), role, work, &clocked(ms, steps))
}

fn predict(table: &StepTable, work: &Work) -> Prediction {
    Predictor::new(table).unwrap().predict(work)
}

fn near(left: f64, right: f64, share: f64) -> bool {
    (left / right - 1.0).abs() <= share
}

#[test]
fn the_sum_over_a_network_of_measured_steps_is_its_prediction() {
    let all = work("a", &[16, 16, 32], 32);
    let mut table = StepTable::new(device());
    assert!(Predictor::new(&table).is_none());
    // Entries come from two networks, neither of which is the third.
    for (draw, widths) in [&[16, 16][..], &[16, 32]].into_iter().enumerate() {
        table.insert(measured(draw as u64, Role::Steps, &work("b", widths, 32)));
    }
    let predictor = Predictor::new(&table).unwrap();
    let entries: f64 = all.steps.iter().map(|step| predictor.step_ms(step, all.memory_bytes).0).sum();
    let prediction = predictor.predict(&all);
    assert!(near(prediction.sum_ms, entries, 1e-12), "{prediction:?} {entries}");
    assert!(near(prediction.sum_ms, ms_of(&all).iter().sum(), 1e-9), "{prediction:?}");
    assert_eq!(prediction.missing_keys, 0);
    // The image's way in is a step as any other.
    assert_eq!(all.steps[0].key.kernel, "image");
    assert!(predictor.step_ms(&all.steps[0], 0).1);
    let other = predictor.predict(&work("a", &[16, 24], 32));
    assert_eq!(
        other.missing_keys, 3,
        "two layers of 24 channels and a mean and a classifier, of which none is known: {other:?}"
    );
}

#[test]
fn predictions_of_isomorphic_plans_are_equal() {
    let mut table = StepTable::new(device());
    table.insert(measured(0, Role::Steps, &work("a", &[16, 24, 32], 32)));
    let predictor = Predictor::new(&table).unwrap();
    for widths in [&[16, 24, 32][..], &[12, 20]] {
        let [left, right] = ["left", "right"].map(|name| predictor.predict(&work(name, widths, 32)));
        assert_eq!(left, right);
        let mut turned = work("left", widths, 32);
        turned.steps.reverse();
        assert_eq!(predictor.predict(&turned), left);
    }
}

#[test]
fn steps_that_were_not_measured_are_estimated_by_their_kind() {
    let mut table = StepTable::new(device());
    for (draw, widths) in [[16, 32], [48, 24], [64, 96], [8, 40], [80, 56], [128, 16]].iter().enumerate() {
        for side in [32, 48] {
            table.insert(measured(draw as u64, Role::Steps, &work("a", widths, side)));
        }
    }
    let predictor = Predictor::new(&table).unwrap();
    // Between sizes that were measured, and beyond them.
    let cases = [([20, 36], 32, 0.02), ([72, 44], 48, 0.02), ([60, 88], 40, 0.02), ([200, 150], 64, 0.05)];
    for (widths, side, share) in cases {
        let new = work("b", &widths, side);
        let prediction = predictor.predict(&new);
        assert!(prediction.missing_keys > 0, "{prediction:?}");
        assert!(near(prediction.sum_ms, ms_of(&new).iter().sum(), share), "{widths:?} {side} {prediction:?}");
        // None of it is less than nothing, and larger layers take longer.
        let ms = |width| predictor.step_ms(&work("c", &[width], side).steps[2], new.memory_bytes).0;
        assert!(0.0 < ms(10) && ms(10) < ms(100) && ms(100) < ms(1000));
    }
}

#[test]
fn a_correction_is_fitted_on_some_networks_and_checked_on_others() {
    let mut table = StepTable::new(device());
    let widths = |i: usize| [8 + 8 * (i % 5), 16 + 8 * (i % 7), 32 + 8 * (i % 3)];
    for i in 0..30 {
        let role = [Role::Steps, Role::Steps, Role::Fit, Role::Steps, Role::Check][i % 5];
        table.insert(measured(i as u64, role, &work("a", &widths(i), 32)));
    }
    let fit = table.fit("made", [3, 32, 32]).unwrap();
    assert_eq!((fit.fitted, fit.errors.networks), (6, 6));
    assert!(near(fit.correction.factor, 1.05, 0.01), "{fit:?}");
    assert!(near(fit.correction.constant_ms, 0.002, 0.2), "{fit:?}");
    assert!(fit.errors.max_error < 0.01, "{fit:?}");
    assert!(table.fit("made", [3, 64, 64]).is_none() && table.fit("other", [3, 32, 32]).is_none());
    // It is what predictions use, whether it was stored or not.
    let new = work("b", &[24, 40, 48], 32);
    let wanted = 0.002 + 1.05 * ms_of(&new).iter().sum::<f64>();
    let unfinished = predict(&table, &new);
    assert!(near(unfinished.ms, wanted, 0.01), "{unfinished:?} {wanted}");
    table.insert_fit(fit);
    assert_eq!(predict(&table, &new), unfinished);
    // One network that something disturbed does not decide.
    let mut wrong = measured(99, Role::Fit, &work("a", &[8, 8, 8], 32));
    wrong.ms *= 3.0;
    table.insert(wrong);
    let fit = table.fit("made", [3, 32, 32]).unwrap();
    assert!(near(fit.correction.factor, 1.05, 0.02), "{fit:?}");
}

#[test]
fn a_fit_keeps_to_what_samples_tell() {
    let sample = |sum_ms: f64, mb_beyond_l2: f64| Sample {
        sum_ms,
        mb_beyond_l2,
        ms: 0.01 + 0.98 * sum_ms + 0.02 * mb_beyond_l2,
    };
    let samples: Vec<Sample> = (1..20).map(|i| sample(0.1 * f64::from(i), f64::from((i * 7) % 11))).collect();
    let Correction { constant_ms, factor, ms_per_mb_beyond_l2 } = Correction::fit(&samples);
    assert!(near(constant_ms, 0.01, 0.05) && near(factor, 0.98, 0.002), "{constant_ms} {factor}");
    assert!(near(ms_per_mb_beyond_l2, 0.02, 0.02), "{ms_per_mb_beyond_l2}");
    assert!(Correction::fit(&samples).errors(&samples).max_error < 1e-3);
    assert_eq!(Correction::fit(&[]), Correction::NONE);
    // One network alone moves its own prediction, and nothing runs away.
    let one = Correction::fit(&samples[..1]);
    assert!(one.errors(&samples[..1]).max_error < 0.01 && (0.5..1.5).contains(&one.factor), "{one:?}");
    assert_eq!(
        Errors::of(vec![0.03, 0.01, 0.02]),
        Errors { networks: 3, median_error: 0.02, p95_error: 0.03, max_error: 0.03 }
    );
}

#[test]
fn a_table_of_another_device_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let own = device();
    let others = [
        (Device { version: "0.0.1".into(), ..own.clone() }, "version 0.0.1"),
        (Device { isa: "other".into(), ..own.clone() }, "instruction set other"),
        (Device { cpu: "other".into(), ..own.clone() }, "CPU other"),
        (Device { threads: 7, ..own.clone() }, "threads 7"),
    ];
    for (i, (other, named)) in others.into_iter().enumerate() {
        let path = folder.path().join(format!("{i}.jsonl"));
        let (mut file, _) = Growing::begin(&path, &other).unwrap();
        file.network(&measured(0, Role::Steps, &work("a", &[16], 32))).unwrap();
        let refused = [
            StepTable::read(&path).unwrap().of_device(&own, &path).unwrap_err(),
            Growing::open(&path, &own).unwrap_err(),
        ];
        for error in refused {
            let text = error.to_string();
            assert!(matches!(error, TableError::Foreign { .. }), "{text}");
            assert!(text.contains(named) && text.contains(&format!("{i}.jsonl")), "{text}");
        }
        // Whoever names the file may use it.
        assert!(Predictor::new(&StepTable::read(&path).unwrap()).is_some());
    }
    let path = folder.path().join("own.jsonl");
    Growing::begin(&path, &own).unwrap();
    assert!(StepTable::read(&path).unwrap().of_device(&own, &path).is_ok());
}

#[test]
fn a_killed_process_leaves_whole_networks_and_the_next_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/table.jsonl");
    let networks: Vec<Measured> =
        (0..4).map(|i| measured(i, Role::Steps, &work("a", &[16 + 8 * i as usize], 32))).collect();
    let (mut file, mut table) = Growing::open(&path, &device()).unwrap();
    for network in &networks {
        file.network(network).unwrap();
        table.insert(network.clone());
    }
    drop(file);
    assert_eq!(StepTable::read(&path).unwrap(), table);
    let whole = fs::read(&path).unwrap();
    let ends: Vec<usize> = (0..whole.len()).filter(|&i| whole[i] == b'\n').collect();
    let steps =
        (ends[0] + 1..whole.len()).step_by(97).chain(ends.iter().skip(1).flat_map(|end| [*end, end + 1]));
    for length in steps {
        fs::write(&path, &whole[..length]).unwrap();
        let known = ends.iter().filter(|&&end| end < length).count() - 1;
        let (mut file, table) = Growing::open(&path, &device()).unwrap();
        assert_eq!((table.networks(), table.damaged()), (&networks[..known], 0), "{length}");
        for network in &networks[known..] {
            file.network(network).unwrap();
        }
        assert!(fs::read(&path).unwrap() == whole, "{length}");
    }
    // Not even a whole device: that is no table, and nobody writes over it unasked.
    fs::write(&path, &whole[..ends[0] / 2]).unwrap();
    assert!(matches!(Growing::open(&path, &device()), Err(TableError::NoTable { .. })));
    assert!(Growing::begin(&path, &device()).is_ok());
}

#[test]
fn what_is_damaged_in_a_file_is_left_out_and_counted() {
    let network = measured(0, Role::Steps, &work("a", &[16], 32));
    let mut table = StepTable::new(device());
    table.insert(network.clone());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("table.jsonl");
    let (mut file, _) = Growing::begin(&path, &device()).unwrap();
    file.network(&network).unwrap();
    file.fit(&table.fit("made", [3, 32, 32]).unwrap()).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3);
    let ms = format!("\"ms\":{}", network.ms);
    assert!(lines[1].contains(&ms));
    let wrong = [
        lines[1].replace(&ms, "\"ms\":-1.0"),
        lines[1].replace(&ms, "\"ms\":1e999"),
        lines[1].replace("\"times\":1", "\"times\":4294967295"),
        lines[1].replace("\"macs\":", "\"macs\":-"),
        lines[2].replace("\"factor\":", "\"factor\":1e300,\"old\":"),
        lines[0].replace("\"threads\":1", "\"threads\":2"),
        "[]".into(),
        "\u{0}".into(),
        "{".repeat(100_000),
    ];
    for wrong in wrong {
        let read = StepTable::parse(format!("{}\n{wrong}\n{}\n", lines[0], lines[1]).as_bytes()).unwrap();
        assert_eq!((read.networks().len(), read.fits().len(), read.damaged()), (1, 0, 1), "{wrong:.200}");
    }
    for none in ["", "\n", "{}", "[1]\n", lines[1]] {
        assert_eq!(StepTable::parse(none.as_bytes()), None, "{none:.80}");
    }
    // Sizes beyond all measure are numbers like any other.
    let huge = lines[1].replace("\"macs\":0", "\"macs\":18446744073709551615");
    let huge = huge.replace("\"bytes\":", "\"bytes\":18446744073709551615,\"old\":");
    let table = StepTable::parse(format!("{}\n{huge}\n", lines[0]).as_bytes()).unwrap();
    let prediction = predict(&table, &work("b", &[24], 64));
    assert!(prediction.ms.is_finite() && prediction.ms > 0.0, "{prediction:?}");
}

#[test]
fn a_step_takes_what_it_took_in_networks_of_like_size() {
    let small = work("a", &[16], 32);
    let mut large = small.clone();
    large.memory_bytes = 100 * small.memory_bytes;
    let mut table = StepTable::new(device());
    for (draw, work, factor) in [(0, &small, 1.0), (1, &large, 3.0), (2, &small, 1.0), (3, &large, 3.0)] {
        let steps: Vec<f64> = ms_of(work).iter().map(|ms| factor * ms).collect();
        table.insert(Measured::new(
            "made",
            draw,
            "net",
            Role::Steps,
            work,
            &clocked(steps.iter().sum(), steps),
        ));
    }
    let [few, many] = [&small, &large].map(|work| predict(&table, work).sum_ms);
    assert!(near(many, 3.0 * few, 1e-9), "{few} {many}");
    let between = Work { memory_bytes: 2 * small.memory_bytes, ..small };
    assert!(near(predict(&table, &between).sum_ms, few, 1e-9));
}

#[test]
fn what_is_no_table_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    fs::write(&path, b"no table").unwrap();
    assert!(Growing::begin(&path, &device()).is_err());
    assert_eq!(fs::read(&path).unwrap(), b"no table");
}
