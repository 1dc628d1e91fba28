//! Typed ids: 128 bits, printed with a prefix that says what they name.

const DIGITS: usize = 26;
/// Crockford's base 32: no I, L, O, U, so that an id can be read aloud. Digits sort as numbers do.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// The text is not an id of the asked kind.
#[derive(Debug, thiserror::Error)]
#[error("`{text}` is not an id of the form {prefix}_ and {DIGITS} digits")]
pub struct ParseIdError {
    text: String,
    prefix: &'static str,
}

/// The digits of an id, most significant first.
#[must_use]
pub fn encode(value: u128) -> String {
    (0..DIGITS)
        .rev()
        .map(|place| {
            let digit = usize::try_from((value >> (place * 5)) & 31).unwrap_or(0);
            char::from(ALPHABET[digit])
        })
        .collect()
}

/// Reads `prefix_DIGITS`; small letters count as capitals.
///
/// # Errors
/// When the prefix, the length or a digit is wrong.
pub fn decode(text: &str, prefix: &'static str) -> Result<u128, ParseIdError> {
    digits_of(text, prefix).ok_or_else(|| ParseIdError {
        text: text.chars().take(64).collect(),
        prefix,
    })
}

fn digits_of(text: &str, prefix: &str) -> Option<u128> {
    let digits = text.strip_prefix(prefix)?.strip_prefix('_')?;
    // 26 digits hold 130 bits: the first may be 7 at most.
    if digits.len() != DIGITS || !matches!(digits.as_bytes().first(), Some(b'0'..=b'7')) {
        return None;
    }
    digits.bytes().try_fold(0_u128, |value, digit| {
        let place = ALPHABET
            .iter()
            .position(|letter| *letter == digit.to_ascii_uppercase())?;
        Some(value << 5 | u128::try_from(place).ok()?)
    })
}

/// Declares an id type: `typed_id!(/** A run. */ pub struct RunId, "run");`
///
/// The type is a `u128` that prints as `run_` and 26 digits, and is serialised as that text where
/// people read it and as 16 bytes elsewhere.
#[macro_export]
macro_rules! typed_id {
    ($(#[$meta:meta])* $visibility:vis struct $name:ident, $prefix:literal) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $visibility struct $name(u128);

        impl $name {
            /// The id with this number.
            #[must_use]
            $visibility const fn new(value: u128) -> Self {
                Self(value)
            }

            /// The number.
            #[must_use]
            $visibility const fn get(self) -> u128 {
                self.0
            }

            /// A fresh id from the operating system's generator.
            #[must_use]
            $visibility fn random() -> Self {
                Self(u128::from_le_bytes($crate::random_bytes()))
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                write!(f, concat!($prefix, "_{}"), $crate::__private::encode(self.0))
            }
        }

        impl ::std::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                ::std::fmt::Display::fmt(self, f)
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = $crate::ParseIdError;

            fn from_str(text: &str) -> ::std::result::Result<Self, Self::Err> {
                $crate::__private::decode(text, $prefix).map(Self)
            }
        }

        impl $crate::__private::serde::Serialize for $name {
            fn serialize<S: $crate::__private::serde::Serializer>(
                &self,
                serializer: S,
            ) -> ::std::result::Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    serializer.serialize_u128(self.0)
                }
            }
        }

        impl<'de> $crate::__private::serde::Deserialize<'de> for $name {
            fn deserialize<D: $crate::__private::serde::Deserializer<'de>>(
                deserializer: D,
            ) -> ::std::result::Result<Self, D::Error> {
                use $crate::__private::serde::de::Error as _;
                if deserializer.is_human_readable() {
                    <String as $crate::__private::serde::Deserialize>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
                } else {
                    <u128 as $crate::__private::serde::Deserialize>::deserialize(deserializer).map(Self)
                }
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    typed_id!(
        /// An id for the tests.
        struct ThingId, "thing"
    );

    #[test]
    fn an_id_prints_its_kind() {
        assert_eq!(
            ThingId::new(0).to_string(),
            "thing_00000000000000000000000000"
        );
        assert_eq!(
            ThingId::new(u128::MAX).to_string(),
            "thing_7ZZZZZZZZZZZZZZZZZZZZZZZZZ"
        );
    }

    #[test]
    fn fresh_ids_differ() {
        assert_ne!(ThingId::random().get(), ThingId::random().get());
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "thing_",
            "thing_0000000000000000000000000",
            "thing_80000000000000000000000000",
            "thing_0000000000000000000000000U",
            "other_00000000000000000000000000",
            "thing-00000000000000000000000000",
            "thing_0000000000000000000000000é",
        ] {
            assert!(text.parse::<ThingId>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_id_is_read_back(value: u128) {
            let id = ThingId::new(value);
            prop_assert_eq!(id.to_string().parse::<ThingId>().unwrap(), id);
            prop_assert_eq!(id.to_string().to_lowercase().parse::<ThingId>().unwrap(), id);
            let json = serde_json::to_string(&id).unwrap();
            prop_assert_eq!(serde_json::from_str::<ThingId>(&json).unwrap(), id);
        }

        #[test]
        fn text_sorts_as_numbers_do(a: u128, b: u128) {
            let (a, b) = (ThingId::new(a), ThingId::new(b));
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        }
    }
}
