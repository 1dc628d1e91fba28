//! The gateway's metrics: calls and their time by route, connections, refusals.

use std::time::Duration;

use taraf_service::metrics::{Counter, Family, Gauge, Histogram, Registry};

/// What is counted. Labels hold route ids and fixed words, never anything from a request.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    pub(crate) registry: Registry,
    calls: Family<Counter>,
    seconds: Family<Histogram>,
    bytes_out: Counter,
    pub(crate) connections: Gauge,
    pub(crate) in_flight: Gauge,
    pub(crate) tunnels: Gauge,
    pub(crate) tunnel_bytes: Counter,
}

/// What a call without a route is counted as.
const NO_ROUTE: &str = "none";

impl Metrics {
    pub(crate) fn new() -> Self {
        let registry = Registry::new();
        Self {
            calls: registry.counters(
                "taraf_gateway_calls_total",
                "Calls by route and class of status.",
                &["route", "status"],
            ),
            seconds: registry.histograms(
                "taraf_gateway_call_seconds",
                "Time from a call's head to the end of its answer.",
                &["route"],
            ),
            bytes_out: registry.counter(
                "taraf_gateway_sent_bytes_total",
                "Bytes of answers' bodies.",
            ),
            connections: registry.gauge("taraf_gateway_connections", "Open connections."),
            tunnels: registry.gauge(
                "taraf_gateway_tunnels",
                "Open tunnels: connections that left HTTP for WebSocket.",
            ),
            tunnel_bytes: registry.counter(
                "taraf_gateway_tunnel_bytes_total",
                "Bytes passed through tunnels that have ended, both ways.",
            ),
            in_flight: registry.gauge("taraf_gateway_calls_in_flight", "Calls that are not ended."),
            registry,
        }
    }

    pub(crate) fn ended(&self, route: Option<&str>, status: u16, time: Duration, bytes: u64) {
        let route = route.unwrap_or(NO_ROUTE);
        let class = match status / 100 {
            1 => "1xx",
            2 => "2xx",
            3 => "3xx",
            4 => "4xx",
            _ => "5xx",
        };
        self.calls.update(&[route, class], Counter::increment);
        self.seconds
            .update(&[route], |seconds| seconds.observe(time));
        self.bytes_out.add(bytes);
    }
}
