//! A named array of numbers as it lies in a file: shape, element type, little-endian bytes. No arithmetic but for masks.

use std::{borrow::Cow, fmt, ops::Range, sync::Arc};

use half::{bf16, f16};
use indexmap::IndexMap;
use zerocopy::{FromBytes, IntoBytes};

use crate::WeightsError;

/// Tensors by name, in the order of the file.
pub type Tensors = IndexMap<String, Tensor>;

/// The element types of checkpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Dtype {
    F32,
    F64,
    F16,
    BF16,
    I64,
    I32,
    I16,
    I8,
    U8,
    Bool,
}

impl Dtype {
    /// Bytes of one element.
    pub fn size_bytes(self) -> usize {
        match self {
            Dtype::F64 | Dtype::I64 => 8,
            Dtype::F32 | Dtype::I32 => 4,
            Dtype::F16 | Dtype::BF16 | Dtype::I16 => 2,
            Dtype::I8 | Dtype::U8 | Dtype::Bool => 1,
        }
    }
}

/// The name used by safetensors: `F32`, `BF16`, `BOOL`.
impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Dtype::F32 => "F32",
            Dtype::F64 => "F64",
            Dtype::F16 => "F16",
            Dtype::BF16 => "BF16",
            Dtype::I64 => "I64",
            Dtype::I32 => "I32",
            Dtype::I16 => "I16",
            Dtype::I8 => "I8",
            Dtype::U8 => "U8",
            Dtype::Bool => "BOOL",
        })
    }
}

/// All bytes of a file.
enum Whole {
    Read(Arc<Vec<u8>>),
    Numbers(Vec<f32>),
    #[cfg(unix)]
    Mapped(memmap2::Mmap),
}

/// A part of a file's bytes, shared by all tensors of that file.
#[derive(Clone)]
pub(crate) struct Bytes {
    whole: Arc<Whole>,
    range: Range<usize>,
}

impl Bytes {
    /// A map of a whole file, if the system can make one and it is not empty.
    #[cfg(unix)]
    #[allow(unsafe_code, reason = "no safe call maps a file")]
    pub(crate) fn map(file: &std::fs::File) -> Option<Bytes> {
        // SAFETY: the bytes do not change, as `open` demands that nobody writes into the file, and Cygnet itself replaces
        // files by renaming others to their place. Where the file was shortened all the same, a read of what is gone ends
        // the process and yields nothing.
        let map = unsafe { memmap2::Mmap::map(file) }.ok().filter(|map| !map.is_empty())?;
        Some(Bytes { range: 0..map.len(), whole: Arc::new(Whole::Mapped(map)) })
    }

    /// The part at `range`, counted from the start of this part.
    pub(crate) fn slice(&self, range: Range<usize>) -> Option<Bytes> {
        let length = self.range.len();
        (range.start <= range.end && range.end <= length).then(|| Bytes {
            whole: Arc::clone(&self.whole),
            range: self.range.start + range.start..self.range.start + range.end,
        })
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Bytes {
        Arc::new(bytes).into()
    }
}

impl From<Arc<Vec<u8>>> for Bytes {
    fn from(bytes: Arc<Vec<u8>>) -> Bytes {
        Bytes { range: 0..bytes.len(), whole: Arc::new(Whole::Read(bytes)) }
    }
}

impl From<Vec<f32>> for Bytes {
    fn from(values: Vec<f32>) -> Bytes {
        if cfg!(target_endian = "big") {
            return values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>().into();
        }
        Bytes { range: 0..size_of_val(&*values), whole: Arc::new(Whole::Numbers(values)) }
    }
}

impl std::ops::Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let whole: &[u8] = match &*self.whole {
            Whole::Read(bytes) => bytes,
            Whole::Numbers(values) => values.as_bytes(),
            #[cfg(unix)]
            Whole::Mapped(map) => map,
        };
        &whole[self.range.clone()]
    }
}

/// Shape, element type and row-major little-endian data. Clones share the data.
#[derive(Clone)]
pub struct Tensor {
    shape: Vec<usize>,
    dtype: Dtype,
    data: Bytes,
}

impl Tensor {
    /// A tensor over row-major little-endian `data`.
    ///
    /// # Errors
    /// [`WeightsError::ShapeMismatch`] if `data` is not exactly the size of `shape`.
    pub fn new(shape: impl Into<Vec<usize>>, dtype: Dtype, data: Vec<u8>) -> Result<Tensor, WeightsError> {
        Tensor::over(shape.into(), dtype, data.into())
    }

    /// A tensor of `f32` values in row-major order.
    ///
    /// # Errors
    /// [`WeightsError::ShapeMismatch`] if `values` is not exactly the size of `shape`.
    pub fn from_f32(shape: impl Into<Vec<usize>>, values: &[f32]) -> Result<Tensor, WeightsError> {
        Tensor::from_numbers(shape, values.to_vec())
    }

    /// As [`Tensor::from_f32`], of a list that need not be copied.
    ///
    /// # Errors
    /// [`WeightsError::ShapeMismatch`] if `values` is not exactly the size of `shape`.
    pub fn from_numbers(shape: impl Into<Vec<usize>>, values: Vec<f32>) -> Result<Tensor, WeightsError> {
        Tensor::over(shape.into(), Dtype::F32, values.into())
    }

    pub(crate) fn over(shape: Vec<usize>, dtype: Dtype, data: Bytes) -> Result<Tensor, WeightsError> {
        if element_count(&shape).and_then(|count| count.checked_mul(dtype.size_bytes())) != Some(data.len()) {
            return Err(WeightsError::ShapeMismatch { shape, dtype, bytes: data.len() });
        }
        Ok(Tensor { shape, dtype, data })
    }

    /// Sizes, outermost first; empty for a scalar.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Element type.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// Row-major little-endian data.
    pub fn bytes(&self) -> &[u8] {
        &self.data
    }

    /// Number of elements.
    pub fn element_count(&self) -> usize {
        self.data.len() / self.dtype.size_bytes()
    }

    /// The same data under another shape.
    ///
    /// # Errors
    /// [`WeightsError::ShapeMismatch`] if the element counts differ.
    pub fn reshape(&self, shape: impl Into<Vec<usize>>) -> Result<Tensor, WeightsError> {
        Tensor::over(shape.into(), self.dtype, self.data.clone())
    }

    /// The product with a tensor of the same shape, value by value, as `f32`.
    pub(crate) fn times(&self, other: &Tensor) -> Tensor {
        let products = self.to_f32().iter().zip(&*other.to_f32()).map(|(a, b)| a * b).collect::<Vec<_>>();
        Tensor { shape: self.shape.clone(), dtype: Dtype::F32, data: products.into() }
    }

    /// The values as of [`Tensor::to_f32`] as a tensor, which shares the bytes where that borrows.
    #[must_use]
    pub fn as_f32(&self) -> Tensor {
        match self.to_f32() {
            Cow::Borrowed(_) => self.clone(),
            Cow::Owned(values) => {
                Tensor { shape: self.shape.clone(), dtype: Dtype::F32, data: values.into() }
            }
        }
    }

    /// The values as the nearest `bf16`, ties to even, in half the bytes of `f32`.
    #[must_use]
    pub fn as_bf16(&self) -> Tensor {
        let bytes = |&x: &f32| bf16::from_f32(x).to_le_bytes();
        let data = self.to_f32().iter().flat_map(bytes).collect::<Vec<u8>>();
        Tensor { shape: self.shape.clone(), dtype: Dtype::BF16, data: data.into() }
    }

    /// The values as `f32`, rounded to nearest from wider types; borrowed if they already are `f32`, aligned
    /// and in the machine's byte order.
    pub fn to_f32(&self) -> Cow<'_, [f32]> {
        let bytes = &*self.data;
        if self.dtype == Dtype::F32
            && cfg!(target_endian = "little")
            && let Ok(values) = <[f32]>::ref_from_bytes(bytes)
        {
            return Cow::Borrowed(values);
        }
        Cow::Owned(match self.dtype {
            Dtype::F32 => each(bytes, f32::from_le_bytes),
            Dtype::F64 => each(bytes, |value| f64::from_le_bytes(value) as f32),
            Dtype::F16 => each(bytes, |value| f16::from_le_bytes(value).to_f32()),
            Dtype::BF16 => each(bytes, |value| bf16::from_le_bytes(value).to_f32()),
            Dtype::I64 => each(bytes, |value| i64::from_le_bytes(value) as f32),
            Dtype::I32 => each(bytes, |value| i32::from_le_bytes(value) as f32),
            Dtype::I16 => each(bytes, |value| i16::from_le_bytes(value).into()),
            Dtype::I8 => each(bytes, |value| i8::from_le_bytes(value).into()),
            Dtype::U8 => each(bytes, |[value]| value.into()),
            Dtype::Bool => each(bytes, |[value]| (value != 0).into()),
        })
    }
}

fn each<const SIZE: usize>(bytes: &[u8], read: impl Fn([u8; SIZE]) -> f32) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|chunk| read(*chunk)).collect()
}

/// Product of the sizes, unless it overflows.
pub(crate) fn element_count(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size))
}

impl PartialEq for Tensor {
    fn eq(&self, other: &Tensor) -> bool {
        self.dtype == other.dtype && self.shape == other.shape && *self.data == *other.data
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tensor({} {:?})", self.dtype, self.shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_every_type_come_out_as_f32() {
        let cases: [(Dtype, Vec<u8>, f32); 10] = [
            (Dtype::F32, (-1.5f32).to_le_bytes().into(), -1.5),
            (Dtype::F64, 0.1f64.to_le_bytes().into(), 0.1),
            (Dtype::F16, f16::from_f32(0.5).to_le_bytes().into(), 0.5),
            (Dtype::BF16, bf16::from_f32(-2.0).to_le_bytes().into(), -2.0),
            (Dtype::I64, (-3i64).to_le_bytes().into(), -3.0),
            (Dtype::I32, 70_000i32.to_le_bytes().into(), 70_000.0),
            (Dtype::I16, (-300i16).to_le_bytes().into(), -300.0),
            (Dtype::I8, vec![0xff], -1.0),
            (Dtype::U8, vec![0xff], 255.0),
            (Dtype::Bool, vec![1], 1.0),
        ];
        for (dtype, bytes, value) in cases {
            let tensor = Tensor::new([], dtype, bytes).unwrap();
            assert_eq!(&*tensor.to_f32(), [value], "{dtype}");
        }
    }

    #[test]
    fn values_that_are_floats_are_not_copied() {
        let values = vec![1.0, 2.0, 3.0];
        let address = values.as_ptr();
        let tensor = Tensor::from_numbers([3], values).unwrap();
        assert_eq!((tensor.to_f32().as_ptr(), tensor.as_f32().to_f32().as_ptr()), (address, address));
        assert_eq!(tensor.bytes(), [1.0f32, 2.0, 3.0].map(f32::to_le_bytes).concat());
        let halves = Tensor::new([1], Dtype::F16, f16::from_f32(0.5).to_le_bytes().into()).unwrap().as_f32();
        assert_eq!((halves.dtype(), &*halves.to_f32()), (Dtype::F32, &[0.5][..]));
    }

    #[test]
    fn unaligned_floats_read_like_aligned_ones() {
        let whole = Bytes::from([vec![9], [1.0f32, 2.0].map(f32::to_le_bytes).concat()].concat());
        for start in 0..=1 {
            let part = Bytes::from(whole[1 - start..].to_vec()).slice(start..start + 8).unwrap();
            assert_eq!(&*Tensor::over(vec![2], Dtype::F32, part).unwrap().to_f32(), [1.0, 2.0]);
        }
    }

    #[test]
    fn a_shape_that_does_not_fit_its_data_is_refused() {
        assert!(Tensor::new([2, 2], Dtype::F32, vec![0; 15]).is_err());
        assert!(Tensor::new([usize::MAX, 2], Dtype::U8, vec![0; 2]).is_err());
        assert!(Tensor::new([usize::MAX / 2, 4], Dtype::F64, vec![]).is_err());
        assert!(Tensor::new([0, usize::MAX, 2], Dtype::F32, vec![]).is_ok());
    }
}
