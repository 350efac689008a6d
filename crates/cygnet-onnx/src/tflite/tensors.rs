//! The tensors of a file: their types, shapes, scales and numbers.

use super::reader::{self, Model, Subgraph, Tables, Tensor};
use crate::ImportError;
use crate::schema::tensor_proto::DataType;

/// Most tensors and operators of a file.
const MOST: usize = 1 << 18;
/// Dimensions of a tensor at most.
const MOST_DIMENSIONS: usize = 8;
/// Letters of a name at most.
const MOST_LETTERS: usize = 4096;

/// What is said where the same numbers are read again and again.
pub(super) const TOO_OFTEN: &str = "the file's numbers are read more often than any network does";

/// A tensor's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    F32,
    F16,
    I32,
    U8,
    I64,
    Bool,
    I16,
    I8,
}

impl Kind {
    fn of(code: i8) -> Option<Kind> {
        Some(match code {
            0 => Kind::F32,
            1 => Kind::F16,
            2 => Kind::I32,
            3 => Kind::U8,
            4 => Kind::I64,
            6 => Kind::Bool,
            7 => Kind::I16,
            9 => Kind::I8,
            _ => return None,
        })
    }

    pub(super) fn data_type(self) -> DataType {
        match self {
            Kind::F32 => DataType::Float,
            Kind::F16 => DataType::Float16,
            Kind::I32 => DataType::Int32,
            Kind::U8 => DataType::Uint8,
            Kind::I64 => DataType::Int64,
            Kind::Bool => DataType::Bool,
            Kind::I16 => DataType::Int16,
            Kind::I8 => DataType::Int8,
        }
    }

    pub(super) fn bytes(self) -> usize {
        match self {
            Kind::U8 | Kind::Bool | Kind::I8 => 1,
            Kind::F16 | Kind::I16 => 2,
            Kind::F32 | Kind::I32 => 4,
            Kind::I64 => 8,
        }
    }
}

/// What integers of a tensor stand for.
#[derive(Clone, Debug)]
pub(super) struct Scales {
    pub(super) scales: Vec<f32>,
    pub(super) zeros: Vec<i64>,
    pub(super) dimension: usize,
}

/// A tensor of the file.
#[derive(Clone, Debug)]
pub(super) struct Value<'a> {
    pub(super) name: &'a str,
    pub(super) shape: Vec<usize>,
    pub(super) kind: Kind,
    pub(super) scales: Option<Scales>,
    /// Its numbers, if it is a constant.
    pub(super) data: Option<&'a [u8]>,
}

/// The tensors of a graph.
pub(super) fn values<'a>(
    model: &Model<'a>,
    graph: &Subgraph<'a>,
    room: &mut usize,
) -> Result<Vec<Value<'a>>, ImportError> {
    let Some(tensors) = graph.tensors()? else { return Ok(Vec::new()) };
    let operators = graph.operators()?.map_or(0, |operators| operators.len());
    if tensors.len().max(operators) > MOST {
        return Err(ImportError::Limit { what: "tensors and operators", limit: MOST });
    }
    let buffers = model.buffers()?;
    (0..tensors.len()).map(|index| value(&tensors.get(index)?, buffers.as_ref(), room)).collect()
}

fn value<'a>(
    tensor: &Tensor<'a>,
    buffers: Option<&Tables<'a>>,
    room: &mut usize,
) -> Result<Value<'a>, ImportError> {
    let name = tensor.name()?.unwrap_or_default();
    if name.len() > MOST_LETTERS {
        return Err(ImportError::Limit { what: "letters in a name", limit: MOST_LETTERS });
    }
    let wrong = |reason: String| ImportError::Unfit(format!("the tensor {name}: {reason}"));
    let code = tensor.kind()?.unwrap_or(0);
    let kind = Kind::of(code).ok_or_else(|| wrong(format!("its type, number {code}, is not read")))?;
    if tensor.sparsity()?.is_some() {
        return Err(wrong("it is sparse, which is not read".into()));
    }
    let shape = tensor.shape()?;
    if let Some(shape) = shape.filter(|shape| shape.len() > MOST_DIMENSIONS) {
        return Err(wrong(format!("it has {} dimensions", shape.len())));
    }
    let shape = shape.map(|shape| shape.iter().collect::<Vec<i32>>()).unwrap_or_default();
    let size = |&n: &i32| usize::try_from(n).map_err(|_| wrong(format!("a shape of {shape:?}")));
    let shape: Vec<usize> = shape.iter().map(size).collect::<Result<_, _>>()?;
    let scales = match tensor.quantization()? {
        Some(record) => {
            let count = record.scale()?.map_or(0, |list| list.len());
            let zeros = record.zero_point()?.map_or(0, |list| list.len());
            let rest = room.checked_sub(count.saturating_mul(4).saturating_add(zeros.saturating_mul(8)));
            *room = rest.ok_or_else(|| wrong(TOO_OFTEN.into()))?;
            let scales: Vec<f32> = record.scale()?.map(|list| list.iter().collect()).unwrap_or_default();
            let zeros: Vec<i64> = record.zero_point()?.map(|list| list.iter().collect()).unwrap_or_default();
            let dimension = usize::try_from(record.dimension()?.unwrap_or(0)).unwrap_or(usize::MAX);
            if scales.len() > 1 && shape.get(dimension) != Some(&scales.len()) {
                let reason = format!("{} scales along dimension {dimension} of {shape:?}", scales.len());
                return Err(wrong(reason));
            }
            (!scales.is_empty()).then_some(Scales { scales, zeros, dimension })
        }
        None => None,
    };
    let buffer = tensor.buffer()?.unwrap_or(0) as usize;
    let mut data = None;
    if let (1.., Some(buffers)) = (buffer, buffers) {
        let buffer: reader::Buffer<'_> = buffers.get(buffer)?;
        if buffer.offset()?.is_some_and(|offset| offset > 1) {
            return Err(wrong(
                "its numbers lie behind the file's tables, as those of files over 2 GB do".into(),
            ));
        }
        data = buffer.data()?.filter(|data| !data.is_empty());
    }
    if let Some(data) = data {
        let count = shape.iter().try_fold(kind.bytes(), |all, &n| all.checked_mul(n));
        if count != Some(data.len()) {
            return Err(wrong(format!("{} bytes for a shape of {shape:?}", data.len())));
        }
    }
    Ok(Value { name, shape, kind, scales, data })
}

/// Numbers with the dimensions in another order.
pub(super) fn reordered(data: &[u8], shape: &[usize], order: &[usize], bytes: usize) -> Vec<u8> {
    let mut strides = vec![bytes; shape.len()];
    for dim in (1..shape.len()).rev() {
        strides[dim - 1] = strides[dim] * shape[dim];
    }
    let [sizes, steps]: [Vec<usize>; 2] =
        [shape, &strides[..]].map(|list| order.iter().map(|&dim| list[dim]).collect());
    let mut out = Vec::with_capacity(data.len());
    let mut place = vec![0usize; sizes.len()];
    for _ in 0..data.len() / bytes {
        let from: usize = place.iter().zip(&steps).map(|(i, step)| i * step).sum();
        out.extend_from_slice(&data[from..from + bytes]);
        for dim in (0..place.len()).rev() {
            place[dim] += 1;
            if place[dim] < sizes[dim] {
                break;
            }
            place[dim] = 0;
        }
    }
    out
}
