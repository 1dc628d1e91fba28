//! [pure] How a caller proves who it is: the policies, and the credentials of the simple ones.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use taraf_base::Secret;

use crate::data::Data;
use crate::error::FlowError;
use crate::expression::Scope;
use crate::template::Template;

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

/// Members of `oauth2` and `oidc`, as one template of an object.
#[derive(Debug)]
pub struct OAuth2 {
    /// All members.
    pub members: Template,
    /// The grant, when it is no expression.
    pub grant: Option<String>,
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

    /// The credentials of `basic` and `bearer`, evaluated when the call is sent.
    ///
    /// # Errors
    /// `authorization` when a secret is missing, `expression` when a member fails, `configuration` for
    /// schemes that need a dialogue with a server.
    pub fn credentials(&self, input: &Data, scope: &Scope) -> Result<Credentials, FlowError> {
        let (scheme, members) = match &self.policy {
            Policy::Basic(template) => ("basic", template.eval(input, scope)?),
            Policy::Bearer(template) => ("bearer", template.eval(input, scope)?),
            Policy::Secret { scheme, secret } => {
                let secrets = scope.secrets.as_ref();
                let found = secrets.and_then(|secrets| secrets.get(secret));
                let found = found.ok_or_else(|| {
                    FlowError::authorization(format!("the secret `{secret}` is not available"))
                })?;
                (scheme.as_str(), found)
            }
            Policy::Digest(_) | Policy::OAuth2(_) | Policy::Oidc(_) => {
                (self.scheme(), Data::null())
            }
        };
        let member = |name: &str| {
            let text = members.get(name).and_then(|value| value.as_str());
            text.ok_or_else(|| {
                FlowError::authorization(format!("`{name}` of the {scheme} policy is not text"))
            })
        };
        match scheme {
            "basic" => {
                let pair = format!("{}:{}", member("username")?, member("password")?);
                Ok(Credentials {
                    scheme: "Basic",
                    parameter: Secret::new(STANDARD.encode(pair)),
                })
            }
            "bearer" => Ok(Credentials {
                scheme: "Bearer",
                parameter: Secret::new(member("token")?),
            }),
            other => Err(FlowError::configuration(format!(
                "authentication by `{other}` is not supported; basic and bearer are"
            ))),
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
        let header = |policy| {
            let policy = Authentication { policy };
            let credentials = policy.credentials(&Data::null(), &Scope::default());
            credentials.map(|c| c.header().expose().clone())
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
