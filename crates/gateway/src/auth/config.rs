//! [pure] Settings of the authenticators beside API keys.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use jsonwebtoken::Algorithm;
use serde::Deserialize;
use serde_json::Value;

/// Who else may call than those with an API key. A route names which of them it takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Issuers of tokens, by the name that routes use.
    pub jwt: BTreeMap<String, Issuer>,
    /// Client certificates and whom they stand for; the first that fits counts.
    pub certificates: Vec<Certificate>,
}

/// Who issues JSON Web Tokens, and what they must say (RFC 7519, RFC 9068).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Issuer {
    /// What `iss` must be.
    pub issuer: String,
    /// What `aud` must have one of.
    pub audience: Vec<String>,
    /// Where its keys are: `https://…/jwks.json`. Either this or `jwks_file`.
    #[serde(default)]
    pub jwks_url: Option<String>,
    /// The file of its keys, read again when it is due or a key is not in it.
    #[serde(default)]
    pub jwks_file: Option<PathBuf>,
    /// How it may sign: `RS256` and `ES256`. Signatures by a shared secret are not taken.
    #[serde(default = "algorithms")]
    pub algorithms: Vec<Algorithm>,
    /// By how much clocks may differ: 30 s.
    #[serde(default = "leeway", with = "taraf_base::duration::serde")]
    pub leeway: Duration,
    /// How often its keys are asked for: 10 min.
    #[serde(default = "refresh", with = "taraf_base::duration::serde")]
    pub refresh: Duration,
    /// Scopes that every token must have, in `scope` or `scp`.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Claims that every token must have with these values.
    #[serde(default)]
    pub claims: BTreeMap<String, Value>,
    /// Whom a token stands for.
    #[serde(default)]
    pub identity: Identity,
}

/// Which account a token stands for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Identity {
    /// The claim that names it: `sub`.
    pub claim: String,
    /// What is put before it, so that no issuer names another's accounts: the issuer's name here and
    /// a colon.
    pub prefix: Option<String>,
    /// The account of all tokens, in place of a claim.
    pub account: Option<String>,
    /// Its plan; the default one without it.
    pub plan: Option<String>,
    /// The claim that names the plan through `plans`.
    pub plan_claim: Option<String>,
    /// Values of that claim, and the plans that they mean. Others mean `plan`.
    pub plans: BTreeMap<String, String>,
}

impl Default for Identity {
    fn default() -> Self {
        Self {
            claim: "sub".to_owned(),
            prefix: None,
            account: None,
            plan: None,
            plan_claim: None,
            plans: BTreeMap::new(),
        }
    }
}

/// A client certificate, and whom it stands for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// `dns:NAME` or `uri:NAME` among its subject's alternative names, or `subject:O=Example,CN=ana`.
    /// Either this or `fingerprint`.
    #[serde(default)]
    pub name: Option<String>,
    /// SHA-256 of its DER, in hexadecimal.
    #[serde(default)]
    pub fingerprint: Option<String>,
    /// The account.
    pub account: String,
    /// Its plan; the default one without it.
    #[serde(default)]
    pub plan: Option<String>,
}

fn algorithms() -> Vec<Algorithm> {
    vec![Algorithm::RS256, Algorithm::ES256]
}

const fn leeway() -> Duration {
    Duration::from_secs(30)
}

const fn refresh() -> Duration {
    Duration::from_secs(600)
}
