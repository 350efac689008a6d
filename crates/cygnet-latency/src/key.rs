//! Steps as a table knows them: what decides how long one takes, as text and numbers that a file can hold.

use std::fmt::Write;

use cygnet_graph::Activation;
use cygnet_runtime::{Element, Outline, PlanStep, Sliding, StepKernel, StepKey, StepValue};
use serde::{Deserialize, Serialize};

/// All that a step's time depends on but the device. Steps of equal keys are one entry of a table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    /// What computes it: the kernel's name, then behind a semicolon how its window slides and what joined it, then the types of
    /// values that are no floats.
    pub kernel: String,
    /// `[channels, height, width]` of the values it works on.
    #[serde(rename = "in")]
    pub inputs: Vec<[usize; 3]>,
    /// `[channels, height, width]` of the value it makes.
    #[serde(rename = "out")]
    pub output: [usize; 3],
    /// Calls of the kernel.
    pub calls: usize,
}

/// A step with what it has to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// What decides its time.
    #[serde(flatten)]
    pub key: Key,
    /// Multiply-accumulates.
    pub macs: u64,
    /// Bytes of values that it reads and writes.
    pub bytes: u64,
    /// Bytes of weights.
    pub weight_bytes: u64,
}

/// What a network runs, without its weights: the image's way in, then the steps of its plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Work {
    /// `[channels, height, width]` of the image.
    pub image: [usize; 3],
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// Bytes of weights and of memory for values, which decide what caches hold when a step begins.
    pub memory_bytes: u64,
}

impl Work {
    /// The work of a plan of a network that reads images `[channels, height, width]`.
    #[must_use]
    pub fn of(outline: &Outline, image: [usize; 3]) -> Work {
        let steps = std::iter::once(Step::of_image(image)).chain(outline.steps().iter().map(Step::of));
        let memory_bytes = outline.weight_bytes().saturating_add(outline.arena_bytes() as u64);
        Work { image, steps: steps.collect(), memory_bytes }
    }

    /// Bytes of weights of all steps.
    #[must_use]
    pub fn weight_bytes(&self) -> u64 {
        self.steps.iter().fold(0, |sum, step| sum.saturating_add(step.weight_bytes))
    }
}

impl Key {
    /// The kernel's name alone.
    #[must_use]
    pub fn name(&self) -> &str {
        self.kernel.split(';').next().unwrap_or_default()
    }

    /// The kernel's name without the size of its window.
    #[must_use]
    pub fn family(&self) -> &str {
        let name = self.name();
        let end = name.find(|c: char| c.is_ascii_digit() || c == '/').unwrap_or(name.len());
        name[..end].trim_end()
    }
}

impl Step {
    fn of(step: &PlanStep) -> Step {
        let StepKey { kernel, inputs, output, calls } = &step.key;
        let key = Key {
            kernel: text(kernel, inputs, output),
            inputs: inputs.iter().map(|value| value.shape).collect(),
            output: output.shape,
            calls: *calls,
        };
        let bytes = step.bytes_read.saturating_add(step.bytes_written);
        Step { key, macs: step.macs, bytes, weight_bytes: step.weight_bytes }
    }

    /// The way of an image from its caller to where the first layer reads it.
    fn of_image(shape: [usize; 3]) -> Step {
        let numbers = shape.iter().fold(1u64, |product, &side| product.saturating_mul(side as u64));
        let key = Key { kernel: "image".into(), inputs: Vec::new(), output: shape, calls: 1 };
        Step { key, macs: 0, bytes: numbers.saturating_mul(2 * size_of::<f32>() as u64), weight_bytes: 0 }
    }
}

/// A kernel with all that decides its time but sizes.
fn text(kernel: &StepKernel, inputs: &[StepValue], output: &StepValue) -> String {
    let mut text = kernel.to_string();
    match kernel {
        StepKernel::Conv(sliding)
        | StepKernel::Winograd(sliding)
        | StepKernel::Linear(sliding)
        | StepKernel::Bf16Linear(sliding) => {
            text.push(';');
            layer(&mut text, sliding, true);
        }
        StepKernel::Depthwise(sliding) => {
            text.push(';');
            layer(&mut text, sliding, false);
        }
        StepKernel::Pair { dense, depthwise } => {
            text.insert_str(0, "pair of ");
            text.push(';');
            layer(&mut text, dense, true);
            text.push_str(" +");
            layer(&mut text, depthwise, false);
        }
        StepKernel::Pool { window, .. } => {
            let [y, x] = window.pad;
            _ = write!(text, "; pad {y}x{x}");
        }
        StepKernel::LocalResponseNorm { size } => _ = write!(text, "; of {size}"),
        StepKernel::BatchNorm
        | StepKernel::Scale
        | StepKernel::Activation(_)
        | StepKernel::GlobalMean
        | StepKernel::AdaptiveMean { .. }
        | StepKernel::Add
        | StepKernel::Multiply
        | StepKernel::Upsample
        | StepKernel::Softmax
        | StepKernel::Copy
        | StepKernel::Quantize
        | StepKernel::Dequantize => {}
    }
    let elements: Vec<Element> = inputs.iter().chain([output]).map(|value| value.element).collect();
    if elements.iter().any(|element| *element != Element::F32) {
        let names: Vec<&str> = elements.into_iter().map(Element::name).collect();
        text.insert_str(text.find(';').unwrap_or(text.len()), &format!(" of {}", names.join(" ")));
    }
    text
}

/// What a layer's name leaves out. Groups of a depthwise layer are its channels.
fn layer(text: &mut String, sliding: &Sliding, has_groups: bool) {
    let Sliding { window, groups, adds, activation } = sliding;
    let pair = |[y, x]: [usize; 2]| format!("{y}x{x}");
    if window.pad != [0, 0] {
        _ = write!(text, " pad {}", pair(window.pad));
    }
    if window.dilation != [1, 1] {
        _ = write!(text, " dilation {}", pair(window.dilation));
    }
    if has_groups && *groups != 1 {
        _ = write!(text, " groups {groups}");
    }
    if *adds {
        text.push_str(" add");
    }
    if let Some(name) = activation.map(Activation::name) {
        _ = write!(text, " {name}");
    }
}
