//! An operator of the file as its rule sees it: inputs, attributes, and the draft that grows.

use std::cell::RefCell;
use std::collections::HashSet;

use cygnet_graph::Op;
use cygnet_weights::Grid;

use super::arrange::Choice;
use super::draft::Draft;
use super::view::{Axis, Part, View};
use crate::Reason;
use crate::array::{Array, Element};
use crate::external::External;
use crate::schema::{AttributeProto, NodeProto};

/// How numbers of a tensor stand for real ones: `(number - zero) * scale`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Scale {
    /// One for all channels, or one for each.
    pub(crate) scales: Vec<f32>,
    pub(crate) zero: f32,
    pub(crate) element: Element,
}

impl Scale {
    /// The only scale.
    pub(crate) fn one(&self) -> Result<f32, Reason> {
        match self.scales[..] {
            [scale] => Ok(scale),
            _ => {
                Err(Reason::new("it has a scale for each channel, which only bytes of its own form can have"))
            }
        }
    }

    /// The same in unsigned bytes, if it is in bytes.
    pub(crate) fn grid(&self) -> Option<Grid> {
        let shift = match self.element {
            Element::U8 => 0.0,
            Element::I8 => 128.0,
            _ => return None,
        };
        Some(Grid { zero: (self.zero + shift) as u8, scales: self.scales.clone() })
    }
}

/// A tensor that depends on the image.
#[derive(Clone, Debug)]
pub(crate) struct Tracked {
    pub(crate) view: View,
    /// Rows above, columns to the left, rows below and columns to the right, of zeros, that no operator holds yet.
    pub(crate) pads: [usize; 4],
    /// The quantisation in which the file has its numbers; the draft has the real ones.
    pub(crate) scale: Option<Scale>,
}

impl From<View> for Tracked {
    fn from(view: View) -> Tracked {
        Tracked { view, pads: [0; 4], scale: None }
    }
}

/// What a name of the file stands for.
#[derive(Clone, Debug)]
pub(crate) enum Entry {
    Constant(Array),
    Tracked(Tracked),
    /// Places of largest numbers, which only an output can be.
    Chosen(View, Choice),
    /// The output of an operator that was refused.
    Refused,
    /// An output that nothing is known of, and that nothing may read.
    Nothing(&'static str),
}

impl From<View> for Entry {
    fn from(view: View) -> Entry {
        Entry::Tracked(view.into())
    }
}

impl From<Array> for Entry {
    fn from(array: Array) -> Entry {
        Entry::Constant(array)
    }
}

/// An operator with what it reads.
pub(crate) struct Call<'c> {
    pub(crate) node: &'c NodeProto,
    /// Its inputs with their names; those that are left out are none.
    pub(crate) inputs: Vec<Option<(&'c str, Entry)>>,
    /// Version of the operator set.
    pub(crate) opset: i64,
    /// Images of a batch.
    pub(crate) batch: usize,
    pub(crate) draft: &'c mut Draft,
    pub(crate) external: &'c External,
    /// What constants that are computed may still take, in numbers.
    pub(crate) room: &'c mut usize,
    asked: RefCell<HashSet<String>>,
}

impl<'c> Call<'c> {
    pub(crate) fn new(
        node: &'c NodeProto,
        inputs: Vec<Option<(&'c str, Entry)>>,
        [opset, batch]: [usize; 2],
        draft: &'c mut Draft,
        external: &'c External,
        room: &'c mut usize,
    ) -> Call<'c> {
        let asked = RefCell::default();
        Call { node, inputs, opset: opset as i64, batch, draft, external, room, asked }
    }

    /// An input that depends on the image, in real numbers and without pending padding.
    pub(crate) fn tracked(&self, index: usize) -> Result<View, Reason> {
        let tracked = self.tracked_as_is(index)?;
        if tracked.scale.is_some() {
            return Err(Reason::new("its input is quantised, which this operator does not know"));
        }
        if tracked.pads != [0; 4] {
            return Err(Reason::new("its input is padded, which only convolution and pooling can hold"));
        }
        Ok(tracked.view)
    }

    /// An input that depends on the image, with all that is pending.
    pub(crate) fn tracked_as_is(&self, index: usize) -> Result<Tracked, Reason> {
        match self.inputs.get(index) {
            Some(Some((_, Entry::Tracked(tracked)))) => Ok(tracked.clone()),
            Some(Some((_, Entry::Chosen(..)))) => Err(Reason::new(format!(
                "its input {index} is the place of a largest number, which only an output can be"
            ))),
            Some(Some(_)) => {
                Err(Reason::new(format!("its input {index} is a constant, not a value of the image")))
            }
            Some(None) | None => Err(Reason::new(format!("its input {index} is missing"))),
        }
    }

    /// An input that is known, if it is there.
    pub(crate) fn constant(&self, index: usize) -> Result<Option<&Array>, Reason> {
        match self.inputs.get(index) {
            Some(Some((_, Entry::Constant(array)))) => Ok(Some(array)),
            Some(Some((name, _))) => Err(Reason::new(format!(
                "its input {index}, {name}, must be a constant and depends on the image"
            ))),
            Some(None) | None => Ok(None),
        }
    }

    /// An input that must be known.
    pub(crate) fn known(&self, index: usize) -> Result<&Array, Reason> {
        self.constant(index)?.ok_or_else(|| Reason::new(format!("its input {index} is missing")))
    }

    /// An input that must be known, for the rule alone: nobody holds its numbers if nothing else reads them.
    pub(crate) fn owned(&mut self, index: usize) -> Result<Array, Reason> {
        let array = self.known(index)?.clone();
        if let Some(Some((_, entry))) = self.inputs.get_mut(index) {
            *entry = Entry::Nothing("was read");
        }
        Ok(array)
    }

    /// All inputs, if every one is known.
    pub(crate) fn constants(&self) -> Option<Vec<Array>> {
        let known = |input: &Option<(&str, Entry)>| match input {
            Some((_, Entry::Constant(array))) => Some(array.clone()),
            _ => None,
        };
        self.inputs.iter().map(known).collect()
    }

    /// Whether a constant of so many numbers may be computed.
    pub(crate) fn fits(&self, count: usize) -> Result<(), Reason> {
        if count <= *self.room {
            return Ok(());
        }
        Err(Reason::new("the constants that the file computes take too much memory"))
    }

    /// Takes room for a constant that was computed.
    pub(crate) fn take(&mut self, count: usize) -> Result<(), Reason> {
        self.fits(count)?;
        *self.room -= count;
        Ok(())
    }

    pub(crate) fn attribute(&self, name: &str) -> Option<&'c AttributeProto> {
        self.asked.borrow_mut().insert(name.into());
        self.node.attribute.iter().find(|attribute| attribute.name() == name)
    }

    /// Looks at attributes that change nothing here.
    pub(crate) fn ignore(&self, names: &[&str]) {
        names.iter().for_each(|name| {
            self.attribute(name);
        });
    }

    pub(crate) fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).map_or(default, |attribute| attribute.i())
    }

    pub(crate) fn float(&self, name: &str, default: f32) -> f32 {
        self.attribute(name).map_or(default, |attribute| attribute.f())
    }

    pub(crate) fn text(&self, name: &str, default: &str) -> String {
        let text = |attribute: &AttributeProto| String::from_utf8_lossy(attribute.s()).into_owned();
        self.attribute(name).map_or_else(|| default.into(), text)
    }

    pub(crate) fn ints(&self, name: &str) -> Option<Vec<i64>> {
        self.attribute(name).map(|attribute| attribute.ints.clone())
    }

    /// A list of sizes.
    pub(crate) fn sizes(&self, name: &str) -> Result<Option<Vec<usize>>, Reason> {
        let size = |n: i64| {
            let wrong = || Reason::new(format!("{name} has {n}, which makes no sense here"));
            usize::try_from(n).map_err(|_| wrong())
        };
        self.ints(name).map(|ints| ints.into_iter().map(size).collect()).transpose()
    }

    /// The attribute of that name, or else the input at `index`, as a list.
    pub(crate) fn list(&self, name: &str, index: usize) -> Result<Option<Vec<i64>>, Reason> {
        match self.ints(name) {
            Some(ints) => Ok(Some(ints)),
            None => self.constant(index)?.map(|array| Ok(array.to_ints()?.to_vec())).transpose(),
        }
    }

    /// An attribute that was given and that nobody asked for.
    pub(crate) fn unknown_attribute(&self) -> Option<&str> {
        let asked = self.asked.borrow();
        let names = self.node.attribute.iter().map(|attribute| attribute.name());
        names.into_iter().find(|name| !asked.contains(*name))
    }

    /// The name of the layer that an operator with parameters makes: that of its weight without its last part, or its own.
    pub(crate) fn layer(&self, weight: usize) -> String {
        let weight = self.inputs.get(weight).and_then(|input| input.as_ref()).map_or("", |(name, _)| *name);
        if let Some(layer) = weight.strip_suffix(".weight").filter(|layer| !layer.is_empty()) {
            return layer.into();
        }
        let own = self.node.name();
        if own.is_empty() { self.node.op_type().to_lowercase() } else { own.trim_matches('/').into() }
    }

    /// The input in a value of its own.
    pub(crate) fn packed(&mut self, index: usize) -> Result<(View, Vec<Vec<Part>>), Reason> {
        let view = self.tracked(index)?;
        let view = self.draft.packed(&view)?;
        let parts = self.parts(&view);
        Ok((view, parts))
    }

    /// The axes in the dimensions of a packed tensor.
    pub(crate) fn parts(&self, view: &View) -> Vec<Vec<Part>> {
        let parts = view.parts(self.draft.shape(view.base));
        parts.map_or_else(Vec::new, |(parts, _)| parts)
    }

    /// The input as a feature map whose dimensions are batch, channels, and rows and columns or one of them: the value,
    /// and which axis each further dimension is.
    pub(crate) fn map(&mut self, index: usize) -> Result<(usize, Vec<Axis>), Reason> {
        let tracked = self.tracked_as_is(index)?;
        let view = self.draft.packed(&tracked.view)?;
        let rank = view.dims.len();
        let [channels, rows, columns] = super::view::axes(self.draft.shape(view.base));
        let shape = view.shape();
        let spatial = match rank {
            4 if shape[2..] == [rows, columns] => vec![Axis::Row, Axis::Column],
            3 if columns == 1 && shape[2] == rows => vec![Axis::Row],
            3 if rows == 1 && shape[2] == columns => vec![Axis::Column],
            _ => {
                return Err(Reason::new(format!("it reads {shape:?}, not a batch of feature maps")));
            }
        };
        if shape[1] != channels || shape[0] != self.batch {
            return Err(Reason::new(format!("it reads {shape:?}, in which batch and channels are mixed")));
        }
        let parts = self.parts(&view);
        let order = [&[Axis::Channel], &spatial[..]].concat();
        let in_order =
            parts[1..].iter().zip(order).all(|(parts, axis)| parts.iter().all(|part| part.axis == axis));
        if !in_order {
            return Err(Reason::new("it reads feature maps with channels last or rows and columns swapped"));
        }
        if self.draft.shape(view.base).len() == 1 && !self.draft.widen(view.base) {
            return Err(Reason::new("it reads a vector as a feature map"));
        }
        Ok((view.base, spatial))
    }

    /// Adds an element-wise operator to a tensor, whose dimensions stay. Of a part of a value only that part is computed.
    pub(crate) fn then(&mut self, view: &View, op: Op) -> Result<View, Reason> {
        let part =
            if view.is_whole(self.draft.shape(view.base)) { None } else { self.draft.packed(view).ok() };
        let view = part.as_ref().unwrap_or(view);
        let base = self.draft.emit(op, &[view.base])?;
        Ok(View { base, ..view.clone() })
    }
}

/// A dimension counted from the end if negative.
pub(crate) fn dimension(axis: i64, rank: usize) -> Result<usize, Reason> {
    let from_start = if axis < 0 { axis.saturating_add(rank as i64) } else { axis };
    let wrong = || Reason::new(format!("dimension {axis} of {rank} does not exist"));
    usize::try_from(from_start).ok().filter(|&dim| dim < rank).ok_or_else(wrong)
}
