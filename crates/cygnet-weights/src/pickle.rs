//! Python pickles read as data: a stack machine over the instructions that tensor files use.
//!
//! Nothing is ever imported, called or built: the few functions and classes that tensors need are a closed
//! list ([`Global`]) with a meaning given here. Objects of other classes are kept as what they hold, and a file that
//! calls any other function is refused. Values live in an arena and refer to each other by index, so a value may
//! contain itself. Time is bounded by the length of the pickle, memory by [`MAX_VALUE_BYTES`]: every instruction makes
//! at most one node, and what nodes hold is counted. `machine` reads instructions, `meaning` says what calls mean.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "a pickle may hold any value where one kind is wanted, and all others are refused alike"
)]

mod machine;
mod meaning;

use std::ops::Range;

use crate::{Dtype, WeightsError};
use meaning::Global;

/// Most bytes of memory that the values of a pickle may take; those of checkpoints take some hundred thousand.
pub(crate) const MAX_VALUE_BYTES: usize = 128 << 20;
/// Most entries of the stack, and most open marks.
const MAX_STACK: usize = 1 << 21;
/// Most dimensions of a tensor.
const MAX_RANK: usize = 16;

/// Index of a value in [`Pickle::nodes`].
pub(crate) type Id = usize;

const NONE: Id = 0;
const FALSE: Id = 1;
const TRUE: Id = 2;
const EMPTY_TUPLE: Id = 3;

/// A value. Bytes and text point into the pickle.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    None,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(Range<usize>),
    Bytes(Range<usize>),
    /// Bytes that the pickle stores as text, one character a byte.
    Decoded(Vec<u8>),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Global(Global),
    Storage(Storage),
    View(Box<View>),
    /// A NumPy array before its state has arrived.
    EmptyArray,
    /// A NumPy element type; none if it is not a number's.
    NumpyDtype(Option<Dtype>),
    /// An object of a class that tensors do not need, with its attributes. Nothing in it is taken for a weight.
    Object(Vec<(Id, Id)>),
}

/// A PyTorch storage outside the pickle.
#[derive(Debug, Clone)]
pub(crate) struct Storage {
    pub(crate) dtype: Dtype,
    /// Text node: the name of its bytes.
    pub(crate) key: Id,
    /// Elements of the whole storage.
    pub(crate) count: usize,
    /// First element and number of elements of the part that is meant.
    pub(crate) part: Option<(usize, usize)>,
}

/// A tensor over a [`Node::Storage`], [`Node::Bytes`] or [`Node::Decoded`], with strides in elements.
#[derive(Debug, Clone)]
pub(crate) struct View {
    pub(crate) storage: Id,
    pub(crate) dtype: Dtype,
    pub(crate) offset: usize,
    pub(crate) shape: Vec<usize>,
    pub(crate) strides: Vec<usize>,
}

/// A loaded pickle.
#[derive(Debug)]
pub(crate) struct Pickle<'a> {
    bytes: &'a [u8],
    pub(crate) nodes: Vec<Node>,
    pub(crate) root: Id,
    /// Bytes up to and including the last instruction.
    pub(crate) end: usize,
    /// The first class of a network that the pickle names.
    pub(crate) module: Option<String>,
}

impl<'a> Pickle<'a> {
    /// Reads the pickle at the start of `bytes`.
    pub(crate) fn load(bytes: &'a [u8]) -> Result<Pickle<'a>, WeightsError> {
        machine::run(bytes)
    }

    pub(crate) fn root(&self) -> &Node {
        &self.nodes[self.root]
    }

    /// The text of a text node, or of a Python 2 string.
    pub(crate) fn text(&self, id: Id) -> Option<&'a str> {
        match &self.nodes[id] {
            Node::Text(range) | Node::Bytes(range) => str::from_utf8(&self.bytes[range.clone()]).ok(),
            _ => None,
        }
    }

    /// The value of a number that counts something.
    pub(crate) fn index(&self, id: Id) -> Option<usize> {
        match self.nodes[id] {
            Node::Int(value) => value.try_into().ok(),
            _ => None,
        }
    }

    /// The items of a tuple or list.
    pub(crate) fn items(&self, id: Id) -> Option<&[Id]> {
        match &self.nodes[id] {
            Node::Tuple(items) | Node::List(items) => Some(items),
            _ => None,
        }
    }

    /// The entries of a dict, or the attributes of an object.
    pub(crate) fn entries(&self, id: Id) -> Option<&[(Id, Id)]> {
        match &self.nodes[id] {
            Node::Dict(entries) | Node::Object(entries) => Some(entries),
            _ => None,
        }
    }

    fn sizes(&self, id: Id) -> Option<Vec<usize>> {
        let items = self.items(id).filter(|items| items.len() <= MAX_RANK)?;
        items.iter().map(|&item| self.index(item)).collect()
    }
}
