//! What a service says of itself: its name, its document, how it is; and the router that answers.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

/// Longest service name: a DNS label (RFC 1035 §2.3.4), as names appear in `NAME.service.taraf`.
pub const NAME_BYTES_MAX: usize = 63;

/// The domain that marks a URL host as the name of a service: `http://NAME.service/PATH`.
pub const DOMAIN_SUFFIX: &str = ".service";

/// The name of a service: a lower-case DNS label, `[a-z0-9]([a-z0-9-]*[a-z0-9])?`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceName(Arc<str>);

/// The text cannot name a service.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not a service name (1 to 63 of a-z, 0-9 and -, not at the ends)")]
pub struct InvalidServiceName {
    name: String,
}

impl ServiceName {
    /// Checks a name.
    ///
    /// # Errors
    /// When the text is not a lower-case DNS label.
    pub fn new(name: &str) -> Result<Self, InvalidServiceName> {
        let allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        let sound = !name.is_empty()
            && name.len() <= NAME_BYTES_MAX
            && name.bytes().all(allowed)
            && !name.starts_with('-')
            && !name.ends_with('-');
        if sound {
            Ok(Self(name.into()))
        } else {
            Err(InvalidServiceName {
                name: name.chars().take(NAME_BYTES_MAX + 1).collect(),
            })
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The host that calls to this service name: `NAME.service`.
    #[must_use]
    pub fn host(&self) -> String {
        format!("{}{DOMAIN_SUFFIX}", self.0)
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl Borrow<str> for ServiceName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl FromStr for ServiceName {
    type Err = InvalidServiceName;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::new(name)
    }
}

impl TryFrom<&str> for ServiceName {
    type Error = InvalidServiceName;

    fn try_from(name: &str) -> Result<Self, Self::Error> {
        Self::new(name)
    }
}

impl Serialize for ServiceName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ServiceName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// What a service says of itself.
#[derive(Clone, Debug)]
pub struct Descriptor {
    /// How calls name it.
    pub name: ServiceName,
    /// The version of what it offers, as its document says.
    pub version: String,
    /// A line for people.
    pub title: String,
    /// Its OpenAPI document (3.0 or 3.1); served at `/openapi.json`.
    pub openapi: Value,
}

impl Descriptor {
    /// A descriptor whose version and title are those of the document's `info`.
    ///
    /// # Errors
    /// When the name cannot name a service.
    pub fn from_openapi(name: &str, openapi: Value) -> Result<Self, InvalidServiceName> {
        let info = |member: &str| {
            let text = openapi.pointer(&format!("/info/{member}"));
            text.and_then(Value::as_str).map(str::to_owned)
        };
        Ok(Self {
            name: ServiceName::new(name)?,
            version: info("version").unwrap_or_else(|| "0".to_owned()),
            title: info("title").unwrap_or_else(|| name.to_owned()),
            openapi,
        })
    }
}

/// Whether a service can do its work now; asked at `/health/ready`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Why it is not ready; ready when empty.
    pub reasons: Vec<String>,
}

impl Health {
    /// Able to answer.
    #[must_use]
    pub const fn ready() -> Self {
        Self {
            reasons: Vec::new(),
        }
    }

    /// Not able to answer, for this reason.
    #[must_use]
    pub fn not_ready(reason: impl Into<String>) -> Self {
        Self {
            reasons: vec![reason.into()],
        }
    }

    /// Whether nothing stands in the way.
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        self.reasons.is_empty()
    }
}

/// A service ready to be served: what it says of itself and the router that answers.
#[derive(Clone)]
pub struct Service {
    /// What it says of itself.
    pub descriptor: Descriptor,
    /// What answers, under the paths of the document.
    pub router: axum::Router,
    /// Asked at `/health/ready`; must answer at once.
    pub health: Arc<dyn Fn() -> Health + Send + Sync>,
    /// Further metrics of the service, appended to what the server counts at `/metrics`.
    pub metrics: Option<crate::metrics::Registry>,
}

impl Service {
    /// A service that is always ready.
    #[must_use]
    pub fn new(descriptor: Descriptor, router: axum::Router) -> Self {
        Self {
            descriptor,
            router,
            health: Arc::new(Health::ready),
            metrics: None,
        }
    }

    /// The same service, with a question to ask before it is called ready.
    #[must_use]
    pub fn with_health(mut self, health: impl Fn() -> Health + Send + Sync + 'static) -> Self {
        self.health = Arc::new(health);
        self
    }

    /// The same service, with metrics of its own.
    #[must_use]
    pub fn with_metrics(mut self, metrics: crate::metrics::Registry) -> Self {
        self.metrics = Some(metrics);
        self
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("descriptor", &self.descriptor)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_lower_case_dns_labels() {
        let long = "a".repeat(63);
        for name in ["a", "rates", "a-b", "3d", long.as_str()] {
            assert_eq!(ServiceName::new(name).unwrap().as_str(), name);
        }
        let longer = "a".repeat(64);
        for name in [
            "",
            "-a",
            "a-",
            "A",
            "a.b",
            "a_b",
            "ă",
            "a b",
            longer.as_str(),
        ] {
            assert!(ServiceName::new(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn title_and_version_come_from_the_document() {
        let document = serde_json::json!({"info": {"title": "Rates", "version": "1.2.0"}});
        let descriptor = Descriptor::from_openapi("rates", document).unwrap();
        assert_eq!(
            (descriptor.title.as_str(), descriptor.version.as_str()),
            ("Rates", "1.2.0")
        );
    }
}
