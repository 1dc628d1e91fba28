//! Answers that are kept: for whom, for how long, and what makes them forgotten.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::json;
use taraf_base::Tasks;
use taraf_gateway::{Auth, Route, Settings};
use taraf_service::{Body, body};
use tokio::sync::watch;

use super::stack::{Answer, LIMIT, Stack, route, text, upstream};

/// A service that counts its calls and answers what it is told to.
#[derive(Clone)]
struct Source {
    calls: Arc<AtomicUsize>,
    says: Arc<watch::Sender<Says>>,
}

#[derive(Clone, Default)]
struct Says {
    status: u16,
    headers: Vec<(&'static str, String)>,
    /// Answers wait for this to be true.
    is_open: bool,
}

impl Source {
    async fn start(tasks: &Tasks) -> (Self, std::net::SocketAddr) {
        let says = Says {
            status: 200,
            headers: Vec::new(),
            is_open: true,
        };
        let source = Self {
            calls: Arc::default(),
            says: Arc::new(watch::Sender::new(says)),
        };
        let own = source.clone();
        let address = upstream(tasks, move |request| own.answer(&request)).await;
        (source, address)
    }

    fn say(&self, status: u16, headers: &[(&'static str, &str)]) {
        let headers = headers
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect();
        self.says
            .send_modify(|says| (says.status, says.headers) = (status, headers));
    }

    fn answer(&self, request: &Request<Incoming>) -> Answer {
        let number = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        let mut says = self.says.subscribe();
        let known = request.headers().get("if-none-match").cloned();
        let body = format!("{} {number}", request.uri());
        Box::pin(async move {
            let says = says.wait_for(|says| says.is_open).await.unwrap().clone();
            let mut response: Response<Body> = Response::new(body::empty());
            *response.status_mut() = StatusCode::from_u16(says.status).unwrap();
            for (name, value) in says.headers {
                response.headers_mut().append(name, value.parse().unwrap());
            }
            if known.is_some() && known.as_ref() == response.headers().get("etag") {
                *response.status_mut() = StatusCode::NOT_MODIFIED;
            } else {
                *response.body_mut() = body::full(body);
            }
            response
        })
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    async fn called(&self, times: usize) {
        let all = async {
            while self.calls() < times {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LIMIT, all)
            .await
            .expect("the calls in time");
    }
}

fn kept(route: Route, cache: &serde_json::Value) -> Route {
    let settings: Settings = serde_json::from_value(json!({ "cache": cache })).unwrap();
    Route { settings, ..route }
}

async fn stack(cache: serde_json::Value) -> (Source, Stack) {
    let tasks = Tasks::new();
    let (source, up) = Source::start(&tasks).await;
    let open = Route {
        auth: Auth::Open,
        ..kept(route(Method::GET, "/open/{x}"), &cache)
    };
    let routes = vec![
        kept(route(Method::GET, "/x/{id}"), &cache),
        open,
        route(Method::PUT, "/x/{id}"),
    ];
    (source, Stack::start(routes, &[up]).await)
}

fn told(response: &Response<Incoming>, name: &str) -> String {
    let value = response.headers().get(name);
    value.map_or_else(String::new, |value| value.to_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_fresh_answer_is_kept_for_its_key_and_says_so() {
    let (source, stack) = stack(json!(true)).await;
    source.say(200, &[("cache-control", "max-age=60"), ("etag", "\"a\"")]);
    let first = stack.get("/x/1?q=1").await;
    assert_eq!(told(&first, "x-cache"), "MISS");
    assert_eq!(told(&first, "cache-status"), "taraf; fwd=uri-miss; stored");
    let body = text(first).await;
    let second = stack.get("/x/1?q=1").await;
    assert_eq!(told(&second, "x-cache"), "HIT");
    assert!(told(&second, "cache-status").starts_with("taraf; hit; ttl="));
    assert_eq!(told(&second, "age"), "0");
    assert_eq!(text(second).await, body);
    assert_eq!(source.calls(), 1);
    // Another question, and another key, are asked anew.
    stack.get("/x/1?q=2").await;
    let other = stack
        .accounts
        .create_key("bob", Some("wide"), "")
        .await
        .unwrap();
    let other = stack.get_with("/x/1?q=1", other.secret.expose()).await;
    assert_eq!(told(&other, "x-cache"), "MISS");
    assert_eq!(source.calls(), 3);
}

#[tokio::test]
async fn a_public_answer_is_for_all_keys_and_a_private_one_for_nobody() {
    let (source, stack) = stack(json!(true)).await;
    let other = stack
        .accounts
        .create_key("bob", Some("wide"), "")
        .await
        .unwrap();
    let other = other.secret.expose();
    source.say(200, &[("cache-control", "public, max-age=60")]);
    stack.get("/x/1").await;
    assert_eq!(told(&stack.get_with("/x/1", other).await, "x-cache"), "HIT");
    source.say(200, &[("cache-control", "private, max-age=60")]);
    stack.get("/x/2").await;
    assert_eq!(told(&stack.get("/x/2").await, "x-cache"), "MISS");
    assert_eq!(source.calls(), 3);
    // The kept answer is charged and refused as any other.
    let nobody = stack.get_with("/x/1", "no-key").await;
    assert_eq!(nobody.status(), 403);
}

#[tokio::test]
async fn what_the_caller_knows_is_not_sent_again() {
    let (source, stack) = stack(json!(true)).await;
    source.say(200, &[("cache-control", "max-age=60"), ("etag", "\"a\"")]);
    let ask = async |tag: &str| {
        let request = stack
            .request(Method::GET, "/x/1")
            .header("if-none-match", tag);
        stack.send(request.body(body::empty()).unwrap()).await
    };
    assert_eq!(ask("\"b\"").await.status(), 200);
    let known = ask("\"b\", W/\"a\"").await;
    assert_eq!(
        (known.status().as_u16(), told(&known, "etag")),
        (304, "\"a\"".to_owned())
    );
    assert_eq!(text(known).await, "");
    let head = stack
        .send(
            stack
                .request(Method::HEAD, "/x/1")
                .body(body::empty())
                .unwrap(),
        )
        .await;
    assert_eq!(
        (told(&head, "x-cache"), told(&head, "content-length")),
        ("HIT".to_owned(), "6".to_owned())
    );
    assert_eq!(source.calls(), 1);
}

#[tokio::test]
async fn a_stale_answer_is_asked_about_and_stays_when_it_is_still_so() {
    let (source, stack) = stack(json!(true)).await;
    source.say(200, &[("cache-control", "no-cache"), ("etag", "\"a\"")]);
    let body = text(stack.get("/x/1").await).await;
    let again = stack.get("/x/1").await;
    assert_eq!(told(&again, "x-cache"), "REVALIDATED");
    assert_eq!(
        told(&again, "cache-status"),
        "taraf; fwd=stale; fwd-status=304; stored"
    );
    assert_eq!(text(again).await, body);
    source.say(200, &[("cache-control", "no-cache"), ("etag", "\"b\"")]);
    assert_ne!(text(stack.get("/x/1").await).await, body);
    assert_eq!(source.calls(), 3);
}

#[tokio::test]
async fn a_failure_is_hidden_for_as_long_as_allowed() {
    let (source, stack) = stack(json!({"stale_if_error": "1h"})).await;
    source.say(200, &[("cache-control", "max-age=0"), ("etag", "\"a\"")]);
    let body = text(stack.get("/x/1").await).await;
    source.say(503, &[]);
    let hidden = stack.get("/x/1").await;
    assert_eq!(
        (hidden.status().as_u16(), told(&hidden, "x-cache")),
        (200, "STALE".to_owned())
    );
    assert_eq!(text(hidden).await, body);
    assert_eq!(stack.get("/x/2").await.status(), 503);
}

#[tokio::test]
async fn a_stale_answer_is_renewed_beside_the_call() {
    let (source, stack) = stack(json!({"stale_while_revalidate": "1h"})).await;
    source.say(200, &[("cache-control", "max-age=0"), ("etag", "\"a\"")]);
    let body = text(stack.get("/x/1").await).await;
    source.say(200, &[("cache-control", "max-age=60"), ("etag", "\"b\"")]);
    let stale = stack.get("/x/1").await;
    assert_eq!(told(&stale, "x-cache"), "STALE");
    assert_eq!(text(stale).await, body);
    source.called(2).await;
    let renewed = async { while told(&stack.get("/x/1").await, "etag") != "\"b\"" {} };
    tokio::time::timeout(LIMIT, renewed)
        .await
        .expect("renewed in time");
    assert_eq!(source.calls(), 2);
}

#[tokio::test]
async fn equal_calls_at_once_are_one_call_of_the_service() {
    let (source, stack) = stack(json!(true)).await;
    source.say(200, &[("cache-control", "max-age=60")]);
    source.says.send_modify(|says| says.is_open = false);
    let calls = (0..8).map(|_| stack.get("/open/1"));
    let calls = futures_of(calls.collect());
    let open = async {
        source.called(1).await;
        // All others are in the gateway by now, or find the answer kept when they come.
        while stack
            .handle
            .render()
            .lines()
            .all(|line| line != "taraf_gateway_calls_in_flight 8")
        {
            tokio::task::yield_now().await;
        }
        source.says.send_modify(|says| says.is_open = true);
    };
    let (answers, ()) = tokio::join!(calls, open);
    assert_eq!(source.calls(), 1);
    let hits = answers
        .iter()
        .filter(|answer| told(answer, "x-cache") == "HIT");
    assert_eq!(hits.count(), 7);
}

/// Waits for all of them at once.
async fn futures_of<F: Future>(calls: Vec<F>) -> Vec<F::Output> {
    let mut calls: Vec<_> = calls.into_iter().map(Box::pin).collect();
    let mut done: Vec<Option<F::Output>> = calls.iter().map(|_| None).collect();
    std::future::poll_fn(|cx| {
        for (call, done) in calls.iter_mut().zip(&mut done) {
            if done.is_none()
                && let std::task::Poll::Ready(output) = call.as_mut().poll(cx)
            {
                *done = Some(output);
            }
        }
        if done.iter().all(Option::is_some) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    done.into_iter().flatten().collect()
}

#[tokio::test]
async fn a_change_makes_the_path_forgotten_and_a_failed_one_does_not() {
    let (source, stack) = stack(json!(true)).await;
    source.say(200, &[("cache-control", "max-age=60")]);
    stack.get("/x/1?page=2").await;
    let put = async || {
        let request = stack.request(Method::PUT, "/x/1");
        stack.send(request.body(body::empty()).unwrap()).await
    };
    source.say(409, &[]);
    assert_eq!(put().await.status(), 409);
    assert_eq!(told(&stack.get("/x/1?page=2").await, "x-cache"), "HIT");
    source.say(200, &[("cache-control", "max-age=60")]);
    assert_eq!(put().await.status(), 200);
    assert_eq!(told(&stack.get("/x/1?page=2").await, "x-cache"), "MISS");
}

#[tokio::test]
async fn answers_that_differ_by_a_header_are_kept_apart() {
    let (source, stack) = stack(json!({"ttl": "1m"})).await;
    source.say(200, &[("vary", "accept-language")]);
    let ask = async |language: &str| {
        let request = stack
            .request(Method::GET, "/x/1")
            .header("accept-language", language);
        told(
            &stack.send(request.body(body::empty()).unwrap()).await,
            "x-cache",
        )
    };
    let all = [
        ask("ro").await,
        ask("en").await,
        ask("ro").await,
        ask("en").await,
    ];
    assert_eq!(all, ["MISS", "MISS", "HIT", "HIT"]);
    let wanted = stack
        .request(Method::GET, "/x/9")
        .header("cache-control", "only-if-cached");
    let wanted = stack.send(wanted.body(body::empty()).unwrap()).await;
    assert_eq!(wanted.status(), 504);
    let part = stack
        .request(Method::GET, "/x/1")
        .header("range", "bytes=0-1");
    let part = stack.send(part.body(body::empty()).unwrap()).await;
    assert_eq!(told(&part, "cache-status"), "taraf; fwd=bypass");
}
