//! The rules: what each operator of the format becomes. A rule adds nodes to the draft, or none where only the place of
//! numbers changes, or computes constants.

mod activation;
mod arithmetic;
mod constant;
mod dense;
mod fold;
mod joining;
mod layers;
mod norm;
mod pool;
mod quantised;
mod rearrange;
mod reduce;
mod resize;

pub(crate) use resize::padded;

use crate::Reason;
use crate::import::call::{Call, Entry};

/// What a rule makes of an operator: an entry for each of its outputs.
pub(crate) type Rule = fn(&mut Call) -> Result<Vec<Entry>, Reason>;

/// Every operator of the standard set that is held, with its rule.
const STANDARD: &[(&str, Rule)] = &[
    ("Abs", activation::abs),
    ("Add", arithmetic::add),
    ("ArgMax", reduce::arg_max),
    ("AveragePool", pool::average),
    ("BatchNormalization", norm::batch),
    ("Cast", constant::cast),
    ("Ceil", constant::ceil),
    ("Clip", activation::clip),
    ("Concat", joining::concat),
    ("Constant", constant::constant),
    ("ConstantOfShape", constant::of_shape),
    ("Conv", layers::conv),
    ("ConvTranspose", dense::conv_transpose),
    ("DepthToSpace", rearrange::depth_to_space),
    ("DequantizeLinear", quantised::dequantize),
    ("Div", arithmetic::div),
    ("Dropout", norm::dropout),
    ("Equal", constant::equal),
    ("Expand", rearrange::expand),
    ("Flatten", rearrange::flatten),
    ("Floor", constant::floor),
    ("Gather", joining::gather),
    ("Gemm", layers::gemm),
    ("GlobalAveragePool", pool::global_average),
    ("GlobalMaxPool", pool::global_max),
    ("HardSigmoid", activation::hard_sigmoid),
    ("HardSwish", activation::hard_swish),
    ("Identity", rearrange::identity),
    ("LRN", norm::local_response),
    ("LeakyRelu", activation::leaky_relu),
    ("MatMul", layers::mat_mul),
    ("Max", activation::max),
    ("MaxPool", pool::max),
    ("Mean", arithmetic::mean),
    ("Min", activation::min),
    ("Mul", arithmetic::mul),
    ("Neg", activation::neg),
    ("PRelu", activation::p_relu),
    ("Pad", resize::pad),
    ("Pow", arithmetic::pow),
    ("QLinearConv", quantised::conv),
    ("QLinearMatMul", quantised::mat_mul),
    ("QuantizeLinear", quantised::quantize),
    ("Range", constant::range),
    ("Reciprocal", constant::reciprocal),
    ("ReduceMax", reduce::max),
    ("ReduceMean", reduce::mean),
    ("ReduceProd", reduce::prod),
    ("ReduceSum", reduce::sum),
    ("Relu", activation::relu),
    ("Reshape", rearrange::reshape),
    ("Resize", resize::resize),
    ("Shape", constant::shape),
    ("Sigmoid", activation::sigmoid),
    ("Size", constant::size),
    ("Slice", joining::slice),
    ("Softmax", norm::softmax),
    ("SpaceToDepth", rearrange::space_to_depth),
    ("Split", joining::split),
    ("Sqrt", constant::sqrt),
    ("Squeeze", rearrange::squeeze),
    ("Sub", arithmetic::sub),
    ("Sum", arithmetic::sum),
    ("Tanh", activation::tanh),
    ("Tile", rearrange::tile),
    ("Transpose", rearrange::transpose),
    ("Unsqueeze", rearrange::unsqueeze),
    ("Upsample", resize::upsample),
    ("Where", constant::choose),
];

/// Those that ONNX Runtime adds when it quantises a file.
const MICROSOFT: &[(&str, Rule)] = &[
    ("QGemm", quantised::gemm),
    ("QLinearAdd", quantised::add),
    ("QLinearAveragePool", quantised::average_pool),
    ("QLinearConcat", quantised::concat),
    ("QLinearGlobalAveragePool", quantised::global_average_pool),
    ("QLinearLeakyRelu", quantised::leaky_relu),
    ("QLinearMul", quantised::mul),
    ("QLinearSigmoid", quantised::sigmoid),
    ("QLinearSoftmax", quantised::softmax),
];

/// Names of the standard operators that are held, in order.
pub fn operators() -> impl Iterator<Item = &'static str> {
    STANDARD.iter().map(|(name, _)| *name)
}

/// The rule of an operator.
pub(crate) fn find(domain: &str, operator: &str) -> Result<Rule, Reason> {
    let table = match domain {
        "" | "ai.onnx" => STANDARD,
        "com.microsoft" => MICROSOFT,
        _ => return Err(Reason::new(format!("no rule knows operators of {domain}"))),
    };
    let found = table.iter().find(|(name, _)| *name == operator);
    found.map(|(_, rule)| *rule).ok_or_else(|| Reason::new("no rule knows this operator"))
}

/// Whether an operator tells of numbers in fewer bits.
pub(crate) fn quantises(operator: &str) -> bool {
    operator.starts_with('Q') || operator == "DequantizeLinear"
}
