//! [pure] Queries that Serf itself asks and answers: their names begin with `_serf_`.

use bytes::Bytes;
use tracing::{debug, error, warn};

use super::keys::KeyOperation;
use super::machine::Serf;
use super::{Error, Member, QueryKey};
use crate::moment::Moment;
use crate::swim::Name;
use crate::wire::serf::ConflictResponse;

/// No user may use it.
const PREFIX: &[u8] = b"_serf_";
/// Is somebody there? The ack is the answer.
pub(super) const PING: &[u8] = b"_serf_ping";
/// Where is the member of this name?
pub(super) const CONFLICT: &str = "_serf_conflict";
pub(super) const INSTALL_KEY: &str = "_serf_install-key";
pub(super) const USE_KEY: &str = "_serf_use-key";
pub(super) const REMOVE_KEY: &str = "_serf_remove-key";
pub(super) const LIST_KEYS: &str = "_serf_list-keys";

/// Whether the name is one of Serf's own, which users never see.
#[must_use]
pub fn is_internal(name: &Name) -> bool {
    name.as_bytes().starts_with(PREFIX)
}

impl Serf {
    pub(super) fn internal_query(
        &mut self,
        now: Moment,
        key: QueryKey,
        name: &Name,
        payload: &Bytes,
    ) {
        let operation = match name.text().as_ref() {
            "_serf_ping" => return,
            CONFLICT => return self.conflict_query(now, key, payload),
            INSTALL_KEY => KeyOperation::Install,
            USE_KEY => KeyOperation::Use,
            REMOVE_KEY => KeyOperation::Remove,
            LIST_KEYS => KeyOperation::List,
            other => {
                let name = other.strip_prefix("_serf_").unwrap_or(other);
                warn!("Unhandled internal query '{name}'");
                return;
            }
        };
        self.key_query(now, key, operation, payload);
    }

    /// Says where we believe the member to be, unless we are it.
    fn conflict_query(&mut self, now: Moment, key: QueryKey, payload: &Bytes) {
        if *payload == *self.config.name.as_bytes() {
            return;
        }
        debug!(
            "Got conflict resolution query for '{}'",
            String::from_utf8_lossy(payload)
        );
        let believed = self.member(payload).map(|member| Member::clone(member));
        let answer = ConflictResponse(believed).to_bytes();
        if let Err(error) = self.respond(now, key, answer) {
            error!("Failed to respond to conflict query: {error}");
        }
    }

    pub(super) fn own_name(&self) -> Bytes {
        Bytes::copy_from_slice(self.config.name.as_bytes())
    }

    pub(super) fn respond_or_tell(
        &mut self,
        now: Moment,
        key: QueryKey,
        answer: Bytes,
        what: &str,
    ) {
        let result: Result<(), Error> = self.respond(now, key, answer);
        if let Err(error) = result {
            error!("Failed to respond to {what} query: {error}");
        }
    }
}
