//! [pure] How a caller proves who it is: the policies, and what they come to when a call is sent.

mod token;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use taraf_base::Secret;

use crate::data::Data;
use crate::error::FlowError;
use crate::expression::Scope;
use crate::template::Template;
use crate::uri::Uri;
pub(crate) use token::EXCHANGE;
pub use token::{Client, ClientMethod, Encoding, Endpoints, Grant, SubjectToken, TokenPolicy};

/// A policy: a scheme with its members, or with the name of a secret that has them.
#[derive(Debug)]
pub struct Authentication {
    /// The scheme and its members.
    pub policy: Policy,
}

/// A scheme and its members.
#[derive(Debug)]
pub enum Policy {
    /// User name and password in every request.
    Basic(Template),
    /// User name and password, hashed with the server's challenge.
    Digest(Template),
    /// A token in every request.
    Bearer(Template),
    /// A token from an OAuth 2 server.
    OAuth2(OAuth2),
    /// A token from an OpenID Connect provider.
    Oidc(OAuth2),
    /// The members lie in a secret.
    Secret {
        /// `basic`, `digest`, `bearer`, `oauth2` or `oidc`.
        scheme: String,
        /// The secret's name.
        secret: String,
    },
}

/// Members of `oauth2` and `oidc`.
#[derive(Debug)]
pub struct OAuth2 {
    /// All members, as one template of an object.
    pub members: Template,
    /// The authority, which may be a URI template.
    pub authority: Uri,
    /// Members of `endpoints`, which may be URI templates.
    pub endpoints: Vec<(&'static str, Uri)>,
}

/// What a policy comes to when the call is sent.
#[derive(Debug)]
pub enum Resolved {
    /// The header is known.
    Credentials(Credentials),
    /// The header answers the server's challenge.
    Digest(Login),
    /// A token must be had first.
    Token(Box<TokenPolicy>),
}

/// A user name and its password.
#[derive(Clone, Debug)]
pub struct Login {
    /// The user.
    pub username: String,
    /// The password.
    pub password: Secret,
}

/// What goes into the `Authorization` header.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// `Basic` or `Bearer`.
    pub scheme: &'static str,
    /// What follows it.
    pub parameter: Secret,
}

impl Credentials {
    /// The header's value. It must not be stored.
    #[must_use]
    pub fn header(&self) -> Secret {
        Secret::new(format!("{} {}", self.scheme, self.parameter.expose()))
    }

    /// `$authorization`. It must not be stored.
    #[must_use]
    pub fn to_data(&self) -> Data {
        Data::from_entries([
            ("scheme", Data::string(self.scheme)),
            ("parameter", Data::string(self.parameter.expose())),
        ])
    }
}

impl Authentication {
    /// The scheme's name.
    #[must_use]
    pub fn scheme(&self) -> &str {
        match &self.policy {
            Policy::Basic(_) => "basic",
            Policy::Digest(_) => "digest",
            Policy::Bearer(_) => "bearer",
            Policy::OAuth2(_) => "oauth2",
            Policy::Oidc(_) => "oidc",
            Policy::Secret { scheme, .. } => scheme,
        }
    }

    /// Evaluates the policy for one call. What comes out must not be stored.
    ///
    /// # Errors
    /// `authorization` when a secret is missing or lacks a member, `expression` when a member fails,
    /// `configuration` when the members do not make a policy.
    pub fn resolve(&self, input: &Data, scope: &Scope) -> Result<Resolved, FlowError> {
        let (scheme, members) = match &self.policy {
            Policy::OAuth2(oauth2) | Policy::Oidc(oauth2) => {
                let mut members = oauth2.members.eval(input, scope)?.to_json();
                members["authority"] = oauth2.authority.eval(input, scope)?.into();
                for (name, uri) in &oauth2.endpoints {
                    members["endpoints"][name] = uri.eval(input, scope)?.into();
                }
                (self.scheme(), Data::from_json(&members))
            }
            Policy::Basic(template) | Policy::Digest(template) | Policy::Bearer(template) => {
                (self.scheme(), template.eval(input, scope)?)
            }
            Policy::Secret { scheme, secret } => {
                let secrets = scope.secrets.as_ref();
                let found = secrets.and_then(|secrets| secrets.get(secret));
                let found = found.ok_or_else(|| {
                    FlowError::authorization(format!("the secret `{secret}` is not available"))
                })?;
                (scheme.as_str(), found)
            }
        };
        let member = |name: &str| {
            let text = members.get(name).and_then(|value| value.as_str());
            text.ok_or_else(|| {
                FlowError::authorization(format!("`{name}` of the {scheme} policy is not text"))
            })
        };
        Ok(match scheme {
            "basic" => {
                let pair = format!("{}:{}", member("username")?, member("password")?);
                Resolved::Credentials(Credentials {
                    scheme: "Basic",
                    parameter: Secret::new(STANDARD.encode(pair)),
                })
            }
            "bearer" => Resolved::Credentials(Credentials {
                scheme: "Bearer",
                parameter: Secret::new(member("token")?),
            }),
            "digest" => Resolved::Digest(Login {
                username: member("username")?,
                password: Secret::new(member("password")?),
            }),
            _ => Resolved::Token(Box::new(TokenPolicy::read(scheme, &members)?)),
        })
    }
}

impl Resolved {
    /// Texts that must not be stored, besides the secrets of the definition.
    #[must_use]
    pub fn sensitive(&self) -> Vec<Secret> {
        match self {
            Self::Credentials(credentials) => vec![credentials.parameter.clone()],
            Self::Digest(login) => vec![login.password.clone()],
            Self::Token(policy) => policy.sensitive(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn basic_and_bearer_become_a_header_value() {
        let literal = |json: serde_json::Value| Template::literal(json.into());
        let header = |policy| -> Result<String, FlowError> {
            let policy = Authentication { policy };
            let resolved = policy.resolve(&Data::null(), &Scope::default())?;
            match resolved {
                Resolved::Credentials(credentials) => Ok(credentials.header().expose().clone()),
                other => panic!("{other:?}"),
            }
        };
        let basic = Policy::Basic(literal(json!({"username": "u", "password": "p"})));
        assert_eq!(header(basic).unwrap(), "Basic dTpw");
        assert_eq!(
            header(Policy::Bearer(literal(json!({"token": "t"})))).unwrap(),
            "Bearer t"
        );
        let secret = Policy::Secret {
            scheme: "bearer".to_owned(),
            secret: "s".to_owned(),
        };
        assert_eq!(header(secret).unwrap_err().status, 403);
    }
}
