//! The numbers of layers, one after the other.

use half::f16;

use crate::Reason;

/// Marks of what follows: halves of floats, whole numbers, floats.
const HALVES: u32 = 0x0130_6B47;
const BYTES: u32 = 0x000D_4B38;
const FLOATS: u32 = 0x0002_C056;
/// Entries of the table that single bytes are places of.
const TABLE: usize = 256;

/// What is left of a file.
pub(super) struct Stream<'a>(pub(super) &'a [u8]);

impl Stream<'_> {
    fn take(&mut self, bytes: Option<usize>) -> Result<&[u8], Reason> {
        let split = bytes.and_then(|bytes| self.0.split_at_checked(bytes));
        let (taken, rest) = split.ok_or_else(|| Reason::new("the .bin file ends before its numbers"))?;
        self.0 = rest;
        Ok(taken)
    }

    /// Numbers that are floats.
    pub(super) fn floats(&mut self, count: usize) -> Result<Vec<f32>, Reason> {
        let bytes = self.take(count.checked_mul(4))?;
        Ok(bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
    }

    /// Numbers of the type that a mark before them says.
    pub(super) fn weights(&mut self, count: usize) -> Result<Vec<f32>, Reason> {
        let mark = self.take(Some(4))?;
        let mark = u32::from_le_bytes([mark[0], mark[1], mark[2], mark[3]]);
        match mark {
            HALVES => {
                let bytes = self.take(count.checked_mul(2).and_then(|n| n.checked_next_multiple_of(4)))?;
                let halves = bytes.chunks_exact(2).take(count);
                Ok(halves.map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32()).collect())
            }
            BYTES => Err(Reason::new(
                "its weights are whole numbers of ncnn, which are not read; convert it in floats",
            )),
            0 | FLOATS => self.floats(count),
            _ => {
                let table = self.floats(TABLE)?;
                let places = self.take(count.checked_next_multiple_of(4))?;
                Ok(places.iter().take(count).map(|&place| table[usize::from(place)]).collect())
            }
        }
    }
}
