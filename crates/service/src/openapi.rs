//! [pure] OpenAPI documents of many services made into one (3.1).

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

mod components;
mod lift;

use components::Components;

/// The version that merged documents declare.
pub const VERSION: &str = "3.1.0";

/// The methods that a path item may have.
const METHODS: [&str; 8] = [
    "get", "put", "post", "delete", "options", "head", "patch", "trace",
];

/// Operations of one name that are told apart by a number.
const SAME_OPERATIONS_MAX: usize = 1_000;

/// One operation of the merged document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The method, in any case.
    pub method: String,
    /// The public path template.
    pub path: String,
    /// Which of the sources answers.
    pub source: usize,
    /// The path template in the source's document.
    pub source_path: String,
}

/// A document and the name that tells its parts from those of others.
#[derive(Clone, Debug)]
pub struct Source {
    /// The service's name: what components are renamed with when they clash.
    pub name: String,
    /// Its document, 3.0 or 3.1.
    pub document: Value,
}

/// Why documents cannot be merged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not an OpenAPI document of 3.0 or 3.1.
    #[error("the document of `{source_name}` is not OpenAPI 3.0 or 3.1")]
    Version {
        /// Whose document.
        source_name: String,
    },
    /// Two operations at one public place.
    #[error("two operations answer `{method} {path}`: one of {first} and one of {second}")]
    Clash {
        /// The method.
        method: String,
        /// The path template.
        path: String,
        /// Whose is there already, and its own template where that is another.
        first: String,
        /// Whose comes beside it.
        second: String,
    },
    /// Too many routes lead to one operation: its `operationId`, with the service's name and a
    /// number, is taken by all of them.
    #[error("more than {SAME_OPERATIONS_MAX} operations are called `{id}`")]
    OperationId {
        /// The id.
        id: String,
    },
    /// The document does not describe the operation.
    #[error("the document of `{source_name}` has no operation `{method} {path}`")]
    Missing {
        /// Whose document.
        source_name: String,
        /// The method.
        method: String,
        /// The path template.
        path: String,
    },
    /// A reference that leads nowhere.
    #[error("the document of `{source_name}` refers to `{reference}`, which it does not have")]
    Dangling {
        /// Whose document.
        source_name: String,
        /// The reference.
        reference: String,
    },
    /// An operation of a source that is not there: a slip of the caller.
    #[error("there is no source number {index}")]
    NoSource {
        /// The number.
        index: usize,
    },
}

/// Makes one document of the named operations and of all that they refer to.
///
/// `base` gives `info`, `servers`, `security` and components of its own; its paths stay. Components
/// with the same content are shared; of one name with other content, the later is renamed to
/// `NAME_of_service` with all references to it. A document of 3.0 is lifted to 3.1. The result
/// depends on the arguments alone, not on the order of the operations: paths come sorted.
///
/// # Errors
/// When a source is no OpenAPI document, lacks an operation, refers to what it does not have, or two
/// operations clash.
pub fn merge(base: Value, sources: &[Source], operations: &[Operation]) -> Result<Value, Error> {
    let mut base = match lift::to_3_1("base", base)? {
        Value::Object(base) => base,
        _other => Map::new(),
    };
    let lifted = sources
        .iter()
        .map(|source| lift::to_3_1(&source.name, source.document.clone()))
        .collect::<Result<Vec<_>, _>>()?;
    let mut merged = Merged::begin(&mut base);
    let mut sorted: Vec<&Operation> = operations.iter().collect();
    sorted.sort_by_key(|operation| (operation.source, &operation.path, method_rank(operation)));
    for operation in sorted {
        let missing = Error::NoSource {
            index: operation.source,
        };
        let (Some(source), Some(document)) =
            (sources.get(operation.source), lifted.get(operation.source))
        else {
            return Err(missing);
        };
        merged.add(operation, &source.name, document)?;
    }
    Ok(merged.finish(base))
}

/// A source's document in 3.1, whichever of the two it is written in.
///
/// # Errors
/// When it is neither.
pub fn lifted(source: &Source) -> Result<Value, Error> {
    lift::to_3_1(&source.name, source.document.clone())
}

/// All operations of a document at their own paths, for a service that is passed on whole.
#[must_use]
pub fn operations_of(source: usize, document: &Value) -> Vec<Operation> {
    let paths = document.get("paths").and_then(Value::as_object);
    let mut operations = Vec::new();
    for (path, item) in paths.into_iter().flatten() {
        for method in METHODS {
            if item.get(method).is_some() {
                operations.push(Operation {
                    method: method.to_owned(),
                    path: path.clone(),
                    source,
                    source_path: path.clone(),
                });
            }
        }
    }
    operations
}

fn method_rank(operation: &Operation) -> usize {
    let method = operation.method.to_ascii_lowercase();
    METHODS
        .iter()
        .position(|known| *known == method)
        .unwrap_or(METHODS.len())
}

struct Merged {
    paths: BTreeMap<String, Map<String, Value>>,
    /// Places taken: templates that differ in the names of their parameters alone are one place.
    /// With who answers there.
    places: BTreeMap<(String, String), String>,
    operation_ids: BTreeSet<String>,
    tags: BTreeMap<String, Value>,
    components: Components,
}

impl Merged {
    fn begin(base: &mut Map<String, Value>) -> Self {
        let mut merged = Self {
            paths: BTreeMap::new(),
            places: BTreeMap::new(),
            operation_ids: BTreeSet::new(),
            tags: BTreeMap::new(),
            components: Components::begin(base.remove("components")),
        };
        if let Some(Value::Array(tags)) = base.remove("tags") {
            merged.add_tags(tags);
        }
        if let Some(Value::Object(paths)) = base.remove("paths") {
            for (path, item) in paths {
                let Value::Object(item) = item else { continue };
                for method in METHODS.iter().filter(|method| item.contains_key(**method)) {
                    let taken = ((*method).to_owned(), place(&path));
                    merged
                        .places
                        .insert(taken, "the document itself".to_owned());
                    let id = item[*method].get("operationId").and_then(Value::as_str);
                    merged.operation_ids.extend(id.map(str::to_owned));
                }
                merged.paths.insert(path, item);
            }
        }
        merged
    }

    fn add(&mut self, operation: &Operation, name: &str, document: &Value) -> Result<(), Error> {
        let method = operation.method.to_ascii_lowercase();
        let missing = || Error::Missing {
            source_name: name.to_owned(),
            method: method.to_ascii_uppercase(),
            path: operation.source_path.clone(),
        };
        let item = document
            .get("paths")
            .and_then(|paths| paths.get(&operation.source_path))
            .ok_or_else(missing)?;
        let described = item
            .get(&method)
            .filter(|_| METHODS.contains(&method.as_str()))
            .and_then(Value::as_object)
            .ok_or_else(missing)?;
        let who = format!("`{name}` ({})", operation.source_path);
        match self.places.entry((method.clone(), place(&operation.path))) {
            Entry::Vacant(free) => {
                free.insert(who);
            }
            Entry::Occupied(taken) => {
                return Err(Error::Clash {
                    method: method.to_ascii_uppercase(),
                    path: operation.path.clone(),
                    first: taken.get().clone(),
                    second: who,
                });
            }
        }
        let mut described = described.clone();
        inherit(&mut described, item, document);
        rename_parameters(&mut described, &operation.source_path, &operation.path);
        self.name_operation(&mut described, name)?;
        let described = self
            .components
            .adopt(Value::Object(described), name, document)?;
        let item = self.paths.entry(operation.path.clone()).or_default();
        item.insert(method, described);
        if let Some(Value::Array(tags)) = document.get("tags") {
            self.add_tags(tags.clone());
        }
        Ok(())
    }

    /// An id taken already gets the service's name before it, and then a number: several routes may
    /// lead to one operation.
    fn name_operation(
        &mut self,
        described: &mut Map<String, Value>,
        name: &str,
    ) -> Result<(), Error> {
        let Some(id) = described.get("operationId").and_then(Value::as_str) else {
            return Ok(());
        };
        if self.operation_ids.insert(id.to_owned()) {
            return Ok(());
        }
        let named = format!("{name}_{id}");
        let numbered = (2..=SAME_OPERATIONS_MAX).map(|n| format!("{named}_{n}"));
        let mut ids = std::iter::once(named.clone()).chain(numbered);
        let free = ids.find(|id| self.operation_ids.insert(id.clone()));
        let Some(id) = free else {
            return Err(Error::OperationId { id: named });
        };
        described.insert("operationId".to_owned(), id.into());
        Ok(())
    }

    fn add_tags(&mut self, tags: Vec<Value>) {
        for tag in tags {
            if let Some(name) = tag.get("name").and_then(Value::as_str) {
                self.tags.entry(name.to_owned()).or_insert(tag);
            }
        }
    }

    fn finish(self, base: Map<String, Value>) -> Value {
        let mut document = Map::new();
        document.insert("openapi".to_owned(), VERSION.into());
        let info = json!({"title": "API", "version": "0"});
        document.insert("info".to_owned(), info);
        document.extend(base.into_iter().filter(|(member, _)| member != "openapi"));
        if !self.tags.is_empty() {
            let tags = self.tags.into_values().collect();
            document.insert("tags".to_owned(), Value::Array(tags));
        }
        let paths = self.paths.into_iter();
        let paths = paths.map(|(path, item)| (path, Value::Object(item)));
        document.insert("paths".to_owned(), Value::Object(paths.collect()));
        if let Some(components) = self.components.finish() {
            document.insert("components".to_owned(), components);
        }
        Value::Object(document)
    }
}

/// A template without the names of its parameters.
fn place(path: &str) -> String {
    let mut place = String::with_capacity(path.len());
    let mut is_name = false;
    for c in path.chars() {
        match c {
            '{' => is_name = true,
            '}' => {
                is_name = false;
                place.push_str("{}");
            }
            _ if is_name => {}
            c => place.push(c),
        }
    }
    place
}

/// What an operation takes from its path item and its document: parameters that it does not replace,
/// and security where it says none. `servers` are dropped: calls go through the front door.
fn inherit(described: &mut Map<String, Value>, item: &Value, document: &Value) {
    let same = |a: &Value, b: &Value| {
        ["name", "in", "$ref"]
            .iter()
            .all(|member| a.get(member) == b.get(member))
    };
    let mut parameters = match described.remove("parameters") {
        Some(Value::Array(parameters)) => parameters,
        _none => Vec::new(),
    };
    let shared = item.get("parameters").and_then(Value::as_array);
    for parameter in shared.into_iter().flatten() {
        if !parameters.iter().any(|own| same(own, parameter)) {
            parameters.push(parameter.clone());
        }
    }
    if !parameters.is_empty() {
        described.insert("parameters".to_owned(), Value::Array(parameters));
    }
    if let (None, Some(security)) = (described.get("security"), document.get("security")) {
        described.insert("security".to_owned(), security.clone());
    }
    described.remove("servers");
}

/// The public template may call a path parameter by another name: by position they are the same.
fn rename_parameters(described: &mut Map<String, Value>, from: &str, to: &str) {
    fn names(path: &str) -> Vec<&str> {
        let parts = path.split('{').skip(1);
        parts.filter_map(|part| part.split('}').next()).collect()
    }
    let renamed: BTreeMap<&str, &str> = names(from).into_iter().zip(names(to)).collect();
    let Some(Value::Array(parameters)) = described.get_mut("parameters") else {
        return;
    };
    for parameter in parameters {
        if parameter.get("in").and_then(Value::as_str) != Some("path") {
            continue;
        }
        let new = parameter.get("name").and_then(Value::as_str);
        if let Some(new) = new.and_then(|name| renamed.get(name)) {
            parameter["name"] = (*new).into();
        }
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
