//! [pure] JSON Web Tokens: which key signed one, whether it holds, and whom it stands for.

use std::collections::BTreeMap;
use std::time::Duration;

use jsonwebtoken::jwk::{Jwk, JwkSet, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Map, Value};
use taraf_base::Timestamp;

use super::config::{Identity, Issuer};

/// The longest token that is looked at.
pub(crate) const TOKEN_BYTES_MAX: usize = 8 << 10;
/// The most keys of one issuer.
const KEYS_MAX: usize = 100;

/// Why a token is not taken. What is said to the caller never tells of the keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// It cannot be read as a token.
    #[error("it is not a token")]
    Form,
    /// It is signed in a way that is not taken.
    #[error("its algorithm is not taken here")]
    Algorithm,
    /// No known key has signed it.
    #[error("its key is not known")]
    UnknownKey,
    /// The signature is not that of the content.
    #[error("its signature does not hold")]
    Signature,
    /// A claim is missing or not as it must be.
    #[error("its claim `{0}` is missing or not as it must be")]
    Claim(String),
    /// It is no longer valid.
    #[error("it has expired")]
    Expired,
    /// It is not valid yet.
    #[error("it is not valid yet")]
    Early,
    /// It may not do this.
    #[error("it lacks the scope `{0}`")]
    Scope(String),
}

/// The keys of an issuer.
#[derive(Clone, Default)]
pub(crate) struct Keys(Vec<Known>);

#[derive(Clone)]
struct Known {
    id: Option<String>,
    algorithm: Option<Algorithm>,
    key: DecodingKey,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|known| &known.id))
            .finish()
    }
}

impl Keys {
    /// Reads a key set (RFC 7517). Keys of kinds that are not known, or not for signatures, are left
    /// out; so are shared secrets, which whoever reads the set could sign with.
    pub(crate) fn read(text: &[u8]) -> Result<Self, String> {
        let set: Value = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        let list = set.get("keys").and_then(Value::as_array);
        let list = list.ok_or_else(|| "there is no list `keys`".to_owned())?;
        let read = |key: &Value| serde_json::from_value::<Jwk>(key.clone()).ok();
        let set = JwkSet {
            keys: list.iter().take(KEYS_MAX).filter_map(read).collect(),
        };
        let keys: Vec<_> = set.keys.iter().filter_map(Known::of).collect();
        if keys.is_empty() {
            return Err("there is no public key for signatures in it".to_owned());
        }
        Ok(Self(keys))
    }

    /// Those that may have signed a token.
    fn fitting(&self, id: Option<&str>, algorithm: Algorithm) -> Vec<&Known> {
        let is_for = |known: &&Known| {
            let is_named = id.is_none() || known.id.as_deref() == id;
            is_named && known.algorithm.is_none_or(|of| of == algorithm)
        };
        self.0.iter().filter(is_for).collect()
    }
}

impl Known {
    fn of(jwk: &Jwk) -> Option<Self> {
        let common = &jwk.common;
        let is_for_signatures = common
            .public_key_use
            .as_ref()
            .is_none_or(|of| *of == PublicKeyUse::Signature);
        let verifies = common
            .key_operations
            .as_ref()
            .is_none_or(|of| of.contains(&KeyOperations::Verify));
        let is_secret = matches!(
            jwk.algorithm,
            jsonwebtoken::jwk::AlgorithmParameters::OctetKey(_)
        );
        if !is_for_signatures || !verifies || is_secret {
            return None;
        }
        let algorithm = match common.key_algorithm {
            Some(named) => Some(named.to_string().parse().ok()?),
            None => None,
        };
        Some(Self {
            id: common.key_id.clone(),
            algorithm,
            key: DecodingKey::from_jwk(jwk).ok()?,
        })
    }
}

/// What a token must be.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    issuer: String,
    audience: Vec<String>,
    algorithms: Vec<Algorithm>,
    leeway: Duration,
    scopes: Vec<String>,
    claims: BTreeMap<String, Value>,
    identity: Identity,
    prefix: String,
}

/// Whom a token stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Who {
    pub(crate) account: String,
    pub(crate) plan: Option<String>,
}

impl Rules {
    /// The rules of the issuer that routes call `name`, or what is wrong with its settings.
    pub(crate) fn build(name: &str, issuer: &Issuer) -> Result<Self, String> {
        let is_shared = |algorithm: &&Algorithm| {
            matches!(
                algorithm,
                Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512
            )
        };
        if let Some(shared) = issuer.algorithms.iter().find(is_shared) {
            return Err(format!(
                "jwt.{name}.algorithms: {shared:?} is by a shared secret; name others"
            ));
        }
        if issuer.algorithms.is_empty() {
            return Err(format!("jwt.{name}.algorithms: name at least one"));
        }
        if issuer.audience.is_empty() {
            return Err(format!(
                "jwt.{name}.audience: name at least one, or tokens for others are taken"
            ));
        }
        Ok(Self {
            issuer: issuer.issuer.clone(),
            audience: issuer.audience.clone(),
            algorithms: issuer.algorithms.clone(),
            leeway: issuer.leeway,
            scopes: issuer.scopes.clone(),
            claims: issuer.claims.clone(),
            prefix: issuer
                .identity
                .prefix
                .clone()
                .unwrap_or_else(|| format!("{name}:")),
            identity: issuer.identity.clone(),
        })
    }

    /// The content of a token that one of the keys has signed.
    pub(crate) fn verify(&self, token: &str, keys: &Keys) -> Result<Map<String, Value>, Error> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Error::Form);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_odd| Error::Form)?;
        // Before any key is touched: what signs is ours to say, not the token's (RFC 8725 §3.1).
        if !self.algorithms.contains(&header.alg) {
            return Err(Error::Algorithm);
        }
        let fitting = keys.fitting(header.kid.as_deref(), header.alg);
        if fitting.is_empty() {
            return Err(Error::UnknownKey);
        }
        let mut validation = Validation::new(header.alg);
        // The claims are looked at below, with a time that is given.
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        for known in fitting {
            let read = jsonwebtoken::decode::<Map<String, Value>>(token, &known.key, &validation);
            if let Ok(read) = read {
                return Ok(read.claims);
            }
        }
        Err(Error::Signature)
    }

    /// Whether the content is what it must be at `now`, for a route that wants `scopes` too.
    pub(crate) fn check(
        &self,
        claims: &Map<String, Value>,
        scopes: &[String],
        now: Timestamp,
    ) -> Result<Who, Error> {
        let wrong = |claim: &str| Error::Claim(claim.to_owned());
        if claims.get("iss").and_then(Value::as_str) != Some(self.issuer.as_str()) {
            return Err(wrong("iss"));
        }
        let audience = texts(claims.get("aud"));
        if !self
            .audience
            .iter()
            .any(|wanted| audience.contains(&wanted.as_str()))
        {
            return Err(wrong("aud"));
        }
        self.check_times(claims, now)?;
        for (claim, wanted) in &self.claims {
            if claims.get(claim) != Some(wanted) {
                return Err(wrong(claim));
            }
        }
        let granted: Vec<&str> = ["scope", "scp"]
            .into_iter()
            .flat_map(|claim| texts(claims.get(claim)))
            .flat_map(str::split_ascii_whitespace)
            .collect();
        let missing = self
            .scopes
            .iter()
            .chain(scopes)
            .find(|wanted| !granted.contains(&wanted.as_str()));
        if let Some(missing) = missing {
            return Err(Error::Scope(missing.clone()));
        }
        self.who(claims)
    }

    fn check_times(&self, claims: &Map<String, Value>, now: Timestamp) -> Result<(), Error> {
        let wrong = |claim: &str| Error::Claim(claim.to_owned());
        let leeway = i64::try_from(self.leeway.as_millis()).unwrap_or(i64::MAX);
        let now = now.as_millis();
        let expires = millis(claims.get("exp")).ok_or_else(|| wrong("exp"))?;
        if expires.saturating_add(leeway) <= now {
            return Err(Error::Expired);
        }
        for claim in ["nbf", "iat"] {
            let Some(value) = claims.get(claim) else {
                continue;
            };
            let from = millis(Some(value)).ok_or_else(|| wrong(claim))?;
            if from.saturating_sub(leeway) > now {
                return Err(Error::Early);
            }
        }
        Ok(())
    }

    fn who(&self, claims: &Map<String, Value>) -> Result<Who, Error> {
        let identity = &self.identity;
        let account = match &identity.account {
            Some(account) => account.clone(),
            None => {
                let named = claims.get(&identity.claim).and_then(Value::as_str);
                let named = named.filter(|name| !name.trim().is_empty());
                let named = named.ok_or_else(|| Error::Claim(identity.claim.clone()))?;
                format!("{}{named}", self.prefix)
            }
        };
        let told = identity
            .plan_claim
            .as_ref()
            .and_then(|claim| claims.get(claim)?.as_str());
        let plan = told
            .and_then(|told| identity.plans.get(told))
            .or(identity.plan.as_ref());
        Ok(Who {
            account,
            plan: plan.cloned(),
        })
    }
}

/// One text, or a list of them.
fn texts(value: Option<&Value>) -> Vec<&str> {
    match value {
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
        Some(_) | None => Vec::new(),
    }
}

/// Seconds since 1970, possibly with a fraction (RFC 7519 §2, NumericDate).
fn millis(value: Option<&Value>) -> Option<i64> {
    match value? {
        Value::Number(number) => match number.as_i64() {
            Some(seconds) => seconds.checked_mul(1_000),
            None => number
                .to_string()
                .split('.')
                .next()?
                .parse::<i64>()
                .ok()?
                .checked_mul(1_000),
        },
        _other => None,
    }
}

#[cfg(test)]
mod tests {
    #![expect(
        clippy::needless_pass_by_value,
        reason = "the tests build claims from `json!` in place"
    )]

    use serde_json::json;

    use super::*;

    fn rules(more: Value) -> Rules {
        let mut written =
            json!({"issuer": "https://id.test", "audience": ["taraf"], "leeway": "30s"});
        written
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let issuer: Issuer = serde_json::from_value(written).unwrap();
        Rules::build("partner", &issuer).unwrap()
    }

    fn check(rules: &Rules, claims: Value, scopes: &[&str]) -> Result<Who, Error> {
        let mut all = json!({"iss": "https://id.test", "aud": "taraf", "exp": 1_000, "sub": "ana"});
        all.as_object_mut()
            .unwrap()
            .extend(claims.as_object().unwrap().clone());
        let scopes: Vec<_> = scopes.iter().map(ToString::to_string).collect();
        rules.check(
            all.as_object().unwrap(),
            &scopes,
            Timestamp::from_millis(900_000),
        )
    }

    #[test]
    fn claims_must_be_as_the_rules_say() {
        let plain = rules(json!({}));
        let claim = |name: &str| Err(Error::Claim(name.to_owned()));
        assert_eq!(
            check(&plain, json!({}), &[]).unwrap().account,
            "partner:ana"
        );
        assert_eq!(
            check(&plain, json!({"iss": "https://other.test"}), &[]),
            claim("iss")
        );
        assert_eq!(check(&plain, json!({"aud": ["x", "y"]}), &[]), claim("aud"));
        assert!(check(&plain, json!({"aud": ["x", "taraf"]}), &[]).is_ok());
        assert_eq!(check(&plain, json!({"exp": "soon"}), &[]), claim("exp"));
        assert_eq!(check(&plain, json!({"exp": 870}), &[]), Err(Error::Expired));
        assert!(check(&plain, json!({"exp": 871}), &[]).is_ok());
        assert_eq!(check(&plain, json!({"nbf": 931}), &[]), Err(Error::Early));
        assert!(check(&plain, json!({"nbf": 930, "iat": 930.5}), &[]).is_ok());
        assert_eq!(check(&plain, json!({"sub": ""}), &[]), claim("sub"));
        let strict = rules(json!({"claims": {"tenant": "acme"}}));
        assert_eq!(check(&strict, json!({}), &[]), claim("tenant"));
        assert!(check(&strict, json!({"tenant": "acme"}), &[]).is_ok());
    }

    #[test]
    fn scopes_of_issuer_and_route_are_both_needed() {
        let scoped = rules(json!({"scopes": ["api"]}));
        let lacks = |scope: &str| Err(Error::Scope(scope.to_owned()));
        assert_eq!(check(&scoped, json!({}), &[]), lacks("api"));
        assert_eq!(
            check(&scoped, json!({"scope": "api"}), &["write"]),
            lacks("write")
        );
        assert!(check(&scoped, json!({"scope": "api write"}), &["write"]).is_ok());
        assert!(check(&scoped, json!({"scp": ["api", "write"]}), &["write"]).is_ok());
    }

    #[test]
    fn a_plan_comes_from_a_claim_through_the_list_alone() {
        let planned = rules(json!({"identity": {
            "claim": "org", "prefix": "", "plan": "free", "plan_claim": "tier", "plans": {"gold": "professional"},
        }}));
        let who = |claims| check(&planned, claims, &[]).unwrap();
        let gold = who(json!({"org": "acme", "tier": "gold"}));
        assert_eq!(
            (gold.account.as_str(), gold.plan.as_deref()),
            ("acme", Some("professional"))
        );
        assert_eq!(
            who(json!({"org": "acme", "tier": "unlimited"}))
                .plan
                .as_deref(),
            Some("free")
        );
    }

    #[test]
    fn shared_secrets_and_open_audiences_are_refused() {
        let build = |more: Value| {
            let mut written = json!({"issuer": "i", "audience": ["a"]});
            written
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            Rules::build("x", &serde_json::from_value(written).unwrap()).map(drop)
        };
        assert!(
            build(json!({"algorithms": ["HS256"]}))
                .unwrap_err()
                .contains("shared secret")
        );
        assert!(build(json!({"algorithms": []})).is_err());
        assert!(build(json!({"audience": []})).is_err());
        assert!(build(json!({})).is_ok());
        let secret = br#"{"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "a"}]}"#;
        assert!(Keys::read(secret).is_err());
        assert!(Keys::read(b"{}").is_err());
    }
}
