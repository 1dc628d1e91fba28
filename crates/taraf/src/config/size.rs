//! [pure] A number of bytes, written as `512 KiB`, `64MiB` or a plain number.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, Visitor};

/// Units by their power of 1024, the longest spelling first.
const UNITS: [(&str, u32); 7] = [
    ("GiB", 30),
    ("MiB", 20),
    ("KiB", 10),
    ("G", 30),
    ("M", 20),
    ("K", 10),
    ("B", 0),
];

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(u64);

impl Size {
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// The same as a length in memory, at most what this machine can address.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl std::str::FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unit = UNITS.iter().find(|(unit, _)| text.ends_with(unit));
        let (digits, shift) = unit.map_or((text, 0), |&(unit, shift)| {
            (text.strip_suffix(unit).unwrap_or(text), shift)
        });
        let number: u64 = digits
            .trim_end()
            .parse()
            .map_err(|error| format!("`{text}` is not a size such as `512KiB`: {error}"))?;
        number
            .checked_mul(1 << shift)
            .map(Self)
            .ok_or_else(|| format!("`{text}` is too large"))
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SizeVisitor)
    }
}

struct SizeVisitor;

impl Visitor<'_> for SizeVisitor {
    type Value = Size;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of bytes such as 4096 or \"512KiB\"")
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Size, E> {
        Ok(Size(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Size, E> {
        u64::try_from(value)
            .map(Size)
            .map_err(|_negative| E::invalid_value(de::Unexpected::Signed(value), &self))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Size, E> {
        value.parse().map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<u64>) {
        let size: Result<Size, _> = text.parse();
        assert_eq!(size.ok().map(Size::bytes), expected, "{text}");
    }

    #[test]
    fn sizes_are_read_with_their_units() {
        check("0", Some(0));
        check("4096", Some(4096));
        check("512KiB", Some(512 << 10));
        check("512 KiB", Some(512 << 10));
        check("64M", Some(64 << 20));
        check("1GiB", Some(1 << 30));
        check("10B", Some(10));
    }

    #[test]
    fn what_is_not_a_size_is_refused() {
        check("", None);
        check("-1", None);
        check("1.5M", None);
        check("many", None);
        check("99999999999GiB", None);
    }
}
