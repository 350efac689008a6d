//! Counts what a file is made of before it is read and anything is decoded: an empty message of two bytes takes a kilobyte of
//! memory, and what is no message at all is known by its first bytes.

use std::io::{Read, Seek};

use crate::ImportError;

/// Most messages in a file: nodes, attributes, tensors, entries, and all that is in them.
const MAX_MESSAGES: usize = 1 << 18;
/// Most names and other texts.
const MAX_TEXTS: usize = 1 << 20;
/// Most messages within each other.
const MAX_DEPTH: usize = 32;

/// What a field holds.
#[derive(Clone, Copy)]
enum Field {
    Text,
    Message(&'static [(u32, Field)]),
}

use Field::{Message, Text};

const ENTRY: Field = Message(&[(1, Text), (2, Text)]);
const DIMENSION: Field = Message(&[(2, Text), (3, Text)]);
const SHAPE: Field = Message(&[(1, DIMENSION)]);
const TENSOR_TYPE: Field = Message(&[(2, SHAPE)]);
/// Types of types are not followed: nobody reads sequences or maps.
const TYPE: Field =
    Message(&[(1, TENSOR_TYPE), (4, Message(&[])), (5, Message(&[])), (6, Text), (9, Message(&[]))]);
const VALUE: Field = Message(&[(1, Text), (2, TYPE), (3, Text), (4, ENTRY)]);
const TENSOR: Field = Message(&[(3, Text), (6, Text), (8, Text), (12, Text), (13, ENTRY), (16, ENTRY)]);
const ATTRIBUTE: Field = Message(&[
    (1, Text),
    (4, Text),
    (5, TENSOR),
    (6, Message(&[])),
    (9, Text),
    (10, TENSOR),
    (11, Message(&[])),
    (13, Text),
    (14, Message(&[])),
    (15, Message(&[])),
    (21, Text),
    (22, Message(&[])),
    (23, Message(&[])),
]);
const NODE: Field = Message(&[
    (1, Text),
    (2, Text),
    (3, Text),
    (4, Text),
    (5, ATTRIBUTE),
    (6, Text),
    (7, Text),
    (8, Text),
    (9, ENTRY),
    (10, Message(&[])),
]);
const GRAPH: Field = Message(&[
    (1, NODE),
    (2, Text),
    (5, TENSOR),
    (10, Text),
    (11, VALUE),
    (12, VALUE),
    (13, VALUE),
    (14, Message(&[])),
    (15, Message(&[])),
    (16, ENTRY),
]);
const MODEL: Field = Message(&[
    (2, Text),
    (3, Text),
    (4, Text),
    (6, Text),
    (7, GRAPH),
    (8, Message(&[(1, Text)])),
    (14, ENTRY),
    (20, Message(&[])),
    (25, Message(&[])),
    (26, Message(&[])),
]);

#[derive(Default)]
struct Tally {
    messages: usize,
    texts: usize,
}

/// Whether a file of `length` bytes may be decoded: it is made of messages of the right form, and not of too many. Numbers of
/// tensors are skipped.
pub(crate) fn scan(file: &mut (impl Read + Seek), length: u64) -> Result<(), ImportError> {
    Tally::default().scan(&mut Fields { file, left: length }, MODEL, 0)
}

/// What is left of a message.
struct Fields<'f, F> {
    file: &'f mut F,
    left: u64,
}

/// What follows the key of a field.
enum Value {
    /// A number, so many bytes of which are still to be skipped.
    Number(u64),
    /// So many bytes.
    Bytes(u64),
}

impl<F: Read + Seek> Fields<'_, F> {
    /// The next field's number and what follows it.
    fn next(&mut self) -> Result<(u32, Value), ImportError> {
        let key = self.varint()?;
        let tag = u32::try_from(key >> 3).unwrap_or(0);
        if tag == 0 {
            return Err(damaged("a field has no number".into()));
        }
        let value = match key & 7 {
            0 => {
                self.varint()?;
                Value::Number(0)
            }
            1 => Value::Number(8),
            2 => Value::Bytes(self.varint()?),
            5 => Value::Number(4),
            other => return Err(damaged(format!("a field is of kind {other}, which no ONNX file has"))),
        };
        let (Value::Number(length) | Value::Bytes(length)) = value;
        if length > self.left {
            return Err(damaged(format!("a field of {length} bytes reaches past its end")));
        }
        Ok((tag, value))
    }

    fn varint(&mut self) -> Result<u64, ImportError> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let mut byte = [0];
            self.left = self.left.checked_sub(1).ok_or_else(|| damaged("it ends within a number".into()))?;
            self.file.read_exact(&mut byte)?;
            value |= u64::from(byte[0] & 0x7f) << shift;
            if byte[0] & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(damaged("a number has more than ten bytes".into()))
    }

    fn skip(&mut self, length: u64) -> Result<(), ImportError> {
        self.left -= length;
        Ok(self.file.seek_relative(length.cast_signed())?)
    }
}

fn damaged(reason: String) -> ImportError {
    ImportError::Damaged(reason)
}

impl Tally {
    fn scan<F: Read + Seek>(
        &mut self,
        fields: &mut Fields<'_, F>,
        field: Field,
        depth: usize,
    ) -> Result<(), ImportError> {
        let Message(known) = field else { return Ok(()) };
        if depth > MAX_DEPTH {
            return Err(damaged("messages lie too deep within each other".into()));
        }
        while fields.left > 0 {
            let (tag, value) = fields.next()?;
            let known = known.iter().find(|(known, _)| *known == tag).map(|(_, field)| *field);
            match (value, known) {
                (Value::Bytes(length), Some(message @ Message(_))) => {
                    self.messages += 1;
                    fields.left -= length;
                    let mut inner = Fields { file: &mut *fields.file, left: length };
                    self.scan(&mut inner, message, depth + 1)?;
                }
                (Value::Bytes(length), text) => {
                    self.texts += usize::from(text.is_some());
                    fields.skip(length)?;
                }
                (Value::Number(length), _) => fields.skip(length)?,
            }
            for (what, count, limit) in
                [("messages", self.messages, MAX_MESSAGES), ("texts", self.texts, MAX_TEXTS)]
            {
                if count > limit {
                    return Err(ImportError::Limit { what, limit });
                }
            }
        }
        Ok(())
    }
}
