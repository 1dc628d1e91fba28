//! Signed assertions by which a client proves who it is (RFC 7523), and who issued a token.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    RSA_PKCS1_SHA256, RsaKeyPair,
};
use ring::{hmac, rand};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use taraf_base::{Secret, Timestamp, random_bytes};
use taraf_flow::FlowError;

/// How long an assertion is good.
const ASSERTION_SECONDS: i64 = 60;

/// What signs an assertion.
pub(super) enum Key {
    /// HS256.
    Shared(hmac::Key),
    /// RS256.
    Rsa(Box<RsaKeyPair>),
    /// ES256 or ES384.
    Ecdsa(EcdsaKeyPair, &'static str),
    /// EdDSA.
    Ed25519(Ed25519KeyPair),
}

impl Key {
    /// A secret that the authority knows too.
    pub(super) fn shared(secret: &Secret) -> Self {
        Self::Shared(hmac::Key::new(
            hmac::HMAC_SHA256,
            secret.expose().as_bytes(),
        ))
    }

    /// A private key in PEM: RSA (PKCS#1 or PKCS#8), P-256, P-384 or Ed25519 (PKCS#8).
    pub(super) fn private(pem: &Secret) -> Result<Self, FlowError> {
        // What is wrong with a key stays out of the error.
        let unusable = || {
            FlowError::configuration(
                "`client.secret` for private_key_jwt is a private key in PEM: RSA, or P-256, P-384 or Ed25519 as PKCS#8",
            )
        };
        let key = PrivateKeyDer::from_pem_slice(pem.expose().as_bytes());
        let key = key.map_err(|_not_pem| unusable())?;
        let random = SystemRandom::new();
        let found = match &key {
            PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()).ok().map(rsa),
            PrivateKeyDer::Pkcs8(der) => pkcs8(der.secret_pkcs8_der(), &random),
            _ => None,
        };
        found.ok_or_else(unusable)
    }

    const fn algorithm(&self) -> &'static str {
        match self {
            Self::Shared(_) => "HS256",
            Self::Rsa(_) => "RS256",
            Self::Ecdsa(_, name) => name,
            Self::Ed25519(_) => "EdDSA",
        }
    }

    fn sign(&self, text: &str, random: &dyn rand::SecureRandom) -> Result<Vec<u8>, FlowError> {
        let failed = |_unspecified| FlowError::configuration("the client's key does not sign");
        let bytes = text.as_bytes();
        Ok(match self {
            Self::Shared(key) => hmac::sign(key, bytes).as_ref().to_vec(),
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, random, bytes, &mut signature)
                    .map_err(failed)?;
                signature
            }
            Self::Ecdsa(key, _) => key.sign(random, bytes).map_err(failed)?.as_ref().to_vec(),
            Self::Ed25519(key) => key.sign(bytes).as_ref().to_vec(),
        })
    }
}

fn rsa(key: RsaKeyPair) -> Key {
    Key::Rsa(Box::new(key))
}

fn pkcs8(der: &[u8], random: &SystemRandom) -> Option<Key> {
    if let Ok(key) = RsaKeyPair::from_pkcs8(der) {
        return Some(rsa(key));
    }
    for (algorithm, name) in [
        (&ECDSA_P256_SHA256_FIXED_SIGNING, "ES256"),
        (&ECDSA_P384_SHA384_FIXED_SIGNING, "ES384"),
    ] {
        if let Ok(key) = EcdsaKeyPair::from_pkcs8(algorithm, der, random) {
            return Some(Key::Ecdsa(key, name));
        }
    }
    let key = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).ok()?;
    Some(Key::Ed25519(key))
}

/// An assertion for the authority's endpoint.
pub(super) fn assertion(
    key: &Key,
    client: &str,
    audience: &str,
    now: Timestamp,
) -> Result<Secret, FlowError> {
    let now = now.as_millis().div_euclid(1_000);
    let claims = json!({
        "iss": client,
        "sub": client,
        "aud": audience,
        "jti": URL_SAFE_NO_PAD.encode(random_bytes::<16>()),
        "iat": now,
        "exp": now.saturating_add(ASSERTION_SECONDS),
    });
    let header = json!({"alg": key.algorithm(), "typ": "JWT"});
    let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let text = format!("{}.{}", part(&header), part(&claims));
    let signature = key.sign(&text, &SystemRandom::new())?;
    Ok(Secret::new(format!(
        "{text}.{}",
        URL_SAFE_NO_PAD.encode(signature)
    )))
}

/// The claims of a token that is a JWT. The signature is not looked at: the token comes from the
/// authority itself, and we do not rely on it, we only pass it on (OpenID Connect Core §3.1.3.7).
pub(super) fn claims(token: &Secret) -> Option<Value> {
    let mut parts = token.expose().split('.');
    let (_, claims, _) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok()?;
    let claims: Value = serde_json::from_slice(&bytes).ok()?;
    claims.is_object().then_some(claims)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assertion_signed_with_a_shared_secret_is_whole() {
        let secret = Secret::new("a secret of thirty-two bytes or more".to_owned());
        let now = Timestamp::from_millis(1_700_000_000_000);
        let made = assertion(&Key::shared(&secret), "me", "http://a/token", now).unwrap();
        let (text, signature) = made.expose().rsplit_once('.').unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        hmac::verify(&key, text.as_bytes(), &signature).unwrap();
        let claims = claims(&made).unwrap();
        assert_eq!(
            (&claims["iss"], &claims["sub"]),
            (&json!("me"), &json!("me"))
        );
        assert_eq!(claims["aud"], "http://a/token");
        assert_eq!(claims["exp"], 1_700_000_060);
        assert!(!claims["jti"].as_str().unwrap().is_empty());
    }

    #[test]
    fn what_is_no_private_key_is_refused_without_showing_it() {
        for text in [
            "hidden",
            "-----BEGIN PRIVATE KEY-----\naGlkZGVu\n-----END PRIVATE KEY-----\n",
        ] {
            let error = Key::private(&Secret::new(text.to_owned())).err().unwrap();
            assert!(!error.to_string().contains("hidden"));
            assert_eq!(error.status, 400);
        }
    }

    #[test]
    fn only_tokens_with_claims_have_claims() {
        for text in ["opaque", "a.b.c", "a.W10.c", "a.e30.c.d", ""] {
            assert_eq!(claims(&Secret::new(text.to_owned())), None, "{text}");
        }
        assert_eq!(claims(&Secret::new("a.e30.".to_owned())), Some(json!({})));
    }
}
