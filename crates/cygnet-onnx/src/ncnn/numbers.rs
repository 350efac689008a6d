//! The numbers of layers, one after the other.

use prost::bytes::Bytes;

use crate::Reason;
use crate::memory::Room;
use crate::schema::tensor_proto::DataType;

/// Marks of what follows: halves of floats, whole numbers, floats.
const HALVES: u32 = 0x0130_6B47;
const BYTES: u32 = 0x000D_4B38;
const FLOATS: u32 = 0x0002_C056;
/// Entries of the table that single bytes are places of, and bytes of each.
const TABLE: usize = 256;
const ENTRY: usize = 4;

/// Numbers as they lie in the file.
pub(super) struct Numbers {
    pub(super) kind: DataType,
    pub(super) bytes: Bytes,
}

/// What is left of a file, and of the memory that its numbers may take.
pub(super) struct Stream {
    rest: Bytes,
    room: Room,
    /// The layer whose numbers were read last.
    last: String,
}

impl Stream {
    pub(super) fn new(rest: Bytes, room: Room) -> Stream {
        Stream { rest, room, last: String::new() }
    }

    /// Says whose numbers were read.
    pub(super) fn note(&mut self, layer: &str) {
        layer.clone_into(&mut self.last);
    }

    /// What is left behind the numbers of the layer that read last: its name, and how many bytes.
    pub(super) fn surplus(&self) -> Option<(&str, usize)> {
        (!self.rest.is_empty()).then_some((&self.last, self.rest.len()))
    }

    fn take(&mut self, bytes: Option<usize>) -> Result<Bytes, Reason> {
        let there = self.rest.len();
        let wanted = bytes.filter(|&bytes| bytes <= there).ok_or_else(|| {
            let wanted = bytes.map_or("more".into(), |bytes| bytes.to_string());
            Reason::new(format!("the .bin file ends before its numbers: {there} bytes of {wanted} are left"))
        })?;
        Ok(self.rest.split_to(wanted))
    }

    /// Numbers that are floats.
    pub(super) fn floats(&mut self, count: usize) -> Result<Numbers, Reason> {
        self.room.take(count)?;
        Ok(Numbers { kind: DataType::Float, bytes: self.take(count.checked_mul(4))? })
    }

    /// Numbers of the type that a mark before them says.
    pub(super) fn weights(&mut self, count: usize) -> Result<Numbers, Reason> {
        let mark = self.take(Some(4))?;
        let mark = u32::from_le_bytes([mark[0], mark[1], mark[2], mark[3]]);
        match mark {
            HALVES => {
                self.room.take(count)?;
                let bytes = self.take(count.checked_mul(2).and_then(|n| n.checked_next_multiple_of(4)))?;
                Ok(Numbers { kind: DataType::Float16, bytes: bytes.slice(..2 * count) })
            }
            BYTES => Err(Reason::new(
                "its weights are whole numbers of ncnn, which are not read; convert it in floats",
            )),
            0 | FLOATS => self.floats(count),
            _ => {
                self.room.take(count)?;
                let table = self.take(Some(ENTRY * TABLE))?;
                let places = self.take(count.checked_next_multiple_of(4))?;
                let number = |&place: &u8| table[ENTRY * usize::from(place)..][..ENTRY].iter().copied();
                let bytes: Vec<u8> = places.iter().take(count).flat_map(number).collect();
                Ok(Numbers { kind: DataType::Float, bytes: bytes.into() })
            }
        }
    }
}
