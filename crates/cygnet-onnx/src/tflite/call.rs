//! An operator as its rule sees it: its tensors, its settings, and the graph that grows.

use std::cell::Cell;
use std::collections::HashMap;

use prost::bytes::Bytes;

use super::reader::Options;
use super::tensors::{Kind, Scales, TOO_OFTEN, Value, reordered};
use crate::export::writer::{Setting, Writer};
use crate::memory::Room;
use crate::{ImportError, Reason};

/// An operator with its tensors.
pub(super) struct Call<'a, 't> {
    pub(super) inputs: Vec<Option<usize>>,
    pub(super) output: usize,
    /// Where there are several.
    pub(super) outputs: Vec<usize>,
    pub(super) options: Option<Options<'a>>,
    pub(super) to: &'t mut Translation<'a>,
}

/// A file's tensors, and the graph that grows.
pub(super) struct Translation<'a> {
    pub(super) values: Vec<Value<'a>>,
    /// What the real numbers of tensors are called that were made.
    pub(super) made: HashMap<usize, String>,
    pub(super) writer: Writer,
    /// The file.
    pub(super) file: Bytes,
    /// Bytes that may still be read.
    pub(super) room: Cell<usize>,
    /// Numbers that weights may still be.
    pub(super) weights: Room,
}

impl<'a> Translation<'a> {
    /// Counts bytes that are read.
    fn take(&self, bytes: usize) -> Result<(), Reason> {
        let rest = self.room.get().checked_sub(bytes).ok_or_else(|| Reason::new(TOO_OFTEN))?;
        self.room.set(rest);
        Ok(())
    }

    /// The tensor of a number in the file.
    pub(super) fn at(&self, index: i32) -> Result<usize, ImportError> {
        let found = usize::try_from(index).ok().filter(|&index| index < self.values.len());
        found.ok_or_else(|| ImportError::Damaged(format!("there is no tensor {index}")))
    }

    /// Whether a constant has this name.
    pub(super) fn is_taken(&self, name: &str) -> bool {
        self.writer.is_taken(name)
    }

    /// A name that nothing has yet.
    pub(super) fn fresh(&mut self, what: &str) -> String {
        self.writer.fresh(what)
    }

    pub(super) fn value(&self, index: usize) -> &Value<'a> {
        &self.values[index]
    }

    /// The name of the real numbers of a tensor.
    pub(super) fn real(&mut self, index: usize) -> Result<String, Reason> {
        if let Some(made) = self.made.get(&index) {
            return Ok(made.clone());
        }
        let order: Vec<usize> = (0..self.values[index].shape.len()).collect();
        let name = format!("constant_{index}");
        let made = self.constant(index, &name, &order)?;
        self.made.insert(index, made.clone());
        Ok(made)
    }

    /// The real numbers of a constant with its dimensions in another order, under a name of its own.
    pub(super) fn constant(&mut self, index: usize, name: &str, order: &[usize]) -> Result<String, Reason> {
        let value = self.values[index].clone();
        let Some(data) = value.data else {
            return Err(Reason::new(format!("it reads {}, which is no constant", value.name)));
        };
        if order.len() != value.shape.len() {
            let (shape, wanted) = (&value.shape, order.len());
            return Err(Reason::new(format!(
                "{} has the shape {shape:?}, not {wanted} dimensions",
                value.name
            )));
        }
        let is_real = matches!(value.kind, Kind::F32 | Kind::F16);
        let scales = value.scales.as_ref().filter(|_| !is_real);
        if !is_real && scales.is_none() {
            return Err(Reason::new(format!(
                "{} holds numbers of type {:?} without a scale by which they stand for real ones",
                value.name, value.kind
            )));
        }
        self.take(data.len())?;
        self.weights.take(data.len() / value.kind.bytes())?;
        let shape: Vec<usize> = order.iter().map(|&from| value.shape[from]).collect();
        let bytes = if order.is_sorted() {
            self.file.slice_ref(data)
        } else {
            reordered(data, &value.shape, order, value.kind.bytes()).into()
        };
        let stored = self.writer.tensor(name, &shape, value.kind.data_type(), bytes);
        let Some(scales) = scales else { return Ok(stored) };
        let axis = order.iter().position(|&from| from == scales.dimension).unwrap_or(0);
        self.pair(scales, value.kind, &stored, axis, "DequantizeLinear")
    }

    /// A list of whole numbers that a constant is.
    pub(super) fn ints(&self, index: usize) -> Result<Vec<i64>, Reason> {
        let Value { name, data, kind, .. } = &self.values[index];
        let data = data.ok_or_else(|| Reason::new(format!("{name} is computed; it has to be a constant")))?;
        self.take(data.len())?;
        match kind {
            Kind::I32 => Ok(data
                .chunks_exact(4)
                .map(|bytes| i32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]).into())
                .collect()),
            Kind::I64 => Ok(data
                .chunks_exact(8)
                .filter_map(|bytes| bytes.try_into().ok().map(i64::from_le_bytes))
                .collect()),
            _ => Err(Reason::new(format!("{name} is no list of whole numbers"))),
        }
    }

    /// A node that takes numbers to integers or back.
    fn pair(
        &mut self,
        Scales { scales, zeros, .. }: &Scales,
        kind: Kind,
        input: &str,
        axis: usize,
        operator: &str,
    ) -> Result<String, Reason> {
        let scale_name = self.writer.fresh("scale");
        let by = match scales[..] {
            [one] => self.writer.number(&scale_name, one),
            _ => self.writer.singles(&scale_name, scales),
        };
        let zeros = if zeros.is_empty() { vec![0; scales.len()] } else { zeros.clone() };
        if zeros.len() != scales.len() {
            return Err(Reason::new(format!("{} scales and {} zeros", scales.len(), zeros.len())));
        }
        let mut bytes = Vec::new();
        for zero in zeros {
            let wrong = |_| Reason::new(format!("a zero of {zero} is outside of its type"));
            match kind {
                Kind::U8 => bytes.push(u8::try_from(zero).map_err(wrong)?),
                Kind::I8 => bytes.push(i8::try_from(zero).map_err(wrong)?.cast_unsigned()),
                Kind::I32 => bytes.extend(i32::try_from(zero).map_err(wrong)?.to_le_bytes()),
                other => {
                    return Err(Reason::new(format!("quantised numbers of type {other:?} are not read")));
                }
            }
        }
        let zero_name = self.writer.fresh("zero");
        let shape: &[usize] = if scales.len() == 1 { &[] } else { &[scales.len()] };
        let zero = self.writer.tensor(&zero_name, shape, kind.data_type(), bytes);
        let axis = vec![("axis", Setting::Int(axis as i64))];
        Ok(self.writer.node(operator, &[input, &by, &zero], "", axis))
    }

    /// Real numbers as the integers that a tensor holds, and what these stand for.
    pub(super) fn rounded(&mut self, index: usize, name: &str) -> Result<String, Reason> {
        let value = self.values[index].clone();
        let Some(scales) = value.scales.as_ref().filter(|scales| scales.scales.len() == 1) else {
            return Err(Reason::new(format!("{} holds integers without one scale for all", value.name)));
        };
        let stored = self.pair(scales, value.kind, name, 1, "QuantizeLinear")?;
        self.pair(scales, value.kind, &stored, 1, "DequantizeLinear")
    }
}

impl Call<'_, '_> {
    /// The tensor at an input.
    pub(super) fn given(&self, input: usize) -> Result<usize, Reason> {
        let given = self.inputs.get(input).copied().flatten();
        given.ok_or_else(|| Reason::new(format!("it lacks its input {input}")))
    }

    /// The shape of the tensor at an input.
    pub(super) fn shape(&self, input: usize) -> Result<&[usize], Reason> {
        Ok(&self.to.values[self.given(input)?].shape)
    }

    /// The name of the real numbers at an input.
    pub(super) fn real(&mut self, input: usize) -> Result<String, Reason> {
        let index = self.given(input)?;
        self.to.real(index)
    }

    /// The same of a feature map, channels first.
    pub(super) fn map(&mut self, input: usize) -> Result<String, Reason> {
        let rank = self.shape(input)?.len();
        if rank != 4 {
            return Err(Reason::new(format!("its input has {rank} dimensions; a batch of maps has 4")));
        }
        let name = self.real(input)?;
        Ok(self.node("Transpose", &[&name], vec![("perm", Setting::Ints(vec![0, 3, 1, 2]))]))
    }

    pub(super) fn node(&mut self, operator: &str, inputs: &[&str], settings: Vec<(&str, Setting)>) -> String {
        self.layer(operator, "", inputs, settings)
    }

    /// As [`Call::node`], of a layer with a name.
    pub(super) fn layer(
        &mut self,
        operator: &str,
        name: &str,
        inputs: &[&str],
        settings: Vec<(&str, Setting)>,
    ) -> String {
        self.to.writer.node(operator, inputs, name, settings)
    }

    /// A list of whole numbers as a tensor.
    pub(super) fn list(&mut self, numbers: &[i64]) -> String {
        self.to.writer.fresh_list(numbers)
    }

    /// A single number as a tensor.
    pub(super) fn number(&mut self, number: f32) -> String {
        self.to.writer.fresh_number(number)
    }

    /// A value within bounds.
    pub(super) fn clip(&mut self, value: &str, bounds: [f32; 2]) -> String {
        self.to.writer.clip(value, bounds)
    }

    /// Settles what a tensor is: a value of real numbers, rounded where the tensor holds integers.
    pub(super) fn settle_as(&mut self, output: usize, made: String) -> Result<(), Reason> {
        let kind = self.to.values[output].kind;
        let made = match kind {
            Kind::U8 | Kind::I8 => self.to.rounded(output, &made)?,
            Kind::F32 | Kind::F16 => made,
            other => return Err(Reason::new(format!("its output is of type {other:?}"))),
        };
        self.to.made.insert(output, made);
        Ok(())
    }

    /// As [`Call::settle_as`] of the output.
    pub(super) fn settle(&mut self, made: String) -> Result<(), Reason> {
        self.settle_as(self.output, made)
    }

    /// As [`Call::settle`], of a feature map with its channels first.
    pub(super) fn settle_map(&mut self, made: &str) -> Result<(), Reason> {
        let made = self.node("Transpose", &[made], vec![("perm", Setting::Ints(vec![0, 2, 3, 1]))]);
        self.settle(made)
    }
}
