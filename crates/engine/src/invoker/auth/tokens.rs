//! Access tokens: had once for all calls of a policy, renewed before they end, dropped when refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use taraf_base::{Secret, Tasks, Timestamp};
use taraf_flow::FlowError;
use taraf_flow::auth::{ClientMethod, Grant, TokenPolicy};
use taraf_service::Client;
use tokio::time::Instant;
use url::Url;

use super::authority::{Authority, DESCRIPTION_KEPT, ask};
use super::jwt::{self, Key};
use super::kept::Kept;
use super::request::{self, Granted, Members, unusable};

/// Policies whose tokens are kept at most.
const TOKENS_MAX: usize = 1_024;
/// Authorities whose descriptions are kept at most.
const AUTHORITIES_MAX: usize = 256;
/// A token is renewed that long before its end, or at four fifths of its life when that is later.
const RENEWED_BEFORE: Duration = Duration::from_secs(30);
/// How long a token is kept when nothing says how long it is good.
const UNSAID_LIFE: Duration = Duration::from_secs(300);
/// Longest life that is believed.
const LIFE_MAX: Duration = Duration::from_secs(30 * 24 * 3_600);
/// When the renewal of a good token failed, the next try comes that much later.
const RENEWAL_PAUSE: Duration = Duration::from_secs(5);

/// A token that a policy got.
pub(crate) struct Token {
    access: Secret,
    refresh: Option<Secret>,
    renewed_from: Instant,
    ends: Instant,
    /// Whether a service refused it.
    is_refused: AtomicBool,
}

impl Token {
    pub(crate) const fn access(&self) -> &Secret {
        &self.access
    }

    fn is_fresh(&self) -> bool {
        Instant::now() < self.renewed_from && !self.is_refused.load(Ordering::Relaxed)
    }

    fn is_usable(&self) -> bool {
        Instant::now() < self.ends && !self.is_refused.load(Ordering::Relaxed)
    }
}

/// Gets tokens.
pub(crate) struct Tokens {
    client: Client,
    tasks: Tasks,
    tokens: Kept<Token>,
    authorities: Kept<Authority>,
}

impl Tokens {
    pub(crate) fn new(client: Client, tasks: Tasks) -> Self {
        Self {
            client,
            tasks,
            tokens: Kept::new(TOKENS_MAX),
            authorities: Kept::new(AUTHORITIES_MAX),
        }
    }

    /// The policy's token: the one that is kept, or a new one.
    pub(crate) async fn get(&self, policy: &TokenPolicy) -> Result<Arc<Token>, FlowError> {
        if policy.grant == Grant::AuthorizationCode {
            return Err(FlowError::configuration(
                "the grant `authorization_code` needs a person with a browser; a run has none",
            ));
        }
        // On the heap: most calls find a token and should not carry the room to fetch one.
        let make = |before| Box::pin(self.renew(policy, before));
        let got = self.tokens.get(&policy.identity, Token::is_fresh, make);
        got.await
    }

    /// A service refused this token: nobody gets it any more, and the authority is told when the
    /// policy says where.
    pub(crate) async fn refuse(self: &Arc<Self>, policy: &TokenPolicy, token: &Arc<Token>) {
        if token.is_refused.swap(true, Ordering::Relaxed) {
            return;
        }
        let Ok(authority) = self.authority(policy).await else {
            return;
        };
        let Some(url) = authority.revocation.clone() else {
            return;
        };
        let (tokens, policy, token) = (Arc::clone(self), policy.clone(), Arc::clone(token));
        // The call does not wait for it; nobody relies on its success (RFC 7009 §2.2).
        self.tasks.spawn("revocation of a token", async move {
            let members = vec![
                ("token", token.access.expose().clone()),
                ("token_type_hint", "access_token".to_owned()),
            ];
            // Success is often an empty answer, which is no JSON.
            if let Err(error) = tokens.post(&policy, &authority, &url, members).await
                && error.status != 502
            {
                tracing::debug!(%url, "a refused token was not revoked");
            }
        });
    }

    /// Renews by the token's own means, else by the policy's grant. While the token before is good,
    /// a failure only puts the next try off.
    async fn renew(
        &self,
        policy: &TokenPolicy,
        before: Option<Arc<Token>>,
    ) -> Result<Token, FlowError> {
        let authority = match self.authority(policy).await {
            Ok(authority) => authority,
            Err(error) => return kept_on(before, error),
        };
        let refresh = before.as_ref().and_then(|before| before.refresh.clone());
        if let Some(refresh) = &refresh {
            let grant = request::grant(policy, Grant::RefreshToken, Some(refresh));
            // What ended or was taken back is had anew.
            if let Ok(token) = self.ask_for(policy, &authority, grant, Some(refresh)).await {
                return Ok(token);
            }
        }
        let given = policy.subject.as_ref().map(|subject| &subject.token);
        let given = given.filter(|_| policy.grant == Grant::RefreshToken);
        let grant = request::grant(policy, policy.grant, given);
        let token = self.ask_for(policy, &authority, grant, given).await;
        token.or_else(|error| kept_on(before, error))
    }

    async fn authority(&self, policy: &TokenPolicy) -> Result<Arc<Authority>, FlowError> {
        if !policy.discovers {
            return Authority::told(policy).map(Arc::new);
        }
        let is_good = |known: &Authority| known.read_at.elapsed() < DESCRIPTION_KEPT;
        // Which issuers are accepted is the policy's word.
        let name = format!("{} {:?}", policy.authority, policy.issuers);
        let discover = |_before| Authority::discover(&self.client, policy);
        self.authorities.get(&name, is_good, discover).await
    }

    async fn ask_for(
        &self,
        policy: &TokenPolicy,
        authority: &Authority,
        grant: Members,
        refresh: Option<&Secret>,
    ) -> Result<Token, FlowError> {
        let url = &authority.token;
        let asked = Instant::now();
        let answer = self.post(policy, authority, url, grant).await?;
        let granted = Granted::read(url, &answer)?;
        let claims = jwt::claims(&granted.access);
        self.check_issuer(policy, authority, &granted).await?;
        let said = granted.expires_in.map(Duration::from_secs);
        let said = said.or_else(|| {
            let ends = claims.as_ref()?.get("exp")?.as_i64()?;
            let ends = Timestamp::from_millis(ends.saturating_mul(1_000));
            Some(ends.since(Timestamp::now()))
        });
        let life = said.unwrap_or(UNSAID_LIFE).min(LIFE_MAX);
        let kept = life.saturating_sub(RENEWED_BEFORE).max(life / 5 * 4);
        Ok(Token {
            access: granted.access,
            // An answer without one means that the old one goes on (RFC 6749 §6).
            refresh: granted.refresh.or_else(|| refresh.cloned()),
            renewed_from: asked + kept,
            ends: asked + life,
            is_refused: AtomicBool::new(false),
        })
    }

    /// Asks one of the authority's endpoints, with the client's proof of who it is.
    async fn post(
        &self,
        policy: &TokenPolicy,
        authority: &Authority,
        url: &Url,
        members: Members,
    ) -> Result<serde_json::Value, FlowError> {
        let assertion = assertion(policy, authority)?;
        let request = request::build(policy, url, members, assertion.as_ref())?;
        ask(&self.client, url, request).await
    }

    /// Who issued the token must be one whom the policy names. A token that does not say it is
    /// looked up (RFC 7662).
    async fn check_issuer(
        &self,
        policy: &TokenPolicy,
        authority: &Authority,
        granted: &Granted,
    ) -> Result<(), FlowError> {
        let url = &authority.token;
        if let (Some(issuer), Some(id)) = (&authority.issuer, &granted.id) {
            let claims = jwt::claims(id).unwrap_or_default();
            if claims["iss"].as_str() != Some(issuer) {
                return Err(unusable(url, "its `id_token` is of another issuer"));
            }
        }
        if policy.issuers.is_empty() {
            return Ok(());
        }
        let is_named = |claims: &serde_json::Value| {
            let issuer = claims.get("iss").and_then(serde_json::Value::as_str);
            issuer.is_some_and(|issuer| policy.issuers.iter().any(|named| named == issuer))
        };
        let claims = match (jwt::claims(&granted.access), &authority.introspection) {
            (Some(claims), _) => claims,
            (None, Some(introspection)) => {
                let members = vec![
                    ("token", granted.access.expose().clone()),
                    ("token_type_hint", "access_token".to_owned()),
                ];
                let said = self.post(policy, authority, introspection, members).await?;
                if said["active"] != true {
                    return Err(unusable(
                        introspection,
                        "it does not know the token granted",
                    ));
                }
                said
            }
            (None, None) => return Err(unusable(url, "nothing says who issued its token")),
        };
        if is_named(&claims) {
            return Ok(());
        }
        Err(unusable(
            url,
            "its token is of an issuer that `issuers` does not name",
        ))
    }
}

fn kept_on(before: Option<Arc<Token>>, error: FlowError) -> Result<Token, FlowError> {
    let Some(before) = before else {
        return Err(error);
    };
    if !before.is_usable() {
        return Err(error);
    }
    tracing::warn!(%error, "a token that is still good could not be renewed");
    Ok(Token {
        access: before.access.clone(),
        refresh: before.refresh.clone(),
        renewed_from: before.ends.min(Instant::now() + RENEWAL_PAUSE),
        ends: before.ends,
        is_refused: AtomicBool::new(false),
    })
}

fn assertion(policy: &TokenPolicy, authority: &Authority) -> Result<Option<Secret>, FlowError> {
    let client = &policy.client;
    let signs = matches!(
        client.method,
        ClientMethod::SecretJwt | ClientMethod::PrivateKeyJwt
    );
    if !signs {
        return Ok(None);
    }
    if let Some(assertion) = &client.assertion {
        return Ok(Some(assertion.clone()));
    }
    let (Some(id), Some(secret)) = (&client.id, &client.secret) else {
        return Err(FlowError::configuration(
            "an assertion needs `client.id` and `client.secret`",
        ));
    };
    let key = match client.method {
        ClientMethod::SecretJwt => Key::shared(secret),
        _ => Key::private(secret)?,
    };
    // The token endpoint stands for the authority at all its endpoints (RFC 7523 §3).
    jwt::assertion(&key, id, authority.token.as_str(), Timestamp::now()).map(Some)
}
