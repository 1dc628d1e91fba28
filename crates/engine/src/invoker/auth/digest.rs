//! [pure] The Digest scheme: an answer to the server's challenge (RFC 7616).

use std::fmt::Write as _;

use md5::Md5;
use sha2::{Digest as _, Sha256, Sha512_256};
use taraf_flow::auth::Login;

use super::challenge::Challenge;

/// Longest nonce, realm or opaque value that is repeated.
const VALUE_BYTES_MAX: usize = 4_096;

/// A hash that a challenge may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hash {
    Md5,
    Sha256,
    Sha512_256,
}

impl Hash {
    fn of(self, text: &[u8]) -> String {
        let bytes = match self {
            Self::Md5 => Md5::digest(text).to_vec(),
            Self::Sha256 => Sha256::digest(text).to_vec(),
            Self::Sha512_256 => Sha512_256::digest(text).to_vec(),
        };
        bytes.iter().fold(String::new(), |mut text, byte| {
            // A string takes all that is written.
            let _written = write!(text, "{byte:02x}");
            text
        })
    }
}

/// What of the message the answer covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quality {
    /// As in RFC 2069: no count, no client nonce.
    Absent,
    /// Method and target.
    Auth,
    /// The body too.
    AuthInt,
}

/// A challenge that can be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    realm: String,
    pub(super) nonce: String,
    opaque: Option<String>,
    /// As the server wrote it.
    algorithm: Option<String>,
    hash: Hash,
    is_session: bool,
    quality: Quality,
    hides_user: bool,
    /// Whether the server says that only the nonce was too old.
    pub(super) is_stale: bool,
}

/// One request, as far as an answer covers it.
pub(super) struct Covered<'a> {
    pub(super) method: &'a str,
    /// Path and query, as they are sent.
    pub(super) target: &'a str,
    pub(super) body: &'a [u8],
}

impl Asked {
    /// The first challenge whose algorithm and quality are known: the order is the server's.
    pub(super) fn choose(challenges: &[Challenge]) -> Option<Self> {
        challenges.iter().find_map(Self::read)
    }

    fn read(challenge: &Challenge) -> Option<Self> {
        if challenge.scheme != "digest" {
            return None;
        }
        let text = |name: &str| {
            let value = challenge.param(name)?;
            (value.len() <= VALUE_BYTES_MAX).then(|| value.to_owned())
        };
        let is_true = |name: &str| {
            let value = challenge.param(name);
            value.is_some_and(|value| value.eq_ignore_ascii_case("true"))
        };
        let algorithm = text("algorithm");
        let name = algorithm.as_deref().unwrap_or("MD5").to_ascii_uppercase();
        let (name, is_session) = match name.strip_suffix("-SESS") {
            Some(name) => (name, true),
            None => (name.as_str(), false),
        };
        let hash = match name {
            "MD5" => Hash::Md5,
            "SHA-256" => Hash::Sha256,
            "SHA-512-256" => Hash::Sha512_256,
            _ => return None,
        };
        let quality = match challenge.param("qop") {
            None => Quality::Absent,
            Some(offered) => {
                let offers = |wanted: &str| {
                    let mut words = offered.split(',').map(str::trim);
                    words.any(|word| word.eq_ignore_ascii_case(wanted))
                };
                if offers("auth") {
                    Quality::Auth
                } else if offers("auth-int") {
                    Quality::AuthInt
                } else {
                    return None;
                }
            }
        };
        Some(Self {
            realm: text("realm")?,
            nonce: text("nonce")?,
            opaque: text("opaque"),
            algorithm,
            hash,
            is_session,
            quality,
            hides_user: is_true("userhash"),
            is_stale: is_true("stale"),
        })
    }

    /// What follows `Digest ` in the header. The count is how often this nonce was used, this time
    /// included.
    pub(super) fn answer(
        &self,
        login: &Login,
        covered: &Covered<'_>,
        count: u32,
        client_nonce: &str,
    ) -> String {
        let count = format!("{count:08x}");
        let response = self.response(login, covered, &count, client_nonce);
        let mut parts = vec![self.user(&login.username)];
        let mut quoted = |name: &str, value: &str| parts.push(format!("{name}={}", quote(value)));
        quoted("realm", &self.realm);
        quoted("nonce", &self.nonce);
        quoted("uri", covered.target);
        quoted("response", &response);
        if let Some(opaque) = &self.opaque {
            quoted("opaque", opaque);
        }
        if self.is_session || self.quality != Quality::Absent {
            quoted("cnonce", client_nonce);
        }
        parts.extend(
            self.algorithm
                .as_ref()
                .map(|name| format!("algorithm={name}")),
        );
        match self.quality {
            Quality::Absent => {}
            Quality::Auth => parts.push(format!("qop=auth, nc={count}")),
            Quality::AuthInt => parts.push(format!("qop=auth-int, nc={count}")),
        }
        parts.join(", ")
    }

    /// RFC 7616 §3.4.1.
    fn response(
        &self,
        login: &Login,
        covered: &Covered<'_>,
        count: &str,
        client_nonce: &str,
    ) -> String {
        let hash = |text: &str| self.hash.of(text.as_bytes());
        let (user, password) = (&login.username, login.password.expose());
        let mut first = hash(&format!("{user}:{}:{password}", self.realm));
        if self.is_session {
            first = hash(&format!("{first}:{}:{client_nonce}", self.nonce));
        }
        let (method, target) = (covered.method, covered.target);
        let second = match self.quality {
            Quality::Absent | Quality::Auth => hash(&format!("{method}:{target}")),
            Quality::AuthInt => {
                let body = self.hash.of(covered.body);
                hash(&format!("{method}:{target}:{body}"))
            }
        };
        let nonce = &self.nonce;
        let quality = match self.quality {
            Quality::Absent => return hash(&format!("{first}:{nonce}:{second}")),
            Quality::Auth => "auth",
            Quality::AuthInt => "auth-int",
        };
        hash(&format!(
            "{first}:{nonce}:{count}:{client_nonce}:{quality}:{second}"
        ))
    }

    /// The user's name: hashed when the server asks for that, by RFC 8187 when a quoted string
    /// cannot carry it.
    fn user(&self, name: &str) -> String {
        if self.hides_user {
            let hashed = self.hash.of(format!("{name}:{}", self.realm).as_bytes());
            return format!("username=\"{hashed}\", userhash=true");
        }
        if name.is_ascii() && !name.contains(|c: char| c.is_ascii_control()) {
            return format!("username={}", quote(name));
        }
        let encoded =
            percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC);
        format!("username*=UTF-8''{encoded}")
    }
}

fn quote(value: &str) -> String {
    let escaped = value.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use taraf_base::Secret;

    use super::super::challenge::challenges;
    use super::*;

    fn login(username: &str, password: &str) -> Login {
        Login {
            username: username.to_owned(),
            password: Secret::new(password.to_owned()),
        }
    }

    const GET: Covered<'_> = Covered {
        method: "GET",
        target: "/dir/index.html",
        body: b"",
    };

    /// RFC 7616 §3.9.1.
    #[test]
    fn the_answers_of_the_standards_example_are_ours() {
        let nonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v";
        let opaque = "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS";
        let client = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
        for (algorithm, response) in [
            ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
            (
                "SHA-256",
                "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
            ),
        ] {
            let header = format!(
                "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", \
                 algorithm={algorithm}, nonce=\"{nonce}\", opaque=\"{opaque}\""
            );
            let asked = Asked::choose(&challenges(&header)).unwrap();
            let answer = asked.answer(&login("Mufasa", "Circle of Life"), &GET, 1, client);
            assert_eq!(
                answer,
                format!(
                    "username=\"Mufasa\", realm=\"http-auth@example.org\", nonce=\"{nonce}\", \
                     uri=\"/dir/index.html\", response=\"{response}\", opaque=\"{opaque}\", \
                     cnonce=\"{client}\", algorithm={algorithm}, qop=auth, nc=00000001"
                )
            );
        }
    }

    /// RFC 7616 §3.9.2; its hashes are wrong (erratum 4897), these are those of Python's `hashlib`.
    #[test]
    fn a_hidden_user_and_the_longer_hash_are_answered() {
        let header = "Digest realm=\"api@example.org\", qop=\"auth\", algorithm=SHA-512-256, \
                      nonce=\"5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK\", \
                      opaque=\"HRPCssKJSGjCrkzDg8OhwpzCiGPChXYjwrI2QmXDnsOS\", charset=UTF-8, userhash=true";
        let asked = Asked::choose(&challenges(header)).unwrap();
        let covered = Covered {
            target: "/doe.json",
            ..GET
        };
        let client = "NTg6RKcb9boFIAS3KrFK9BGeh+niz/sm";
        let answer = asked.answer(&login("Jäsøn Doe", "Secret, or not?"), &covered, 1, client);
        assert!(
            answer.contains(
                "username=\"793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b\", userhash=true"
            ),
            "{answer}"
        );
        assert!(
            answer.contains("7a4e1192babbba02e91182d2895bfdbf7adafc6e48d4e517ca301974843d840c"),
            "{answer}"
        );
    }

    /// RFC 2069's example, which has no quality of protection, with the response of its erratum 749.
    #[test]
    fn a_challenge_without_quality_is_answered_the_old_way() {
        let header = "Digest realm=\"testrealm@host.com\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", \
                      opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"";
        let asked = Asked::choose(&challenges(header)).unwrap();
        let answer = asked.answer(&login("Mufasa", "CircleOfLife"), &GET, 1, "c");
        assert!(
            answer.contains("response=\"1949323746fe6a43ef61f9606e7febea\""),
            "{answer}"
        );
        assert!(!answer.contains("nc="), "{answer}");
    }

    #[test]
    fn the_first_known_algorithm_is_taken_and_unknown_ones_are_not() {
        let header = "Basic realm=x, Digest realm=a, nonce=1, algorithm=SHA-1024, \
                      Digest realm=b, nonce=2, qop=\"auth-int\", algorithm=sha-256-SESS, stale=true, \
                      Digest realm=c, nonce=3";
        let asked = Asked::choose(&challenges(header)).unwrap();
        assert_eq!((asked.realm.as_str(), asked.is_session), ("b", true));
        assert_eq!(
            (asked.hash, asked.quality),
            (Hash::Sha256, Quality::AuthInt)
        );
        assert!(asked.is_stale);
        assert_eq!(
            Asked::choose(&challenges("Digest realm=a, nonce=1, qop=other")),
            None
        );
        assert_eq!(Asked::choose(&challenges("Digest realm=a")), None);
    }

    #[test]
    fn names_that_a_quoted_string_cannot_carry_are_encoded() {
        let asked = Asked::choose(&challenges("Digest realm=a, nonce=1")).unwrap();
        assert_eq!(asked.user("a\"b"), "username=\"a\\\"b\"");
        assert_eq!(asked.user("Jäsøn"), "username*=UTF-8''J%C3%A4s%C3%B8n");
    }
}
