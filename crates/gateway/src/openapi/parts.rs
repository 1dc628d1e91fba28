//! [pure] What the document says beside the services' own parts: keys, errors, the gateway's pages.

use serde_json::{Map, Value, json};
use taraf_service::problem::{self, Kind};

use super::{About, is_open, path_parameters};
use crate::answer;
use crate::routes::{AccountView, Auth, Authenticator, Route};

/// The answers that any call with a key may get, by status and name of the shared response.
const REFUSALS: [(&str, &str); 3] = [
    ("401", "ApiKeyMissing"),
    ("403", "ApiKeyInvalid"),
    ("429", "OverPlan"),
];

pub(super) fn base(about: &About) -> Value {
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": about.title,
            "version": about.version,
            "description": about.description,
        },
        "servers": [{"url": "/"}],
        "security": [{"apiKey": []}, {"bearer": []}],
        "tags": [{"name": "account", "description": "Keys and usage."}],
        "paths": {},
        "components": {
            "securitySchemes": {
                "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"},
                "bearer": {"type": "http", "scheme": "bearer"},
            },
            "schemas": {
                "GatewayError": error_schema(),
                "GatewayProblem": problem_schema(),
            },
            "responses": {
                "ApiKeyMissing": refusal("The call carries no key.", &problem::API_KEY_MISSING),
                "ApiKeyInvalid": refusal(
                    "The key is unknown or was revoked.",
                    &problem::API_KEY_INVALID,
                ),
                "OverPlan": over_plan(),
                "Refused": refusal(
                    "Anything else that went wrong; `code` says what.",
                    &problem::SERVICE_UNAVAILABLE,
                ),
            },
        },
    })
}

fn error_schema() -> Value {
    json!({
        "type": "object",
        "required": ["error"],
        "properties": {"error": {
            "type": "object",
            "required": ["code", "title", "description"],
            "properties": {
                "code": {"type": "string"},
                "title": {"type": "string"},
                "description": {"type": "string"},
            },
        }},
    })
}

fn problem_schema() -> Value {
    json!({
        "type": "object",
        "description": "RFC 9457",
        "required": ["type", "title", "status", "code"],
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "code": {"type": "string"},
            "detail": {"type": "string"},
        },
    })
}

fn refusal(description: &str, kind: &Kind) -> Value {
    let example = kind.new();
    json!({
        "description": description,
        "content": {
            "application/json": {
                "schema": {"$ref": "#/components/schemas/GatewayError"},
                "example": example.to_error_form(),
            },
            "application/problem+json": {
                "schema": {"$ref": "#/components/schemas/GatewayProblem"},
                "example": example.to_json(),
            },
        },
    })
}

fn over_plan() -> Value {
    let mut response = refusal(
        "The plan does not allow the call now.",
        &problem::RATE_LIMITED,
    );
    let header = |description: &str, kind: &str| json!({"description": description, "schema": {"type": kind}});
    response["headers"] = json!({
        "Retry-After": header("Seconds after which to try again.", "integer"),
        "RateLimit": header("What is left.", "string"),
        "RateLimit-Policy": header("What the plan allows.", "string"),
        "X-RateLimit-Limit": header("The plan's calls.", "integer"),
        "X-RateLimit-Remaining": header("The calls left.", "integer"),
        "X-RateLimit-Reset": header("When they are full again, in seconds since 1970.", "integer"),
    });
    response
}

/// The operation at a place of the document.
pub(super) fn operation<'d>(
    document: &'d mut Value,
    method: &str,
    path: &str,
) -> Option<&'d mut Map<String, Value>> {
    let item = document.get_mut("paths")?.get_mut(path)?;
    item.get_mut(method)?.as_object_mut()
}

/// Enters an operation for each method of a route.
pub(super) fn enter(document: &mut Value, route: &Route, path: &str, operation: &Value) {
    for method in &route.methods {
        let method = method.as_str().to_lowercase();
        let mut operation = operation.clone();
        operation["operationId"] = Value::from(operation_id(&method, path));
        if let Some(members) = operation.as_object_mut() {
            enrich(members, route);
        }
        document["paths"][path][&method] = operation;
    }
}

/// Adds what the route says: title, groups, whether a key is asked for, the refusals.
pub(super) fn enrich(operation: &mut Map<String, Value>, route: &Route) {
    if let Some(title) = &route.title {
        operation.insert("summary".to_owned(), Value::from(title.as_str()));
    }
    if !route.tags.is_empty() {
        operation.insert("tags".to_owned(), Value::from(route.tags.clone()));
    }
    // The services' documents know nothing of keys: who may call is the route's to say.
    operation.remove("security");
    let responses = operation
        .entry("responses")
        .or_insert_with(|| Value::Object(Map::new()));
    let is_open = is_open(route);
    if let Some(responses) = responses.as_object_mut() {
        let refusals = REFUSALS.into_iter().filter(|_| !is_open);
        for (status, name) in refusals.chain([("default", "Refused")]) {
            let reference = json!({"$ref": format!("#/components/responses/{name}")});
            responses.entry(status).or_insert(reference);
        }
        let refused = responses
            .iter_mut()
            .filter(|(status, _)| status.starts_with(['4', '5']));
        for (_, response) in refused {
            add_own_forms(response, &route.path);
        }
    }
    match &route.auth {
        Auth::Open => {
            operation.insert("security".to_owned(), Value::Array(Vec::new()));
        }
        // What the whole document says.
        Auth::Key => {}
        Auth::Any(accepted) => {
            let ways = accepted.iter().flat_map(requirements);
            operation.insert("security".to_owned(), ways.collect());
        }
    }
}

/// What a service's document says of a refusal holds for its own; the gateway may refuse with the same
/// status, in its own forms.
fn add_own_forms(response: &mut Value, path: &str) {
    let Some(content) = response.get_mut("content").and_then(Value::as_object_mut) else {
        return;
    };
    let forms = [
        ("application/problem+json", "GatewayProblem"),
        ("application/json", "GatewayError"),
    ];
    // The older form is for the paths of older clients alone.
    let count = if answer::has_error_form(path) { 2 } else { 1 };
    for (media_type, schema) in forms.into_iter().take(count) {
        let reference = json!({"schema": {"$ref": format!("#/components/schemas/{schema}")}});
        content.entry(media_type).or_insert(reference);
    }
}

/// How a caller may prove who it is, each way a requirement of its own.
fn requirements(one: &Authenticator) -> Vec<Value> {
    match one {
        Authenticator::Key => vec![json!({"apiKey": []}), json!({"bearer": []})],
        Authenticator::Jwt { issuer, scopes } => vec![json!({scheme_name(issuer): scopes})],
        Authenticator::Certificate => vec![json!({"clientCertificate": []})],
    }
}

/// Components are named with letters, digits, `.`, `-` and `_` alone.
fn scheme_name(issuer: &str) -> String {
    let keep = |c: char| {
        let is_kept = c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if is_kept { c } else { '_' }
    };
    format!("token_{}", issuer.chars().map(keep).collect::<String>())
}

/// The ways that routes ask for beside keys.
pub(super) fn schemes<'r>(document: &mut Value, routes: impl Iterator<Item = &'r Route>) {
    for route in routes {
        let Auth::Any(accepted) = &route.auth else {
            continue;
        };
        let schemes = &mut document["components"]["securitySchemes"];
        for one in accepted {
            match one {
                Authenticator::Key => {}
                Authenticator::Jwt { issuer, .. } => {
                    schemes[scheme_name(issuer)] = json!({
                        "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
                        "description": format!("A token of the issuer `{issuer}`."),
                    });
                }
                Authenticator::Certificate => {
                    schemes["clientCertificate"] = json!({"type": "mutualTLS"});
                }
            }
        }
    }
}

pub(super) fn account(document: &mut Value, route: &Route, path: &str, view: AccountView) {
    let mut operation = match view {
        AccountView::Register => json!({
            "summary": "Get a key",
            "requestBody": {"required": true, "content": {"application/json": {"schema": {
                "type": "object",
                "required": ["email"],
                "properties": {"email": {
                    "type": "string",
                    "format": "email",
                    "examples": ["ana@example.org"],
                }},
            }}}},
            "responses": {
                "201": {
                    "description": "The key, told this once.",
                    "content": {"application/json": {"schema": {
                        "type": "object",
                        "required": ["key", "plan"],
                        "properties": {
                            "key": {"type": "string", "minLength": 50, "maxLength": 50},
                            "plan": {"type": "string", "examples": ["free"]},
                        },
                    }}},
                },
                "409": {"$ref": "#/components/responses/Refused"},
                "429": {"$ref": "#/components/responses/OverPlan"},
            },
        }),
        AccountView::Usage => json!({
            "summary": "What the account used this month",
            "responses": {"200": json_response("The usage, key by key.", &usage_schema())},
        }),
        AccountView::Keys => json!({
            "summary": "The keys of the account",
            "responses": {"200": json_response("The keys without their secrets.", &keys_schema())},
        }),
    };
    operation["tags"] = json!(["account"]);
    let parameters = path_parameters(path);
    if !parameters.is_empty() {
        operation["parameters"] = Value::from(parameters);
    }
    enter(document, route, path, &operation);
}

pub(super) fn run(document: &mut Value, route: &Route, path: &str) {
    let operation = json!({
        "summary": "A run that the account started",
        "tags": ["runs"],
        "parameters": path_parameters(path),
        "responses": {
            "200": {
                "description": "The run as it is now.",
                "content": {"application/json": {"schema": {
                    "type": "object",
                    "required": ["id", "status"],
                    "properties": {
                        "id": {"type": "string", "examples": ["run_01h455vb4pex5vsknk084sn02q"]},
                        "status": {"type": "string", "enum": [
                            "pending", "running", "waiting", "suspended",
                            "cancelled", "faulted", "completed",
                        ]},
                        "output": {},
                    },
                }}},
            },
            "404": {"$ref": "#/components/responses/Refused"},
        },
    });
    enter(document, route, path, &operation);
}

fn json_response(description: &str, schema: &Value) -> Value {
    json!({
        "description": description,
        "content": {"application/json": {"schema": schema}},
    })
}

/// As `accounts::AccountUsage` is written.
fn usage_schema() -> Value {
    let count = |example: u64| json!({"type": "integer", "minimum": 0, "examples": [example]});
    let word = |example: &str| json!({"type": "string", "examples": [example]});
    json!({
        "type": "object",
        "required": ["account", "month", "reset", "used", "keys"],
        "properties": {
            "account": word("ana@example.org"),
            "month": word("2026-11"),
            "reset": {"type": "string", "format": "date-time",
                "examples": ["2026-12-01T00:00:00.000Z"]},
            "used": count(42),
            "keys": {"type": "array", "items": {
                "type": "object",
                "required": ["id", "label", "plan", "limit", "used", "remaining", "history"],
                "properties": {
                    "id": word(KEY_EXAMPLE),
                    "label": word("shop"),
                    "plan": word("free"),
                    "limit": {"type": ["integer", "null"], "examples": [100]},
                    "used": count(42),
                    "remaining": {"type": ["integer", "null"], "examples": [58]},
                    "history": {"type": "array", "items": {
                        "type": "object",
                        "required": ["month", "used"],
                        "properties": {"month": word("2026-10"), "used": count(97)},
                    }},
                },
            }},
        },
    })
}

const KEY_EXAMPLE: &str = "key_01h455vb4pex5vsknk084sn02q";

/// As a list of `accounts::KeyView` is written.
fn keys_schema() -> Value {
    let word = |example: &str| json!({"type": "string", "examples": [example]});
    let time =
        |example: &str| json!({"type": "string", "format": "date-time", "examples": [example]});
    json!({
        "type": "object",
        "required": ["keys"],
        "properties": {"keys": {"type": "array", "items": {
            "type": "object",
            "required": ["id", "account", "account_id", "plan", "label", "created", "revoked"],
            "properties": {
                "id": word(KEY_EXAMPLE),
                "account": word("ana@example.org"),
                "account_id": word("acc_01h455vb4pex5vsknk084sn02q"),
                "plan": word("free"),
                "label": word("shop"),
                "created": time("2026-11-01T08:00:00.000Z"),
                "ends": time("2026-11-30T08:00:00.000Z"),
                "revoked": {"type": "boolean"},
                "last_used": {"type": "string", "format": "date", "examples": ["2026-11-22"]},
                "rotated_from": word(KEY_EXAMPLE),
            },
        }}},
    })
}

/// `get /api/companies/{cif}` → `get_api_companies_cif`.
fn operation_id(method: &str, path: &str) -> String {
    let words = path
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty());
    let mut id = method.to_owned();
    for word in words {
        id.push('_');
        id.push_str(word);
    }
    id
}
