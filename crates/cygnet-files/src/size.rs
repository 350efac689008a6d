//! Amounts of bytes as people read them.

use std::fmt::{self, Display, Formatter};

/// The units above bytes, each 1024 of the one before.
const UNITS: [&str; 4] = ["KB", "MB", "GB", "TB"];

/// So many bytes, in the unit that fits: `1 byte`, `800 bytes`, `64 KB`, `1.5 GB`. Three digits are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

impl Size {
    /// Of something in memory.
    #[must_use]
    pub const fn of(bytes: usize) -> Size {
        Size(bytes as u64)
    }
}

impl Display for Size {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        match self.0 {
            1 => return f.write_str("1 byte"),
            bytes if bytes < 1024 => return write!(f, "{bytes} bytes"),
            _ => {}
        }
        let (mut amount, mut unit) = (self.0 as f64, "bytes");
        for next in UNITS {
            // What is rounded up to 1024 is one of the next unit.
            if amount.round() < 1024.0 {
                break;
            }
            (amount, unit) = (amount / 1024.0, next);
        }
        let scale = if amount < 9.995 { 100.0 } else { 1.0 + 9.0 * f64::from(amount < 99.95) };
        write!(f, "{} {unit}", (amount * scale).round() / scale)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_fits_the_amount() {
        for (bytes, told) in [
            (0, "0 bytes"),
            (1, "1 byte"),
            (1023, "1023 bytes"),
            (1024, "1 KB"),
            (1536, "1.5 KB"),
            (65_536, "64 KB"),
            (123_456, "121 KB"),
            ((1 << 20) - 1, "1 MB"),
            (1 << 20, "1 MB"),
            (915 << 20, "915 MB"),
            (3 << 29, "1.5 GB"),
            (1 << 31, "2 GB"),
            (u64::MAX, "16777216 TB"),
        ] {
            assert_eq!(Size(bytes).to_string(), told, "{bytes}");
        }
    }
}
