//! Element-wise functions.

use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};

/// An element-wise function. Those that networks share have names of their own, as constants here and in the text and JSON
/// forms.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Form", into = "Form")]
pub enum Activation {
    /// `min(max(x, low), high)`.
    Clamp {
        /// Lower bound; may be infinite.
        low: f32,
        /// Upper bound; may be infinite.
        high: f32,
    },
    /// `min(max(x * scale + shift, 0), high) * factor`.
    HardSigmoid {
        /// Slope before the bounds.
        scale: f32,
        /// Term before the bounds.
        shift: f32,
        /// Upper bound; the lower one is 0.
        high: f32,
        /// Scale after the bounds.
        factor: f32,
    },
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// `x * sigmoid(x)`, also called SiLU.
    Swish,
    /// `x * relu6(x + 3) / 6`.
    HardSwish,
}

/// Constants of functions in a graph are numbers.
impl Eq for Activation {}

impl Hash for Activation {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // 0 and -0 are equal.
        let bits = |x: f32| (x + 0.0).to_bits();
        std::mem::discriminant(self).hash(state);
        match *self {
            Activation::Clamp { low, high } => [low, high].map(bits).hash(state),
            Activation::HardSigmoid { scale, shift, high, factor } => {
                [scale, shift, high, factor].map(bits).hash(state);
            }
            Activation::Sigmoid | Activation::Swish | Activation::HardSwish => {}
        }
    }
}

impl Activation {
    /// `max(x, 0)`.
    pub const RELU: Activation = Activation::Clamp { low: 0.0, high: f32::INFINITY };
    /// `min(max(x, 0), 6)`.
    pub const RELU6: Activation = Activation::Clamp { low: 0.0, high: 6.0 };
    /// `relu6(x + 3) / 6` (MobileNetV3, equation 1).
    pub const HARD_SIGMOID: Activation =
        Activation::HardSigmoid { scale: 1.0, shift: 3.0, high: 6.0, factor: 1.0 / 6.0 };
    /// `clamp(0.2 * x + 0.5, 0, 1)`, the form of Keras before 3.0.
    pub const HARD_SIGMOID_KERAS: Activation =
        Activation::HardSigmoid { scale: 0.2, shift: 0.5, high: 1.0, factor: 1.0 };
    /// `clamp(x, 0, 1)`, the gate of the first published GhostNet code.
    pub const HARD_SIGMOID_CLAMP: Activation = Activation::Clamp { low: 0.0, high: 1.0 };
    /// `relu6(x + 3) * 0.16667`, the gate of TF-Slim's MobileNetV3.
    pub const HARD_SIGMOID_SLIM: Activation =
        Activation::HardSigmoid { scale: 1.0, shift: 3.0, high: 6.0, factor: 0.16667 };

    /// Every function with a name of its own.
    pub const ALL: [Activation; 9] = [
        Activation::RELU,
        Activation::RELU6,
        Activation::Sigmoid,
        Activation::Swish,
        Activation::HARD_SIGMOID,
        Activation::HARD_SIGMOID_KERAS,
        Activation::HARD_SIGMOID_CLAMP,
        Activation::HARD_SIGMOID_SLIM,
        Activation::HardSwish,
    ];

    /// Its name in the text and JSON forms; `clamp` and `hard_sigmoid_with`, to which the forms add the constants, if it
    /// has none of its own.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Activation::RELU => "relu",
            Activation::RELU6 => "relu6",
            Activation::Sigmoid => "sigmoid",
            Activation::Swish => "swish",
            Activation::HARD_SIGMOID => "hard_sigmoid",
            Activation::HARD_SIGMOID_KERAS => "hard_sigmoid_keras",
            Activation::HARD_SIGMOID_CLAMP => "hard_sigmoid_clamp",
            Activation::HARD_SIGMOID_SLIM => "hard_sigmoid_slim",
            Activation::HardSwish => "hard_swish",
            Activation::Clamp { .. } => "clamp",
            Activation::HardSigmoid { .. } => "hard_sigmoid_with",
        }
    }

    /// Whether it is one of [`Activation::ALL`].
    #[must_use]
    pub fn is_named(self) -> bool {
        Activation::ALL.contains(&self)
    }

    /// Whether its constants make a function.
    pub(crate) fn is_sane(self) -> bool {
        match self {
            Activation::Clamp { low, high } => low <= high && low < f32::INFINITY && high > f32::NEG_INFINITY,
            Activation::HardSigmoid { scale, shift, high, factor } => {
                [scale, shift, high, factor].iter().all(|constant| constant.is_finite()) && high >= 0.0
            }
            Activation::Sigmoid | Activation::Swish | Activation::HardSwish => true,
        }
    }
}

/// The JSON form: a name, or one with constants, of which infinite ones are left out.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", rename = "Activation")]
enum Form {
    Relu,
    Relu6,
    Sigmoid,
    Swish,
    HardSigmoid,
    HardSigmoidKeras,
    HardSigmoidClamp,
    HardSigmoidSlim,
    HardSwish,
    Clamp {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        low: Option<f32>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        high: Option<f32>,
    },
    HardSigmoidWith {
        scale: f32,
        shift: f32,
        high: f32,
        factor: f32,
    },
}

impl From<Form> for Activation {
    fn from(form: Form) -> Activation {
        match form {
            Form::Relu => Activation::RELU,
            Form::Relu6 => Activation::RELU6,
            Form::Sigmoid => Activation::Sigmoid,
            Form::Swish => Activation::Swish,
            Form::HardSigmoid => Activation::HARD_SIGMOID,
            Form::HardSigmoidKeras => Activation::HARD_SIGMOID_KERAS,
            Form::HardSigmoidClamp => Activation::HARD_SIGMOID_CLAMP,
            Form::HardSigmoidSlim => Activation::HARD_SIGMOID_SLIM,
            Form::HardSwish => Activation::HardSwish,
            Form::Clamp { low, high } => Activation::Clamp {
                low: low.unwrap_or(f32::NEG_INFINITY),
                high: high.unwrap_or(f32::INFINITY),
            },
            Form::HardSigmoidWith { scale, shift, high, factor } => {
                Activation::HardSigmoid { scale, shift, high, factor }
            }
        }
    }
}

impl From<Activation> for Form {
    fn from(function: Activation) -> Form {
        let bound = |bound: f32| Some(bound).filter(|bound| bound.is_finite());
        match function {
            Activation::RELU => Form::Relu,
            Activation::RELU6 => Form::Relu6,
            Activation::Sigmoid => Form::Sigmoid,
            Activation::Swish => Form::Swish,
            Activation::HARD_SIGMOID => Form::HardSigmoid,
            Activation::HARD_SIGMOID_KERAS => Form::HardSigmoidKeras,
            Activation::HARD_SIGMOID_CLAMP => Form::HardSigmoidClamp,
            Activation::HARD_SIGMOID_SLIM => Form::HardSigmoidSlim,
            Activation::HardSwish => Form::HardSwish,
            Activation::Clamp { low, high } => Form::Clamp { low: bound(low), high: bound(high) },
            Activation::HardSigmoid { scale, shift, high, factor } => {
                Form::HardSigmoidWith { scale, shift, high, factor }
            }
        }
    }
}
