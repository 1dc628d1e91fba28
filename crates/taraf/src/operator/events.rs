//! Lifecycle events of runs, and what happens in the cluster, as server-sent events.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http_body::Frame;
use serde::Serialize;
use taraf_gossip::rpc::event::Event;
use taraf_service::BoxError;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::mpsc;

use super::Shared;
use super::gossip::cloud_event;

/// Events that wait for one reader; a slower one is told how many it missed.
const WAITING_MAX: usize = 64;

/// The name under which a reader is told what happens in the cluster; runs have none.
const GOSSIP: &str = "gossip";

/// A comment that often, so that both ends notice a dead connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// `GET /v1/events/stream`.
pub(crate) async fn stream(State(parts): State<Shared>) -> Response {
    let events = parts.engine.subscribe();
    let membership = parts.membership.as_ref();
    let cluster = membership.map(|own| (own.handle().subscribe(), own.reading().me.to_string()));
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    let token = parts.tasks.token();
    parts.tasks.spawn("event stream", async move {
        let happens = async {
            match cluster {
                Some((cluster, me)) => {
                    let told = |event: &Arc<Event>| frame(Some(GOSSIP), &cloud_event(&me, event));
                    forward(cluster, &sender, told).await;
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = forward(events, &sender, |event| frame(None, event)) => {}
            () = happens => {}
            () = token.cancelled() => {}
        }
    });
    response(receiver)
}

/// The answer whose body is what comes through the channel.
pub(super) fn response(receiver: mpsc::Receiver<Bytes>) -> Response {
    let mut response = Response::new(Body::new(Frames(receiver)));
    let headers = response.headers_mut();
    let text = http::HeaderValue::from_static;
    headers.insert(CONTENT_TYPE, text("text/event-stream"));
    headers.insert(CACHE_CONTROL, text("no-cache"));
    response
}

/// Hands events on until the reader goes away or those who tell of them stop.
async fn forward<E: Clone>(
    mut events: broadcast::Receiver<E>,
    to: &mpsc::Sender<Bytes>,
    told: impl Fn(&E) -> Bytes,
) {
    loop {
        let text = match tokio::time::timeout(KEEP_ALIVE, events.recv()).await {
            Ok(Ok(event)) => told(&event),
            Ok(Err(RecvError::Lagged(missed))) => {
                frame(Some("lagged"), &serde_json::json!({"missed": missed}))
            }
            Ok(Err(RecvError::Closed)) => return,
            Err(_elapsed) => Bytes::from_static(b":\n\n"),
        };
        if to.send(text).await.is_err() {
            return;
        }
    }
}

/// One event of the stream. JSON has no raw line ends, so it is one `data` line.
pub(super) fn frame<T: Serialize>(name: Option<&str>, data: &T) -> Bytes {
    let data = serde_json::to_string(data).unwrap_or_else(|_| "null".to_owned());
    let name = name
        .map(|name| format!("event: {name}\n"))
        .unwrap_or_default();
    Bytes::from(format!("{name}data: {data}\n\n"))
}

/// The body: what comes through the channel.
struct Frames(mpsc::Receiver<Bytes>);

impl http_body::Body for Frames {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let next = self.0.poll_recv(context);
        next.map(|text| text.map(|text| Ok(Frame::data(text))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn events_come_in_order_and_a_gap_is_told() {
        let (sender, receiver) = broadcast::channel(2);
        let (to, mut frames) = mpsc::channel(8);
        for n in 1..=3 {
            sender.send(n).unwrap();
        }
        drop(sender);
        forward(receiver, &to, |event| frame(None, event)).await;
        drop(to);
        let mut text = String::new();
        while let Some(frame) = frames.recv().await {
            text.push_str(std::str::from_utf8(&frame).unwrap());
        }
        assert_eq!(
            text,
            "event: lagged\ndata: {\"missed\":1}\n\ndata: 2\n\ndata: 3\n\n"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_quiet_stream_is_kept_alive() {
        let (sender, receiver) = broadcast::channel::<u8>(2);
        let (to, mut frames) = mpsc::channel(8);
        tokio::select! {
            () = forward(receiver, &to, |event| frame(None, event)) => panic!("it ended"),
            frame = frames.recv() => assert_eq!(frame.unwrap(), ":\n\n"),
        }
        drop(sender);
    }
}
