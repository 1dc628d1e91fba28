//! [pure] Values to JSON text, refusing what JSON cannot hold.

use jaq_json::{Num, Val};

use super::{DataError, MAX_BYTES, MAX_DEPTH};

/// The JSON text of a value.
pub(crate) struct Written {
    /// The text.
    pub(crate) bytes: Vec<u8>,
    /// Whether the value says just what the text says; false when bytes that are no text were replaced.
    pub(crate) exact: bool,
}

/// Writes a value as JSON.
pub(crate) fn write(value: &Val) -> Result<Written, DataError> {
    let mut written = Written {
        bytes: Vec::new(),
        exact: true,
    };
    put(&mut written, value, 0)?;
    Ok(written)
}

fn put(to: &mut Written, value: &Val, depth: usize) -> Result<(), DataError> {
    if depth > MAX_DEPTH {
        return Err(DataError::TooDeep);
    }
    if to.bytes.len() > MAX_BYTES {
        return Err(DataError::TooLarge);
    }
    match value {
        Val::Null => to.bytes.extend_from_slice(b"null"),
        Val::Bool(true) => to.bytes.extend_from_slice(b"true"),
        Val::Bool(false) => to.bytes.extend_from_slice(b"false"),
        Val::Num(number) => {
            let text = number_text(number).ok_or_else(|| DataError::Number(value.to_string()))?;
            to.bytes.extend_from_slice(text.as_bytes());
        }
        Val::BStr(_) => return Err(DataError::Binary),
        Val::TStr(text) => {
            to.exact &= string(&mut to.bytes, text);
        }
        Val::Arr(items) => {
            to.bytes.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    to.bytes.push(b',');
                }
                put(to, item, depth + 1)?;
            }
            to.bytes.push(b']');
        }
        Val::Obj(members) => {
            to.bytes.push(b'{');
            for (index, (key, item)) in members.iter().enumerate() {
                if index > 0 {
                    to.bytes.push(b',');
                }
                let Val::TStr(key) = key else {
                    return Err(DataError::Key(key.to_string()));
                };
                to.exact &= string(&mut to.bytes, key);
                to.bytes.push(b':');
                put(to, item, depth + 1)?;
            }
            to.bytes.push(b'}');
        }
    }
    if to.bytes.len() > MAX_BYTES {
        return Err(DataError::TooLarge);
    }
    Ok(())
}

/// Writes a string; false when some bytes were no UTF-8 and have been replaced.
pub(crate) fn string(to: &mut Vec<u8>, bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    to.push(b'"');
    let mut from = 0;
    for (index, byte) in text.bytes().enumerate() {
        let escape: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            0x00..=0x1f | 0x7f => {
                to.extend_from_slice(&text.as_bytes()[from..index]);
                to.extend_from_slice(format!("\\u{byte:04x}").as_bytes());
                from = index + 1;
                continue;
            }
            _ => continue,
        };
        to.extend_from_slice(&text.as_bytes()[from..index]);
        to.extend_from_slice(escape);
        from = index + 1;
    }
    to.extend_from_slice(&text.as_bytes()[from..]);
    to.push(b'"');
    matches!(text, std::borrow::Cow::Borrowed(_))
}

/// Below this, a float without fraction is exact and is written as an integer, as jq does.
const WHOLE: f64 = 1e17;

/// A number's text in JSON; nothing for what JSON cannot hold.
pub(crate) fn number_text(number: &Num) -> Option<String> {
    match number {
        Num::Int(whole) => Some(whole.to_string()),
        Num::BigInt(whole) => Some(whole.to_string()),
        Num::Float(float) => float_text(*float),
        Num::Dec(text) => {
            let float: f64 = text.parse().ok()?;
            let plain = text
                .bytes()
                .next()
                .is_some_and(|b| b == b'-' || b.is_ascii_digit());
            let plain = plain && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
            if plain && float.is_finite() {
                Some(text.to_string())
            } else {
                float_text(float)
            }
        }
    }
}

fn float_text(float: f64) -> Option<String> {
    if !float.is_finite() {
        None
    } else if float.fract() == 0.0 && float.abs() < WHOLE {
        Some(format!("{float:.0}"))
    } else {
        Some(format!("{float:?}"))
    }
}
