//! Whole models, training's files, and networks made of bytes.

mod made;

use std::fs;
use std::path::Path;

use cygnet::Model;
use cygnet::latency::{Predictor, StepTable, work_of};
use cygnet::train::{Recipe, State};
use cygnet::verify::{Executor, verify};
use cygnet_graph::{Conv, Graph};
use cygnet_runtime::{Level, Plan, PlanOptions, QuantizedReference, Reference, Session};
use cygnet_weights::{is_model_file, safetensors};

use crate::files::in_folder;

/// A graph takes part if it computes no more than this.
const MACS: u64 = 30_000_000;

/// A model file for fuzzing: what takes most of the time is rarely done, which is what comes after opening, and most of
/// all to look for a network among all that fits the tensors of another file.
pub fn model_file(bytes: &[u8]) -> bool {
    let sum = bytes.iter().fold(0u16, |sum, &byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    let is_model = safetensors::parse(bytes.to_vec()).is_ok_and(|(_, metadata)| is_model_file(&metadata));
    if sum.is_multiple_of(if is_model { 1 << 8 } else { 1 << 14 }) {
        whole_model_file(bytes)
    } else {
        is_model && in_folder(|folder| opened(&folder.join("some.safetensors"), bytes).is_some())
    }
}

fn opened(path: &Path, bytes: &[u8]) -> Option<Model> {
    fs::write(path, bytes).unwrap();
    Model::open(path).ok()
}

/// A model file: opened, written, opened again, and run if it is small.
pub(crate) fn whole_model_file(bytes: &[u8]) -> bool {
    in_folder(|folder| {
        let [path, again] = ["some.safetensors", "again.safetensors"].map(|name| folder.join(name));
        let Some(model) = opened(&path, bytes) else { return false };
        model.write(&again).unwrap();
        let reread = Model::open(&again).unwrap();
        assert_eq!((&reread.graph, &reread.quantization), (&model.graph, &model.quantization));
        if model.graph.cost().macs < MACS && model.graph.peak_activation_bytes() < 64 << 20 {
            let count = model.graph.input_shape().iter().product();
            let mut session = Session::new(model.plan_with(Level::best().into()).unwrap());
            let mut output = vec![0.0; session.outputs()];
            session.run(&vec![0.5; count], &mut output).unwrap();
            if let Some(quantization) = &model.quantization {
                let reference = QuantizedReference::new(model.graph, &model.weights, quantization).unwrap();
                reference.run(&vec![0.5; count]).unwrap();
            }
        }
        true
    })
}

/// A recipe in TOML; what follows a line of dashes are settings of the command line, one a line.
pub fn recipe(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let (toml, settings) = text.split_once("\n---\n").unwrap_or((text, ""));
    let settings: Vec<String> = settings.lines().map(String::from).collect();
    in_folder(|folder| {
        let path = folder.join("some.toml");
        fs::write(&path, toml).unwrap();
        let Ok(recipe) = Recipe::compose(path.to_str().unwrap(), &settings) else { return false };
        fs::write(&path, recipe.to_toml()).unwrap();
        // A recipe is called as its file, whatever was set.
        let again = Recipe::compose(path.to_str().unwrap(), &[]).unwrap();
        assert_eq!(Recipe { name: recipe.name.clone(), ..again }.to_toml(), recipe.to_toml());
        true
    })
}

/// A latency table, asked for a network's time.
pub fn latency(bytes: &[u8]) -> bool {
    let Some(table) = StepTable::parse(bytes) else { return false };
    let Some(predictor) = Predictor::new(&table) else { return false };
    let device = predictor.device();
    let graph = Graph::build("asking", [3, 16, 16], |net, image| {
        let x = net.at("stem").conv(image, Conv::new(8, 3).stride(2)).relu();
        net.at("fc").linear(net.at("body").conv(x, Conv::new(24, 1)).relu6().global_avg_pool(), 10)
    });
    let work = work_of(&graph.unwrap(), device.options()).unwrap();
    let prediction = predictor.predict(&work);
    assert!(prediction.ms >= 0.0 && prediction.missing_keys <= work.steps.len(), "{prediction:?}");
    assert!(device.differences(device).is_empty());
    true
}

/// The state of a run.
pub fn state(bytes: &[u8]) -> bool {
    in_folder(|folder| {
        let path = folder.join("some.state");
        fs::write(&path, bytes).unwrap();
        let Ok(state) = State::read(&path) else { return false };
        let _ = (state.recipe(), cygnet::train::trainee_of(&state, &path));
        true
    })
}

/// A golden file; the few that are complete are run.
pub fn golden(bytes: &[u8]) -> bool {
    in_folder(|folder| {
        let path = folder.join("some.json");
        fs::write(&path, bytes).unwrap();
        verify(&path, Executor::Reference).error.is_none()
    })
}

/// A network made of bytes gives what the definition says, with every instruction set, any number of threads and in
/// batches.
pub fn network(bytes: &[u8]) -> bool {
    let made::Made { graph, weights, image } = made::made(bytes);
    if graph.cost().macs > MACS {
        return false;
    }
    assert_eq!(cygnet_graph::Graph::from_json(&graph.to_json()).unwrap(), graph);
    let mut peak = 1.0f64;
    let exact: Vec<f64> = image.iter().map(|&x| f64::from(x)).collect();
    let exact = Reference::<f64>::new(graph.clone(), &weights).unwrap().run_with(&exact, |_, value| {
        peak =
            value.iter().fold(peak, |peak, x| peak.max(if x.is_finite() { x.abs() } else { f64::INFINITY }));
    });
    let exact = exact.unwrap();
    let rounded = Reference::<f32>::new(graph.clone(), &weights).unwrap().run(&image).unwrap();
    let off = exact.iter().zip(&rounded).map(|(x, y)| (x - f64::from(*y)).abs()).fold(0.0, f64::max);
    let allowed = 1e-4 * peak + 100.0 * off;
    for &level in Level::ALL.iter().filter(|level| level.is_supported()) {
        for strict in [true, false] {
            let options = PlanOptions { strict, features: strict, ..level.into() };
            let plan = std::sync::Arc::new(Plan::new(graph.clone(), &weights, options).unwrap());
            let mut session = Session::new(std::sync::Arc::clone(&plan));
            let mut output = vec![f32::NAN; session.outputs()];
            session.run(&image, &mut output).unwrap();
            if peak < 1e15 && off.is_finite() {
                for (i, (wanted, got)) in exact.iter().zip(&output).enumerate() {
                    let difference = (wanted - f64::from(*got)).abs();
                    assert!(
                        difference <= allowed,
                        "{level:?} strict {strict}: number {i} is {got}, not {wanted} (within {allowed})\n{graph}\n{}",
                        plan.outline()
                    );
                }
            }
            let mut team = Session::with_threads(plan, 2).unwrap();
            let (mut again, twice) = (vec![f32::NAN; 2 * output.len()], [&image[..], &image[..]].concat());
            team.run_batch(&twice, &mut again).unwrap();
            let same = |part: &[f32]| part.iter().zip(&output).all(|(x, y)| x.to_bits() == y.to_bits());
            assert!(again.chunks_exact(output.len()).all(same), "{level:?} strict {strict}\n{graph}");
        }
    }
    true
}
