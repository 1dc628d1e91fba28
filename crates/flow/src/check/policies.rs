//! [pure] Authentication policies: schemes, their members, secrets in their place.

use std::sync::Arc;

use super::reader::{At, Checker};
use super::values::Vars;
use crate::auth::{Authentication, EXCHANGE, OAuth2, Policy};
use crate::uri::Uri;

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
        let template = self.template(&inner, vars)?;
        let policy = match scheme {
            "basic" => Policy::Basic(template),
            "digest" => Policy::Digest(template),
            _ => Policy::Bearer(template),
        };
        Some(Arc::new(Authentication { policy }))
    }

    fn oauth2(&mut self, at: &At<'_>, scheme: &str, vars: &Vars) -> Option<Arc<Authentication>> {
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
        let authority = self
            .required(at, scheme, "authority")
            .and_then(|authority| self.uri(&authority, vars));
        if let Some(grant) = self.required(at, scheme, "grant") {
            self.grant(at, &grant);
        }
        self.oauth2_client(at);
        self.oauth2_request(at);
        let endpoints = self.oauth2_endpoints(at, vars);
        let oauth2 = OAuth2 {
            members: self.template(at, vars)?,
            authority: authority?,
            endpoints,
        };
        let policy = match scheme {
            "oauth2" => Policy::OAuth2(oauth2),
            _ => Policy::Oidc(oauth2),
        };
        Some(Arc::new(Authentication { policy }))
    }

    /// The grant, and the members that it needs.
    fn grant(&mut self, at: &At<'_>, grant: &At<'_>) {
        let words = [
            "authorization_code",
            "client_credentials",
            "client-credentials",
            "password",
            "refresh_token",
            EXCHANGE,
        ];
        let needed: &[&str] = match self.word(grant, "`grant`", &words) {
            Some("authorization_code") => {
                let message = "a run has no browser: this grant faults it".to_owned();
                self.warn("T0508", grant.node.span, &grant.pointer, message);
                let help = "use client_credentials, or a refresh_token that a person got";
                self.help(Some(help.to_owned()));
                &[]
            }
            Some("password") => &["username", "password"],
            Some("refresh_token" | EXCHANGE) => &["subject"],
            _ => &[],
        };
        for name in needed {
            self.required(at, "this grant", name);
        }
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
    }

    fn oauth2_endpoints(&mut self, at: &At<'_>, vars: &Vars) -> Vec<(&'static str, Uri)> {
        let Some(endpoints) = at.member("endpoints") else {
            return Vec::new();
        };
        let known = ["token", "revocation", "introspection"];
        self.object(&endpoints, "`endpoints`", &known);
        let mut all = Vec::new();
        for name in known {
            if let Some(member) = endpoints.member(name)
                && let Some(uri) = self.uri(&member, vars)
            {
                all.push((name, uri));
            }
        }
        all
    }
}
