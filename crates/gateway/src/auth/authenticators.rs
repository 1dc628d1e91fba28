//! The authenticators beside API keys: started from their settings, and asked who makes a call.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use http::{Extensions, HeaderMap};
use taraf_base::{Tasks, Timestamp};
use taraf_service::{Client, Problem, problem};

use super::api_key::{self, Caller};
use super::config::{Certificate, Config, Issuer};
use super::jwks::{Jwks, Source};
use super::jwt::{self, Rules, Who};
use crate::accounts::Accounts;
use crate::routes::{Auth, Authenticator, Route};
use crate::tls::PeerCertificate;

/// What callers are asked for, in `WWW-Authenticate`.
const REALM: &str = "Bearer realm=\"taraf\"";

/// Who else may call than those with an API key. Immutable: a change is a new value.
#[derive(Debug, Default)]
pub struct Authenticators {
    issuers: BTreeMap<String, Tokens>,
    certificates: Vec<(Mark, Who)>,
}

#[derive(Debug)]
struct Tokens {
    rules: Rules,
    jwks: Jwks,
}

/// What a client certificate is recognised by.
#[derive(Debug)]
enum Mark {
    Dns(String),
    Uri(String),
    Subject(String),
    /// SHA-256 in small hexadecimal digits.
    Fingerprint(String),
}

/// Of a call: all that can prove who makes it.
#[derive(Clone, Copy)]
pub(crate) struct Shown<'a> {
    pub(crate) headers: &'a HeaderMap,
    pub(crate) certificate: Option<&'a PeerCertificate>,
}

impl<'a> Shown<'a> {
    pub(crate) fn of(headers: &'a HeaderMap, extensions: &'a Extensions) -> Self {
        let certificate = extensions.get::<Arc<PeerCertificate>>();
        Self {
            headers,
            certificate: certificate.map(|certificate| &**certificate),
        }
    }

    /// The text of `Authorization: Bearer`, when it can only be a token: keys have no dots.
    fn token(&self) -> Option<&'a str> {
        let mut all = self.headers.get_all(AUTHORIZATION).iter();
        let (one, None) = (all.next()?, all.next()) else {
            return None;
        };
        let (scheme, token) = one.to_str().ok()?.split_once(' ')?;
        let token = token.trim();
        (scheme.eq_ignore_ascii_case("bearer") && token.matches('.').count() == 2).then_some(token)
    }
}

impl Authenticators {
    /// Reads the settings and begins to ask for the issuers' keys, until this is dropped.
    ///
    /// # Errors
    /// What is wrong with the settings; nothing is begun then.
    pub fn start(config: &Config, client: &Client, tasks: &Tasks) -> Result<Self, String> {
        // All is looked at before anything is begun.
        let issuers: Vec<_> = config
            .jwt
            .iter()
            .map(|(name, issuer)| {
                Ok((
                    name,
                    issuer,
                    Rules::build(name, issuer)?,
                    source(name, issuer)?,
                ))
            })
            .collect::<Result<_, String>>()?;
        let certificates = config.certificates.iter().enumerate();
        let certificates = certificates
            .map(|(at, written)| mark(at, written))
            .collect::<Result<_, _>>()?;
        let issuers = issuers.into_iter().map(|(name, issuer, rules, source)| {
            let jwks = Jwks::start(name, source, issuer.refresh, client.clone(), tasks);
            (name.clone(), Tokens { rules, jwks })
        });
        Ok(Self {
            issuers: issuers.collect(),
            certificates,
        })
    }

    /// What is wrong with a route's choice of authenticators.
    pub(crate) fn check<'r>(
        &self,
        mut routes: impl Iterator<Item = &'r Route>,
    ) -> Result<(), String> {
        let unknown = routes.find_map(|route| {
            let Auth::Any(list) = &route.auth else {
                return None;
            };
            list.iter().find_map(|one| match one {
                Authenticator::Jwt { issuer, .. } if !self.issuers.contains_key(issuer) => {
                    Some((route, issuer))
                }
                Authenticator::Jwt { .. } | Authenticator::Key | Authenticator::Certificate => None,
            })
        });
        match unknown {
            Some((route, issuer)) => Err(format!(
                "route `{}` takes tokens of `{issuer}`, which no setting describes: add [gateway.auth.jwt.{issuer}]",
                route.id
            )),
            None => Ok(()),
        }
    }

    /// Who makes a call, by the first of what it shows that the route takes.
    pub(crate) async fn identify(
        &self,
        accepted: &[Authenticator],
        shown: Shown<'_>,
        accounts: &Accounts,
    ) -> Result<Arc<Caller>, Problem> {
        let takes_keys = accepted.contains(&Authenticator::Key);
        if shown.headers.contains_key(api_key::X_API_KEY) && takes_keys {
            return by_key(shown.headers, accounts);
        }
        if let Some(token) = shown.token() {
            let issuers = accepted.iter().filter_map(|one| match one {
                Authenticator::Jwt { issuer, scopes } => Some((issuer, scopes.as_slice())),
                Authenticator::Key | Authenticator::Certificate => None,
            });
            let mut refused = None;
            for (name, scopes) in issuers {
                let Some(tokens) = self.issuers.get(name) else {
                    continue;
                };
                match tokens.identify(token, scopes).await {
                    Ok(who) => return account(accounts, name, who).await,
                    // What an issuer says of its own token goes before what others say of it.
                    Err(error) if refused.is_none() || error != jwt::Error::UnknownKey => {
                        refused = Some(error);
                    }
                    Err(_of_another) => {}
                }
            }
            if let Some(error) = refused {
                return Err(refusal(&error));
            }
        }
        if takes_keys && api_key::shown(shown.headers).is_some() {
            return by_key(shown.headers, accounts);
        }
        if accepted.contains(&Authenticator::Certificate)
            && let Some(certificate) = shown.certificate
        {
            let known = self
                .certificates
                .iter()
                .find(|(mark, _)| mark.fits(certificate));
            let Some((_, who)) = known else {
                let detail = "the client certificate stands for no account";
                return Err(problem::FORBIDDEN.with_detail(detail));
            };
            return account(accounts, "certificate", who.clone()).await;
        }
        Err(nothing_shown(accepted))
    }

    /// Issuers whose keys could not be had the last time, and why.
    #[must_use]
    pub fn troubles(&self) -> Vec<String> {
        let issuers = self.issuers.iter();
        issuers
            .filter_map(|(name, tokens)| Some(format!("issuer `{name}`: {}", tokens.jwks.error()?)))
            .collect()
    }
}

impl Tokens {
    async fn identify(&self, token: &str, scopes: &[String]) -> Result<Who, jwt::Error> {
        let keys = self.jwks.keys().await.unwrap_or_default();
        let claims = match self.rules.verify(token, &keys) {
            // The issuer may have changed its keys since they were asked for.
            Err(jwt::Error::UnknownKey) => {
                let newer = self.jwks.newer().await.ok_or(jwt::Error::UnknownKey)?;
                self.rules.verify(token, &newer)?
            }
            other => other?,
        };
        self.rules.check(&claims, scopes, Timestamp::now())
    }
}

impl Mark {
    fn fits(&self, certificate: &PeerCertificate) -> bool {
        match self {
            Self::Dns(name) => certificate.dns_names.contains(name),
            Self::Uri(name) => certificate.uris.contains(name),
            Self::Subject(name) => certificate.subject == *name,
            Self::Fingerprint(sha256) => certificate.sha256 == *sha256,
        }
    }
}

fn by_key(headers: &HeaderMap, accounts: &Accounts) -> Result<Arc<Caller>, Problem> {
    let caller = api_key::shown(headers).and_then(|key| accounts.identify(key));
    caller.ok_or_else(|| problem::API_KEY_INVALID.with_detail("the key is unknown or was revoked"))
}

/// The account that an identity stands for; made when it calls for the first time.
async fn account(accounts: &Accounts, by: &str, who: Who) -> Result<Arc<Caller>, Problem> {
    let caller = accounts
        .stand_in(by, &who.account, who.plan.as_deref())
        .await;
    caller.map_err(|error| {
        tracing::warn!(by, account = who.account, %error, "an identity has no account");
        problem::FORBIDDEN.with_detail("the identity stands for no account that could be charged")
    })
}

/// RFC 6750 §3.1.
fn refusal(error: &jwt::Error) -> Problem {
    let (kind, word) = match error {
        jwt::Error::Scope(_) => (problem::FORBIDDEN, "insufficient_scope"),
        _other => (problem::UNAUTHORIZED, "invalid_token"),
    };
    let scope = match error {
        jwt::Error::Scope(scope) => format!(", scope=\"{scope}\""),
        _other => String::new(),
    };
    let challenge = format!("{REALM}, error=\"{word}\"{scope}");
    let problem = kind.with_detail(format!("the token is not taken: {error}"));
    match HeaderValue::try_from(challenge) {
        Ok(challenge) => problem.with_header(WWW_AUTHENTICATE, challenge),
        Err(_odd) => problem,
    }
}

fn nothing_shown(accepted: &[Authenticator]) -> Problem {
    let ways: Vec<_> = accepted
        .iter()
        .map(|one| match one {
            Authenticator::Key => "a key in the header x-api-key".to_owned(),
            Authenticator::Jwt { issuer, .. } => {
                format!("a token of `{issuer}` as Authorization: Bearer")
            }
            Authenticator::Certificate => "a client certificate".to_owned(),
        })
        .collect();
    let kind = if accepted == [Authenticator::Key] {
        problem::API_KEY_MISSING
    } else {
        problem::UNAUTHORIZED
    };
    kind.with_detail(format!("send {}", ways.join(", or ")))
        .with_header(WWW_AUTHENTICATE, HeaderValue::from_static(REALM))
}

fn source(name: &str, issuer: &Issuer) -> Result<Source, String> {
    match (&issuer.jwks_url, &issuer.jwks_file) {
        (Some(url), None) => {
            let is_url = url.starts_with("https://") || url.starts_with("http://");
            is_url
                .then(|| Source::Url(url.clone()))
                .ok_or_else(|| format!("jwt.{name}.jwks_url: `{url}` is not an address of the web"))
        }
        (None, Some(file)) => Ok(Source::File(file.clone())),
        _both_or_none => Err(format!(
            "jwt.{name}: name one of `jwks_url` and `jwks_file`"
        )),
    }
}

fn mark(at: usize, written: &Certificate) -> Result<(Mark, Who), String> {
    let mark = match (&written.name, &written.fingerprint) {
        (Some(name), None) => match name.split_once(':') {
            Some(("dns", name)) => Mark::Dns(name.to_owned()),
            Some(("uri", name)) => Mark::Uri(name.to_owned()),
            Some(("subject", name)) => Mark::Subject(name.to_owned()),
            Some(_) | None => {
                return Err(format!(
                    "certificates.{at}.name: `{name}` begins with none of `dns:`, `uri:`, `subject:`"
                ));
            }
        },
        (None, Some(text)) => {
            let digits = text.replace(':', "").to_ascii_lowercase();
            let is_sound = digits.len() == 64 && digits.bytes().all(|b| b.is_ascii_hexdigit());
            if !is_sound {
                return Err(format!(
                    "certificates.{at}.fingerprint: `{text}` is not SHA-256 in hexadecimal"
                ));
            }
            Mark::Fingerprint(digits)
        }
        _both_or_none => {
            return Err(format!(
                "certificates.{at}: name one of `name` and `fingerprint`"
            ));
        }
    };
    let who = Who {
        account: written.account.clone(),
        plan: written.plan.clone(),
    };
    Ok((mark, who))
}
