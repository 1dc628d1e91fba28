//! [pure] Serf's configuration out of JSON, with errors as Serf has them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::{Config, Timing, duration};

/// A text is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// There is nothing in it.
    #[error("EOF")]
    Empty,
    /// It is no JSON.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// It is JSON, and no object.
    #[error("'' expected a map, got '{0}'")]
    NotObject(&'static str),
    /// Keys have values of the wrong kind, or there are none of these names.
    #[error("{} error(s) decoding:\n\n{}", .0.len(), lines(.0))]
    Values(Vec<String>),
    /// A length of time is none.
    #[error(transparent)]
    Duration(#[from] duration::Error),
}

fn lines(errors: &[String]) -> String {
    let lines: Vec<String> = errors.iter().map(|error| format!("* {error}")).collect();
    lines.join("\n")
}

impl Config {
    /// Reads the first JSON value of a text. Keys may be in any case, and what stands behind is not looked at,
    /// as in Serf.
    ///
    /// # Errors
    /// When it is no object, a key is unknown, or a value is of another kind than it should be. All that is
    /// wrong is told at once.
    pub fn decode(text: &[u8]) -> Result<Self, DecodeError> {
        let mut values = serde_json::Deserializer::from_slice(text).into_iter::<Value>();
        let object = match values.next().ok_or(DecodeError::Empty)?? {
            Value::Object(object) => object,
            other => return Err(DecodeError::NotObject(kind(&other).1)),
        };
        let mut config = Self::default();
        let (mut errors, mut unknown) = (Vec::new(), Vec::new());
        for (key, value) in &object {
            // What is null was not given.
            if value.is_null() {
                if !config.set(&key.to_lowercase(), value, &mut Vec::new())? {
                    unknown.push(key.as_str());
                }
                continue;
            }
            let mut wrong = Vec::new();
            if !config.set(&key.to_lowercase(), value, &mut wrong)? {
                unknown.push(key.as_str());
            }
            errors.extend(wrong);
        }
        errors.sort_unstable();
        if !unknown.is_empty() {
            unknown.sort_unstable();
            errors.push(format!("'' has invalid keys: {}", unknown.join(", ")));
        }
        if errors.is_empty() {
            Ok(config)
        } else {
            Err(DecodeError::Values(errors))
        }
    }

    /// Sets one key. False when there is none of this name.
    fn set(
        &mut self,
        key: &str,
        value: &Value,
        errors: &mut Vec<String>,
    ) -> Result<bool, DecodeError> {
        let mut from = From { key, value, errors };
        Ok(self.set_text(key, &mut from)
            || self.set_switch(key, &mut from)
            || self.set_number(key, &mut from)
            || self.set_list(key, &mut from)
            || self.set_time(key, &mut from)?)
    }

    fn set_text(&mut self, key: &str, from: &mut From<'_>) -> bool {
        let text = match key {
            "node_name" => &mut self.node_name,
            "role" => &mut self.role,
            "bind" => &mut self.bind,
            "advertise" => &mut self.advertise,
            "log_level" => &mut self.log_level,
            "rpc_addr" => &mut self.rpc_addr,
            "profile" => &mut self.profile,
            "discover" => &mut self.discover,
            "interface" => &mut self.interface,
            "cluster_name" => &mut self.cluster_name,
            "syslog_facility" => &mut self.syslog_facility,
            "statsite_addr" => &mut self.statsite_addr,
            "statsd_addr" => &mut self.statsd_addr,
            _ => {
                let path = match key {
                    "tags_file" => &mut self.tags_file,
                    "keyring_file" => &mut self.keyring_file,
                    "snapshot_path" => &mut self.snapshot_path,
                    "rpc_socket" => &mut self.rpc_socket,
                    "encrypt_key" => {
                        self.encrypt_key = from.text().map(Into::into);
                        return true;
                    }
                    "rpc_auth" => {
                        self.rpc_auth = from.text().map(Into::into);
                        return true;
                    }
                    _ => return false,
                };
                *path = from.text().map(PathBuf::from);
                return true;
            }
        };
        *text = from.text();
        true
    }

    fn set_switch(&mut self, key: &str, from: &mut From<'_>) -> bool {
        let switch = match key {
            "disable_coordinates" => &mut self.disable_coordinates,
            "replay_on_join" => &mut self.replay_on_join,
            "leave_on_terminate" => &mut self.leave_on_terminate,
            "skip_leave_on_interrupt" => &mut self.skip_leave_on_interrupt,
            "disable_name_resolution" => &mut self.disable_name_resolution,
            "enable_syslog" => &mut self.enable_syslog,
            "rejoin_after_leave" => &mut self.rejoin_after_leave,
            "enable_compression" => &mut self.enable_compression,
            "event_handlers_serial" => &mut self.event_handlers_serial,
            "queries_wait" => &mut self.queries_wait,
            "plain_serf" => &mut self.plain_serf,
            _ => return false,
        };
        *switch = from.switch();
        true
    }

    fn set_number(&mut self, key: &str, from: &mut From<'_>) -> bool {
        let limit = match key {
            "query_response_size_limit" => &mut self.query_response_size_limit,
            "query_size_limit" => &mut self.query_size_limit,
            "user_event_size_limit" => &mut self.user_event_size_limit,
            "protocol" => {
                self.protocol = from.number().filter(|protocol| *protocol > 0);
                return true;
            }
            "retry_max_attempts" => {
                self.retry_max_attempts = from.number().unwrap_or(0);
                return true;
            }
            _ => return false,
        };
        *limit = from
            .number()
            .and_then(|number| usize::try_from(number).ok());
        // Zero is as good as nothing, as in Serf.
        *limit = limit.filter(|limit| *limit > 0);
        true
    }

    fn set_list(&mut self, key: &str, from: &mut From<'_>) -> bool {
        let list = match key {
            "start_join" => &mut self.start_join,
            "event_handlers" => &mut self.event_handlers,
            "retry_join" => &mut self.retry_join,
            "tags" => {
                self.tags = from.pairs();
                return true;
            }
            "timing" => {
                from.timing(&mut self.timing);
                return true;
            }
            "rpc_socket_users" => {
                self.rpc_socket_users = from.numbers();
                return true;
            }
            _ => return false,
        };
        *list = from.texts();
        true
    }

    fn set_time(&mut self, key: &str, from: &mut From<'_>) -> Result<bool, duration::Error> {
        let time = match key {
            "reconnect_interval" => &mut self.reconnect_interval,
            "reconnect_timeout" => &mut self.reconnect_timeout,
            "tombstone_timeout" => &mut self.tombstone_timeout,
            "retry_interval" => &mut self.retry_interval,
            "broadcast_timeout" => &mut self.broadcast_timeout,
            "event_handler_timeout" => &mut self.event_handler_timeout,
            _ => return Ok(false),
        };
        let parsed = from.text().map(|text| duration::parse(&text)).transpose()?;
        // Zero is as good as nothing, as in Serf.
        *time = parsed.filter(|time| *time > Duration::ZERO);
        Ok(true)
    }
}

/// The value of a key, and what is wrong with it.
struct From<'a> {
    key: &'a str,
    value: &'a Value,
    errors: &'a mut Vec<String>,
}

impl From<'_> {
    /// An empty text is as good as none, as in Serf.
    fn text(&mut self) -> Option<String> {
        let (key, value) = (self.key, self.value);
        self.text_of(key, value).filter(|text| !text.is_empty())
    }

    fn text_of(&mut self, key: &str, value: &Value) -> Option<String> {
        match value {
            Value::String(text) => Some(text.clone()),
            other => self.wrong(key, "string", other),
        }
    }

    fn switch(&mut self) -> bool {
        match self.value {
            Value::Bool(switch) => *switch,
            other => self.wrong(self.key, "bool", other).unwrap_or_default(),
        }
    }

    fn number(&mut self) -> Option<u32> {
        let (key, value) = (self.key, self.value);
        self.number_of(key, value)
    }

    /// A fraction is cut, as in Serf.
    fn number_of(&mut self, key: &str, value: &Value) -> Option<u32> {
        let Value::Number(number) = value else {
            return self.wrong(key, "int", value);
        };
        let whole = number.as_u64().or_else(|| {
            let cut = number.as_f64()?.trunc();
            // As text, since there is no other conversion that cannot go wrong.
            format!("{cut:.0}").parse().ok()
        });
        let fitting = whole.and_then(|whole| u32::try_from(whole).ok());
        if fitting.is_none() {
            self.errors.push(format!(
                "'{key}' is {number}, which is out of range: 0 to {}",
                u32::MAX
            ));
        }
        fitting
    }

    fn texts(&mut self) -> Vec<String> {
        let key = self.key;
        let items = self.items();
        let text = |(index, value)| self.text_of(&format!("{key}[{index}]"), value);
        items.iter().enumerate().filter_map(text).collect()
    }

    fn numbers(&mut self) -> Vec<u32> {
        let key = self.key;
        let items = self.items();
        let number = |(index, value)| self.number_of(&format!("{key}[{index}]"), value);
        items.iter().enumerate().filter_map(number).collect()
    }

    fn items(&mut self) -> Vec<Value> {
        match self.value {
            Value::Array(items) => items.clone(),
            Value::Null => Vec::new(),
            other => {
                let (_, kind) = kind(other);
                let key = self.key;
                let error = format!("'{key}': source data must be an array or slice, got {kind}");
                self.errors.push(error);
                Vec::new()
            }
        }
    }

    fn timing(&mut self, timing: &mut Timing) {
        let object = match self.value {
            Value::Object(object) => object,
            Value::Null => return,
            other => {
                let ((_, kind), key) = (kind(other), self.key);
                let error = format!("'{key}' expected a map, got '{kind}'");
                return self.errors.push(error);
            }
        };
        for (name, value) in object {
            self.errors.extend(timing.set(name, value).err());
        }
    }

    fn pairs(&mut self) -> BTreeMap<String, String> {
        let key = self.key;
        let object = match self.value {
            Value::Object(object) => object.clone(),
            Value::Null => return BTreeMap::new(),
            other => {
                let (_, kind) = kind(other);
                self.errors
                    .push(format!("'{key}' expected a map, got '{kind}'"));
                return BTreeMap::new();
            }
        };
        let pair = |(name, value): (&String, &Value)| {
            let text = self.text_of(&format!("{key}[{name}]"), value)?;
            Some((name.clone(), text))
        };
        object.iter().filter_map(pair).collect()
    }

    fn wrong<T>(&mut self, key: &str, expected: &str, found: &Value) -> Option<T> {
        let (kind, _) = kind(found);
        let shown = match found {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        self.errors.push(format!(
            "'{key}' expected type '{expected}', got unconvertible type '{kind}', value: '{shown}'"
        ));
        None
    }
}

/// What Go calls the type of a value, and its kind.
fn kind(value: &Value) -> (&'static str, &'static str) {
    match value {
        Value::Null => ("<nil>", "<nil>"),
        Value::Bool(_) => ("bool", "bool"),
        Value::Number(_) => ("float64", "float64"),
        Value::String(_) => ("string", "string"),
        Value::Array(_) => ("[]interface {}", "slice"),
        Value::Object(_) => ("map[string]interface {}", "map"),
    }
}
