//! [pure] The members of `oauth2` and `oidc` as the request for a token needs them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use taraf_base::Secret;

use crate::data::Data;
use crate::error::FlowError;

/// The grant type of RFC 8693.
pub(crate) const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// How a token is had: whom to ask, as whom, for what.
#[derive(Clone, Debug)]
pub struct TokenPolicy {
    /// Equal for equal policies, different for different ones; says nothing of the members.
    pub identity: String,
    /// The authority's address, without a slash at its end.
    pub authority: String,
    /// Whether the authority describes itself (`oidc`).
    pub discovers: bool,
    /// What the token is asked for with.
    pub grant: Grant,
    /// As which client.
    pub client: Client,
    /// How the request's body is written.
    pub encoding: Encoding,
    /// Who may have issued the token; empty: not checked.
    pub issuers: Vec<String>,
    /// What the token should allow.
    pub scopes: Vec<String>,
    /// Whom the token is for.
    pub audiences: Vec<String>,
    /// The user, for the grant `password`.
    pub username: Option<String>,
    /// The user's password.
    pub password: Option<Secret>,
    /// On whose behalf; for the grant `refresh_token` the refresh token.
    pub subject: Option<SubjectToken>,
    /// Who acts.
    pub actor: Option<SubjectToken>,
    /// Where, relative to the authority or absolute; not used by `oidc`.
    pub endpoints: Endpoints,
}

/// What a token is asked for with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// A person with a browser.
    AuthorizationCode,
    /// The client's own credentials.
    ClientCredentials,
    /// A user's name and password.
    Password,
    /// An earlier answer's refresh token.
    RefreshToken,
    /// Another token (RFC 8693).
    TokenExchange,
}

impl Grant {
    /// The value of `grant_type`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AuthorizationCode => "authorization_code",
            Self::ClientCredentials => "client_credentials",
            Self::Password => "password",
            Self::RefreshToken => "refresh_token",
            Self::TokenExchange => EXCHANGE,
        }
    }
}

/// The client that asks.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its name at the authority.
    pub id: Option<String>,
    /// Its secret; for `private_key_jwt` its private key in PEM.
    pub secret: Option<Secret>,
    /// A signed assertion made elsewhere, sent instead of one of ours.
    pub assertion: Option<Secret>,
    /// How it proves who it is.
    pub method: ClientMethod,
}

/// How a client proves who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientMethod {
    /// `Authorization: Basic` (RFC 6749 §2.3.1).
    Basic,
    /// Members of the body.
    Post,
    /// An assertion signed with the secret (RFC 7523).
    SecretJwt,
    /// An assertion signed with a private key (RFC 7523).
    PrivateKeyJwt,
    /// Not at all; it only says its name.
    None,
}

/// How the request's body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As a form, the standard's way.
    Form,
    /// As JSON.
    Json,
}

/// A token that takes part in an exchange.
#[derive(Clone, Debug)]
pub struct SubjectToken {
    /// The token.
    pub token: Secret,
    /// Its type, a URI.
    pub type_: String,
}

/// Where an `oauth2` authority answers.
#[derive(Clone, Debug)]
pub struct Endpoints {
    /// Gives tokens.
    pub token: String,
    /// Takes them back, when the author names it.
    pub revocation: Option<String>,
    /// Tells what a token is.
    pub introspection: String,
}

impl TokenPolicy {
    /// Reads evaluated members.
    pub(crate) fn read(scheme: &str, data: &Data) -> Result<Self, FlowError> {
        let members = Members { scheme, data };
        let client = members.object("client")?;
        let request = members.object("request")?;
        let endpoints = members.object("endpoints")?;
        let endpoint = |name: &str, default: &str| {
            let given = endpoints.text(name)?;
            Ok::<_, FlowError>(given.unwrap_or_else(|| default.to_owned()))
        };
        let discovers = scheme == "oidc";
        let encoding = request.text("encoding")?;
        let policy = Self {
            identity: identity(scheme, data),
            authority: members
                .needed("authority")?
                .trim_end_matches('/')
                .to_owned(),
            discovers,
            grant: members.grant()?,
            client: client.client()?,
            encoding: match encoding.as_deref() {
                None | Some("application/x-www-form-urlencoded") => Encoding::Form,
                Some("application/json") => Encoding::Json,
                Some(other) => return Err(members.wrong("request.encoding", other)),
            },
            issuers: members.texts("issuers")?,
            scopes: members.texts("scopes")?,
            audiences: members.texts("audiences")?,
            username: members.text("username")?,
            password: members.text("password")?.map(Secret::new),
            subject: members.token("subject")?,
            actor: members.token("actor")?,
            endpoints: Endpoints {
                token: endpoint("token", "/oauth2/token")?,
                revocation: endpoints.text("revocation")?,
                introspection: endpoint("introspection", "/oauth2/introspect")?,
            },
        };
        policy.whole(&members)?;
        Ok(policy)
    }

    /// Whether the members that its grant and its client need are there.
    fn whole(&self, members: &Members<'_>) -> Result<(), FlowError> {
        let missing = |name: &str, for_: &str| Err(members.missing(name, for_));
        match self.grant {
            Grant::Password if self.username.is_none() => return missing("username", "password"),
            Grant::Password if self.password.is_none() => return missing("password", "password"),
            Grant::RefreshToken if self.subject.is_none() => {
                return missing("subject", "refresh_token");
            }
            Grant::TokenExchange if self.subject.is_none() => {
                return missing("subject", "token-exchange");
            }
            _ => {}
        }
        let client = &self.client;
        let has_key = client.secret.is_some();
        match client.method {
            ClientMethod::None => Ok(()),
            ClientMethod::Basic | ClientMethod::Post if has_key => Ok(()),
            ClientMethod::SecretJwt | ClientMethod::PrivateKeyJwt
                if client.assertion.is_some() || has_key =>
            {
                Ok(())
            }
            _ => missing("client.secret", "the client's authentication"),
        }?;
        let is_named = client.id.is_some() || client.method == ClientMethod::None;
        if !is_named && client.assertion.is_none() {
            return missing("client.id", "the client's authentication");
        }
        Ok(())
    }

    pub(crate) fn sensitive(&self) -> Vec<Secret> {
        let client = &self.client;
        let tokens = [&self.subject, &self.actor].into_iter().flatten();
        let mut all: Vec<Secret> = tokens.map(|token| token.token.clone()).collect();
        all.extend(client.secret.clone());
        all.extend(client.assertion.clone());
        all.extend(self.password.clone());
        if let (Some(id), Some(secret)) = (&client.id, &client.secret) {
            all.push(Secret::new(
                STANDARD.encode(format!("{id}:{}", secret.expose())),
            ));
        }
        all
    }
}

/// Members of one object.
struct Members<'a> {
    scheme: &'a str,
    data: &'a Data,
}

/// The same, of an object within.
struct Inner<'a> {
    scheme: &'a str,
    path: &'a str,
    data: Data,
}

impl Inner<'_> {
    fn text(&self, name: &str) -> Result<Option<String>, FlowError> {
        text(
            self.scheme,
            &format!("{}.{name}", self.path),
            self.data.get(name),
        )
    }

    fn client(&self) -> Result<Client, FlowError> {
        let secret = self.text("secret")?.map(Secret::new);
        let assertion = self.text("assertion")?.map(Secret::new);
        let method = match self.text("authentication")?.as_deref() {
            Some("client_secret_basic") => ClientMethod::Basic,
            Some("client_secret_post") => ClientMethod::Post,
            Some("client_secret_jwt") => ClientMethod::SecretJwt,
            Some("private_key_jwt") => ClientMethod::PrivateKeyJwt,
            Some("none") => ClientMethod::None,
            Some(other) => {
                let members = Members {
                    scheme: self.scheme,
                    data: &self.data,
                };
                return Err(members.wrong("client.authentication", other));
            }
            None if assertion.is_some() => ClientMethod::PrivateKeyJwt,
            // A public client.
            None if secret.is_none() => ClientMethod::None,
            None => ClientMethod::Post,
        };
        Ok(Client {
            id: self.text("id")?,
            secret,
            assertion,
            method,
        })
    }
}

impl<'a> Members<'a> {
    fn object(&self, path: &'a str) -> Result<Inner<'a>, FlowError> {
        let data = self.data.get(path).unwrap_or_default();
        if !data.is_null() && !data.is_object() {
            let message = format!("`{path}` of the {} policy is not an object", self.scheme);
            return Err(FlowError::configuration(message));
        }
        Ok(Inner {
            scheme: self.scheme,
            path,
            data,
        })
    }

    fn text(&self, name: &str) -> Result<Option<String>, FlowError> {
        text(self.scheme, name, self.data.get(name))
    }

    fn needed(&self, name: &str) -> Result<String, FlowError> {
        self.text(name)?
            .filter(|text| !text.is_empty())
            .ok_or_else(|| {
                let message = format!("the {} policy needs `{name}`", self.scheme);
                FlowError::configuration(message)
            })
    }

    fn texts(&self, name: &str) -> Result<Vec<String>, FlowError> {
        let Some(list) = self.data.get(name).filter(|list| !list.is_null()) else {
            return Ok(Vec::new());
        };
        let texts = list.items().and_then(|items| {
            let texts = items.iter().map(Data::as_str);
            texts.collect::<Option<Vec<_>>>()
        });
        texts.ok_or_else(|| {
            let message = format!(
                "`{name}` of the {} policy is not a list of texts",
                self.scheme
            );
            FlowError::configuration(message)
        })
    }

    fn token(&self, name: &'a str) -> Result<Option<SubjectToken>, FlowError> {
        let inner = self.object(name)?;
        if inner.data.is_null() {
            return Ok(None);
        }
        match (inner.text("token")?, inner.text("type")?) {
            (Some(token), Some(type_)) => Ok(Some(SubjectToken {
                token: Secret::new(token),
                type_,
            })),
            _ => Err(self.missing(&format!("{name}.token` and `{name}.type"), name)),
        }
    }

    fn grant(&self) -> Result<Grant, FlowError> {
        let name = self.needed("grant")?;
        Ok(match &*name {
            "authorization_code" => Grant::AuthorizationCode,
            "client_credentials" | "client-credentials" => Grant::ClientCredentials,
            "password" => Grant::Password,
            "refresh_token" => Grant::RefreshToken,
            EXCHANGE => Grant::TokenExchange,
            other => return Err(self.wrong("grant", other)),
        })
    }

    fn missing(&self, name: &str, for_: &str) -> FlowError {
        let message = format!("the {} policy needs `{name}` for {for_}", self.scheme);
        FlowError::configuration(message)
    }

    fn wrong(&self, name: &str, value: &str) -> FlowError {
        let message = format!("`{name}` of the {} policy cannot be `{value}`", self.scheme);
        FlowError::configuration(message)
    }
}

/// The value stays out of the error: it may be a secret.
fn text(scheme: &str, name: &str, value: Option<Data>) -> Result<Option<String>, FlowError> {
    let Some(value) = value.filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    match value.as_str() {
        Some(text) => Ok(Some(text)),
        None => Err(FlowError::configuration(format!(
            "`{name}` of the {scheme} policy is not text"
        ))),
    }
}

fn identity(scheme: &str, members: &Data) -> String {
    let mut hash = Sha256::new();
    hash.update(scheme.as_bytes());
    hash.update([0]);
    hash.update(members.as_bytes());
    STANDARD.encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(json: &Value) -> Result<TokenPolicy, FlowError> {
        TokenPolicy::read("oauth2", &Data::from_json(json))
    }

    #[test]
    fn defaults_are_the_languages() {
        let policy = read(&json!({
            "authority": "https://id.example/realms/a/", "grant": "client-credentials",
            "client": {"id": "c", "secret": "s"},
        }))
        .unwrap();
        assert_eq!(policy.authority, "https://id.example/realms/a");
        assert_eq!(policy.grant, Grant::ClientCredentials);
        assert_eq!(policy.client.method, ClientMethod::Post);
        assert_eq!(policy.encoding, Encoding::Form);
        assert_eq!(policy.endpoints.token, "/oauth2/token");
        assert_eq!(policy.endpoints.revocation, None);
        assert_eq!(policy.endpoints.introspection, "/oauth2/introspect");
        let hidden: Vec<_> = policy
            .sensitive()
            .iter()
            .map(|s| s.expose().clone())
            .collect();
        assert_eq!(hidden, ["s", "Yzpz"]);
        assert!(!format!("{policy:?}").contains("\"s\""));
    }

    #[test]
    fn equal_policies_and_only_those_have_one_identity() {
        let one = json!({"authority": "http://a", "grant": "client_credentials"});
        let two = json!({"authority": "http://a", "grant": "client_credentials", "scopes": ["x"]});
        assert_eq!(read(&one).unwrap().identity, read(&one).unwrap().identity);
        assert_ne!(read(&one).unwrap().identity, read(&two).unwrap().identity);
    }

    #[test]
    fn what_lacks_or_is_wrong_is_told_without_its_value() {
        let base = json!({"authority": "http://a", "grant": "password"});
        for (change, told) in [
            (json!({"authority": null}), "needs `authority`"),
            (
                json!({"grant": "implicit"}),
                "`grant` of the oauth2 policy cannot be `implicit`",
            ),
            (json!({}), "needs `username`"),
            (json!({"username": "u"}), "needs `password`"),
            (
                json!({"password": 1234}),
                "`password` of the oauth2 policy is not text",
            ),
            (json!({"grant": "refresh_token"}), "needs `subject`"),
            (json!({"grant": EXCHANGE}), "needs `subject`"),
            (
                json!({"subject": {"token": "hidden"}}),
                "needs `subject.token` and `subject.type`",
            ),
            (
                json!({"scopes": "hidden"}),
                "`scopes` of the oauth2 policy is not a list",
            ),
            (
                json!({"client": "hidden"}),
                "`client` of the oauth2 policy is not an object",
            ),
            (
                json!({"client": {"secret": {"hidden": 1}}}),
                "`client.secret` of the oauth2",
            ),
            (
                json!({"grant": "client_credentials", "client": {"id": "c", "authentication": "client_secret_jwt"}}),
                "needs `client.secret`",
            ),
            (
                json!({"grant": "client_credentials", "client": {"secret": "hidden"}}),
                "needs `client.id`",
            ),
            (
                json!({"request": {"encoding": "text/csv"}}),
                "`request.encoding`",
            ),
        ] {
            let mut members = base.clone();
            for (name, value) in change.as_object().unwrap() {
                members[name] = value.clone();
            }
            let error = read(&members).unwrap_err();
            let detail = error.detail.unwrap();
            assert!(detail.contains(told), "{detail}");
            assert!(!detail.contains("hidden"), "{detail}");
            assert_eq!(error.status, 400);
        }
    }
}
