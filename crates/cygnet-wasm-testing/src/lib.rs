//! Cygnet as a module for WebAssembly, which `module.mjs` calls for tests and benchmarks: bytes go in, text comes out. It
//! imports nothing, so that there are no threads, clocks or files.
//!
//! A function takes its bytes from where [`room`] had them put. What it answers, after a panic the panic's message, begins
//! at [`answer`] and has [`length`] bytes.

use std::sync::{Mutex, Once, PoisonError};

use cygnet::bench::{random_image, random_weights};
use cygnet::runtime::{Level, Plan, PlanOptions, Session};
use cygnet::verify::{Executor, verify_bytes};
use cygnet::{Classifier, Error, Model, network};
use serde_json::{Value, json};

/// What the last function has to say.
static ANSWER: Mutex<String> = Mutex::new(String::new());

/// The model that photos are shown to.
static CLASSIFIER: Mutex<Option<Classifier>> = Mutex::new(None);

/// The network that is timed, with its image.
static TIMED: Mutex<Option<(Session, Vec<f32>)>> = Mutex::new(None);

fn say(text: String) {
    *ANSWER.lock().unwrap_or_else(PoisonError::into_inner) = text;
}

fn say_all(result: Result<Value, String>) {
    say(result.unwrap_or_else(|error| json!({ "error": error })).to_string());
}

/// Where the last answer begins.
#[unsafe(no_mangle)]
pub extern "C" fn answer() -> *const u8 {
    ANSWER.lock().unwrap_or_else(PoisonError::into_inner).as_ptr()
}

/// Bytes of the last answer.
#[unsafe(no_mangle)]
pub extern "C" fn length() -> usize {
    ANSWER.lock().unwrap_or_else(PoisonError::into_inner).len()
}

/// Room for `len` bytes, which the function that they are given to takes back.
#[unsafe(no_mangle)]
pub extern "C" fn room(len: usize) -> *mut u8 {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| std::panic::set_hook(Box::new(|panic| say(panic.to_string()))));
    Box::leak(vec![0; len].into_boxed_slice()).as_mut_ptr()
}

/// # Safety
/// The bytes must be those of [`room`], and taken once.
unsafe fn take(bytes: *mut u8, len: usize) -> Vec<u8> {
    // SAFETY: `room` made them of a box, which the caller promises to be taken but once.
    unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(bytes, len)) }.into_vec()
}

/// The name of the instruction set that networks run with.
#[unsafe(no_mangle)]
pub extern "C" fn isa() {
    say(json!(Level::best().name()).to_string());
}

/// How a golden file comes out, with kernels that trade rounding for speed or without.
///
/// # Safety
/// The bytes must be those of [`room`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn verify(bytes: *mut u8, len: usize, strict: bool) {
    // SAFETY: the caller's promise.
    let golden = unsafe { take(bytes, len) };
    let options = if strict { PlanOptions::strict(Level::best()) } else { Level::best().into() };
    say(json!(verify_bytes("golden", &golden, Executor::Runtime(options))).to_string());
}

/// Makes ready the model whose file's bytes these are, and tells its network.
///
/// # Safety
/// The bytes must be those of [`room`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn open(bytes: *mut u8, len: usize) {
    // SAFETY: the caller's promise.
    let file = unsafe { take(bytes, len) };
    let opened = Model::from_bytes("model", file).and_then(Classifier::new);
    say_all(opened.map_err(|error| error.to_string()).map(|classifier| {
        let id = classifier.model().id.clone();
        *CLASSIFIER.lock().unwrap_or_else(PoisonError::into_inner) = Some(classifier);
        json!(id)
    }));
}

/// The five likeliest classes of the photo whose file's bytes these are.
///
/// # Safety
/// The bytes must be those of [`room`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn classify(bytes: *mut u8, len: usize) {
    // SAFETY: the caller's promise.
    let photo = unsafe { take(bytes, len) };
    let classifier = CLASSIFIER.lock().unwrap_or_else(PoisonError::into_inner);
    let classified = classifier.as_ref().map_or_else(
        || Err("no model is open".to_owned()),
        |classifier| classifier.classify(&photo, 5).map_err(|error| error.to_string()),
    );
    say_all(classified.map(|answer| json!(answer)));
}

/// Makes ready the network of a name, with weights and an image made by a formula, to be [`run`] again and again.
///
/// # Safety
/// The bytes must be those of [`room`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn prepare(bytes: *mut u8, len: usize) {
    // SAFETY: the caller's promise.
    let name = unsafe { take(bytes, len) };
    let prepared = || {
        let graph = network(&String::from_utf8_lossy(&name))?.build()?;
        let (weights, image) = (random_weights(&graph), random_image(&graph));
        let plan = Plan::new(graph, &weights, Level::best())?;
        Ok((Session::new(plan.into()), image))
    };
    say_all(prepared().map_err(|error: Error| error.to_string()).map(|prepared| {
        *TIMED.lock().unwrap_or_else(PoisonError::into_inner) = Some(prepared);
        Value::Null
    }));
}

/// Runs what was [prepared](prepare) and returns the first number of its output, NaN if there is nothing to run.
#[unsafe(no_mangle)]
pub extern "C" fn run() -> f32 {
    let mut timed = TIMED.lock().unwrap_or_else(PoisonError::into_inner);
    let Some((session, image)) = timed.as_mut() else { return f32::NAN };
    let mut output = vec![0.0; session.outputs()];
    match session.run(image, &mut output) {
        Ok(()) => output.first().copied().unwrap_or(f32::NAN),
        Err(_) => f32::NAN,
    }
}
