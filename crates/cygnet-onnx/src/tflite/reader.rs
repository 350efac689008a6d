//! The tables of a TFLite file that are read, by the numbers that their fields have in version 3 of its schema.

use planus::errors::ErrorKind;
use planus::table_reader::Table;
use planus::{SliceWithStartOffset, TableRead, Vector};

use crate::ImportError;

/// A list of tables.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tables<'a> {
    buffer: SliceWithStartOffset<'a>,
    first: usize,
    len: usize,
}

impl<'a> TableRead<'a> for Tables<'a> {
    fn from_buffer(buffer: SliceWithStartOffset<'a>, offset: usize) -> Result<Self, ErrorKind> {
        let at = offset.checked_add(u32::from_buffer(buffer, offset)? as usize);
        let at = at.ok_or(ErrorKind::InvalidOffset)?;
        let len = u32::from_buffer(buffer, at)? as usize;
        let first = at + size_of::<u32>();
        let room = buffer.len().checked_sub(first).ok_or(ErrorKind::InvalidLength)?;
        if len > room / size_of::<u32>() {
            return Err(ErrorKind::InvalidLength);
        }
        Ok(Tables { buffer, first, len })
    }
}

impl<'a> Tables<'a> {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The table at a place, if there is one.
    pub(super) fn get<T: TableRead<'a>>(&self, index: usize) -> Result<T, ImportError> {
        if index >= self.len {
            return Err(ImportError::Damaged(format!("entry {index} of a list of {}", self.len)));
        }
        let at = self.first + index * size_of::<u32>();
        T::from_buffer(self.buffer, at).map_err(|error| ImportError::Damaged(error.to_string()))
    }
}

/// Tables by their fields.
macro_rules! tables {
    ($($(#[$doc:meta])* $Name:ident { $($field:ident $number:literal: $Kind:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub(super) struct $Name<'a>(Table<'a>);

        impl<'a> TableRead<'a> for $Name<'a> {
            fn from_buffer(buffer: SliceWithStartOffset<'a>, offset: usize) -> Result<Self, ErrorKind> {
                Table::from_buffer(buffer, offset).map($Name)
            }
        }

        impl<'a> $Name<'a> {
            $(pub(super) fn $field(&self) -> Result<Option<$Kind>, ImportError> {
                let found = self.0.access($number, stringify!($Name), stringify!($field));
                found.map_err(|error| ImportError::Damaged(error.to_string()))
            })*
        }
    )*};
}

tables! {
    Model {
        operator_codes 1: Tables<'a>,
        subgraphs 2: Tables<'a>,
        buffers 4: Tables<'a>,
    }
    /// Which operator nodes are.
    OperatorCode {
        old_code 0: i8,
        custom_code 1: &'a str,
        code 3: i32,
    }
    Subgraph {
        tensors 0: Tables<'a>,
        inputs 1: Vector<'a, i32>,
        outputs 2: Vector<'a, i32>,
        operators 3: Tables<'a>,
    }
    Tensor {
        shape 0: Vector<'a, i32>,
        kind 1: i8,
        buffer 2: u32,
        name 3: &'a str,
        quantization 4: Quantization<'a>,
        sparsity 6: Options<'a>,
    }
    /// What integers stand for.
    Quantization {
        scale 2: Vector<'a, f32>,
        zero_point 3: Vector<'a, i64>,
        dimension 6: i32,
    }
    Operator {
        code 0: u32,
        inputs 1: Vector<'a, i32>,
        outputs 2: Vector<'a, i32>,
        options 4: Options<'a>,
    }
    Buffer {
        data 0: &'a [u8],
        offset 1: u64,
    }
    /// The settings of an operator, whose fields are numbered by its kind.
    Options {}
}

impl Options<'_> {
    /// A small number: of an enumeration, or a truth value.
    pub(super) fn byte(&self, field: usize) -> Result<i8, ImportError> {
        self.field(field, 0)
    }

    pub(super) fn int(&self, field: usize, default: i32) -> Result<i32, ImportError> {
        self.field(field, default)
    }

    pub(super) fn float(&self, field: usize, default: f32) -> Result<f32, ImportError> {
        self.field(field, default)
    }

    fn field<T: for<'b> TableRead<'b>>(&self, field: usize, default: T) -> Result<T, ImportError> {
        let found = self.0.access(field, "Options", "field");
        Ok(found.map_err(|error| ImportError::Damaged(error.to_string()))?.unwrap_or(default))
    }
}

/// The model that a file's bytes are.
pub(super) fn model(bytes: &[u8]) -> Result<Model<'_>, ImportError> {
    let root = SliceWithStartOffset { buffer: bytes, offset_from_start: 0 };
    Model::from_buffer(root, 0).map_err(|error| ImportError::Damaged(error.to_string()))
}
