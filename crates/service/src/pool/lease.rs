//! One call's hold on an endpoint: counted until the body ends, judged when the head is known.

use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use tokio::time::Instant;

use super::connection::{self, Connection, Opened, Unanswered};
use super::direct::Direct;
use super::multiplexed::Seat;
use super::{Member, Outcome, Standing};
use crate::breaker::Ticket;
use crate::client::Shared;
use crate::stream::Stream;
use crate::{Body, CallError};

/// One call's hold on an endpoint.
///
/// Invariant: each lease lowers the count of calls under way once and reports one result, because
/// both happen in `drop` at the latest and the report takes the ticket.
pub(crate) struct Lease {
    member: Arc<Member>,
    shared: Arc<Shared>,
    ticket: Option<Ticket>,
    held: Option<Held>,
}

/// The connection that a call goes through.
enum Held {
    /// It has it alone.
    Own(Box<Connection>),
    /// It shares it.
    Seat(Seat),
}

impl Lease {
    pub(super) const fn new(member: Arc<Member>, ticket: Ticket, shared: Arc<Shared>) -> Self {
        Self {
            member,
            shared,
            ticket: Some(ticket),
            held: None,
        }
    }

    pub(crate) const fn member(&self) -> &Arc<Member> {
        &self.member
    }

    /// Takes a kept connection. Answers whether there was one.
    pub(crate) fn take_kept(&mut self) -> bool {
        let seat = self.member.sit(self.shared.config.streams_max);
        let seat = seat.map(Held::Seat);
        self.held = seat.or_else(|| self.member.take_idle().map(Held::Own));
        self.held.is_some()
    }

    /// Makes a connection.
    pub(crate) async fn connect(&mut self, standing: &Standing) -> Result<(), CallError> {
        let streams_max = self.shared.config.streams_max;
        standing.connections.increment();
        self.held = match connection::open(&self.member.place, &self.shared).await? {
            Opened::Own(connection) => Some(Held::Own(connection)),
            Opened::Shared(connection) => {
                let seat = self
                    .member
                    .share(connection, streams_max, self.shared.now());
                Some(Held::Seat(seat.ok_or_else(closed_at_once)?))
            }
        };
        Ok(())
    }

    /// Takes a kept connection for a call that passes as bytes.
    pub(crate) fn take_direct(&self) -> Option<Direct> {
        self.member.take_direct()
    }

    /// Makes a connection for a call that passes as bytes.
    pub(crate) async fn connect_direct(
        &mut self,
        standing: &Standing,
    ) -> Result<Direct, CallError> {
        standing.connections.increment();
        Direct::open(&self.member.place, &self.shared).await
    }

    /// Keeps a connection whose answer was read to its end.
    pub(crate) fn keep_direct(&self, direct: Direct) {
        self.member
            .keep_direct(direct, &self.shared.config, self.shared.now());
    }

    /// Sends the request and waits for the answer's head.
    ///
    /// # Panics
    /// When it is not connected: a slip in the code.
    pub(crate) async fn ask(
        &mut self,
        request: Request<Body>,
        until: Instant,
    ) -> Result<Response<Incoming>, Unanswered> {
        match self.held.as_mut().expect("asked after connecting") {
            Held::Own(connection) => connection.ask(request, until).await,
            Held::Seat(seat) => seat.ask(request, until).await,
        }
    }

    /// Takes the connection out of HTTP. Nothing when it is shared with other calls.
    pub(crate) async fn switch(&mut self) -> Option<Stream> {
        match self.held.take() {
            Some(Held::Own(connection)) => Some(connection.switch().await),
            Some(Held::Seat(_)) | None => None,
        }
    }

    /// Drops the connection, which turned out to be dead.
    pub(crate) fn disconnect(&mut self) {
        self.held = None;
    }

    pub(crate) fn report(&mut self, outcome: Outcome, latency: Option<Duration>) {
        if let Some(ticket) = self.ticket.take() {
            self.member.report(ticket, outcome, self.shared.now());
        }
        if let Some(latency) = latency {
            self.member.observe_latency(latency);
        }
    }

    /// Lets the connection do what it can without waiting. Answers whether it has ended.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) -> bool {
        match &mut self.held {
            None => true,
            Some(Held::Own(connection)) => {
                connection.drive(cx);
                connection.has_ended()
            }
            // Its own task drives it, and tells the body of its end.
            Some(Held::Seat(_)) => false,
        }
    }

    /// The answer was read to its end: the connection can be kept.
    pub(super) fn finish(&mut self, cx: &mut Context<'_>) {
        let (config, now) = (&self.shared.config, self.shared.now());
        match self.held.take() {
            None => {}
            Some(Held::Seat(seat)) => seat.touch(now),
            Some(Held::Own(mut connection)) => {
                if !connection.is_ready() {
                    connection.drive(cx);
                }
                if connection.is_ready() {
                    self.member.keep(connection, config, now);
                }
            }
        }
    }
}

fn closed_at_once() -> CallError {
    CallError::Closed("the service closed the connection as it began".into())
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.report(Outcome::Abandoned, None);
        self.member.leave();
    }
}
