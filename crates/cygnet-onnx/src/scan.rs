//! Counts what a file is made of before anything is decoded: an empty message of two bytes takes a kilobyte of memory.

use prost::bytes::{Buf, Bytes};
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

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

/// Whether a file may be decoded: it is made of messages of the right form, and not of too many.
pub(crate) fn scan(bytes: &Bytes) -> Result<(), ImportError> {
    Tally::default().scan(bytes.clone(), MODEL, 0)
}

impl Tally {
    fn scan(&mut self, mut bytes: Bytes, field: Field, depth: usize) -> Result<(), ImportError> {
        let Message(fields) = field else { return Ok(()) };
        let damaged = |error: prost::DecodeError| ImportError::Damaged(error.to_string());
        if depth > MAX_DEPTH {
            return Err(ImportError::Damaged("messages lie too deep within each other".into()));
        }
        while bytes.has_remaining() {
            let (tag, wire) = decode_key(&mut bytes).map_err(damaged)?;
            if wire != WireType::LengthDelimited {
                skip_field(wire, tag, &mut bytes, DecodeContext::default()).map_err(damaged)?;
                continue;
            }
            let length = decode_varint(&mut bytes).map_err(damaged)?;
            if length > bytes.remaining() as u64 {
                return Err(ImportError::Damaged(format!("a field of {length} bytes reaches past its end")));
            }
            let inner = bytes.split_to(length as usize);
            match fields.iter().find(|(known, _)| *known == tag) {
                Some((_, Text)) => self.texts += 1,
                Some((_, message)) => {
                    self.messages += 1;
                    self.scan(inner, *message, depth + 1)?;
                }
                None => {}
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
