//! What can be wrong with a graph.

use thiserror::Error;

/// A graph that cannot be: where, and what.
#[derive(Clone, Debug, PartialEq, Error)]
#[error("{graph}: {place}: {problem}")]
pub struct BuildError {
    /// The graph's name.
    pub graph: String,
    /// `at PATH` for an operator with parameters, else `after PATH` of the last one before it.
    pub place: String,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong with an operator.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Problem {
    /// An input has the wrong number of dimensions.
    #[error("{op} needs [channels, height, width], the input is {shape:?}")]
    NotAMap {
        /// The operator.
        op: &'static str,
        /// What it got.
        shape: Vec<usize>,
    },
    /// Two inputs do not fit each other.
    #[error("{op}: {left:?} and {right:?} differ")]
    Differ {
        /// The operator.
        op: &'static str,
        /// First shape.
        left: Vec<usize>,
        /// Second shape.
        right: Vec<usize>,
    },
    /// Channels cannot be cut into groups.
    #[error("{op}: {channels} channels cannot be cut into {groups} groups")]
    Groups {
        /// The operator.
        op: &'static str,
        /// Channels.
        channels: usize,
        /// Groups.
        groups: usize,
    },
    /// A window is larger than the padded image.
    #[error("{op}: a {kernel:?} window does not fit into {shape:?}; use a larger image")]
    WindowTooLarge {
        /// The operator.
        op: &'static str,
        /// Extent of the window, dilation included.
        kernel: [usize; 2],
        /// The input's shape.
        shape: Vec<usize>,
    },
    /// A slice reaches past the last channel.
    #[error("slice of {len} channels from {start}: the input has {channels}")]
    SliceOutOfRange {
        /// First channel.
        start: usize,
        /// Number of channels.
        len: usize,
        /// Channels there are.
        channels: usize,
    },
    /// A setting has no meaning.
    #[error("{op}: {what} is {value}, which makes no sense")]
    Setting {
        /// The operator.
        op: &'static str,
        /// The setting.
        what: &'static str,
        /// Its value.
        value: String,
    },
    /// A value or parameter would be too large.
    #[error("{op}: a tensor of {shape:?} is over the limit of 2^31 elements")]
    TooLarge {
        /// The operator.
        op: &'static str,
        /// The shape.
        shape: Vec<usize>,
    },
    /// The graph comes from a file and asks for more than its reader allows.
    #[error("{value} {what}, the limit is {limit}; a file that you trust may have more: {}", raised(what))]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// How much, so far.
        value: u64,
        /// How much there may be.
        limit: u64,
    },
    /// The wrong number of inputs.
    #[error("{op} takes {wanted} inputs, not {given}")]
    Inputs {
        /// The operator.
        op: &'static str,
        /// How many it takes.
        wanted: &'static str,
        /// How many there are.
        given: usize,
    },
    /// A graph was made without a value that is read.
    #[error("a value that was left out is read")]
    InputLeftOut,
    /// Two operators with parameters share a path.
    #[error("the path {path} is used twice")]
    PathTwice {
        /// The path.
        path: String,
    },
    /// Two outputs share a name, or a value.
    #[error("{name} is an output twice, by its name or its value")]
    OutputTwice {
        /// The second one's name.
        name: String,
    },
    /// An operator with parameters has no path.
    #[error("{op} has parameters but no path")]
    NoPath {
        /// The operator.
        op: &'static str,
    },
    /// A loss that works on logits would be given probabilities.
    #[error(
        "the output is made of probabilities; training needs the numbers before softmax, so the network must end there"
    )]
    Probabilities,
    /// The network cannot be divided into body and classifier.
    #[error("cannot be separated from the body: {0}")]
    Classifier(&'static str),
    /// Channels cannot be cut.
    #[error("cannot be cut: {0}")]
    Cut(&'static str),
    /// The JSON form is not a graph.
    #[error("not a graph: {0}")]
    Json(String),
}

/// How a limit is raised.
fn raised(what: &str) -> &'static str {
    if what == "multiply-accumulates" {
        "--max-macs raises it"
    } else {
        "a program can raise it with `Limits`"
    }
}
