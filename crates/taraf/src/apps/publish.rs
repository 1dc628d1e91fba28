//! Publishing flows that files hold, and what to do about one that changed without a new version.

use anyhow::Context as _;
use taraf_engine::{Catalog, Engine, FlowId};
use taraf_flow::Definition;

use super::{App, FlowSource};

/// Versions are immutable. What to do when a file has other content under a published version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnConflict {
    /// An error: data and program do not fit together, and which is right is for a person to say.
    Refuse,
    /// Publish it as `VERSION+dev.N`, which sorts after `VERSION` and everything published so
    /// before. So a flow can be edited in place while it is developed.
    Number,
}

/// What the build part of a numbered version begins with.
const NUMBERED: &str = "+dev.";

/// Publishes the applications' flows.
pub(crate) async fn publish_all(
    engine: &Engine,
    apps: &[App],
    on_conflict: OnConflict,
) -> anyhow::Result<()> {
    for flow in apps.iter().flat_map(|app| &app.flows) {
        if let Some(id) = publish(engine, flow, on_conflict).await? {
            tracing::info!(flow = %id, place = flow.place, "published");
        }
    }
    Ok(())
}

/// Publishes one flow; nothing when it was published before.
pub(crate) async fn publish(
    engine: &Engine,
    flow: &FlowSource,
    on_conflict: OnConflict,
) -> anyhow::Result<Option<FlowId>> {
    let numbered = match on_conflict {
        OnConflict::Refuse => None,
        OnConflict::Number => match next(&engine.flows(), flow) {
            Next::Known => return Ok(None),
            Next::AsItIs => None,
            Next::Numbered(source) => Some(source),
        },
    };
    let source = numbered.as_deref().unwrap_or(&flow.source);
    let published = engine.publish_with(source, &flow.beside).await;
    let published = published.with_context(|| format!("failed to publish {}", flow.place))?;
    Ok(published.created.then_some(published.flow))
}

/// What is to be done with a source.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// The newest version of its number has this content.
    Known,
    /// To be published, or refused, as it is.
    AsItIs,
    /// To be published with this text, whose version is numbered.
    Numbered(String),
}

/// [pure] Compares a flow with the newest published one of its version.
fn next(catalog: &Catalog, flow: &FlowSource) -> Next {
    let source = flow.source.as_str();
    // A broken source is refused by the engine, with its findings.
    let Some(definition) = taraf_flow::check(source).definition else {
        return Next::AsItIs;
    };
    let said = &definition.document;
    let newest = catalog
        .iter()
        .filter(|info| info.id.namespace == said.namespace && info.id.name == said.name)
        .filter_map(|info| Some((number(&info.id.version, &said.version)?, info)))
        .max_by_key(|(number, _)| *number);
    let Some((number, published)) = newest else {
        return Next::AsItIs;
    };
    // What lies beside the file counts as the file does.
    let beside = super::beside::contents(&definition, &flow.beside);
    let mut resources = definition.resources.iter();
    let has_same = resources.all(|resource| {
        let text = beside.get(&resource.pointer);
        text.is_none() || text == published.contents.get(&resource.pointer)
    });
    let published = &published.definition;
    if has_same && restored(published, &said.version).as_deref() == Some(source) {
        return Next::Known;
    }
    let version = format!("{}{NUMBERED}{}", said.version, number + 1);
    with_version(source, &definition, &version).map_or(Next::AsItIs, Next::Numbered)
}

/// Which number a published version is of `version`: 0 for itself, N for `VERSION+dev.N`.
fn number(published: &str, version: &str) -> Option<u64> {
    match published.strip_prefix(version)? {
        "" => Some(0),
        rest => rest.strip_prefix(NUMBERED)?.parse().ok(),
    }
}

/// The source as it was in its file before it was numbered.
fn restored(published: &Definition, version: &str) -> Option<String> {
    if published.document.version == version {
        return Some(published.source.to_string());
    }
    with_version(&published.source, published, version)
}

/// The source with another version in its place. Of all places where the version's text stands,
/// the right one is that whose change makes the document say the new version.
fn with_version(source: &str, definition: &Definition, version: &str) -> Option<String> {
    let old = &definition.document.version;
    source.match_indices(old.as_str()).find_map(|(at, _)| {
        let changed = format!("{}{version}{}", &source[..at], &source[at + old.len()..]);
        let says = taraf_flow::check(&changed).definition?;
        (says.document.version == version).then_some(changed)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(version: &str) -> String {
        format!(
            "# version 1.2.0 of it\ndocument:\n  dsl: '1.0.0'\n  namespace: test\n  name: flow\n  \
             version: '{version}'\ndo:\n  - say: {{ set: {{ at: 1.2.0 }} }}\n"
        )
    }

    #[test]
    fn only_the_documents_version_is_replaced() {
        let text = source("1.2.0");
        let definition = taraf_flow::check(&text).definition.unwrap();
        let changed = with_version(&text, &definition, "1.2.0+dev.3").unwrap();
        assert_eq!(changed, source("1.2.0+dev.3"));
        let definition = taraf_flow::check(&changed).definition.unwrap();
        assert_eq!(restored(&definition, "1.2.0").unwrap(), text);
    }

    #[test]
    fn numbered_versions_are_told_from_others() {
        assert_eq!(number("1.2.0", "1.2.0"), Some(0));
        assert_eq!(number("1.2.0+dev.12", "1.2.0"), Some(12));
        assert_eq!(number("1.2.0-rc.1", "1.2.0"), None);
        assert_eq!(number("1.2.01", "1.2.0"), None);
        assert_eq!(number("1.3.0", "1.2.0"), None);
    }
}
