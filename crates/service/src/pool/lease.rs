//! One call's hold on an endpoint: counted until the body ends, judged when the head is known.

use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;

use super::connection::{Broken, Connection};
use super::{Member, Outcome, Standing};
use crate::breaker::Ticket;
use crate::client::Shared;
use crate::{Body, CallError};

/// One call's hold on an endpoint.
///
/// Invariant: each lease lowers the count of calls under way once and reports one result, because
/// both happen in `drop` at the latest and the report takes the ticket.
pub(crate) struct Lease {
    member: Arc<Member>,
    shared: Arc<Shared>,
    ticket: Option<Ticket>,
    connection: Option<Box<Connection>>,
}

impl Lease {
    pub(super) const fn new(member: Arc<Member>, ticket: Ticket, shared: Arc<Shared>) -> Self {
        Self {
            member,
            shared,
            ticket: Some(ticket),
            connection: None,
        }
    }

    pub(crate) const fn member(&self) -> &Arc<Member> {
        &self.member
    }

    /// Takes a kept connection, or makes one. Answers whether it was kept.
    pub(crate) async fn connect(
        &mut self,
        standing: &Standing,
        only_fresh: bool,
    ) -> Result<bool, CallError> {
        if !only_fresh {
            self.connection = self.member.take_idle();
        }
        if self.connection.is_some() {
            return Ok(true);
        }
        standing.connections.increment();
        let shared = &self.shared;
        let connection = Connection::open(
            &self.member.place,
            &shared.config,
            || shared.tls(),
            Member::shard(),
        );
        self.connection = Some(Box::new(connection.await?));
        Ok(false)
    }

    /// Sends the request and waits for the answer's head.
    ///
    /// # Panics
    /// When it is not connected: a slip in the code.
    pub(crate) async fn ask(
        &mut self,
        request: Request<Body>,
    ) -> Result<Response<Incoming>, Broken> {
        let connection = self.connection.as_mut().expect("asked after connecting");
        connection.ask(request).await
    }

    /// Drops the connection, which turned out to be dead.
    pub(crate) fn disconnect(&mut self) {
        self.connection = None;
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
        self.connection.as_mut().is_none_or(|connection| {
            connection.drive(cx);
            connection.has_ended()
        })
    }

    /// The answer was read to its end: the connection can be kept.
    pub(super) fn finish(&mut self, cx: &mut Context<'_>) {
        let Some(mut connection) = self.connection.take() else {
            return;
        };
        if !connection.is_ready() {
            connection.drive(cx);
        }
        if connection.is_ready() {
            let (config, now) = (&self.shared.config, self.shared.now());
            self.member.keep(connection, config, now);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.report(Outcome::Abandoned, None);
        self.member.leave();
    }
}
