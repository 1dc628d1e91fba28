//! The route table against a naive matcher, and what a wrong table is told.

use proptest::prelude::*;

use super::*;

fn table(routes: &[(&str, &str)]) -> Result<Routes, Vec<RouteError>> {
    let routes = routes.iter().enumerate().map(|(at, (method, path))| Route {
        id: at.to_string(),
        ..Route::new(method.parse().unwrap(), path, service(None))
    });
    Routes::build(routes.collect())
}

fn service(path: Option<&str>) -> Target {
    Target::Service {
        service: "companies".to_owned(),
        path: path.map(str::to_owned),
    }
}

/// The id of the route and its values, or the methods allowed, or nothing.
fn find(table: &Routes, method: &str, path: &str) -> Result<(String, Vec<String>), Vec<String>> {
    let segments = Segments::read(path).unwrap();
    match table.find(&method.parse().unwrap(), &segments) {
        Ok(found) => Ok((found.entry.route.id.clone(), found.values)),
        Err(NoMatch::NotFound) => Err(Vec::new()),
        Err(NoMatch::MethodNotAllowed(methods)) => {
            Err(methods.iter().map(ToString::to_string).collect())
        }
    }
}

#[test]
fn a_literal_goes_before_a_parameter_and_that_before_a_tail() {
    let table = table(&[
        ("GET", "/api/{rest...}"),
        ("GET", "/api/companies/{cif}"),
        ("GET", "/api/companies/search"),
        ("GET", "/api/{a}/search/deep"),
    ])
    .unwrap();
    let check = |path: &str, id: &str, values: &[&str]| {
        let (found, captured) = find(&table, "GET", path).unwrap();
        assert_eq!(
            (found.as_str(), captured),
            (id, values.iter().map(ToString::to_string).collect())
        );
    };
    check("/api/companies/search", "2", &[]);
    check("/api/companies/13548146", "1", &["13548146"]);
    check("/api/companies/search/deep", "3", &["companies"]);
    check("/api/companies/search/x", "0", &["companies/search/x"]);
    check("/api/companies", "0", &["companies"]);
    assert_eq!(find(&table, "GET", "/api"), Err(vec![]));
}

#[test]
fn a_known_path_with_another_method_names_the_methods() {
    let table = table(&[("GET", "/a/{b}"), ("POST", "/a/{c}"), ("POST", "/a/x")]).unwrap();
    let allowed = |names: &[&str]| Err(names.iter().map(ToString::to_string).collect());
    assert_eq!(
        find(&table, "DELETE", "/a/1"),
        allowed(&["GET", "HEAD", "POST"])
    );
    // The literal's path is its own: it does not fall to the parameter's methods.
    assert_eq!(find(&table, "GET", "/a/x"), allowed(&["POST"]));
    assert_eq!(find(&table, "HEAD", "/a/1").unwrap().0, "0");
    assert_eq!(find(&table, "POST", "/a/1").unwrap().0, "1");
}

#[test]
fn the_gateways_own_pages_are_in_every_table() {
    let table = table(&[]).unwrap();
    for path in [
        "/",
        "/openapi.json",
        "/health/live",
        "/health/ready",
        "/runs/1",
    ] {
        assert!(find(&table, "GET", path).is_ok(), "{path}");
    }
    assert!(find(&table, "POST", "/account/register").is_ok());
}

#[test]
fn the_registration_can_be_replaced_and_the_other_pages_cannot() {
    let own = table(&[("POST", "/account/register")]).unwrap();
    assert_eq!(find(&own, "POST", "/account/register").unwrap().0, "0");
    assert!(matches!(
        table(&[("GET", "/runs/{run}")]).unwrap_err()[..],
        [RouteError::Clash { .. }]
    ));
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let route = |id: &str, path: &str, target| Route {
        id: id.to_owned(),
        ..Route::new(Method::GET, path, target)
    };
    let odd_name = Target::Service {
        service: "Companies".to_owned(),
        path: None,
    };
    let errors = Routes::build(vec![
        route("one", "/a/{b}", service(None)),
        route("two", "/a/{c}", service(None)),
        route("one", "/d", service(Some("/v1/{e}"))),
        route("three", "/e", odd_name),
        route("four", "f", service(None)),
        Route {
            methods: Vec::new(),
            ..route("five", "/g", service(None))
        },
    ])
    .unwrap_err();
    let told: Vec<_> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "route `two` takes GET /a/{c} as route `one` does",
            "two routes are named `one`",
            "route `one`: the target's path names `e`, which `/d` does not have",
            "route `three`: `Companies` is not a service's name",
            "route `four`: `f` does not begin with a slash",
            "route `five` has no method",
        ]
    );
}

#[test]
fn the_targets_path_is_filled_by_name() {
    let route = Route::new(Method::GET, "/x/{a}/{b}", service(Some("/v1/{b}/of/{a}")));
    let table = Routes::build(vec![route]).unwrap();
    let segments = Segments::read("/x/1%202/%C8%99").unwrap();
    let found = table.find(&Method::GET, &segments).unwrap();
    assert_eq!(found.target_path().unwrap(), "/v1/%C8%99/of/1%202");
}

/// All patterns that fit, the most specific first: compared segment by segment, literal, parameter,
/// tail. Slow and plain.
fn naive<'p>(patterns: &'p [String], path: &[String]) -> Option<&'p String> {
    let rank = |part: &str| match part {
        part if part.ends_with("...}") => 2,
        part if part.starts_with('{') => 1,
        _ => 0,
    };
    let parts = |pattern: &str| -> Vec<String> {
        let parts = pattern.split('/').filter(|part| !part.is_empty());
        parts.map(str::to_owned).collect()
    };
    let fits = |pattern: &&String| {
        let parts = parts(pattern);
        let has_tail = parts.last().is_some_and(|part| rank(part) == 2);
        let length_fits = if has_tail {
            path.len() >= parts.len()
        } else {
            path.len() == parts.len()
        };
        length_fits
            && parts
                .iter()
                .zip(path)
                .all(|(part, is)| rank(part) > 0 || part == is)
    };
    let specific = |pattern: &&String| {
        parts(pattern)
            .iter()
            .map(|part| rank(part))
            .collect::<Vec<_>>()
    };
    patterns.iter().filter(fits).min_by_key(specific)
}

fn pattern() -> impl Strategy<Value = String> {
    let part = prop_oneof![3 => "[ab]", 2 => Just("{p}".to_owned())];
    let tail = prop_oneof![3 => Just(String::new()), 1 => Just("/{t...}".to_owned())];
    (proptest::collection::vec(part, 0..4), tail).prop_map(|(parts, tail)| {
        let mut text = String::new();
        for (at, part) in parts.iter().enumerate() {
            text.push('/');
            // A name may stand only once in a pattern.
            text.push_str(&part.replace('p', &format!("p{at}")));
        }
        // One part before, so that the gateway's own pages are out of the way.
        format!("/x{text}{tail}")
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_table_finds_what_a_naive_search_finds(
        mut patterns in proptest::collection::vec(pattern(), 1..12),
        path in proptest::collection::vec("[abc]", 0..5),
    ) {
        patterns.sort();
        patterns.dedup();
        let routes = patterns.iter().map(|path| Route {
            id: path.clone(),
            ..Route::new(Method::GET, path, service(None))
        });
        let table = Routes::build(routes.collect()).unwrap();
        let full: Vec<String> = std::iter::once("x".to_owned()).chain(path).collect();
        let found = find(&table, "GET", &format!("/{}", full.join("/"))).ok().map(|(id, _)| id);
        prop_assert_eq!(found.as_ref(), naive(&patterns, &full));
    }

    #[test]
    fn the_order_of_routes_does_not_matter(
        mut patterns in proptest::collection::vec(pattern(), 1..8),
        path in proptest::collection::vec("[ab]", 0..5),
    ) {
        patterns.sort();
        patterns.dedup();
        let build = |patterns: &[String]| {
            let route = |path: &String| Route {
                id: path.clone(),
                ..Route::new(Method::GET, path, service(None))
            };
            Routes::build(patterns.iter().map(route).collect()).unwrap()
        };
        let path = format!("/x/{}", path.join("/"));
        let forth = find(&build(&patterns), "GET", &path);
        patterns.reverse();
        prop_assert_eq!(forth, find(&build(&patterns), "GET", &path));
    }
}
