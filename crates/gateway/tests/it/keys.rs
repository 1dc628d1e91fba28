//! Keys and plans: 401, 403, 429 and what their headers say; revoked and rotated keys.

use std::time::Duration;

use http::{Method, Request, Response};
use hyper::body::Incoming;
use taraf_base::Tasks;
use taraf_service::body;

use crate::stack::{Stack, echo, json, route, upstream};

async fn stack() -> Stack {
    let up = upstream(&Tasks::new(), echo).await;
    Stack::start(vec![route(Method::GET, "/api/x")], &[up]).await
}

fn header<'r>(response: &'r Response<Incoming>, name: &str) -> &'r str {
    response.headers()[name].to_str().unwrap()
}

fn number(response: &Response<Incoming>, name: &str) -> u64 {
    header(response, name).parse().unwrap()
}

#[tokio::test]
async fn a_call_without_a_key_is_told_how_to_show_one() {
    let stack = stack().await;
    let request = Request::get("/api/x").header("host", "gateway");
    let response = stack.send(request.body(body::empty()).unwrap()).await;
    assert_eq!(response.status(), 401);
    assert!(header(&response, "www-authenticate").starts_with("Bearer"));
    assert_eq!(json(response).await["error"]["code"], "api_key_missing");
}

#[tokio::test]
async fn an_unknown_key_is_refused() {
    let stack = stack().await;
    let unknown = "A".repeat(50);
    for key in ["nonsense", unknown.as_str()] {
        let response = stack.get_with("/api/x", key).await;
        assert_eq!(response.status(), 403);
        assert_eq!(json(response).await["error"]["code"], "api_key_invalid");
    }
}

#[tokio::test]
async fn both_headers_show_a_key() {
    let stack = stack().await;
    let request = Request::get("/api/x")
        .header("host", "gateway")
        .header("authorization", format!("Bearer {}", stack.key));
    let response = stack.send(request.body(body::empty()).unwrap()).await;
    assert_eq!(response.status(), 200);
    assert_eq!(stack.get("/api/x").await.status(), 200);
}

#[tokio::test]
async fn too_many_calls_at_once_are_told_when_to_come_back() {
    let stack = stack().await;
    let key = stack
        .accounts
        .create_key("ana", Some("tight"), "")
        .await
        .unwrap();
    let key = key.secret.expose();
    for _ in 0..2 {
        assert_eq!(stack.get_with("/api/x", key).await.status(), 200);
    }
    let response = stack.get_with("/api/x", key).await;
    assert_eq!(response.status(), 429);
    assert_eq!(number(&response, "retry-after"), 1);
    assert_eq!(number(&response, "x-ratelimit-limit"), 100);
    assert_eq!(json(response).await["error"]["code"], "rate_limited");
}

#[tokio::test]
async fn a_used_up_quota_is_told_with_all_headers() {
    let stack = stack().await;
    let key = stack
        .accounts
        .create_key("ana", Some("short"), "")
        .await
        .unwrap();
    let key = key.secret.expose();
    let first = stack.get_with("/api/x", key).await;
    assert_eq!(header(&first, "x-ratelimit-remaining"), "1");
    assert_eq!(stack.get_with("/api/x", key).await.status(), 200);
    let response = stack.get_with("/api/x", key).await;
    assert_eq!(response.status(), 429);
    assert_eq!(number(&response, "x-ratelimit-limit"), 2);
    assert_eq!(number(&response, "x-ratelimit-remaining"), 0);
    let now = u64::try_from(taraf_base::Timestamp::now().as_millis() / 1_000).unwrap();
    let wait = number(&response, "retry-after");
    let reset = number(&response, "x-ratelimit-reset");
    assert!((1..=31 * 86_400).contains(&wait));
    assert!(reset.abs_diff(now + wait) <= 2, "{reset} {now} {wait}");
    assert!(header(&response, "ratelimit").starts_with("\"month\";r=0;t="));
    assert!(header(&response, "ratelimit-policy").starts_with("\"month\";q=2;w="));
    assert_eq!(json(response).await["error"]["code"], "quota_exceeded");
}

#[tokio::test]
async fn a_refused_call_is_not_charged() {
    let stack = stack().await;
    let key = stack
        .accounts
        .create_key("ana", Some("short"), "")
        .await
        .unwrap();
    let secret = key.secret.expose();
    for path in ["/api/unknown", "/api/%zz"] {
        stack.get_with(path, secret).await;
    }
    assert_eq!(stack.accounts.key_usage(key.id).await.unwrap().used, 0);
}

#[tokio::test]
async fn a_revoked_key_is_refused_at_once() {
    let stack = stack().await;
    let key = stack
        .accounts
        .create_key("ana", Some("wide"), "")
        .await
        .unwrap();
    for _ in 0..20 {
        assert_eq!(
            stack.get_with("/api/x", key.secret.expose()).await.status(),
            200
        );
    }
    stack.accounts.revoke(key.id).await.unwrap();
    assert_eq!(
        stack.get_with("/api/x", key.secret.expose()).await.status(),
        403
    );
}

#[tokio::test]
async fn a_rotated_key_and_its_successor_both_work_for_the_overlap() {
    let stack = stack().await;
    let old = stack
        .accounts
        .create_key("ana", Some("wide"), "")
        .await
        .unwrap();
    let new = stack
        .accounts
        .rotate(old.id, Duration::from_secs(3_600))
        .await
        .unwrap();
    for key in [&old, &new] {
        assert_eq!(
            stack.get_with("/api/x", key.secret.expose()).await.status(),
            200
        );
    }
    let last = stack.accounts.rotate(new.id, Duration::ZERO).await.unwrap();
    assert_eq!(
        stack.get_with("/api/x", new.secret.expose()).await.status(),
        403
    );
    assert_eq!(
        stack
            .get_with("/api/x", last.secret.expose())
            .await
            .status(),
        200
    );
}
