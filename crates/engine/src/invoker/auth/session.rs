//! Challenges that servers sent, kept so that the next call answers before it is asked.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use http::header::{HeaderMap, HeaderName, WWW_AUTHENTICATE};
use sha2::{Digest as _, Sha256};
use taraf_base::{Secret, random_bytes};
use taraf_flow::auth::Login;
use url::Url;

use super::challenge::{challenges, parameters};
use super::digest::{Asked, Covered};

/// Challenges that are kept at most; beyond it the longest unused is forgotten.
const CHALLENGES_MAX: usize = 1_024;
const AUTHENTICATION_INFO: HeaderName = HeaderName::from_static("authentication-info");

/// Challenges by server and login.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    inner: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    challenges: HashMap<Key, Entry>,
    turn: u64,
}

type Key = (String, [u8; 32]);

#[derive(Debug)]
struct Entry {
    asked: Asked,
    count: u32,
    used: u64,
}

/// A login, and what its servers asked for.
#[derive(Clone, Debug)]
pub(crate) struct DigestLogin {
    pub(crate) login: Login,
    pub(crate) sessions: Arc<Sessions>,
}

impl DigestLogin {
    /// The header's value when this server has asked before, and the nonce that it answers.
    pub(crate) fn answer(&self, method: &str, url: &Url, body: &[u8]) -> Option<(Secret, String)> {
        let (asked, count) = self.sessions.next(&self.key(url))?;
        let target = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let covered = Covered {
            method,
            target: &target,
            body,
        };
        let client_nonce = hexadecimal(&random_bytes::<16>());
        let answer = asked.answer(&self.login, &covered, count, &client_nonce);
        Some((Secret::new(format!("Digest {answer}")), asked.nonce))
    }

    /// Takes a new challenge from a refusal. `None` when there is none that can be answered.
    pub(crate) fn challenged(&self, url: &Url, headers: &HeaderMap) -> Option<Asking> {
        let values = headers.get_all(WWW_AUTHENTICATE).iter();
        let all: Vec<_> = values
            .filter_map(|value| value.to_str().ok())
            .flat_map(challenges)
            .collect();
        let asked = Asked::choose(&all)?;
        let asking = Asking {
            nonce: asked.nonce.clone(),
            is_stale: asked.is_stale,
        };
        self.sessions.keep(self.key(url), asked);
        Some(asking)
    }

    /// Takes the next nonce that an answer may offer.
    pub(crate) fn answered(&self, url: &Url, headers: &HeaderMap) {
        let info = headers.get(AUTHENTICATION_INFO);
        let Some(info) = info.and_then(|value| value.to_str().ok()) else {
            return;
        };
        if let Some(nonce) = parameters(info).param("nextnonce") {
            self.sessions.renew(&self.key(url), nonce);
        }
    }

    fn key(&self, url: &Url) -> Key {
        let mut hash = Sha256::new();
        for part in [&self.login.username, self.login.password.expose()] {
            hash.update(part.len().to_be_bytes());
            hash.update(part.as_bytes());
        }
        (url.origin().ascii_serialization(), hash.finalize().into())
    }
}

/// What a refusal asked for.
#[derive(Debug)]
pub(crate) struct Asking {
    pub(crate) nonce: String,
    pub(crate) is_stale: bool,
}

impl Sessions {
    fn next(&self, key: &Key) -> Option<(Asked, u32)> {
        self.locked(|kept| {
            kept.turn += 1;
            let entry = kept.challenges.get_mut(key)?;
            entry.used = kept.turn;
            entry.count = entry.count.checked_add(1)?;
            Some((entry.asked.clone(), entry.count))
        })
    }

    /// Another call may have been told the same nonce: its count goes on.
    fn keep(&self, key: Key, asked: Asked) {
        self.locked(|kept| {
            kept.turn += 1;
            let used = kept.turn;
            if let Some(entry) = kept.challenges.get_mut(&key)
                && entry.asked.nonce == asked.nonce
            {
                entry.used = used;
                return;
            }
            if kept.challenges.len() >= CHALLENGES_MAX {
                let oldest = kept.challenges.iter().min_by_key(|(_, entry)| entry.used);
                if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                    kept.challenges.remove(&oldest);
                }
            }
            let entry = Entry {
                asked,
                count: 0,
                used,
            };
            kept.challenges.insert(key, entry);
        });
    }

    fn renew(&self, key: &Key, nonce: &str) {
        self.locked(|kept| {
            if let Some(entry) = kept.challenges.get_mut(key)
                && entry.asked.nonce != nonce
            {
                nonce.clone_into(&mut entry.asked.nonce);
                entry.count = 0;
            }
        });
    }

    fn locked<T>(&self, work: impl FnOnce(&mut Kept) -> T) -> T {
        work(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // A string takes all that is written.
        let _written = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_of_a_nonce_rises_and_begins_anew_with_the_next() {
        let login = DigestLogin {
            login: Login {
                username: "u".to_owned(),
                password: Secret::new("p".to_owned()),
            },
            sessions: Arc::default(),
        };
        let url = Url::parse("http://a.example/x?y=1").unwrap();
        let elsewhere = Url::parse("http://b.example/x").unwrap();
        let count = |url: &Url| {
            let (header, _) = login.answer("GET", url, b"")?;
            let (_, count) = header.expose().rsplit_once("nc=")?;
            assert!(header.expose().contains("uri=\"/x?y=1\""));
            Some(count.to_owned())
        };
        assert_eq!(count(&url), None);
        let mut headers = HeaderMap::new();
        let challenge = "Digest realm=r, nonce=n, qop=auth".parse().unwrap();
        headers.insert(WWW_AUTHENTICATE, challenge);
        assert_eq!(login.challenged(&url, &headers).unwrap().nonce, "n");
        assert_eq!(count(&url).as_deref(), Some("00000001"));
        // The same challenge, asked of a parallel call, does not take a count twice.
        login.challenged(&url, &headers).unwrap();
        assert_eq!(count(&url).as_deref(), Some("00000002"));
        assert_eq!(count(&elsewhere), None);
        headers.insert(AUTHENTICATION_INFO, "nextnonce=\"m\"".parse().unwrap());
        login.answered(&url, &headers);
        assert_eq!(count(&url).as_deref(), Some("00000001"));
    }

    #[test]
    fn the_longest_unused_challenge_is_forgotten() {
        let sessions = Sessions::default();
        let asked = Asked::choose(&challenges("Digest realm=r, nonce=n")).unwrap();
        let key = |n: usize| (format!("http://h{n}"), [0; 32]);
        for n in 0..CHALLENGES_MAX {
            sessions.keep(key(n), asked.clone());
        }
        sessions.next(&key(0)).unwrap();
        sessions.keep(key(CHALLENGES_MAX), asked);
        assert!(sessions.next(&key(0)).is_some());
        assert!(sessions.next(&key(1)).is_none());
    }
}
