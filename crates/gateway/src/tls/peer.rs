//! [pure] What a caller's verified certificate says of the caller.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::fmt::Write as _;

use rustls::pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};

/// The caller's certificate, which the listener has verified. It is an extension of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerCertificate {
    /// The subject, its parts in the order of the certificate: `O=Example,CN=ana`. Parts whose type
    /// or text cannot be read are left out; `,`, `=`, `+` and `\` within a text follow a `\`.
    pub subject: String,
    /// The DNS names among the subject's alternative names.
    pub dns_names: Vec<String>,
    /// The URIs among the subject's alternative names, such as a SPIFFE id.
    pub uris: Vec<String>,
    /// SHA-256 of the certificate, in small hexadecimal digits.
    pub sha256: String,
}

impl PeerCertificate {
    /// Reads a certificate; nothing when it cannot be read.
    pub(crate) fn read(certificate: &CertificateDer<'_>) -> Option<Self> {
        let parsed = webpki::EndEntityCert::try_from(certificate).ok()?;
        let mut sha256 = String::with_capacity(64);
        for byte in Sha256::digest(certificate.as_ref()) {
            write!(sha256, "{byte:02x}").expect("a string takes all that is written");
        }
        Some(Self {
            subject: subject(parsed.subject()),
            dns_names: parsed.valid_dns_names().map(str::to_owned).collect(),
            uris: parsed.valid_uri_names().map(str::to_owned).collect(),
            sha256,
        })
    }
}

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;
const IA5_STRING: u8 = 0x16;

/// The types of a name's parts that have a short form (RFC 4514 §3), and the two of X.520 and PKCS #9
/// that are seen often.
const TYPES: [(&[u8], &str); 10] = [
    (&[0x55, 4, 3], "CN"),
    (&[0x55, 4, 5], "serialNumber"),
    (&[0x55, 4, 6], "C"),
    (&[0x55, 4, 7], "L"),
    (&[0x55, 4, 8], "ST"),
    (&[0x55, 4, 10], "O"),
    (&[0x55, 4, 11], "OU"),
    (
        &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1],
        "emailAddress",
    ),
    (
        &[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1],
        "UID",
    ),
    (
        &[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25],
        "DC",
    ),
];

/// A name (RFC 5280 §4.1.2.4): a sequence of sets of pairs of type and text.
fn subject(mut names: &[u8]) -> String {
    let mut text = String::new();
    while let Some((SET, mut set, rest)) = element(names) {
        names = rest;
        while let Some((SEQUENCE, pair, rest)) = element(set) {
            set = rest;
            let Some((name, value)) = part(pair) else {
                continue;
            };
            if !text.is_empty() {
                text.push(',');
            }
            text.push_str(name);
            text.push('=');
            for character in value.chars() {
                if matches!(character, ',' | '=' | '+' | '\\') {
                    text.push('\\');
                }
                text.push(character);
            }
        }
    }
    text
}

fn part(pair: &[u8]) -> Option<(&'static str, &str)> {
    let (OBJECT_IDENTIFIER, identifier, rest) = element(pair)? else {
        return None;
    };
    let (_, name) = TYPES.iter().find(|(known, _)| *known == identifier)?;
    match element(rest)? {
        (UTF8_STRING | PRINTABLE_STRING | IA5_STRING, value, _) => {
            let value = std::str::from_utf8(value).ok()?;
            let is_plain = !value.chars().any(char::is_control);
            is_plain.then_some((*name, value))
        }
        _ => None,
    }
}

/// Tag, content and what follows of an element in the distinguished encoding (X.690 §10.1).
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81 => {
            let (length, rest) = rest.split_first()?;
            (usize::from(*length), rest)
        }
        0x82 => {
            let (length, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(*length)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(identifier: &[u8], tag: u8, value: &str) -> Vec<u8> {
        let short = |bytes: usize| u8::try_from(bytes).unwrap();
        let mut pair = vec![OBJECT_IDENTIFIER, short(identifier.len())];
        pair.extend_from_slice(identifier);
        pair.extend([tag, short(value.len())]);
        pair.extend_from_slice(value.as_bytes());
        let mut sequence = vec![SEQUENCE, short(pair.len())];
        sequence.extend(pair);
        let mut set = vec![SET, short(sequence.len())];
        set.extend(sequence);
        set
    }

    #[test]
    fn a_subject_is_told_in_its_order_with_its_signs_escaped() {
        let mut name = pair(&[0x55, 4, 10], PRINTABLE_STRING, "Example, Ltd");
        name.extend(pair(&[0x55, 4, 99], UTF8_STRING, "unknown type"));
        name.extend(pair(&[0x55, 4, 3], UTF8_STRING, "ană=1"));
        assert_eq!(subject(&name), "O=Example\\, Ltd,CN=ană\\=1");
    }

    #[test]
    fn what_is_broken_or_hides_is_left_out() {
        let name = pair(&[0x55, 4, 3], UTF8_STRING, "ana");
        for end in 0..name.len() {
            assert_eq!(subject(name.get(..end).unwrap()), "");
        }
        assert_eq!(subject(&pair(&[0x55, 4, 3], UTF8_STRING, "a\nb")), "");
        assert_eq!(subject(&[SET, 0x84, 1, 1, 1, 1]), "");
    }
}
