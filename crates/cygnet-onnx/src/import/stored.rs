//! Tensors of a file that no operator has read yet. Each becomes numbers when the first does, so that no more of them are
//! held than layers wait for.

use std::collections::{HashMap, HashSet};

use prost::Message;

use super::imported::Options;
use crate::array::{Element, elements};
use crate::memory::Room;
use crate::schema::TensorProto;
use crate::{ImportError, Refusal};

/// Tensors by name.
pub(super) struct Stored(HashMap<String, TensorProto>);

impl Stored {
    /// Those of a graph, and those that are given.
    pub(super) fn of(initializers: Vec<TensorProto>, options: &Options) -> Result<Stored, ImportError> {
        let mut stored: HashMap<String, TensorProto> =
            initializers.into_iter().map(|tensor| (tensor.name().to_owned(), tensor)).collect();
        for (name, bytes) in &options.constants {
            let tensor = TensorProto::decode(&bytes[..]);
            let tensor = tensor.map_err(|error| ImportError::Damaged(error.to_string()))?;
            stored.insert(name.clone(), tensor);
        }
        Ok(Stored(stored))
    }

    /// Names of all of them.
    pub(super) fn names(&self) -> HashSet<String> {
        self.0.keys().cloned().collect()
    }

    /// Whether those that are read may be held, by their shapes alone.
    ///
    /// # Errors
    /// The first with which they are too many numbers.
    pub(super) fn check(&self, readers: &HashMap<&str, usize>, mut room: Room) -> Result<(), ImportError> {
        let mut read: Vec<(&String, &TensorProto)> =
            self.0.iter().filter(|(name, _)| readers.contains_key(name.as_str())).collect();
        read.sort_by_key(|(name, _)| *name);
        for (name, tensor) in read {
            let shape: Option<Vec<usize>> = tensor.dims.iter().map(|&n| usize::try_from(n).ok()).collect();
            // What makes no sense is told when it is read.
            let Some(count) = shape.and_then(|shape| elements(&shape).ok()) else { continue };
            let is_float = matches!(Element::of(tensor.data_type.unwrap_or(0)), Ok(Element::Float));
            let taken = if is_float { room.take(count) } else { room.take_integers(count) };
            taken.map_err(|reason| ImportError::Refused(vec![Refusal::new(name, "initializer", reason)]))?;
        }
        Ok(())
    }

    /// The tensor of that name, if it is read for the first time.
    pub(super) fn take(&mut self, name: &str) -> Option<TensorProto> {
        self.0.remove(name)
    }
}
