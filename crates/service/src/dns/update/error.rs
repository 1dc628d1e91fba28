//! Why names cannot be published, in words that say what to do.

use std::io;

/// Why a zone is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting cannot be used.
    #[error("{setting}: {why}")]
    Setting {
        /// The setting.
        setting: &'static str,
        /// What is wrong.
        why: String,
    },
    /// Nobody answers there.
    #[error("failed to reach {server}")]
    Connect {
        /// The server.
        server: String,
        /// Why.
        source: io::Error,
    },
    /// The connection broke.
    #[error("the connection to {server} broke")]
    Broken {
        /// The server.
        server: String,
        /// Why.
        source: io::Error,
    },
    /// No answer came in time.
    #[error("{server} did not answer within {seconds} s")]
    Late {
        /// The server.
        server: String,
        /// How long we waited.
        seconds: u64,
    },
    /// The server has no such key.
    #[error(
        "the server does not know the key `{key}` for hmac-sha256 (TSIG BADKEY): its name or algorithm differs there"
    )]
    UnknownKey {
        /// The key's name.
        key: String,
    },
    /// The secrets differ.
    #[error(
        "the server does not accept the signature of the key `{key}` (TSIG BADSIG): the secret differs there"
    )]
    BadSignature {
        /// The key's name.
        key: String,
    },
    /// The clocks differ.
    #[error(
        "the server finds our clock wrong (TSIG BADTIME): it reads {theirs} s since 1970, ours {ours} s; set the clocks"
    )]
    Clock {
        /// The server's.
        theirs: u64,
        /// Ours.
        ours: u64,
    },
    /// The answer does not come from whoever has the key.
    #[error("an answer without a sound signature of the key `{key}`: {why}")]
    Unsigned {
        /// The key's name.
        key: String,
        /// What is wrong.
        why: &'static str,
    },
    /// The key may not do it.
    #[error(
        "the server refuses it (REFUSED): the key `{key}` must be allowed to query and to update the zone `{zone}` \
         (`allow-update` or `update-policy` in BIND)"
    )]
    Refused {
        /// The key's name.
        key: String,
        /// The zone.
        zone: String,
    },
    /// Another server has the zone.
    #[error("the server is not authoritative for the zone `{zone}` ({code})")]
    NotAuthoritative {
        /// The zone.
        zone: String,
        /// What it said.
        code: String,
    },
    /// Something else.
    #[error("the server answered {code} to an update of the zone `{zone}`")]
    Failed {
        /// The zone.
        zone: String,
        /// What it said.
        code: String,
    },
    /// Others changed the same names at the same time.
    #[error("others changed the same names meanwhile, {rounds} times over")]
    Contested {
        /// How often it was tried.
        rounds: usize,
    },
    /// The answer cannot be read.
    #[error("an answer that cannot be read: {why}")]
    Malformed {
        /// What is wrong.
        why: String,
    },
}
