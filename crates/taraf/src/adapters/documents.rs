//! The public OpenAPI document: what the routes lead to, described by services and flows.

use bytes::Bytes;
use serde_json::Value;
use taraf_engine::{Catalog, FlowInfo};
use taraf_gateway::Routes;
use taraf_gateway::openapi::{self, About, Error, FlowDescription, Source};
use taraf_service::Descriptor;

/// What the document says of the whole.
fn about() -> About {
    About {
        title: "Taraf".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        description: "Every service and composite service behind one address and one key."
            .to_owned(),
    }
}

/// The document as JSON text.
pub(crate) fn public(
    routes: &Routes,
    services: &[Source],
    catalog: &Catalog,
) -> Result<Bytes, Error> {
    let flows: Vec<_> = catalog.iter().map(flow).collect();
    let document = openapi::build(&about(), routes, services, &flows)?;
    Ok(document.to_string().into())
}

/// What a shipped service says of itself.
pub(crate) fn source(service: &Descriptor) -> Source {
    Source {
        name: service.name.to_string(),
        document: service.openapi.clone(),
    }
}

fn flow(info: &FlowInfo) -> FlowDescription {
    let definition = &info.definition;
    let schema = |of: &str| {
        let document = definition.json.to_json();
        document.pointer(&format!("/{of}/schema/document")).cloned()
    };
    FlowDescription {
        namespace: info.id.namespace.clone(),
        name: info.id.name.clone(),
        version: info.id.version.clone(),
        title: definition.document.title.clone(),
        summary: definition.document.summary.clone(),
        input: schema("input"),
        output: schema("output").filter(Value::is_object),
        is_durable: definition.is_durable(),
    }
}
