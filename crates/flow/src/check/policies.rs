//! [pure] Authentication policies: schemes, their members, secrets in their place.

use std::sync::Arc;

use super::reader::{At, Checker};
use super::values::Vars;
use crate::auth::{Authentication, OAuth2, Policy};

/// Schemes whose credentials are known without a dialogue with a server.
const BUILT: [&str; 2] = ["basic", "bearer"];

impl Checker {
    /// A policy, or `use: name`.
    pub(super) fn authentication(
        &mut self,
        at: &At<'_>,
        vars: &Vars,
    ) -> Option<Arc<Authentication>> {
        if let Some(name) = at.member("use") {
            self.object(at, "an authentication policy", &["use"]);
            let text = self.string(&name, "`use`")?;
            let names: Vec<String> = self.names.use_.authentications.keys().cloned().collect();
            self.known("T0302", &name, "authentication policy", &names);
            return self.names.use_.authentications.get(text).cloned();
        }
        self.policy(at, vars)
    }

    /// A policy.
    pub(super) fn policy(&mut self, at: &At<'_>, vars: &Vars) -> Option<Arc<Authentication>> {
        const SCHEMES: [&str; 5] = ["basic", "bearer", "digest", "oauth2", "oidc"];
        if at.node.get("certificate").is_some() {
            let message = "authentication by certificate was never specified and is gone";
            self.error(
                "T0422",
                at.key_span("certificate"),
                &at.pointer,
                message.to_owned(),
            );
            return None;
        }
        self.object(at, "an authentication policy", &SCHEMES);
        let scheme = self.exactly_one(at, "an authentication policy", &SCHEMES)?;
        let inner = at.member(scheme)?;
        let vars = &vars.sealed();
        if let Some(secret) = inner.member("use") {
            self.object(&inner, scheme, &["use"]);
            let name = self.string(&secret, "`use`")?;
            let names = self.names.secrets.clone();
            if !self.known("T0303", &secret, "secret", &names) {
                return None;
            }
            self.built(&inner, scheme);
            let policy = Policy::Secret {
                scheme: scheme.to_owned(),
                secret: name.to_owned(),
            };
            return Some(Arc::new(Authentication { policy }));
        }
        let members: &[&str] = match scheme {
            "bearer" => &["token"],
            "basic" | "digest" => &["username", "password"],
            _ => return self.oauth2(&inner, scheme, vars),
        };
        self.object(&inner, scheme, members);
        for member in members {
            if let Some(at) = self.required(&inner, scheme, member) {
                self.string(&at, &format!("`{member}`"));
            }
        }
        self.built(&inner, scheme);
        let template = self.template(&inner, vars)?;
        let policy = match scheme {
            "basic" => Policy::Basic(template),
            "digest" => Policy::Digest(template),
            _ => Policy::Bearer(template),
        };
        Some(Arc::new(Authentication { policy }))
    }

    /// Tells of a scheme whose credentials the engine cannot get.
    fn built(&mut self, at: &At<'_>, scheme: &str) {
        if !BUILT.contains(&scheme) {
            let what = format!("authentication by `{scheme}`");
            self.cannot_run(at.node.span, &at.pointer, &what);
        }
    }

    fn oauth2(&mut self, at: &At<'_>, scheme: &str, vars: &Vars) -> Option<Arc<Authentication>> {
        const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
        let mut members = vec![
            "authority",
            "grant",
            "client",
            "request",
            "issuers",
            "scopes",
            "audiences",
            "username",
            "password",
            "subject",
            "actor",
        ];
        if scheme == "oauth2" {
            members.push("endpoints");
        }
        self.object(at, scheme, &members);
        if let Some(authority) = self.required(at, scheme, "authority") {
            self.uri(&authority, vars);
        }
        let grant = self.required(at, scheme, "grant").and_then(|grant| {
            let words = [
                "authorization_code",
                "client_credentials",
                "client-credentials",
                "password",
                "refresh_token",
                EXCHANGE,
            ];
            let word = self.word(&grant, "`grant`", &words)?;
            Some(word.replace("client-credentials", "client_credentials"))
        });
        self.oauth2_client(at);
        self.oauth2_request(at);
        self.built(at, scheme);
        let oauth2 = OAuth2 {
            members: self.template(at, vars)?,
            grant,
        };
        let policy = match scheme {
            "oauth2" => Policy::OAuth2(oauth2),
            _ => Policy::Oidc(oauth2),
        };
        Some(Arc::new(Authentication { policy }))
    }

    fn oauth2_client(&mut self, at: &At<'_>) {
        if let Some(client) = at.member("client") {
            let known = ["id", "secret", "assertion", "authentication"];
            self.object(&client, "`client`", &known);
            for key in ["id", "secret", "assertion"] {
                self.text(&client, key);
            }
            if let Some(method) = client.member("authentication") {
                let words = [
                    "client_secret_post",
                    "client_secret_basic",
                    "client_secret_jwt",
                    "private_key_jwt",
                    "none",
                ];
                self.word(&method, "`authentication`", &words);
            }
        }
    }

    fn oauth2_request(&mut self, at: &At<'_>) {
        if let Some(request) = at.member("request")
            && let Some(encoding) = request.member("encoding")
        {
            let words = ["application/x-www-form-urlencoded", "application/json"];
            self.word(&encoding, "`encoding`", &words);
        }
        for key in ["issuers", "scopes", "audiences"] {
            if let Some(list) = at.member(key)
                && self.list(&list, &format!("`{key}`"))
            {
                for item in list.items() {
                    self.string(&item, &format!("an item of `{key}`"));
                }
            }
        }
        for key in ["username", "password"] {
            self.text(at, key);
        }
        for key in ["subject", "actor"] {
            if let Some(token) = at.member(key) {
                self.object(&token, key, &["token", "type"]);
                for member in ["token", "type"] {
                    self.required(&token, key, member);
                }
            }
        }
        if let Some(endpoints) = at.member("endpoints") {
            let known = ["token", "revocation", "introspection"];
            self.object(&endpoints, "`endpoints`", &known);
            for key in known {
                self.text(&endpoints, key);
            }
        }
    }
}
