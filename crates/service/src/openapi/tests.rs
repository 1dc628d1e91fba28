//! Documents merged, lifted and renamed.

#![expect(
    clippy::needless_pass_by_value,
    reason = "the tests build documents from `json!` in place"
)]

use super::*;

fn document(paths: Value, components: Value) -> Value {
    json!({"openapi": "3.1.0", "info": {"title": "T", "version": "1"},
           "paths": paths, "components": components})
}

fn source(name: &str, paths: Value, components: Value) -> Source {
    Source {
        name: name.to_owned(),
        document: document(paths, components),
    }
}

fn operation(method: &str, path: &str, source: usize, source_path: &str) -> Operation {
    Operation {
        method: method.to_owned(),
        path: path.to_owned(),
        source,
        source_path: source_path.to_owned(),
    }
}

fn base() -> Value {
    json!({"openapi": "3.1.0", "info": {"title": "All", "version": "2"}})
}

fn answering(reference: &str) -> Value {
    json!({"responses": {"200": {"description": "ok", "content": {"application/json": {
        "schema": {"$ref": format!("#/components/schemas/{reference}")}}}}}})
}

fn schema_of(merged: &Value, path: &str) -> String {
    let item = &merged["paths"][path]["get"]["responses"]["200"];
    item["content"]["application/json"]["schema"]["$ref"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn identical_components_are_shared_and_others_renamed_with_their_references() {
    let problem = json!({"type": "object"});
    let a = source(
        "a",
        json!({"/x": {"get": answering("Item")}}),
        json!({"schemas": {"Item": {"type": "string"}, "Problem": problem, "Unused": {}}}),
    );
    let b = source(
        "b",
        json!({"/y": {"get": answering("List")}, "/z": {"get": answering("Problem")}}),
        json!({"schemas": {
            "List": {"type": "array", "items": {"$ref": "#/components/schemas/Item"}},
            "Item": {"type": "integer"}, "Problem": problem}}),
    );
    let operations = [
        operation("GET", "/api/x", 0, "/x"),
        operation("GET", "/api/y", 1, "/y"),
        operation("GET", "/api/z", 1, "/z"),
    ];
    let merged = merge(base(), &[a, b], &operations).unwrap();
    assert_eq!(
        merged["components"]["schemas"],
        json!({
            "Item": {"type": "string"}, "Item_b": {"type": "integer"},
            "List": {"type": "array", "items": {"$ref": "#/components/schemas/Item_b"}},
            "Problem": {"type": "object"}
        })
    );
    assert_eq!(schema_of(&merged, "/api/x"), "#/components/schemas/Item");
    assert_eq!(schema_of(&merged, "/api/z"), "#/components/schemas/Problem");
    assert_eq!(merged["openapi"], "3.1.0");
    assert_eq!(merged["info"]["title"], "All");
}

#[test]
fn components_that_refer_in_circles_are_adopted_and_renamed_together() {
    let tree = |of: &str| {
        json!({"schemas": {
            "Tree": {"type": "array", "items": {"$ref": "#/components/schemas/Node"}},
            "Node": {"properties": {"below": {"$ref": "#/components/schemas/Tree"}, "is": {"type": of}}}}})
    };
    let paths = || json!({"/t": {"get": answering("Tree")}});
    let sources = [
        source("a", paths(), tree("string")),
        source("b", paths(), tree("integer")),
        source("c", paths(), tree("string")),
    ];
    let operations: Vec<_> = ["/a", "/b", "/c"]
        .iter()
        .enumerate()
        .map(|(n, path)| operation("get", path, n, "/t"))
        .collect();
    let merged = merge(base(), &sources, &operations).unwrap();
    let schemas = merged["components"]["schemas"].as_object().unwrap();
    let names: Vec<_> = schemas.keys().map(String::as_str).collect();
    assert_eq!(names, ["Node", "Node_b", "Tree", "Tree_b"]);
    assert_eq!(
        schemas["Node_b"]["properties"]["below"]["$ref"],
        "#/components/schemas/Tree_b"
    );
    assert_eq!(schema_of(&merged, "/c"), "#/components/schemas/Tree");
}

#[test]
fn two_operations_at_one_place_are_an_error() {
    let paths = json!({"/x/{id}": {"get": {}, "put": {}}});
    let sources = [
        source("a", paths.clone(), json!({})),
        source("b", paths, json!({})),
    ];
    let clash = [
        operation("GET", "/x/{id}", 0, "/x/{id}"),
        operation("get", "/x/{code}", 1, "/x/{id}"),
    ];
    let error = merge(base(), &sources, &clash).unwrap_err();
    assert_eq!(
        error.to_string(),
        "two operations answer `GET /x/{code}`: one of `a` (/x/{id}) and one of `b` (/x/{id})"
    );
    let beside = [
        operation("GET", "/x/{id}", 0, "/x/{id}"),
        operation("PUT", "/x/{id}", 1, "/x/{id}"),
    ];
    assert!(merge(base(), &sources, &beside).is_ok());
}

#[test]
fn what_is_missing_is_named() {
    let a = source("a", json!({"/x": {"get": answering("Gone")}}), json!({}));
    let sources = [a];
    let missing = merge(base(), &sources, &[operation("POST", "/x", 0, "/x")]);
    assert_eq!(
        missing.unwrap_err().to_string(),
        "the document of `a` has no operation `POST /x`"
    );
    let dangling = merge(base(), &sources, &[operation("GET", "/x", 0, "/x")]);
    assert_eq!(
        dangling.unwrap_err().to_string(),
        "the document of `a` refers to `#/components/schemas/Gone`, which it does not have"
    );
    let old = [Source {
        name: "old".to_owned(),
        document: json!({"swagger": "2.0"}),
    }];
    assert!(matches!(
        merge(base(), &old, &[]),
        Err(Error::Version { .. })
    ));
    let nowhere = merge(base(), &[], &[operation("GET", "/x", 3, "/x")]);
    assert_eq!(nowhere.unwrap_err(), Error::NoSource { index: 3 });
}

#[test]
fn path_parameters_follow_the_public_template_and_shared_ones_are_inherited() {
    let parameter = |name: &str| json!({"name": name, "in": "path", "required": true});
    let paths = json!({"/companies/{code}": {
        "parameters": [parameter("code"), {"name": "lang", "in": "query"}],
        "servers": [{"url": "http://inside"}],
        "get": {"operationId": "company", "parameters": [{"name": "lang", "in": "query", "x": 1}]}}});
    let merged = merge(
        base(),
        &[source("companies", paths, json!({}))],
        &[operation(
            "GET",
            "/api/companies/{cif}",
            0,
            "/companies/{code}",
        )],
    )
    .unwrap();
    assert_eq!(
        merged["paths"]["/api/companies/{cif}"]["get"],
        json!({"operationId": "company",
               "parameters": [{"name": "lang", "in": "query", "x": 1}, parameter("cif")]})
    );
}

#[test]
fn one_operation_id_of_two_services_gets_the_name_before_it() {
    let paths = json!({"/x": {"get": {"operationId": "read"}}});
    let sources = [
        source("a", paths.clone(), json!({})),
        source("b", paths, json!({})),
    ];
    let operations = [
        operation("GET", "/a", 0, "/x"),
        operation("GET", "/b", 1, "/x"),
        operation("GET", "/c", 1, "/x"),
    ];
    let merged = merge(base(), &sources, &operations).unwrap();
    assert_eq!(merged["paths"]["/a"]["get"]["operationId"], "read");
    assert_eq!(merged["paths"]["/b"]["get"]["operationId"], "b_read");
    assert_eq!(merged["paths"]["/c"]["get"]["operationId"], "b_read_2");
}

#[test]
fn security_schemes_come_with_what_requires_them() {
    let mut a = source(
        "a",
        json!({"/x": {"get": {}}, "/open": {"get": {"security": []}}}),
        json!({"securitySchemes": {"key": {"type": "apiKey", "name": "k", "in": "header"}}}),
    );
    a.document["security"] = json!([{"key": []}]);
    let mut base = base();
    base["components"] = json!({"securitySchemes": {"key": {"type": "http"}}});
    let operations = [
        operation("GET", "/x", 0, "/x"),
        operation("GET", "/open", 0, "/open"),
    ];
    let merged = merge(base, &[a], &operations).unwrap();
    assert_eq!(
        merged["paths"]["/x"]["get"]["security"],
        json!([{"key_a": []}])
    );
    assert_eq!(merged["paths"]["/open"]["get"]["security"], json!([]));
    let schemes = &merged["components"]["securitySchemes"];
    assert_eq!(schemes["key"]["type"], "http");
    assert_eq!(schemes["key_a"]["type"], "apiKey");
}

#[test]
fn a_document_of_3_0_is_lifted() {
    let mut old = source(
        "old",
        json!({"/x": {"get": answering("Item")}}),
        json!({"schemas": {"Item": {"type": "object", "properties": {
            "a": {"type": "string", "nullable": true, "example": "x"},
            "b": {"type": "number", "minimum": 0, "exclusiveMinimum": true},
            "c": {"type": "number", "maximum": 9, "exclusiveMaximum": false},
            "d": {"type": "string", "enum": ["y"], "nullable": true}}}}}),
    );
    old.document["openapi"] = "3.0.3".into();
    let operations = operations_of(0, &old.document);
    let merged = merge(base(), &[old], &operations).unwrap();
    assert_eq!(
        merged["components"]["schemas"]["Item"]["properties"],
        json!({
            "a": {"type": ["string", "null"], "examples": ["x"]},
            "b": {"type": "number", "exclusiveMinimum": 0},
            "c": {"type": "number", "maximum": 9},
            "d": {"type": ["string", "null"], "enum": ["y", null]}
        })
    );
}

#[test]
fn the_result_does_not_depend_on_the_order_of_the_operations() {
    let sources = [
        source(
            "a",
            json!({"/x": {"get": answering("I")}, "/w": {"get": answering("J")}}),
            json!({"schemas": {"I": {"type": "string"}, "J": {"type": "null"}}}),
        ),
        source(
            "b",
            json!({"/x": {"get": answering("I")}}),
            json!({"schemas": {"I": {"type": "number"}}}),
        ),
    ];
    let mut operations = vec![
        operation("GET", "/2", 0, "/x"),
        operation("GET", "/1", 1, "/x"),
        operation("GET", "/3", 0, "/w"),
    ];
    let first = merge(base(), &sources, &operations).unwrap().to_string();
    for _ in 0..3 {
        operations.rotate_left(1);
        let again = merge(base(), &sources, &operations).unwrap().to_string();
        assert_eq!(again, first);
    }
}
