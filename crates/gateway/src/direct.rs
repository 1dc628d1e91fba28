//! Conversations in HTTP/1.1 whose calls pass as bytes.
//!
//! Most calls of most gateways ask a service through a route that changes nothing, with a request
//! that is there as a whole. Such a call is read where it lies, written on with what services are told,
//! and its answer likewise: no table of headers is filled, nothing is handed to another task. What is
//! not of that kind takes the ordinary way ([`crate::pipeline`]), within the same conversation when its
//! body is at hand; else the conversation is handed to hyper, with all that was read of it.
//!
//! Who may call, what it costs, and what is counted is decided by the same code in all ways.

mod answer;
pub(crate) mod heads;
mod line;
mod request;

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, StatusCode};
use taraf_service::client::DirectBody;
use taraf_service::stream::Stream;
use taraf_service::wire::{self, Found, RequestHead};
use taraf_service::{Body, CallPolicy, body};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::config::Limits;
use crate::connection::{Peer, Place};
use crate::pipeline::{self, Call, Headed, Last, Passing};
use crate::routes::Routes;
use crate::server::Shared;

use line::{Line, More, Waited};
pub(crate) use request::Marks;
use request::Shape;

/// The longest body that is waited for here.
const BODY_BYTES_MAX: usize = 16 << 10;
/// What is gathered of an answer before it is written.
const PIECE_BYTES: usize = 16 << 10;

/// How a conversation went on.
pub(crate) enum Left {
    /// It is over.
    Ended,
    /// What comes next is for somebody who reads more of HTTP. What was read of it comes first.
    Foreign(Stream),
}

/// A conversation.
struct Conversation {
    gateway: Arc<Shared>,
    peer: Arc<Peer>,
    /// The gateway's own, at hand.
    limits: Limits,
    /// The route table, looked at anew when it has changed. Asking for it each time would have the
    /// cores wait for one another.
    follow: watch::Receiver<Arc<Routes>>,
    routes: Arc<Routes>,
    stop: CancellationToken,
    line: Line,
    /// The bytes at the front that hold no whole head, and how many a request has whose body is awaited:
    /// what comes byte by byte is not read anew for each.
    seen: usize,
    awaited: usize,
    /// What is written to the service, and to the caller.
    request: Vec<u8>,
    answer: Vec<u8>,
}

/// What is at the front of the line.
enum Front {
    /// Not a whole request yet: nothing, a part of its head, or a part of its body.
    Nothing,
    Head,
    Body,
    /// A call that passes as bytes, which were written.
    Passes(Shape, Box<Call>),
    /// Any other whose body is at hand.
    Whole(Shape, Box<Request<Body>>),
    /// Not for here.
    Foreign,
    /// The caller is gone, or the gateway stops.
    Ended,
}

/// Converses until the end, the stop, or a request that is not read here.
///
/// # Errors
/// When the caller takes too long, or the connection fails. Whoever called is not answered then.
pub(crate) async fn converse(
    gateway: Arc<Shared>,
    stream: Stream,
    peer: Arc<Peer>,
) -> io::Result<Left> {
    let (stream, ahead) = match stream.into_plain() {
        Ok(plain) => plain,
        Err(secure) => return Ok(Left::Foreign(secure)),
    };
    let limits = gateway.config.limits.clone();
    let mut follow = gateway.routes.clone();
    let routes = Arc::clone(&follow.borrow_and_update());
    let mut conversation = Conversation {
        // Of this core, so that the cores do not wait for one another.
        stop: peer.tasks.token(),
        line: Line::new(stream, &ahead, &limits, peer.tasks.token()),
        seen: 0,
        awaited: 0,
        routes,
        follow,
        gateway,
        peer,
        limits,
        request: Vec::new(),
        answer: Vec::new(),
    };
    loop {
        let goes_on = match conversation.next().await? {
            Front::Passes(shape, call) => conversation.pass(&shape, call).await?,
            Front::Whole(shape, request) => conversation.perform(&shape, *request).await?,
            Front::Foreign => return Ok(Left::Foreign(conversation.line.into_stream())),
            Front::Ended | Front::Nothing | Front::Head | Front::Body => return Ok(Left::Ended),
        };
        if !goes_on {
            return Ok(Left::Ended);
        }
    }
}

impl Conversation {
    /// Waits for a request that is there as a whole.
    async fn next(&mut self) -> io::Result<Front> {
        // Idle as long as nothing of a request has come, then within a head, then within a body.
        let mut due = Instant::now() + self.limits.header_read;
        let (mut has_head, mut has_body) = (false, false);
        loop {
            let is_idle = match self.front() {
                Front::Nothing => true,
                Front::Head => {
                    if !has_head {
                        has_head = true;
                        due = Instant::now() + self.limits.header_read;
                    }
                    false
                }
                Front::Body => {
                    has_body = true;
                    due = Instant::now() + self.limits.body_pause;
                    false
                }
                front @ (Front::Passes(..) | Front::Whole(..) | Front::Foreign | Front::Ended) => {
                    return Ok(front);
                }
            };
            match self.line.more(due, is_idle).await? {
                More::Some => {}
                More::Ended => return Ok(Front::Ended),
                // The other reader says what is too long, and what took too long.
                More::Full => return Ok(Front::Foreign),
                More::Late if has_body => return Ok(Front::Foreign),
                More::Late => {
                    let why = "no whole head of a request in time";
                    return Err(io::Error::new(io::ErrorKind::TimedOut, why));
                }
            }
        }
    }

    /// What is at the front of the line. The request of a call that passes is written.
    fn front(&mut self) -> Front {
        let bytes = self.line.input.filled();
        if bytes.is_empty() {
            return Front::Nothing;
        }
        if bytes.len() < self.awaited {
            return Front::Body;
        }
        let seen = std::mem::replace(&mut self.seen, 0);
        if seen > 0 && bytes.len() <= self.limits.header_bytes && !wire::may_be_whole(bytes, seen) {
            self.seen = bytes.len();
            return Front::Head;
        }
        // When nobody publishes any more the last table stays.
        if self.follow.has_changed().unwrap_or(false) {
            self.routes = Arc::clone(&self.follow.borrow_and_update());
        }
        let (gateway, peer, limits) = (&self.gateway, &self.peer, &self.limits);
        let routes = &self.routes;
        let out = &mut self.request;
        let mut awaited = 0;
        let found = wire::request(bytes, |head| {
            let Some(shape) = Shape::of(head, limits) else {
                return Front::Foreign;
            };
            let Some(body) = bytes.get(shape.head..shape.length()) else {
                return if shape.body > BODY_BYTES_MAX {
                    Front::Foreign
                } else {
                    awaited = shape.length();
                    Front::Body
                };
            };
            let passing = Passing {
                head,
                marks: Marks::of(head),
                method: &shape.method,
                body,
            };
            out.clear();
            if let Some(call) = pipeline::passes(gateway, routes, peer, &passing, out) {
                return Front::Passes(shape, call);
            }
            match owned(head, &shape, body) {
                Some(request) => Front::Whole(shape, Box::new(request)),
                None => Front::Foreign,
            }
        });
        self.awaited = awaited;
        match found {
            Found::Whole(front) => front,
            Found::Partial if bytes.len() > limits.header_bytes => Front::Foreign,
            Found::Partial => {
                self.seen = bytes.len();
                Front::Head
            }
            Found::Strange => Front::Foreign,
        }
    }

    /// The request at the front of the line once more, for the ordinary way.
    fn again(&self, shape: &Shape) -> Option<Request<Body>> {
        let bytes = self.line.input.filled();
        let body = &bytes[shape.head..shape.length()];
        match wire::request(bytes, |head| owned(head, shape, body)) {
            Found::Whole(request) => request,
            Found::Partial | Found::Strange => None,
        }
    }

    /// A call that passes as bytes. Answers whether the conversation goes on.
    async fn pass(&mut self, shape: &Shape, mut call: Box<Call>) -> io::Result<bool> {
        let (request, answer) = (&self.request, &mut self.answer);
        answer.clear();
        let last = Last {
            is_asked: shape.is_last,
            stop: &self.stop,
        };
        let work = pipeline::pass(&self.gateway, &mut call, request, last, answer);
        let headed = match self.line.while_there(work, None).await {
            Waited::Done(headed) => headed,
            Waited::Gone | Waited::Late => return Ok(false),
        };
        let response = match headed {
            Headed::Written { body, is_last } => {
                self.relay(call, body).await?;
                self.line.input.consume(shape.length());
                return Ok(!is_last);
            }
            Headed::Missed(missed) => {
                let Some(request) = self.again(shape) else {
                    return Ok(false);
                };
                let work = Box::pin(pipeline::pass_again(call, missed, request));
                match self.line.while_there(work, None).await {
                    Waited::Done(response) => response,
                    Waited::Gone | Waited::Late => return Ok(false),
                }
            }
            Headed::Problem(problem) => pipeline::refused(call, &problem),
            Headed::Taken(parts, body) => Box::pin(pipeline::taken(call, *parts, body)).await,
        };
        self.line.input.consume(shape.length());
        self.write(shape, response).await
    }

    /// Any other call, in the ordinary way.
    async fn perform(&mut self, shape: &Shape, request: Request<Body>) -> io::Result<bool> {
        let (gateway, peer) = (Arc::clone(&self.gateway), Arc::clone(&self.peer));
        // The request has its own copy of what it is made of.
        self.line.input.consume(shape.length());
        let work = Box::pin(pipeline::answer(gateway, peer, Place::Direct, request));
        match self.line.while_there(work, None).await {
            Waited::Done(response) => self.write(shape, response).await,
            Waited::Gone | Waited::Late => Ok(false),
        }
    }

    /// Writes the body of an answer behind the head that is written already.
    async fn relay(&mut self, mut call: Box<Call>, mut body: DirectBody) -> io::Result<()> {
        let (idle, until) = (CallPolicy::default().body_idle, call.until());
        while !body.is_done() {
            let mut has_more = true;
            // What waits to be written does not wait for what is still to come.
            if !self.answer.is_empty() && !body.is_at_hand() {
                self.line.write(&self.answer).await?;
                self.answer.clear();
            }
            let ready = match self.line.while_there(body.ready(idle), Some(until)).await {
                Waited::Done(ready) => ready,
                Waited::Gone => return Err(io::ErrorKind::ConnectionAborted.into()),
                Waited::Late => return Err(late()),
            };
            match ready {
                Ok(true) => {
                    let piece = body.piece();
                    call.passed(piece.len());
                    self.answer.extend_from_slice(piece);
                    body.take();
                }
                Ok(false) => has_more = false,
                Err(error) => return Err(io::Error::other(error)),
            }
            if self.answer.len() >= PIECE_BYTES {
                self.line.write(&self.answer).await?;
                self.answer.clear();
            }
            if !has_more {
                break;
            }
        }
        call.is_whole();
        if !self.answer.is_empty() {
            self.line.write(&self.answer).await?;
        }
        Ok(())
    }
}

fn late() -> io::Error {
    io::Error::new(
        io::ErrorKind::TimedOut,
        "the answer took longer than a call may",
    )
}

/// The same request as the ordinary way takes it. Nothing when it cannot be written so.
fn owned(head: &RequestHead<'_, '_>, shape: &Shape, body: &[u8]) -> Option<Request<Body>> {
    let mut request = Request::new(body::full(Bytes::copy_from_slice(body)));
    *request.method_mut() = shape.method.clone();
    *request.uri_mut() = head.target.parse().ok()?;
    let headers = request.headers_mut();
    headers.reserve(head.headers.len());
    heads::collect(head.headers, headers)?;
    Some(request)
}

/// A status that was read as a number of three digits.
pub(crate) fn status(number: u16) -> StatusCode {
    StatusCode::from_u16(number).unwrap_or(StatusCode::BAD_GATEWAY)
}
