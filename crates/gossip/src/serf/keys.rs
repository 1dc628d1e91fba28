//! [pure] Gossip keys: commands to all members, and what one member does with them.

use std::collections::BTreeMap;

use bytes::Bytes;
use taraf_base::Secret;
use tracing::{error, info, warn};

use super::answers::{Purpose, QueryParams};
use super::internal;
use super::machine::Serf;
use super::{Error, QueryKey};
use crate::moment::Moment;
use crate::swim::{Name, Token};
use crate::wire::serf::{KeyRequest, KeyResponse};

/// What to do with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyOperation {
    /// Understand it from now on.
    Install,
    /// Encrypt with it from now on.
    Use,
    /// Understand it no more.
    Remove,
    /// Which are there?
    List,
}

impl KeyOperation {
    const fn query(self) -> &'static str {
        match self {
            Self::Install => internal::INSTALL_KEY,
            Self::Use => internal::USE_KEY,
            Self::Remove => internal::REMOVE_KEY,
            Self::List => internal::LIST_KEYS,
        }
    }

    /// Serf's word for it.
    const fn word(self) -> &'static str {
        match self {
            Self::Install => "install-key",
            Self::Use => "use-key",
            Self::Remove => "remove-key",
            Self::List => "list-keys",
        }
    }
}

/// A change of our own keyring that somebody asks for. The owner makes it and answers with
/// [`Serf::answer_keys`].
#[derive(Clone, Debug)]
pub struct KeyChange {
    /// What is to be answered.
    pub query: QueryKey,
    /// What to do.
    pub operation: KeyOperation,
    /// With which key; empty for a list.
    pub key: Secret<Vec<u8>>,
}

/// What all members said to a command about keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyOutcome {
    /// What members have to say, errors above all.
    pub messages: BTreeMap<Name, String>,
    /// How many members have each key, in base64.
    pub keys: BTreeMap<String, usize>,
    /// How many members encrypt with each key.
    pub primaries: BTreeMap<String, usize>,
    /// How many members there are.
    pub nodes: usize,
    /// How many reported an error.
    pub errors: usize,
    /// How many answered.
    pub responses: usize,
}

impl KeyOutcome {
    /// What went wrong, in Serf's words; none if all members did what was asked.
    #[must_use]
    pub fn error(&self) -> Option<String> {
        let Self {
            nodes,
            errors,
            responses,
            ..
        } = self;
        if *errors > 0 {
            return Some(format!("{errors}/{nodes} nodes reported failure"));
        }
        (responses != nodes).then(|| format!("{responses}/{nodes} nodes reported success"))
    }
}

/// Answers to a command about keys, as they come.
#[derive(Debug)]
pub(super) struct Gathering {
    token: Token,
    outcome: KeyOutcome,
}

impl Gathering {
    pub(super) fn take(&mut self, from: &Name, payload: &Bytes) {
        let outcome = &mut self.outcome;
        outcome.responses += 1;
        let response = match KeyResponse::decode(payload) {
            Ok(response) => response,
            Err(error) => {
                outcome.errors += 1;
                let message = format!("Failed to decode key query response: {error}");
                outcome.messages.insert(from.clone(), message);
                return;
            }
        };
        if !response.is_done {
            outcome.errors += 1;
        }
        if !response.is_done || !response.message.is_empty() {
            outcome.messages.insert(from.clone(), response.message);
        }
        for key in response.keys {
            *outcome.keys.entry(key).or_default() += 1;
        }
        if !response.primary.is_empty() {
            *outcome.primaries.entry(response.primary).or_default() += 1;
        }
    }

    pub(super) fn end(self) -> (Token, KeyOutcome) {
        (self.token, self.outcome)
    }
}

impl Serf {
    /// Has all members do something with a key; what they say comes with `token`.
    pub(crate) fn key_command(
        &mut self,
        now: Moment,
        token: Token,
        operation: KeyOperation,
        key: Secret<Vec<u8>>,
    ) -> Result<(), Error> {
        let payload = KeyRequest { key }.to_bytes();
        let nodes = self.members.count_there();
        let outcome = KeyOutcome {
            nodes,
            ..KeyOutcome::default()
        };
        let purpose = Purpose::Keys(Gathering { token, outcome });
        // Serf too stops waiting here as soon as all have answered.
        let params = QueryParams {
            ends_early: true,
            ..QueryParams::default()
        };
        self.ask(
            now,
            &Name::from(operation.query()),
            payload,
            &params,
            purpose,
        )?;
        Ok(())
    }

    /// Somebody wants something done with a key of ours.
    pub(super) fn key_query(
        &mut self,
        now: Moment,
        query: QueryKey,
        operation: KeyOperation,
        payload: &Bytes,
    ) {
        match KeyRequest::decode(payload) {
            Ok(KeyRequest { key }) => {
                if operation != KeyOperation::List {
                    info!("Received {} query", operation.word());
                }
                self.out.key_changes.push(KeyChange {
                    query,
                    operation,
                    key,
                });
            }
            Err(error) => {
                error!("Failed to decode key request: {error}");
                let message = format!("Failed to decode key request: {error}");
                let response = KeyResponse {
                    message,
                    ..KeyResponse::default()
                };
                self.answer_keys(now, query, operation, response);
            }
        }
    }

    /// Answers what was asked about our keys. Of a list that is too long the end is cut off.
    pub fn answer_keys(
        &mut self,
        now: Moment,
        query: QueryKey,
        operation: KeyOperation,
        mut response: KeyResponse,
    ) {
        if !response.is_done {
            error!("{}", response.message);
        }
        let (all, max) = (response.keys.len(), self.config.query_response_bytes_max);
        let mut answer = response.to_bytes();
        while self.response_bytes(query, &answer) > max && response.keys.pop().is_some() {
            let shown = response.keys.len();
            response.message =
                format!("truncated key list response, showing first {shown} of {all} keys");
            answer = response.to_bytes();
        }
        if response.keys.len() < all {
            warn!("{}", response.message);
        }
        self.respond_or_tell(now, query, answer, operation.word());
    }
}
