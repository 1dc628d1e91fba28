//! The key that signs updates, as `tsig-keygen` writes it.

use std::io::Read as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hickory_proto::rr::Name;
use ring::hmac;
use taraf_base::Secret;

/// Longest file that can be a key.
const FILE_BYTES_MAX: u64 = 4_096;
/// Shorter secrets can be guessed (RFC 8945 §10 asks for the length of the digest; this is the half).
const SECRET_BYTES_MIN: usize = 16;
/// The one algorithm that is spoken, which every server has (RFC 8945 §6).
const ALGORITHM: &str = "hmac-sha256";

/// A key with its name.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) name: Name,
    pub(super) secret: hmac::Key,
}

/// The text of a key file.
pub(super) fn read(path: &Path) -> Result<Secret, String> {
    let file = std::fs::File::open(path).map_err(|error| format!("cannot be read: {error}"))?;
    let mut text = String::new();
    let read = file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text);
    read.map_err(|error| format!("cannot be read: {error}"))?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("more than {FILE_BYTES_MAX} bytes, which is no key"));
    }
    Ok(Secret::new(text))
}

/// Reads `key "NAME" { algorithm hmac-sha256; secret "BASE64"; };`, or the secret alone. A name that is given goes
/// before the one that stands there.
pub(super) fn parse(text: &str, name: Option<&str>) -> Result<Key, String> {
    let words = words(text);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (written, secret) = match &words[..] {
        [secret] => (None, *secret),
        ["key", written, "{", settings @ .., "}", ";"] => (Some(*written), statement(settings)?),
        _ => {
            return Err(
                "neither `key \"NAME\" { algorithm hmac-sha256; secret \"…\"; };` nor a secret in base64"
                    .to_owned(),
            );
        }
    };
    let name = name
        .or(written)
        .ok_or_else(|| "the name of the key is not known; set key_name".to_owned())?;
    let mut parsed =
        Name::from_ascii(name).map_err(|_why| format!("`{name}` is no name of a key"))?;
    parsed.set_fqdn(true);
    // The error would show what it could not read.
    let Ok(secret) = STANDARD.decode(secret) else {
        return Err("the secret is not in base64".to_owned());
    };
    if secret.len() < SECRET_BYTES_MIN {
        return Err(format!(
            "the secret has {} bytes; it needs at least {SECRET_BYTES_MIN}",
            secret.len()
        ));
    }
    Ok(Key {
        name: parsed.to_lowercase(),
        secret: hmac::Key::new(hmac::HMAC_SHA256, &secret),
    })
}

/// The secret among the settings of a key.
fn statement<'a>(settings: &[&'a str]) -> Result<&'a str, String> {
    let mut secret = None;
    for setting in settings.split(|&word| word == ";") {
        match setting {
            [] => {}
            ["algorithm", algorithm] if algorithm.eq_ignore_ascii_case(ALGORITHM) => {}
            ["algorithm", algorithm] => {
                return Err(format!(
                    "the algorithm `{algorithm}` is not {ALGORITHM}, which alone is spoken"
                ));
            }
            ["secret", written] => secret = Some(*written),
            _ => {
                return Err("a key has an algorithm and a secret, each with a semicolon".to_owned());
            }
        }
    }
    secret.ok_or_else(|| "there is no secret in the key".to_owned())
}

/// Words, quoted or not, and the marks between them; `#` and `//` begin remarks.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default();
        let line = line.split_once(" //").map_or(line, |(before, _)| before);
        if line.starts_with("//") {
            continue;
        }
        let spaced = line
            .replace('{', " { ")
            .replace('}', " } ")
            .replace(';', " ; ");
        words.extend(
            spaced
                .split_whitespace()
                .map(|word| word.trim_matches('"').to_owned()),
        );
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "c2VjcmV0IHNlY3JldCBzZWNyZXQ=";

    fn check_refused(text: &str, name: Option<&str>, expected: &str) {
        let why = parse(text, name).unwrap_err();
        assert!(why.contains(expected), "{why}");
        assert!(!why.contains("c2Vjcm"), "{why}");
    }

    #[test]
    fn what_tsig_keygen_writes_is_a_key() {
        let text = format!(
            "key \"Taraf.Example\" {{\n\talgorithm hmac-sha256;\n\tsecret \"{SECRET}\";\n}};\n"
        );
        assert_eq!(
            parse(&text, None).unwrap().name.to_ascii(),
            "taraf.example."
        );
        let remarked = format!("# made today\n// here\n{text}");
        assert_eq!(
            parse(&remarked, Some("other")).unwrap().name.to_ascii(),
            "other."
        );
    }

    #[test]
    fn a_secret_alone_needs_a_name() {
        assert_eq!(
            parse(SECRET, Some("taraf")).unwrap().name.to_ascii(),
            "taraf."
        );
        check_refused(SECRET, None, "set key_name");
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_shown() {
        check_refused("", None, "neither");
        check_refused("c2Vjcm!", Some("taraf"), "not in base64");
        check_refused("c2VjcmV0", Some("taraf"), "6 bytes");
        let other = format!("key a {{ algorithm hmac-md5; secret {SECRET}; }};");
        check_refused(&other, None, "`hmac-md5` is not hmac-sha256");
        check_refused("key a { algorithm hmac-sha256; };", None, "no secret");
        check_refused(
            &format!("key a {{ {SECRET}; }};"),
            None,
            "each with a semicolon",
        );
        check_refused(&format!("key a {{ secret {SECRET}; }}"), None, "neither");
        check_refused(SECRET, Some("a..b"), "no name of a key");
    }
}
