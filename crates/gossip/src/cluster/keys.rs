//! [pure] Changes of our own keyring: made in memory, written by the driver, then confirmed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use taraf_base::Secret;

use super::Output;
use super::machine::Cluster;
use crate::moment::Moment;
use crate::serf::{KeyChange, KeyOperation, QueryKey};
use crate::wire::keyring::Keyring;
use crate::wire::serf::KeyResponse;

const NO_KEYRING: &str = "No keyring to modify (encryption not enabled)";
const EMPTY_KEYRING: &str = "Keyring is empty (encryption not enabled)";

impl Cluster {
    pub(super) fn change_keys(&mut self, now: Moment, change: &KeyChange) {
        let KeyChange {
            query,
            operation,
            key,
        } = change;
        let Some(mut keyring) = self.swim.envelope().keyring().cloned() else {
            let is_list = *operation == KeyOperation::List;
            let message = if is_list { EMPTY_KEYRING } else { NO_KEYRING };
            self.answer_failed(now, *query, *operation, message.to_owned());
            return;
        };
        let changed = match operation {
            KeyOperation::Install => keyring.add(key.expose()),
            KeyOperation::Use => keyring.use_key(key.expose()),
            KeyOperation::Remove => keyring.remove(key.expose()),
            KeyOperation::List => {
                let response = list(&keyring);
                self.serf.answer_keys(now, *query, *operation, response);
                return;
            }
        };
        if let Err(error) = changed {
            self.answer_failed(now, *query, *operation, error.to_string());
            return;
        }
        let keys = keyring
            .keys()
            .map(|key| Secret::new(key.to_vec()))
            .collect();
        self.swim.set_keyring(Some(keyring));
        self.key_writes.insert(*query, *operation);
        if self.config.has_keyring_file {
            self.outputs.push_back(Output::Keyring {
                query: *query,
                keys,
            });
        } else {
            self.keyring_written(now, *query, Ok(()));
        }
    }

    /// The keyring was written to its file, or could not be.
    pub fn keyring_written(&mut self, now: Moment, query: QueryKey, result: Result<(), String>) {
        let Some(operation) = self.key_writes.remove(&query) else {
            return;
        };
        match result {
            Ok(()) => {
                let response = KeyResponse {
                    is_done: true,
                    ..KeyResponse::default()
                };
                self.serf.answer_keys(now, query, operation, response);
            }
            Err(error) => {
                let message = format!("Failed to write keyring file: {error}");
                self.answer_failed(now, query, operation, message);
            }
        }
        self.settle(now);
    }

    fn answer_failed(
        &mut self,
        now: Moment,
        query: QueryKey,
        operation: KeyOperation,
        message: String,
    ) {
        let response = KeyResponse {
            message,
            ..KeyResponse::default()
        };
        self.serf.answer_keys(now, query, operation, response);
    }
}

fn list(keyring: &Keyring) -> KeyResponse {
    KeyResponse {
        is_done: true,
        message: String::new(),
        keys: keyring.keys().map(|key| STANDARD.encode(key)).collect(),
        primary: STANDARD.encode(keyring.primary()),
    }
}
