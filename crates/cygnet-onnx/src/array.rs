//! Tensors of a file that are known without running anything: weights, shapes, axes.

use std::sync::Arc;

use cygnet_graph::shape::MAX_ELEMENTS;
use half::{bf16, f16};

use crate::external::External;
use crate::schema::{TensorProto, tensor_proto::DataType};
use crate::{ImportError, Reason};

/// Most dimensions of a tensor.
pub(crate) const MAX_RANK: usize = 16;

/// What numbers of a tensor may be. Floats of any width are `f32` here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Element {
    Float,
    U8,
    I8,
    U16,
    I16,
    I32,
    I64,
    Bool,
}

impl Element {
    pub(crate) fn of(code: i32) -> Result<Element, Reason> {
        match DataType::try_from(code) {
            Ok(DataType::Float | DataType::Double | DataType::Float16 | DataType::Bfloat16) => {
                Ok(Element::Float)
            }
            Ok(DataType::Uint8) => Ok(Element::U8),
            Ok(DataType::Int8) => Ok(Element::I8),
            Ok(DataType::Uint16) => Ok(Element::U16),
            Ok(DataType::Int16) => Ok(Element::I16),
            Ok(DataType::Int32) => Ok(Element::I32),
            Ok(DataType::Int64 | DataType::Uint32 | DataType::Uint64) => Ok(Element::I64),
            Ok(DataType::Bool) => Ok(Element::Bool),
            Ok(other) => Err(Reason::new(format!("elements of type {} are not read", other.as_str_name()))),
            Err(_) => Err(Reason::new(format!("elements of the unknown type {code} are not read"))),
        }
    }

    /// Smallest and largest number of an integer type by which activations are quantised.
    pub(crate) fn range(self) -> Option<[f32; 2]> {
        match self {
            Element::U8 => Some([0.0, 255.0]),
            Element::I8 => Some([-128.0, 127.0]),
            Element::U16 => Some([0.0, 65_535.0]),
            Element::I16 => Some([-32_768.0, 32_767.0]),
            Element::Float | Element::I32 | Element::I64 | Element::Bool => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Numbers {
    Floats(Arc<Vec<f32>>),
    Ints(Arc<Vec<i64>>),
}

/// A tensor whose numbers are known.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Array {
    pub(crate) shape: Vec<usize>,
    pub(crate) element: Element,
    pub(crate) numbers: Numbers,
    /// Scales of the integers that its numbers stand for, if they came of some.
    pub(crate) scales: Option<Arc<Vec<f32>>>,
}

impl Array {
    pub(crate) fn floats(shape: Vec<usize>, numbers: Vec<f32>) -> Array {
        Array { shape, element: Element::Float, numbers: Numbers::Floats(numbers.into()), scales: None }
    }

    pub(crate) fn ints(shape: Vec<usize>, element: Element, numbers: Vec<i64>) -> Array {
        Array { shape, element, numbers: Numbers::Ints(numbers.into()), scales: None }
    }

    /// A list of integers.
    pub(crate) fn list(numbers: Vec<i64>) -> Array {
        Array::ints(vec![numbers.len()], Element::I64, numbers)
    }

    pub(crate) fn count(&self) -> usize {
        match &self.numbers {
            Numbers::Floats(numbers) => numbers.len(),
            Numbers::Ints(numbers) => numbers.len(),
        }
    }

    /// Whether no other tensor shares its numbers.
    pub(crate) fn is_own(&self) -> bool {
        match &self.numbers {
            Numbers::Floats(numbers) => Arc::strong_count(numbers) == 1,
            Numbers::Ints(numbers) => Arc::strong_count(numbers) == 1,
        }
    }

    /// Its numbers as floats.
    pub(crate) fn to_floats(&self) -> Arc<Vec<f32>> {
        match &self.numbers {
            Numbers::Floats(numbers) => Arc::clone(numbers),
            Numbers::Ints(numbers) => Arc::new(numbers.iter().map(|&n| n as f32).collect()),
        }
    }

    /// Its numbers as floats, moved where no other tensor shares them.
    pub(crate) fn into_floats(self) -> Vec<f32> {
        match self.numbers {
            Numbers::Floats(numbers) => Arc::unwrap_or_clone(numbers),
            Numbers::Ints(numbers) => numbers.iter().map(|&n| n as f32).collect(),
        }
    }

    /// Its numbers as integers, if they are.
    pub(crate) fn to_ints(&self) -> Result<Arc<Vec<i64>>, Reason> {
        match &self.numbers {
            Numbers::Ints(numbers) => Ok(Arc::clone(numbers)),
            Numbers::Floats(_) => Err(Reason::new("a list of integers is given as floats")),
        }
    }

    /// The one number it has.
    pub(crate) fn scalar(&self) -> Result<f32, Reason> {
        match self.to_floats()[..] {
            [number] => Ok(number),
            ref numbers => {
                Err(Reason::new(format!("a setting has {} numbers instead of one", numbers.len())))
            }
        }
    }

    /// The same numbers with other dimensions.
    pub(crate) fn reshaped(&self, shape: Vec<usize>) -> Result<Array, Reason> {
        if elements(&shape)? != self.count() {
            return Err(Reason::new(format!("{:?} cannot become {shape:?}", self.shape)));
        }
        Ok(Array { shape, ..self.clone() })
    }

    /// The numbers at `places`, with other dimensions.
    pub(crate) fn gathered(&self, shape: Vec<usize>, places: impl Iterator<Item = usize>) -> Array {
        let numbers = match &self.numbers {
            Numbers::Floats(numbers) => Numbers::Floats(Arc::new(places.map(|at| numbers[at]).collect())),
            Numbers::Ints(numbers) => Numbers::Ints(Arc::new(places.map(|at| numbers[at]).collect())),
        };
        Array { shape, element: self.element, numbers, scales: self.scales.clone() }
    }

    /// The tensor of a file, whose numbers may lie in another.
    pub(crate) fn of(tensor: &TensorProto, external: &External) -> Result<Array, Reason> {
        let shape: Vec<usize> = tensor
            .dims
            .iter()
            .map(|&n| {
                usize::try_from(n).map_err(|_| Reason::new(format!("a dimension of {n} makes no sense")))
            })
            .collect::<Result<_, _>>()?;
        if shape.len() > MAX_RANK {
            return Err(Reason::new(format!("a tensor of {} dimensions", shape.len())));
        }
        let count = elements(&shape)?;
        let code = tensor.data_type.unwrap_or(0);
        let element = Element::of(code)?;
        if tensor.segment.is_some() {
            return Err(Reason::new("tensors in segments are not read"));
        }
        let kind = DataType::try_from(code).unwrap_or_default();
        let width = match kind {
            DataType::Double | DataType::Int64 | DataType::Uint64 => 8,
            DataType::Float | DataType::Int32 | DataType::Uint32 => 4,
            DataType::Float16 | DataType::Bfloat16 | DataType::Int16 | DataType::Uint16 => 2,
            _ => 1,
        };
        let outside = external.bytes(tensor, count * width)?;
        let raw = outside.as_deref().or(tensor.raw_data.as_deref());
        let fits = |found: usize, wanted: usize| {
            let what = || {
                Reason::new(format!(
                    "its shape {shape:?} needs {wanted} numbers or bytes, the file has {found}"
                ))
            };
            if found == wanted { Ok(()) } else { Err(what()) }
        };
        let numbers = if let Some(raw) = raw {
            fits(raw.len(), count * width)?;
            of_bytes(kind, raw)
        } else {
            match kind {
                DataType::Float => Numbers::Floats(Arc::new(tensor.float_data.clone())),
                DataType::Double => {
                    Numbers::Floats(Arc::new(tensor.double_data.iter().map(|&x| x as f32).collect()))
                }
                DataType::Float16 => {
                    let half = |&bits: &i32| f16::from_bits(bits as u16).to_f32();
                    Numbers::Floats(Arc::new(tensor.int32_data.iter().map(half).collect()))
                }
                DataType::Bfloat16 => {
                    let half = |&bits: &i32| bf16::from_bits(bits as u16).to_f32();
                    Numbers::Floats(Arc::new(tensor.int32_data.iter().map(half).collect()))
                }
                DataType::Int64 => Numbers::Ints(Arc::new(tensor.int64_data.clone())),
                DataType::Uint32 | DataType::Uint64 => {
                    let number = |&n: &u64| i64::try_from(n).unwrap_or(i64::MAX);
                    Numbers::Ints(Arc::new(tensor.uint64_data.iter().map(number).collect()))
                }
                _ => Numbers::Ints(Arc::new(tensor.int32_data.iter().map(|&n| n.into()).collect())),
            }
        };
        let array = Array { shape, element, numbers, scales: None };
        let (found, shape) = (array.count(), &array.shape);
        if found != count {
            return Err(Reason::new(format!(
                "its shape {shape:?} needs {count} numbers, the file has {found}"
            )));
        }
        Ok(array)
    }
}

/// Name, shape and numbers of a tensor that lies alone in a file of the format, as those beside the tests of the ONNX
/// project. Floats of half and double width are told apart by their type, all numbers are rounded to `f32`.
///
/// # Errors
/// If it is damaged, too large, or of another type than numbers.
pub fn read_tensor(bytes: &[u8]) -> Result<(String, LoneTensor), ImportError> {
    let damaged = |error: &dyn std::fmt::Display| ImportError::Damaged(error.to_string());
    let tensor = <TensorProto as prost::Message>::decode(bytes).map_err(|error| damaged(&error))?;
    let array = Array::of(&tensor, &External::default()).map_err(|reason| damaged(&reason))?;
    let is_float = tensor.data_type() == DataType::Float as i32;
    let numbers = array.to_floats().to_vec();
    Ok((tensor.name().into(), LoneTensor { shape: array.shape, is_float, numbers }))
}

/// A tensor that lies alone in a file.
#[derive(Clone, Debug, PartialEq)]
pub struct LoneTensor {
    /// Its dimensions.
    pub shape: Vec<usize>,
    /// Whether its numbers are floats of 32 bits.
    pub is_float: bool,
    /// Its numbers.
    pub numbers: Vec<f32>,
}

/// Number of elements of a shape.
pub(crate) fn elements(shape: &[usize]) -> Result<usize, Reason> {
    let large = || Reason::new(format!("a tensor of {shape:?} is over the limit of 2^31 elements"));
    if shape.contains(&0) {
        return Ok(0);
    }
    let count = shape.iter().try_fold(1usize, |product, &n| product.checked_mul(n));
    count.filter(|&count| count <= MAX_ELEMENTS).ok_or_else(large)
}

fn of_bytes(kind: DataType, raw: &[u8]) -> Numbers {
    fn each<const SIZE: usize, T>(raw: &[u8], read: impl Fn([u8; SIZE]) -> T) -> Arc<Vec<T>> {
        Arc::new(raw.as_chunks().0.iter().map(|chunk| read(*chunk)).collect())
    }
    match kind {
        DataType::Float => Numbers::Floats(each(raw, f32::from_le_bytes)),
        DataType::Double => Numbers::Floats(each(raw, |bytes| f64::from_le_bytes(bytes) as f32)),
        DataType::Float16 => Numbers::Floats(each(raw, |bytes| f16::from_le_bytes(bytes).to_f32())),
        DataType::Bfloat16 => Numbers::Floats(each(raw, |bytes| bf16::from_le_bytes(bytes).to_f32())),
        DataType::Int64 => Numbers::Ints(each(raw, i64::from_le_bytes)),
        DataType::Uint64 => {
            Numbers::Ints(each(raw, |bytes| i64::try_from(u64::from_le_bytes(bytes)).unwrap_or(i64::MAX)))
        }
        DataType::Int32 => Numbers::Ints(each(raw, |bytes| i32::from_le_bytes(bytes).into())),
        DataType::Uint32 => Numbers::Ints(each(raw, |bytes| u32::from_le_bytes(bytes).into())),
        DataType::Int16 => Numbers::Ints(each(raw, |bytes| i16::from_le_bytes(bytes).into())),
        DataType::Uint16 => Numbers::Ints(each(raw, |bytes| u16::from_le_bytes(bytes).into())),
        DataType::Int8 => Numbers::Ints(each(raw, |bytes| i8::from_le_bytes(bytes).into())),
        DataType::Bool => Numbers::Ints(each(raw, |[byte]| i64::from(byte != 0))),
        _ => Numbers::Ints(each(raw, |[byte]| byte.into())),
    }
}
