//! Every network of the zoo as one of whole numbers, on every instruction set, against the reference of whole numbers.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod made_up;

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use cygnet_graph::Graph;
use cygnet_quantize::{QuantizedNetwork, quantize_plainly};
use cygnet_runtime::{
    ByteLevel, Element, Level, Plan, PlanOptions, PlanStep, QuantizedReference, Session, StepKernel,
};
use cygnet_zoo::{Network, Spec, networks};

use made_up::{numbers, weights};

/// Parameters of networks that are always tried, of those that differ in their width the narrowest; the others are with
/// `CYGNET_EXHAUSTIVE=1`.
const USUAL: u64 = 4_000_000;

/// A network for six classes and the smallest image that it takes.
fn small(network: &Network) -> Graph {
    let build = |side: usize| {
        let spec = Spec { image: [3, side, side], classes: 6, ..network.spec() };
        (network.row.build)(&spec)
    };
    let sides = [32, 64, 75, 96, 139];
    let graph = sides.into_iter().find_map(|side| build(side).ok());
    graph.unwrap_or_else(|| network.build().unwrap()).without_softmax().unwrap()
}

/// Whether a step computes with floats alone, whose last bits are an instruction set's own.
fn is_of_floats(step: &PlanStep) -> bool {
    step.key.kernel != StepKernel::Quantize
        && step.key.inputs.iter().all(|input| input.element == Element::F32)
        && step.key.output.element == Element::F32
}

/// What is wrong with a network's whole numbers.
fn fault(network: &Network) -> Result<(), String> {
    let graph = small(network);
    let image = numbers(graph.input_shape().iter().product(), 1000);
    let images = [image.clone(), numbers(image.len(), 1001)];
    let made = quantize_plainly(&graph, &weights(&graph), &images, PlanOptions::default(), 1);
    let QuantizedNetwork { graph, weights, quantization, .. } = made.map_err(|error| error.to_string())?;
    let reference = QuantizedReference::new(graph.clone(), &weights, &quantization);
    let wanted = reference.and_then(|reference| reference.run(&image)).map_err(|error| error.to_string())?;
    if wanted.iter().all(|x| *x == wanted[0]) {
        return Err(format!("answers alike for all classes: {wanted:?}"));
    }
    for &bytes in ByteLevel::ALL.iter().filter(|level| level.is_supported()) {
        // Floats of a set that is as old as that of the bytes.
        let level = Level::ALL.iter().find(|level| level.is_supported() && level.lanes() <= bytes.lanes());
        let options =
            PlanOptions { bytes, level: *level.unwrap_or(&Level::Scalar), ..PlanOptions::default() };
        let plan = Plan::quantized(graph.clone(), &weights, &quantization, options);
        let plan = Arc::new(plan.map_err(|error| error.to_string())?);
        let layers = plan.steps().iter().filter(|step| step.macs > 0);
        let of_bytes = |step: &PlanStep| step.key.inputs.iter().any(|input| input.element == Element::U8);
        let [count, bytes_count] = [layers.clone().count(), layers.filter(|step| of_bytes(step)).count()];
        let outline = plan.outline().to_string();
        let told = outline.lines().filter(|line| line.contains(" u8 -> ")).count();
        if 2 * bytes_count <= count || told < bytes_count {
            return Err(format!("{bytes_count} of {count} layers are of bytes:\n{outline}"));
        }
        let mut session = Session::with_threads(Arc::clone(&plan), 2).map_err(|error| error.to_string())?;
        let mut given = vec![f32::NAN; session.outputs()];
        session.run(&image, &mut given).map_err(|error| error.to_string())?;
        let is_exact = !plan.steps().iter().any(is_of_floats);
        let square = |x: &mut dyn Iterator<Item = f32>| x.map(|x| x * x).sum::<f32>();
        let off = square(&mut given.iter().zip(&wanted).map(|(x, wanted)| x - wanted));
        let is_right = if is_exact {
            given.iter().zip(&wanted).all(|(x, wanted)| x.to_bits() == wanted.to_bits())
        } else {
            // A byte beside the right one is carried on.
            off <= 0.01 * square(&mut wanted.iter().copied())
        };
        if !is_right {
            let of = if is_exact { "exactly" } else { "nearly" };
            return Err(format!("{}: {given:?} is not {of} {wanted:?}\n{outline}", bytes.name()));
        }
    }
    Ok(())
}

#[test]
fn every_network_quantises_and_runs_as_its_whole_numbers_say() {
    let is_exhaustive = std::env::var_os("CYGNET_EXHAUSTIVE").is_some();
    let params = |network: &Network| network.build().unwrap().cost().params;
    let is_usual = |network: &Network| {
        let is_narrower =
            |other: &Network| std::ptr::eq(other.row, network.row) && other.width < network.width;
        params(network) < USUAL && !networks().any(|other| is_narrower(&other))
    };
    let all: Vec<Network> = networks().filter(|network| is_exhaustive || is_usual(network)).collect();
    assert!(all.len() > 40, "{}", all.len());
    let (next, faults) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some(network) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(fault) = fault(network) {
                faults.lock().unwrap().push(format!("{}: {fault}", network.id));
            }
        }
    };
    thread::scope(|scope| {
        let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        (1..threads).for_each(|_| _ = scope.spawn(work));
        work();
    });
    let faults = faults.into_inner().unwrap();
    assert!(faults.is_empty(), "{} of {}\n{}", faults.len(), all.len(), faults.join("\n"));
}
