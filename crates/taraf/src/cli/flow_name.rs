//! How a flow is named on the command line: `[NAMESPACE/]NAME[@VERSION]`.

use std::str::FromStr;

use serde_json::Value;

use super::failure::{Exit, Failure};
use super::operator::{Call, Operator, escaped};
use super::table::lookup;

/// A flow as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FlowName {
    namespace: Option<String>,
    name: String,
    version: Option<String>,
}

/// A flow that the server knows.
#[derive(Debug, Clone)]
pub(crate) struct Resolved {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) version: Option<String>,
}

impl FromStr for FlowName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (id, version) = match text.split_once('@') {
            Some((id, version)) => (id, Some(version.to_owned())),
            None => (text, None),
        };
        let (namespace, name) = match id.split_once('/') {
            Some((namespace, name)) => (Some(namespace.to_owned()), name.to_owned()),
            None => (None, id.to_owned()),
        };
        let is_word = |word: &str| {
            !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        let is_sound = is_word(&name)
            && namespace.as_deref().is_none_or(is_word)
            && version
                .as_deref()
                .is_none_or(|version| semver::Version::parse(version).is_ok());
        if is_sound {
            Ok(Self {
                namespace,
                name,
                version,
            })
        } else {
            Err("a flow is named [NAMESPACE/]NAME[@VERSION], such as shop/order@1.2.0".to_owned())
        }
    }
}

impl FlowName {
    /// Finds the namespace where it was left out: the only one that has a flow of this name.
    pub(crate) async fn resolve(&self, operator: &Operator) -> Result<Resolved, Failure> {
        let namespace = match &self.namespace {
            Some(namespace) => namespace.clone(),
            None => self.only_namespace(operator).await?,
        };
        Ok(Resolved {
            namespace,
            name: self.name.clone(),
            version: self.version.clone(),
        })
    }

    async fn only_namespace(&self, operator: &Operator) -> Result<String, Failure> {
        let flows = list(operator).await?;
        let mut namespaces: Vec<&str> = flows
            .iter()
            .filter(|flow| lookup(flow, "name") == self.name.as_str())
            .filter_map(|flow| lookup(flow, "namespace").as_str())
            .collect();
        namespaces.sort_unstable();
        namespaces.dedup();
        match namespaces.as_slice() {
            [one] => Ok((*one).to_owned()),
            [] => Err(
                Failure::not_found(format!("no flow is named `{}`", self.name))
                    .with_help("`taraf flow list` shows the flows of this server"),
            ),
            several => Err(Failure::new(
                Exit::Conflict,
                format!(
                    "several namespaces have a flow `{}`: {}",
                    self.name,
                    several.join(", ")
                ),
            )
            .with_help(format!("name one: {}/{}", several[0], self.name))),
        }
    }
}

impl Resolved {
    pub(crate) fn path(&self) -> String {
        format!(
            "/v1/flows/{}/{}",
            escaped(&self.namespace),
            escaped(&self.name)
        )
    }
}

/// All flows of the server, each with `namespace`, `name` and `version`.
pub(crate) async fn list(operator: &Operator) -> Result<Vec<Value>, Failure> {
    let answer = operator.json(Call::get("/v1/flows")).await?;
    Ok(items(answer))
}

/// The items of a listing.
pub(crate) fn items(answer: Value) -> Vec<Value> {
    match answer {
        Value::Array(items) => items,
        Value::Object(mut members) => match members.remove("items") {
            Some(Value::Array(items)) => items,
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_is_named_with_or_without_namespace_and_version() {
        let check = |text: &str, namespace: Option<&str>, name: &str, version: Option<&str>| {
            let read: FlowName = text.parse().unwrap();
            assert_eq!(read.namespace.as_deref(), namespace, "{text}");
            assert_eq!(read.name, name, "{text}");
            assert_eq!(read.version.as_deref(), version, "{text}");
        };
        check("order", None, "order", None);
        check("shop/order", Some("shop"), "order", None);
        check("shop/order@1.2.0", Some("shop"), "order", Some("1.2.0"));
        check("order@1.2.0-rc.1", None, "order", Some("1.2.0-rc.1"));
    }

    #[test]
    fn what_is_no_name_of_a_flow_is_refused() {
        for text in [
            "", "/order", "shop/", "a/b/c", "order@1", "order@", "or der", "a?b",
        ] {
            assert!(text.parse::<FlowName>().is_err(), "{text}");
        }
    }
}
