//! [pure] A gossip key as it is written: base64.

use base64::engine::general_purpose::STANDARD;
use base64::{DecodeError, Engine as _};

/// A key is no base64; the words are those that Serf has from Go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("illegal base64 data at input byte {at}")]
pub struct IllegalBase64 {
    at: usize,
}

/// Reads a key.
///
/// # Errors
/// When it is no base64; says at which byte.
pub fn decode_key(text: &str) -> Result<Vec<u8>, IllegalBase64> {
    STANDARD.decode(text).map_err(|error| {
        let at = match error {
            DecodeError::InvalidByte(at, _) | DecodeError::InvalidLastSymbol(at, _) => at,
            // Go names the end where a `=` is missing, and the group of four where all are.
            DecodeError::InvalidLength(_) | DecodeError::InvalidPadding => {
                if text.ends_with('=') {
                    text.len()
                } else {
                    text.len() - text.len() % 4
                }
            }
        };
        IllegalBase64 { at }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_base64_is_refused_where_serf_refuses_it() {
        let check = |text: &str, expected: usize| {
            let at = decode_key(text).unwrap_err().at;
            assert_eq!(at, expected, "{text}");
        };
        // As Serf 0.9.4 says.
        check("xx", 0);
        check("xxx", 0);
        check("x*xx", 1);
        check("xxxxx", 4);
        check("MDEyMzQ1Njc4OWFiY2RlZg=", 23);
        check("MDEyMzQ1Njc4OWFiY2RlZg", 20);
        check("AA=A", 2);
        assert_eq!(decode_key("AAEC").unwrap(), [0, 1, 2]);
    }
}
