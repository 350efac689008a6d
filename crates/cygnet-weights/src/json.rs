//! JSON from files: a key that is in an object twice is an error, where most readers take one of the two.

use std::fmt;

use cygnet_files::Size;
use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};

/// Largest number of bytes that a document's values take in memory, which may be many times its own.
const MOST_BYTES: usize = 256 << 20;

/// Bytes that an object and any other value take, rather more than less.
const OBJECT_BYTES: usize = 700;
const VALUE_BYTES: usize = 64;

/// Reads a JSON document.
pub(crate) fn unique(bytes: &[u8]) -> Result<Value, serde_json::Error> {
    if value_bytes(bytes) > MOST_BYTES {
        return Err(Error::custom(format!("its values take more than {} of memory", Size::of(MOST_BYTES))));
    }
    serde_json::from_slice(bytes).map(|Unique(value)| value)
}

/// How much memory the values of a document take, by its punctuation.
fn value_bytes(document: &[u8]) -> usize {
    let (mut total, mut is_text, mut is_escaped) = (document.len(), false, false);
    for &byte in document {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_text => is_escaped = true,
            b'"' => is_text = !is_text,
            b'{' if !is_text => total += OBJECT_BYTES,
            b'[' | b',' | b':' if !is_text => total += VALUE_BYTES,
            _ => {}
        }
    }
    total
}

/// A JSON value whose objects have every key once.
struct Unique(Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Unique, D::Error> {
        deserializer.deserialize_any(AnyValue).map(Unique)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.into()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Unique(value)) = items.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut values = Map::new();
        while let Some((key, Unique(value))) = entries.next_entry::<String, _>()? {
            if values.contains_key(&key) {
                return Err(A::Error::custom(twice(&key)));
            }
            values.insert(key, value);
        }
        Ok(Value::Object(values))
    }
}

/// What is wrong where `key` is there twice.
pub(crate) fn twice(key: &str) -> String {
    format!("the key {:?} is there twice", key.chars().take(80).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_take_many_times_their_text_are_refused() {
        for value in ["{\"\":0},", "[1],", "0,"] {
            let text = format!("[{}0]", value.repeat(6 << 20));
            let error = unique(text.as_bytes()).map(|_| ()).map_err(|error| error.to_string());
            assert_eq!(error, Err("its values take more than 256 MB of memory".to_owned()), "{value}");
        }
        let text = format!("[\"{}\"]", "{[,:\\\"".repeat(1 << 20));
        assert!(unique(text.as_bytes()).is_ok(), "a text is one value whatever it says");
    }
}
