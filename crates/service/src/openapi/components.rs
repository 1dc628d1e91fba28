//! [pure] The shared parts of a merged document: adopted with what they refer to, renamed at need.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::Error;

const PREFIX: &str = "#/components/";

/// A kind (`schemas`, `responses`, …) and a name.
type Key = (String, String);

/// The components gathered so far.
pub(super) struct Components {
    /// What the merged document has, by its names there.
    merged: BTreeMap<Key, Value>,
    /// For each source's component its name in the merged document.
    adopted: BTreeMap<(String, Key), String>,
}

impl Components {
    pub(super) fn begin(base: Option<Value>) -> Self {
        let mut merged = BTreeMap::new();
        if let Some(Value::Object(kinds)) = base {
            for (kind, components) in kinds {
                let Value::Object(components) = components else {
                    continue;
                };
                for (name, component) in components {
                    merged.insert((kind.clone(), name), component);
                }
            }
        }
        Self {
            merged,
            adopted: BTreeMap::new(),
        }
    }

    /// A part of a source's document as it reads in the merged one; all components that it refers
    /// to, by references, security requirements and discriminators, are adopted first.
    pub(super) fn adopt(
        &mut self,
        mut part: Value,
        source: &str,
        document: &Value,
    ) -> Result<Value, Error> {
        let mut wanted = Vec::new();
        references(&part, &mut |key| wanted.push(key));
        // Gathers all that is reached before naming any, because components may refer in circles.
        let mut reached: BTreeMap<Key, Value> = BTreeMap::new();
        while let Some(key) = wanted.pop() {
            let known = (source.to_owned(), key.clone());
            if reached.contains_key(&key) || self.adopted.contains_key(&known) {
                continue;
            }
            let component = find(document, &key).ok_or_else(|| Error::Dangling {
                source_name: source.to_owned(),
                reference: format!("{PREFIX}{}/{}", key.0, key.1),
            })?;
            references(component, &mut |key| wanted.push(key));
            reached.insert(key, component.clone());
        }
        self.name(&reached, source);
        for (key, mut component) in reached {
            self.rename(&mut component, source);
            let name = self.adopted[&(source.to_owned(), key.clone())].clone();
            self.merged.insert((key.0, name), component);
        }
        self.rename(&mut part, source);
        Ok(part)
    }

    /// Gives each component its name in the merged document: its own when that is free or has the
    /// same content, otherwise its own with the service's. A component that refers to a renamed one
    /// has other content too, so names are settled until none changes.
    fn name(&mut self, reached: &BTreeMap<Key, Value>, source: &str) {
        for key in reached.keys() {
            let own = key.1.clone();
            self.adopted.insert((source.to_owned(), key.clone()), own);
        }
        loop {
            let mut has_changed = false;
            for (key, component) in reached {
                let entry = (source.to_owned(), key.clone());
                let mut content = component.clone();
                self.rename(&mut content, source);
                let name = self.adopted[&entry].clone();
                let place = (key.0.clone(), name.clone());
                let is_free = self
                    .merged
                    .get(&place)
                    .is_none_or(|other| *other == content);
                // The service may have a component of the very name that another one is given.
                let is_anothers = name != key.1 && reached.contains_key(&place);
                if !is_free || is_anothers {
                    self.adopted.insert(entry, next_name(&key.1, &name, source));
                    has_changed = true;
                }
            }
            if !has_changed {
                return;
            }
        }
    }

    fn rename(&self, part: &mut Value, source: &str) {
        rewrite(part, &mut |key| {
            self.adopted.get(&(source.to_owned(), key)).cloned()
        });
    }

    pub(super) fn finish(self) -> Option<Value> {
        let mut kinds: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
        for ((kind, name), component) in self.merged {
            kinds.entry(kind).or_default().insert(name, component);
        }
        let kinds = kinds.into_iter();
        let kinds: Map<_, _> = kinds
            .map(|(kind, components)| (kind, Value::Object(components)))
            .collect();
        (!kinds.is_empty()).then_some(Value::Object(kinds))
    }
}

/// `X`, `X_rates`, `X_rates_2`, `X_rates_3`, …
fn next_name(own: &str, taken: &str, source: &str) -> String {
    let first = format!("{own}_{source}");
    if taken == own {
        return first;
    }
    let number = taken
        .strip_prefix(&first)
        .and_then(|rest| rest.strip_prefix('_'))
        .and_then(|digits| digits.parse::<u32>().ok())
        .unwrap_or(1);
    format!("{first}_{}", number.saturating_add(1))
}

fn find<'a>(document: &'a Value, (kind, name): &Key) -> Option<&'a Value> {
    document.get("components")?.get(kind)?.get(name)
}

/// The component that a reference begins with, and what follows its name.
fn parse(reference: &str) -> Option<(Key, &str)> {
    let rest = reference.strip_prefix(PREFIX)?;
    let (kind, rest) = rest.split_once('/')?;
    let end = rest.find('/').unwrap_or(rest.len());
    let (name, rest) = rest.split_at(end);
    let name = name.replace("~1", "/").replace("~0", "~");
    Some(((kind.to_owned(), name), rest))
}

fn references(part: &Value, found: &mut impl FnMut(Key)) {
    // Walking a copy keeps one walk for reading and writing; documents are small and merged seldom.
    let mut copy = part.clone();
    rewrite(&mut copy, &mut |key| {
        found(key);
        None
    });
}

/// Walks all references of a part and replaces the names that `new_name` gives. Examples and
/// defaults are data of the service and are left alone.
fn rewrite(part: &mut Value, new_name: &mut impl FnMut(Key) -> Option<String>) {
    match part {
        Value::Array(items) => items.iter_mut().for_each(|item| rewrite(item, new_name)),
        Value::Object(members) => {
            for (member, value) in members {
                match (member.as_str(), &mut *value) {
                    ("$ref", Value::String(reference)) => rewrite_reference(reference, new_name),
                    ("mapping", Value::Object(mapping)) => {
                        for target in mapping.values_mut() {
                            if let Value::String(reference) = target {
                                rewrite_reference(reference, new_name);
                            }
                        }
                    }
                    ("security", Value::Array(requirements)) => {
                        for requirement in requirements {
                            rewrite_requirement(requirement, new_name);
                        }
                    }
                    // Here the members are names that the service chose, not words of the language.
                    (
                        "properties" | "patternProperties" | "dependentSchemas" | "$defs"
                        | "headers",
                        Value::Object(named),
                    ) => named
                        .values_mut()
                        .for_each(|value| rewrite(value, new_name)),
                    ("example" | "default" | "const" | "enum", _) => {}
                    _other => rewrite(value, new_name),
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn rewrite_reference(reference: &mut String, new_name: &mut impl FnMut(Key) -> Option<String>) {
    let Some((key, rest)) = parse(reference) else {
        return;
    };
    let kind = key.0.clone();
    if let Some(name) = new_name(key) {
        let name = name.replace('~', "~0").replace('/', "~1");
        *reference = format!("{PREFIX}{kind}/{name}{rest}");
    }
}

/// A requirement names security schemes by its members.
fn rewrite_requirement(requirement: &mut Value, new_name: &mut impl FnMut(Key) -> Option<String>) {
    let Value::Object(schemes) = requirement else {
        return;
    };
    let renamed = std::mem::take(schemes).into_iter().map(|(name, scopes)| {
        let new = new_name(("securitySchemes".to_owned(), name.clone()));
        (new.unwrap_or(name), scopes)
    });
    *schemes = renamed.collect();
}
