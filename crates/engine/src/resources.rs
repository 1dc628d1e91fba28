//! Documents that definitions need and that lie elsewhere: had when a definition is published.

use std::collections::BTreeMap;

use taraf_flow::{Contents, Data, Definition, Finding, FlowError, Resource, Scope, is_local};
use tokio::time::{Instant, timeout_at};

use crate::invoker::{Document, Means, secrets};

/// For all documents of one definition together.
const FETCH_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(30);

/// Documents that lie beside a definition, by the addresses that it names them with. Who publishes
/// it brings them along: the engine opens no files on the word of a document.
pub type Beside = BTreeMap<String, String>;

/// Gets all documents that the definition needs, or tells of each that cannot be had.
pub(crate) async fn fetch(
    means: &Means,
    definition: &Definition,
    beside: &Beside,
) -> Result<Contents, Vec<Finding>> {
    let until = Instant::now() + FETCH_TIMEOUT;
    let scope = Scope {
        secrets: Some(secrets(&definition.use_.secrets, &means.config.secrets)),
        ..Scope::default()
    };
    let mut contents = Contents::new();
    let mut findings = Vec::new();
    // The same document named twice is one document.
    let mut known: BTreeMap<(String, usize), String> = BTreeMap::new();
    for resource in &definition.resources {
        match one(means, resource, &scope, beside, &mut known, until).await {
            Ok(text) => contents.insert(&resource.pointer, text),
            Err(message) => findings.push(resource.finding(message)),
        }
    }
    if findings.is_empty() {
        Ok(contents)
    } else {
        Err(findings)
    }
}

async fn one(
    means: &Means,
    resource: &Resource,
    scope: &Scope,
    beside: &Beside,
    known: &mut BTreeMap<(String, usize), String>,
    until: Instant,
) -> Result<String, String> {
    let endpoint = &resource.endpoint;
    let uri = endpoint.uri.eval(&Data::null(), scope);
    let uri = uri.map_err(|error| format!("its address: {error}"))?;
    if is_local(&uri) {
        return match beside.get(&uri) {
            Some(text) => Ok(text.clone()),
            None => Err(format!(
                "`{uri}` is a file beside the document; `taraf flow publish` sends it along, and a server opens none"
            )),
        };
    }
    let policy = endpoint.authentication.as_ref();
    let name = (
        uri,
        policy.map_or(0, |policy| std::sync::Arc::as_ptr(policy).addr()),
    );
    if let Some(text) = known.get(&name) {
        return Ok(text.clone());
    }
    let document = Document {
        uri: &name.0,
        policy: policy.map(AsRef::as_ref),
        scope,
        until,
    };
    let got = timeout_at(until, document.get(means)).await;
    let text = got
        .unwrap_or_else(|_elapsed| Err(slow(&name.0)))
        .map_err(|error| told(&error))?;
    known.insert(name, text.clone());
    Ok(text)
}

fn slow(uri: &str) -> FlowError {
    let limit = taraf_base::duration::format(FETCH_TIMEOUT);
    FlowError::communication(format!("{uri} did not answer within {limit}"))
}

fn told(error: &FlowError) -> String {
    let detail = error.detail.as_deref().unwrap_or("it cannot be had");
    format!("it was not fetched: {detail} (status {})", error.status)
}
