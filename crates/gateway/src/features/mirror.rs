//! A copy of each call goes to another service, whose answer nobody waits for.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Request, Uri};
use http_body::{Body as HttpBody, Frame, SizeHint};
use serde::Deserialize;
use taraf_base::Tasks;
use taraf_service::{Body, BoxError, CallPolicy, Client, body};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Wrong;
use crate::metrics::Mirrored;
use crate::path::Pattern;

/// How much of a mirror's answer is read before its connection is given up.
const ANSWER_BYTES_MAX: usize = 256 << 10;
const SHARE_MAX: u8 = 100;

/// The service that gets copies.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mirror {
    /// Its name.
    pub service: String,
    /// The path there; the route's own without it.
    #[serde(default)]
    pub to: Option<String>,
    /// How many of a hundred calls are copied: all.
    #[serde(default = "all")]
    pub share: u8,
    /// The most copies under way; calls beyond it are not copied: 64.
    #[serde(default = "places")]
    pub in_flight: usize,
    /// The largest body that is copied; calls with a larger one are not: 64 KiB.
    #[serde(default = "body_max")]
    pub body_max: usize,
    /// How long a copy may take: 10 s.
    #[serde(default = "deadline", with = "taraf_base::duration::serde")]
    pub deadline: Duration,
}

const fn all() -> u8 {
    SHARE_MAX
}

const fn places() -> usize {
    64
}

const fn body_max() -> usize {
    64 << 10
}

const fn deadline() -> Duration {
    Duration::from_secs(10)
}

#[derive(Debug)]
pub(crate) struct Plan {
    service: taraf_service::Target,
    pub(crate) path: Option<Pattern>,
    share: u8,
    places: Arc<Semaphore>,
    body_bytes_max: usize,
    deadline: Duration,
}

/// Sends copies; belongs to a gateway.
#[derive(Clone)]
pub(crate) struct Sender {
    pub(crate) client: Client,
    pub(crate) tasks: Tasks,
    pub(crate) counts: Mirrored,
}

impl Plan {
    pub(crate) fn build(mirror: &Mirror, pattern: &Pattern) -> Result<Self, Vec<Wrong>> {
        let mut wrong = Vec::new();
        let (service, path) = super::other_target(
            "mirror",
            &mirror.service,
            mirror.to.as_deref(),
            pattern,
            &mut wrong,
        );
        if mirror.share > SHARE_MAX {
            let why = format!("{} is more than {SHARE_MAX} of a hundred", mirror.share);
            wrong.push(Wrong::new("mirror.share", why));
        }
        if !(1..=Semaphore::MAX_PERMITS).contains(&mirror.in_flight) {
            wrong.push(Wrong::new("mirror.in_flight", "at least 1 is needed"));
        }
        match service {
            Some(service) if wrong.is_empty() => Ok(Self {
                service,
                path,
                share: mirror.share,
                places: Arc::new(Semaphore::new(mirror.in_flight)),
                body_bytes_max: mirror.body_max,
                deadline: mirror.deadline,
            }),
            Some(_) | None => Err(wrong),
        }
    }

    /// Copies a request that is about to be sent. The original goes on at once: the copy is sent
    /// when the original's body has passed.
    pub(crate) fn copy(
        &self,
        uri: Uri,
        request: Request<Body>,
        sender: &Sender,
        chance: u64,
    ) -> Request<Body> {
        if chance % u64::from(SHARE_MAX) >= self.share.into() {
            return request;
        }
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            sender.counts.skipped.increment();
            return request;
        };
        let mut head = Request::new(());
        head.method_mut().clone_from(request.method());
        *head.uri_mut() = uri;
        head.headers_mut().clone_from(request.headers());
        let copy = Copy {
            sender: sender.clone(),
            head,
            service: self.service.clone(),
            deadline: self.deadline,
            place,
        };
        if let Some(whole) = request.body().try_clone() {
            if within(&whole, self.body_bytes_max) {
                copy.send(whole);
            } else {
                sender.counts.skipped.increment();
            }
            return request;
        }
        request.map(|inner| {
            Body::new(Copying {
                inner,
                kept: BytesMut::new(),
                bytes_max: self.body_bytes_max,
                copy: Some(copy),
            })
        })
    }
}

fn within(body: &Body, max: usize) -> bool {
    body.size_hint().lower() <= u64::try_from(max).unwrap_or(u64::MAX)
}

/// A copy that waits for its body.
struct Copy {
    sender: Sender,
    head: Request<()>,
    service: taraf_service::Target,
    deadline: Duration,
    place: OwnedSemaphorePermit,
}

impl Copy {
    fn send(self, body: Body) {
        let Self {
            sender,
            head,
            service,
            deadline,
            place,
        } = self;
        let (parts, ()) = head.into_parts();
        let request = Request::from_parts(parts, body);
        let Sender {
            client,
            tasks,
            counts,
        } = sender;
        tasks.spawn("mirror", async move {
            let policy = CallPolicy {
                deadline,
                once: true,
                retries: 0,
                ..CallPolicy::default()
            };
            let call = async {
                let answer = client.forward(request, &service, &policy).await.ok()?;
                // Read to its end, so that its connection can be used again.
                body::collect(answer.into_body(), ANSWER_BYTES_MAX)
                    .await
                    .ok()
            };
            match tokio::time::timeout(deadline, call).await {
                Ok(Some(_read)) => counts.sent.increment(),
                Ok(None) | Err(_) => counts.failed.increment(),
            }
            drop(place);
        });
    }
}

/// A body on its way to the service, copied as it passes.
struct Copying {
    inner: Body,
    kept: BytesMut,
    bytes_max: usize,
    /// Gone when the copy was sent or given up.
    copy: Option<Copy>,
}

impl HttpBody for Copying {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let frame = ready!(Pin::new(&mut this.inner).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
            && let Some(copy) = &this.copy
        {
            if this.kept.len() + data.len() > this.bytes_max {
                copy.sender.counts.skipped.increment();
                this.copy = None;
                this.kept = BytesMut::new();
            } else {
                this.kept.extend_from_slice(data);
            }
        }
        let is_end = match &frame {
            None => true,
            Some(Ok(_)) => this.inner.is_end_stream(),
            Some(Err(_)) => {
                this.copy = None;
                false
            }
        };
        if is_end && let Some(copy) = this.copy.take() {
            copy.send(body::full(std::mem::take(&mut this.kept)));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
