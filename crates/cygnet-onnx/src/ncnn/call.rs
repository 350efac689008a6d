//! A layer as its rule sees it: what it reads, its settings and its numbers, and the graph that grows.

use super::numbers::{Numbers, Stream};
use super::text::Layer;
use crate::Reason;
use crate::export::writer::{Setting, Writer};

/// A value that was made.
#[derive(Clone, Debug)]
pub(super) struct Made {
    pub(super) name: String,
    /// Dimensions with the batch: 4 of maps, 2 of vectors.
    pub(super) rank: usize,
    /// Channels, where they are known.
    pub(super) channels: Option<usize>,
}

/// A layer with the graph.
pub(super) struct Call<'a, 't> {
    pub(super) layer: &'t Layer<'a>,
    pub(super) inputs: Vec<Made>,
    pub(super) numbers: &'t mut Stream,
    pub(super) writer: &'t mut Writer,
}

impl Call<'_, '_> {
    /// The first input.
    pub(super) fn input(&self) -> Result<Made, Reason> {
        self.at(0)
    }

    pub(super) fn at(&self, input: usize) -> Result<Made, Reason> {
        self.inputs.get(input).cloned().ok_or_else(|| Reason::new(format!("it lacks its input {input}")))
    }

    pub(super) fn node(&mut self, operator: &str, inputs: &[&str], settings: Vec<(&str, Setting)>) -> String {
        self.writer.node(operator, inputs, "", settings)
    }

    /// As [`Call::node`], under the layer's name.
    pub(super) fn named(
        &mut self,
        operator: &str,
        inputs: &[&str],
        settings: Vec<(&str, Setting)>,
    ) -> String {
        self.writer.node(operator, inputs, self.layer.name, settings)
    }

    /// The layer's next numbers, which have a mark of their type before them.
    pub(super) fn weights(&mut self, what: &str, shape: &[usize]) -> Result<String, Reason> {
        let numbers = self.numbers.weights(count(shape)?)?;
        Ok(self.constant(what, shape, numbers))
    }

    /// The layer's next numbers, which are floats.
    pub(super) fn floats(&mut self, what: &str, shape: &[usize]) -> Result<String, Reason> {
        let numbers = self.numbers.floats(count(shape)?)?;
        Ok(self.constant(what, shape, numbers))
    }

    fn constant(&mut self, what: &str, shape: &[usize], Numbers { kind, bytes }: Numbers) -> String {
        self.numbers.note(self.layer.name);
        let mut name = format!("{}.{what}", self.layer.name);
        if self.writer.is_taken(&name) {
            name = self.writer.fresh(&name);
        }
        self.writer.tensor(&name, shape, kind, bytes)
    }

    pub(super) fn number(&mut self, number: f64) -> String {
        self.writer.fresh_number(number as f32)
    }

    pub(super) fn list(&mut self, numbers: &[i64]) -> String {
        self.writer.fresh_list(numbers)
    }

    pub(super) fn clip(&mut self, value: &str, bounds: [f64; 2]) -> String {
        self.writer.clip(value, bounds.map(|bound| bound as f32))
    }

    /// A value as one with four dimensions.
    pub(super) fn as_map(&mut self, value: &Made) -> String {
        if value.rank == 4 {
            return value.name.clone();
        }
        let shape = self.list(&[0, -1, 1, 1]);
        self.node("Reshape", &[&value.name, &shape], vec![])
    }
}

/// Numbers of a shape.
fn count(shape: &[usize]) -> Result<usize, Reason> {
    let count = shape.iter().try_fold(1usize, |all, &size| all.checked_mul(size));
    count.ok_or_else(|| Reason::new(format!("weights of {shape:?} are larger than any file")))
}
