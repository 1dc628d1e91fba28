//! How calls prove who calls: credentials at hand, challenges answered, tokens fetched.

mod authority;
mod challenge;
mod digest;
mod jwt;
mod kept;
mod request;
mod session;
mod tokens;

use std::sync::Arc;

use taraf_base::{Secret, Tasks};
use taraf_flow::auth::{Authentication, Credentials, Resolved, TokenPolicy};
use taraf_flow::{Data, FlowError, Scope};
use taraf_service::Client;
use tokio::time::{Instant, timeout_at};

use super::mask::Mask;
pub(super) use session::DigestLogin;
use session::Sessions;
use tokens::{Token, Tokens};

/// Longest text about an authority.
const DETAIL_CHARS_MAX: usize = 600;

/// Gets what policies need, and keeps it for the calls after.
pub(crate) struct Authenticator {
    sessions: Arc<Sessions>,
    tokens: Arc<Tokens>,
}

/// What one call shows.
#[derive(Clone, Debug, Default)]
pub(crate) enum Authorization {
    /// Nothing.
    #[default]
    Absent,
    /// The value of the header.
    Header(Secret),
    /// An answer to the server's challenge.
    Digest(DigestLogin),
}

/// A policy as one call needs it.
pub(super) struct Prover<'a> {
    authenticator: &'a Authenticator,
    resolved: Resolved,
    token: Option<Arc<Token>>,
}

impl Authenticator {
    pub(crate) fn new(client: Client, tasks: &Tasks) -> Self {
        Self {
            sessions: Arc::default(),
            tokens: Arc::new(Tokens::new(client, tasks.clone())),
        }
    }

    /// Evaluates a policy.
    pub(super) fn prover(
        &self,
        policy: &Authentication,
        input: &Data,
        scope: &Scope,
    ) -> Result<Prover<'_>, FlowError> {
        Ok(Prover {
            authenticator: self,
            resolved: policy.resolve(input, scope)?,
            token: None,
        })
    }
}

impl Prover<'_> {
    /// Texts that must not be stored.
    pub(super) fn sensitive(&self) -> Data {
        let mut all = self.resolved.sensitive();
        all.extend(self.token.as_ref().map(|token| token.access().clone()));
        Data::array(all.iter().map(|secret| Data::string(secret.expose())))
    }

    /// What the call shows, and what its expressions see of it (`$authorization`).
    pub(super) async fn prove(
        &mut self,
        until: Instant,
    ) -> Result<(Authorization, Data), FlowError> {
        Ok(match &self.resolved {
            Resolved::Credentials(credentials) => shown(credentials),
            // The answer covers the address and the body, which may be made of these.
            Resolved::Digest(login) => {
                let seen = [
                    ("scheme", Data::string("Digest")),
                    ("parameter", Data::null()),
                ];
                let login = DigestLogin {
                    login: login.clone(),
                    sessions: Arc::clone(&self.authenticator.sessions),
                };
                (Authorization::Digest(login), Data::from_entries(seen))
            }
            Resolved::Token(policy) => {
                let got = timeout_at(until, self.authenticator.tokens.get(policy)).await;
                let got = got.unwrap_or_else(|_elapsed| Err(late(policy)));
                let token = got.map_err(|error| self.told(error))?;
                let credentials = Credentials {
                    scheme: "Bearer",
                    parameter: token.access().clone(),
                };
                self.token = Some(token);
                shown(&credentials)
            }
        })
    }

    /// What goes wrong with an authority, without secrets and then not too long: what is cut first
    /// could leave half a secret.
    fn told(&self, error: FlowError) -> FlowError {
        let mut error = Mask::new(&[self.sensitive()]).error(error);
        if let Some(detail) = &mut error.detail
            && let Some((at, _)) = detail.char_indices().nth(DETAIL_CHARS_MAX)
        {
            detail.truncate(at);
            detail.push('…');
        }
        error
    }

    /// The service refused what was shown. Whether there may be something else to show.
    pub(super) async fn refused(&mut self) -> bool {
        let (Resolved::Token(policy), Some(token)) = (&self.resolved, self.token.take()) else {
            return false;
        };
        self.authenticator.tokens.refuse(policy, &token).await;
        true
    }
}

fn shown(credentials: &Credentials) -> (Authorization, Data) {
    let header = Authorization::Header(credentials.header());
    (header, credentials.to_data())
}

fn late(policy: &TokenPolicy) -> FlowError {
    let authority = super::http::shown(&policy.authority);
    let detail = format!("no token from {authority} within the time of the call");
    FlowError::authentication(detail).with_status(504)
}
