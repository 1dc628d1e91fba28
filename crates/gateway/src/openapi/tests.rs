//! The aggregated document: services' operations under public paths, flows' schemas, keys, refusals.

use std::time::Duration;

use http::Method;

use super::*;
use crate::routes::{AccountView, Authenticator};

fn about() -> About {
    About {
        title: "Front door".to_owned(),
        version: "1".to_owned(),
        description: "All of it.".to_owned(),
    }
}

fn companies() -> Source {
    let document = json!({
        "openapi": "3.1.0",
        "info": {"title": "Companies", "version": "1"},
        "paths": {
            "/v1/companies/{code}": {
                "get": {
                    "operationId": "company",
                    "summary": "One company",
                    "security": [{"internal": []}],
                    "parameters": [
                        {"name": "code", "in": "path", "required": true, "schema": {"type": "string"}},
                    ],
                    "responses": {
                        "200": {
                            "description": "The company",
                            "content": {"application/json": {
                                "schema": {"$ref": "#/components/schemas/Company"},
                            }},
                        },
                        "404": {
                            "description": "There is none",
                            "content": {"application/problem+json": {"schema": {"type": "object"}}},
                        },
                    },
                },
            },
            "/v1/hidden": {"get": {"responses": {"200": {"description": "Not routed"}}}},
        },
        "components": {
            "schemas": {"Company": {"type": "object"}},
            "securitySchemes": {"internal": {"type": "http", "scheme": "basic"}},
        },
    });
    Source {
        name: "companies".to_owned(),
        document,
    }
}

fn to_service(path: &str, to: &str) -> Route {
    let target = Target::Service {
        service: "companies".to_owned(),
        path: Some(to.to_owned()),
    };
    Route::new(Method::GET, path, target)
}

fn to_flow(method: Method, path: &str) -> Route {
    let target = Target::Flow {
        namespace: "romania".to_owned(),
        name: "supplier-check".to_owned(),
        version: None,
        wait: Duration::ZERO,
    };
    Route::new(method, path, target)
}

fn supplier_check() -> FlowDescription {
    FlowDescription {
        namespace: "romania".to_owned(),
        name: "supplier-check".to_owned(),
        version: "1.0.0".to_owned(),
        title: Some("Check a supplier".to_owned()),
        summary: None,
        input: Some(json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "required": ["cif"],
            "properties": {"cif": {"type": "string"}, "iban": {"$ref": "#/$defs/iban"}},
            "$defs": {"iban": {"type": "string"}},
        })),
        output: Some(json!({"type": "object"})),
        is_durable: true,
    }
}

fn document(routes: Vec<Route>) -> Value {
    let routes = Routes::build(routes).unwrap();
    build(&about(), &routes, &[companies()], &[supplier_check()]).unwrap()
}

#[test]
fn an_operation_is_described_at_its_public_path_with_its_services_parameters() {
    let route = Route {
        title: Some("A company by code".to_owned()),
        tags: vec!["companies".to_owned()],
        ..to_service("/api/companies/{cif}", "/v1/companies/{cif}")
    };
    let document = document(vec![route]);
    let operation = &document["paths"]["/api/companies/{code}"]["get"];
    assert_eq!(operation["summary"], "A company by code");
    assert_eq!(operation["tags"], json!(["companies"]));
    assert_eq!(operation["parameters"][0]["name"], "code");
    assert!(operation.get("security").is_none());
    assert_eq!(
        operation["responses"]["401"]["$ref"],
        "#/components/responses/ApiKeyMissing"
    );
    assert!(document["components"]["schemas"]["Company"].is_object());
    assert!(!document.to_string().contains("hidden"));
    assert_eq!(document["openapi"], "3.1.0");
}

#[test]
fn a_refusal_that_a_service_describes_may_be_the_gateways_too() {
    let responses = |path: &str, to: &str| {
        let document = document(vec![to_service(path, to)]);
        document["paths"][path.replace("cif", "code")]["get"]["responses"].clone()
    };
    let own = json!({"schema": {"$ref": "#/components/schemas/GatewayError"}});
    let older = responses("/api/companies/{cif}", "/v1/companies/{cif}");
    let content = &older["404"]["content"];
    assert_eq!(
        content["application/problem+json"],
        json!({"schema": {"type": "object"}})
    );
    assert_eq!(content["application/json"], own);
    assert_eq!(older["200"]["content"].as_object().unwrap().len(), 1);
    // The older form is not spoken elsewhere.
    let newer = responses("/companies/{cif}", "/v1/companies/{cif}");
    assert!(newer["404"]["content"].get("application/json").is_none());
}

#[test]
fn an_open_route_asks_for_no_key() {
    let route = Route {
        auth: Auth::Open,
        ..to_service("/api/companies/{cif}", "/v1/companies/{cif}")
    };
    let document = document(vec![route]);
    let operation = &document["paths"]["/api/companies/{code}"]["get"];
    assert_eq!(operation["security"], json!([]));
    assert!(operation["responses"].get("401").is_none());
}

#[test]
fn the_ways_that_a_route_takes_are_told() {
    let jwt = Authenticator::Jwt {
        issuer: "partner one".to_owned(),
        scopes: vec!["read".to_owned()],
    };
    let route = Route {
        auth: Auth::Any(vec![Authenticator::Key, jwt, Authenticator::Certificate]),
        ..to_service("/api/companies/{cif}", "/v1/companies/{cif}")
    };
    let document = document(vec![route]);
    assert_eq!(
        document["paths"]["/api/companies/{code}"]["get"]["security"],
        json!([{"apiKey": []}, {"bearer": []}, {"token_partner_one": ["read"]}, {"clientCertificate": []}])
    );
    let schemes = &document["components"]["securitySchemes"];
    assert_eq!(schemes["token_partner_one"]["bearerFormat"], "JWT");
    assert_eq!(schemes["clientCertificate"]["type"], "mutualTLS");
}

#[test]
fn a_route_that_its_service_does_not_describe_is_left_out() {
    let document = document(vec![
        to_service("/api/a/{x}", "/v1/nothing/{x}"),
        to_service("/files/{rest...}", "/v1/files/{rest...}"),
    ]);
    let paths = document["paths"].as_object().unwrap();
    assert!(
        paths
            .keys()
            .all(|path| !path.starts_with("/api/a") && !path.starts_with("/files"))
    );
}

#[test]
fn a_flow_is_described_by_its_schemas() {
    let document = document(vec![to_flow(Method::POST, "/api/supplier-check/{cif}")]);
    let operation = &document["paths"]["/api/supplier-check/{cif}"]["post"];
    assert_eq!(operation["summary"], "Check a supplier");
    assert!(operation["responses"]["202"].is_object());
    let names: Vec<_> = operation["parameters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|parameter| parameter["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["cif", "Idempotency-Key"]);
    let schema = &document["components"]["schemas"]["romania_supplier-check_input"];
    // What the path gives is not in the body, and references lead to where the schema is now.
    assert!(schema["properties"].get("cif").is_none() && schema.get("required").is_none());
    assert_eq!(
        schema["properties"]["iban"]["$ref"],
        "#/components/schemas/romania_supplier-check_input/$defs/iban"
    );
    assert!(schema.get("$schema").is_none());
}

#[test]
fn a_flow_that_is_read_takes_its_input_from_the_query() {
    let document = document(vec![to_flow(Method::GET, "/api/check/{other}")]);
    let operation = &document["paths"]["/api/check/{other}"]["get"];
    assert!(operation.get("requestBody").is_none());
    let parameters = operation["parameters"].as_array().unwrap();
    let cif = parameters
        .iter()
        .find(|parameter| parameter["name"] == "cif")
        .unwrap();
    assert_eq!(
        (&cif["in"], &cif["required"]),
        (&json!("query"), &json!(true))
    );
}

#[test]
fn every_reference_leads_somewhere_and_every_operation_has_its_own_id() {
    let view = |path, view| Route::new(Method::GET, path, Target::Account(view));
    let document = document(vec![
        to_service("/api/companies/{cif}", "/v1/companies/{cif}"),
        to_flow(Method::POST, "/api/supplier-check"),
        view("/api/usage", AccountView::Usage),
        view("/api/keys", AccountView::Keys),
    ]);
    let mut references = Vec::new();
    collect(&document, "$ref", &mut references);
    assert!(!references.is_empty());
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
    let mut ids = Vec::new();
    collect(&document, "operationId", &mut ids);
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!((ids.len(), count), (count, 6), "{ids:?}");
}

fn collect(value: &Value, name: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(text)) = members.get(name) {
                found.push(text.clone());
            }
            members
                .values()
                .for_each(|value| collect(value, name, found));
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, name, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
