//! Fits the tensors of a checkpoint to the parameters of a graph: every name and every shape is checked, and all that
//! is wrong is reported together.
//!
//! Some differences between sources are no errors, by rule:
//! - `num_batches_tracked` and, where the graph has none, the auxiliary heads of Inception networks (`aux1`, `aux2`,
//!   `AuxLogits`) are left out;
//! - bytes stay bytes, and all other numbers become `f32`;
//! - a linear layer may be stored as a 1 × 1 convolution, and the reverse;
//! - an ImageNet classifier of 1001 outputs has a `background` class first, whose row is dropped for 1000 classes;
//! - where batch norm was folded into a convolution, the convolution's bias becomes the shift of an identity norm.

use std::collections::{HashMap, HashSet};
use std::fmt;

use cygnet_graph::{Graph, NodeId, Op, Param, Role};

use crate::{Dtype, Tensor, Tensors, WeightSet};

/// The numbers of a graph's parameters, in the order of [`Graph::params`].
pub type Weights = Vec<Vec<f32>>;

/// How a checkpoint names and lays out the parameters of a graph.
pub struct Naming {
    /// The checkpoint's name of a parameter, from the graph's.
    pub key: Box<dyn Fn(&str) -> String>,
    /// Whether convolutions are stored as `[height, width, in, out]` and linear layers as `[in, out]`, as TensorFlow
    /// does.
    pub channels_last: bool,
    /// What all names of the network start with, with a dot at its end, or nothing; [`Naming::key`] includes it. Other
    /// tensors are no part of the network.
    pub prefix: String,
}

impl Naming {
    /// The graph's own names, in PyTorch's layout.
    #[must_use]
    pub fn own() -> Naming {
        Naming { key: Box::new(str::to_owned), channels_last: false, prefix: String::new() }
    }

    /// The same names after `prefix`, which ends with a dot or is empty.
    #[must_use]
    pub fn below(self, prefix: String) -> Naming {
        if prefix.is_empty() {
            return self;
        }
        let (start, key) = (prefix.clone(), self.key);
        Naming { key: Box::new(move |name| format!("{start}{}", key(name))), prefix, ..self }
    }

    /// The same names, but for those of one layer of the checkpoint, which has another name.
    #[must_use]
    pub fn renaming(self, layer: String, renamed: String) -> Naming {
        let key = self.key;
        let rename = move |name: &str| {
            let key = key(name);
            match key.rsplit_once('.') {
                Some((path, tensor)) if path == layer => format!("{renamed}.{tensor}"),
                _ => key,
            }
        };
        Naming { key: Box::new(rename), ..self }
    }

    /// Whether the checkpoint has a tensor for every parameter of `graph`, whatever its shape.
    #[must_use]
    pub fn covers(&self, graph: &Graph, tensors: &Tensors) -> bool {
        graph.params().iter().all(|param| tensors.contains_key(&(self.key)(&param.name)))
    }
}

/// What to do with a classifier whose number of classes is not the graph's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// It is an error like any other shape.
    Keep,
    /// The last layer with parameters is initialised again from this seed; the body is kept.
    Renew {
        /// Seed of the new weights.
        seed: u64,
    },
}

/// Why a checkpoint does not fit a graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The graph's name.
    pub graph: String,
    /// Parameters that the checkpoint does not have, under its names for them.
    pub missing: Vec<String>,
    /// Tensors that the graph has no place for.
    pub unexpected: Vec<String>,
    /// Tensors of the wrong shape: name, shape in the checkpoint, shape needed.
    pub misshapen: Vec<(String, Vec<usize>, Vec<usize>)>,
}

impl Mismatch {
    /// Number of tensors that do not fit.
    #[must_use]
    pub fn count(&self) -> usize {
        self.missing.len() + self.unexpected.len() + self.misshapen.len()
    }

    /// How PyTorch stores a missing tensor as something that it is computed from.
    fn parametrised(&self, name: &str) -> Option<&'static str> {
        let has = |key: String| self.unexpected.contains(&key);
        let (layer, tensor) = name.rsplit_once('.')?;
        let computed = format!("{layer}.parametrizations.{tensor}.");
        if has(format!("{name}_g")) && has(format!("{name}_v")) {
            Some("stored by weight normalisation; call torch.nn.utils.remove_weight_norm and save again")
        } else if has(format!("{name}_orig")) && has(format!("{name}_u")) {
            Some("stored by spectral normalisation; call torch.nn.utils.remove_spectral_norm and save again")
        } else if self.unexpected.iter().any(|key| key.starts_with(&computed)) {
            Some(
                "stored as what it is computed from; call torch.nn.utils.parametrize.remove_parametrizations and save again",
            )
        } else {
            None
        }
    }
}

impl std::error::Error for Mismatch {}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 5;
        let nearest = |name: &String| {
            let scored = self.unexpected.iter().filter(|key| key.len() < 4 * name.len());
            let scored = scored.map(|key| (strsim::normalized_levenshtein(name, key), key));
            let (score, best) = scored.max_by(|a, b| a.0.total_cmp(&b.0))?;
            (score > 0.6).then_some(best)
        };
        let list = |f: &mut fmt::Formatter<'_>, what: &str, lines: Vec<String>| {
            if lines.is_empty() {
                return Ok(());
            }
            write!(f, "\n  {} {what}:", lines.len())?;
            lines.iter().take(SHOWN).try_for_each(|line| write!(f, "\n    {line}"))?;
            if lines.len() > SHOWN { write!(f, "\n    and {} more", lines.len() - SHOWN) } else { Ok(()) }
        };
        write!(f, "the tensors do not fit {}", self.graph)?;
        let missing = self.missing.iter().enumerate().map(|(i, name)| {
            if let Some(how) = (i < SHOWN).then(|| self.parametrised(name)).flatten() {
                return format!("{name} ({how})");
            }
            match (i < SHOWN).then(|| nearest(name)).flatten() {
                Some(near) => format!("{name} (nearest: {near})"),
                None => name.clone(),
            }
        });
        list(f, "missing", missing.collect())?;
        list(f, "unexpected", self.unexpected.clone())?;
        let misshapen =
            self.misshapen.iter().map(|(name, given, wanted)| format!("{name}: {given:?}, needs {wanted:?}"));
        list(f, "misshapen", misshapen.collect())
    }
}

/// Whether a tensor plays no part in inference, whatever the network.
pub(crate) fn is_ignored(key: &str) -> bool {
    let first = key.split('.').next().unwrap_or_default();
    key.ends_with("num_batches_tracked") || ["aux1", "aux2", "AuxLogits"].contains(&first)
}

/// Fits `tensors` to `graph`.
///
/// # Errors
/// All tensors that are missing, unexpected or misshapen.
pub fn fit<'t>(
    graph: &Graph,
    tensors: &'t Tensors,
    naming: &'t Naming,
    head: Head,
) -> Result<WeightSet, Mismatch> {
    let params: Vec<(Param, String)> = graph
        .params()
        .into_iter()
        .map(|param| ((naming.key)(&param.name), param))
        .map(|(k, p)| (p, k))
        .collect();
    let mut fit = Fit {
        tensors,
        prefix: &naming.prefix,
        channels_last: naming.channels_last,
        head,
        classifier: graph.classifier(),
        used: HashSet::new(),
        mismatch: Mismatch {
            graph: graph.name().into(),
            missing: vec![],
            unexpected: vec![],
            misshapen: vec![],
        },
    };
    let mut weights = WeightSet::default();
    for (param, key) in &params {
        let tensor = if let Some((key, tensor)) = tensors.get_key_value(key) {
            fit.take(key, tensor, param)
        } else if let Some(FoldedNorm { values, bias }) = folded_norm(graph, param, &params, tensors) {
            fit.used.insert(bias);
            Some(of_shape(values, &param.shape))
        } else {
            fit.new_head(param).or_else(|| {
                fit.mismatch.missing.push(key.clone());
                None
            })
        };
        if let Some(tensor) = tensor {
            weights.insert(&param.name, tensor);
        }
    }
    fit.finish(weights)
}

struct Fit<'t> {
    tensors: &'t Tensors,
    /// What the names of all tensors of the network start with.
    prefix: &'t str,
    channels_last: bool,
    head: Head,
    /// The node that holds the classifier.
    classifier: Option<NodeId>,
    used: HashSet<&'t str>,
    mismatch: Mismatch,
}

/// A shape without ones at its end: `[out, in]` and `[out, in, 1, 1]` are the same layer.
#[must_use]
pub fn trimmed(shape: &[usize]) -> &[usize] {
    &shape[..shape.iter().rposition(|&n| n != 1).map_or(0, |last| last + 1)]
}

/// Outputs of an ImageNet classifier with a background class.
const WITH_BACKGROUND: usize = 1001;

impl<'t> Fit<'t> {
    fn take(&mut self, key: &'t str, tensor: &'t Tensor, param: &Param) -> Option<Tensor> {
        self.used.insert(key);
        let turned = self.channels_last && param.role == Role::Weight;
        let shape = if turned { shape_channels_first(tensor, &param.shape) } else { tensor.shape().to_vec() };
        let values = || match tensor.dtype() {
            _ if turned => channels_first(tensor, &shape),
            Dtype::I8 | Dtype::U8 => tensor.clone(),
            _ => tensor.as_f32(),
        };
        let mut wanted = param.shape.clone();
        if trimmed(&shape) == trimmed(&wanted) {
            return Some(values().reshape(wanted).expect("shapes differ by ones"));
        }
        wanted[0] += 1;
        let is_classifier = self.classifier == Some(param.node);
        if is_classifier && wanted[0] == WITH_BACKGROUND && trimmed(&shape) == trimmed(&wanted) {
            let values = values();
            let values = values.to_f32();
            return Some(of_shape(values[values.len() / WITH_BACKGROUND..].to_vec(), &param.shape));
        }
        self.new_head(param).or_else(|| {
            self.mismatch.misshapen.push((key.into(), tensor.shape().to_vec(), param.shape.clone()));
            None
        })
    }

    /// New values for a parameter of the classifier, if it may be renewed.
    fn new_head(&self, param: &Param) -> Option<Tensor> {
        let Head::Renew { seed } = self.head else { return None };
        (self.classifier == Some(param.node)).then(|| of_shape(renew(param, seed), &param.shape))
    }

    fn finish(mut self, weights: WeightSet) -> Result<WeightSet, Mismatch> {
        let is_left = |key: &&String| {
            let rest = key.strip_prefix(self.prefix);
            rest.is_some_and(|rest| !self.used.contains(key.as_str()) && !is_ignored(rest))
        };
        self.mismatch.unexpected = self.tensors.keys().filter(is_left).cloned().collect();
        if self.mismatch.count() == 0 { Ok(weights) } else { Err(self.mismatch) }
    }
}

struct FoldedNorm<'t> {
    values: Vec<f32>,
    bias: &'t str,
}

/// For a parameter of a batch norm that the checkpoint does not have: the value that makes it the identity plus the
/// bias of the convolution it reads, if the checkpoint has such a bias and none of the norm's tensors.
fn folded_norm<'t>(
    graph: &Graph,
    param: &Param,
    params: &[(Param, String)],
    tensors: &'t Tensors,
) -> Option<FoldedNorm<'t>> {
    let node = graph.node(param.node);
    let Op::BatchNorm(norm) = &node.op else { return None };
    if params.iter().any(|(p, key)| p.node == param.node && tensors.contains_key(key)) {
        return None;
    }
    let conv = node.inputs[0];
    let (_, key) = params.iter().find(|(p, _)| p.node == conv && p.role == Role::Weight)?;
    let (bias_key, bias) = tensors.get_key_value(&format!("{}.bias", key.strip_suffix(".weight")?))?;
    let channels = param.shape[0];
    let values = match param.role {
        Role::NormWeight => vec![1.0; channels],
        Role::NormBias => bias.to_f32().into_owned(),
        Role::NormMean => vec![0.0; channels],
        Role::NormVar => vec![(1.0 - norm.eps) as f32; channels],
        Role::Weight | Role::Bias => return None,
    };
    (values.len() == channels).then_some(FoldedNorm { values, bias: bias_key })
}

/// A tensor of numbers that were made for its shape.
fn of_shape(values: Vec<f32>, shape: &[usize]) -> Tensor {
    Tensor::from_numbers(shape, values).expect("as many numbers as the shape has")
}

/// The shape that PyTorch would give a weight stored as `[height, width, in, out]` or `[in, out]`; a depthwise weight is
/// stored as `[height, width, channels, multiplier]`.
fn shape_channels_first(tensor: &Tensor, wanted: &[usize]) -> Vec<usize> {
    match *tensor.shape() {
        [height, width, channels, multiplier]
            if wanted[1] == 1 && channels.checked_mul(multiplier) == Some(wanted[0]) =>
        {
            vec![wanted[0], 1, height, width]
        }
        [height, width, inputs, outputs] => vec![outputs, inputs, height, width],
        [inputs, outputs] => vec![outputs, inputs, 1, 1],
        _ => tensor.shape().to_vec(),
    }
}

/// The numbers of such a weight in the order of the shape that [`shape_channels_first`] gave.
fn channels_first(tensor: &Tensor, shape: &[usize]) -> Tensor {
    let &[outputs, inputs, height, width] = shape else { return tensor.as_f32() };
    let values = tensor.to_f32();
    let area = height * width;
    let mut turned = Vec::with_capacity(values.len());
    for out in 0..outputs {
        for input in 0..inputs {
            turned.extend((0..area).map(|at| values[(at * inputs + input) * outputs + out]));
        }
    }
    of_shape(turned, shape)
}

/// New weights: uniform with variance `1 / fan_in` (Kaiming's rule for a linear layer) and zero bias.
fn renew(param: &Param, seed: u64) -> Vec<f32> {
    let count = param.shape.iter().product();
    if param.role != Role::Weight {
        return vec![0.0; count];
    }
    let fan_in: usize = param.shape[1..].iter().product();
    let bound = (3.0 / fan_in as f64).sqrt();
    let mut state = seed;
    let mut unit = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    };
    (0..count).map(|_| ((2.0 * unit() - 1.0) * bound) as f32).collect()
}

/// Names by order of execution, `00.conv.weight`, `01.dw.weight`…, as converters of frozen graphs write them.
#[must_use]
pub fn naming_by_execution(graph: &Graph) -> Naming {
    let layers = graph.params().into_iter().filter(|param| param.role == Role::Weight);
    let name = |(number, param): (usize, Param)| {
        let node = graph.node(param.node);
        let depthwise =
            matches!(&node.op, Op::Conv(conv) if conv.is_depthwise(graph.node(node.inputs[0]).shape[0]));
        (node.path.clone(), format!("{number:02}.{}", if depthwise { "dw" } else { "conv" }))
    };
    let names: HashMap<String, String> = layers.enumerate().map(name).collect();
    let key = move |name: &str| {
        let (path, tensor) = name.rsplit_once('.').unwrap_or(("", name));
        names.get(path).map_or_else(|| name.to_owned(), |path| format!("{path}.{tensor}"))
    };
    Naming { key: Box::new(key), channels_last: false, prefix: String::new() }
}
