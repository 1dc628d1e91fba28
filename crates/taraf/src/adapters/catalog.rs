//! [pure] Published flows as the operator API lists them.

use serde_json::{Value, json};
use taraf_engine::{Catalog, FlowId, FlowInfo, FlowRef};

/// All versions of all flows, or those of one flow, as items of a list.
pub(crate) fn entries(catalog: &Catalog, of: Option<(&str, &str)>) -> Vec<Value> {
    let wanted = |id: &FlowId| {
        of.is_none_or(|(namespace, name)| id.namespace == namespace && id.name == name)
    };
    catalog
        .iter()
        .filter(|info| wanted(&info.id))
        .map(|info| entry(catalog, info))
        .collect()
}

/// One version as an item of a list.
pub(crate) fn entry(catalog: &Catalog, info: &FlowInfo) -> Value {
    let FlowInfo { id, definition, .. } = info;
    let latest = catalog.resolve(&FlowRef {
        namespace: id.namespace.clone(),
        name: id.name.clone(),
        version: None,
    });
    let mut entry = json!({
        "namespace": id.namespace,
        "name": id.name,
        "version": id.version,
        "hash": definition.hash,
        "latest": latest.is_some_and(|latest| latest.id == *id),
        "published": info.published,
        "durable": definition.is_durable(),
    });
    let texts = [
        ("title", &definition.document.title),
        ("summary", &definition.document.summary),
    ];
    for (member, text) in texts {
        if let Some(text) = text {
            entry[member] = json!(text);
        }
    }
    entry
}
