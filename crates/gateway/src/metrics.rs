//! The gateway's metrics: calls and their time by route and by key, connections, refusals.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use taraf_service::metrics::{Counter, Family, Gauge, Histogram, OTHER, Registry};

use crate::auth::api_key::Caller;
use crate::cache::{Cache, Store};
use crate::registry::KeyId;
use crate::routes::Entry;

/// Keys with series of their own: the first that call after a start.
const KEYS_MAX: usize = 100;
/// How much of a key's id its series show: enough to tell a hundred apart.
const KEY_NAME_CHARS: usize = 16;
/// The most routes that one key's calls are told apart by.
const KEY_ROUTES_MAX: usize = 64;
/// The classes of status.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// What is counted. Labels hold ids of routes and keys and fixed words, never anything from a request.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    pub(crate) registry: Registry,
    calls: Family<Counter>,
    seconds: Family<Histogram>,
    /// Calls that no route took.
    no_route: RouteSeries,
    key_seconds: Family<Histogram>,
    key_calls: Family<Counter>,
    keys_seen: Arc<AtomicUsize>,
    bytes_out: Counter,
    kept: Family<Counter>,
    pub(crate) mirrored: Mirrored,
    pub(crate) connections: Gauge,
    pub(crate) in_flight: Gauge,
    pub(crate) tunnels: Gauge,
    pub(crate) tunnel_bytes: Counter,
}

/// The series of one route, looked up once.
#[derive(Clone, Debug)]
pub(crate) struct RouteSeries {
    classes: [Counter; CLASSES.len()],
    seconds: Histogram,
}

/// The series of one key, looked up once.
#[derive(Debug)]
pub(crate) struct KeySeries {
    seconds: Histogram,
    /// The key's label; nothing for one of the many that share a series.
    name: Option<String>,
    /// By what the route was, with its id.
    routes: Mutex<Vec<(u64, String, Counter)>>,
}

/// What became of copies of calls.
#[derive(Clone, Debug)]
pub(crate) struct Mirrored {
    pub(crate) sent: Counter,
    pub(crate) failed: Counter,
    /// Not copied: too many under way, or the body too large.
    pub(crate) skipped: Counter,
}

/// What a call without a route is counted as.
const NO_ROUTE: &str = "none";

impl Metrics {
    pub(crate) fn new() -> Self {
        let registry = Registry::new();
        let calls = registry.counters(
            "taraf_gateway_calls_total",
            "Calls by route and class of status.",
            &["route", "status"],
        );
        let seconds = registry.histograms(
            "taraf_gateway_call_seconds",
            "Time from a call's head to the end of its answer.",
            &["route"],
        );
        Self {
            no_route: RouteSeries::new(&calls, &seconds, NO_ROUTE),
            calls,
            seconds,
            key_seconds: registry.histograms(
                "taraf_gateway_key_seconds",
                "The same by key: the first hundred that call, and `other`.",
                &["key"],
            ),
            key_calls: registry.counters(
                "taraf_gateway_key_calls_total",
                "Calls by key and route, of the keys that are told apart.",
                &["key", "route"],
            ),
            keys_seen: Arc::default(),
            bytes_out: registry.counter(
                "taraf_gateway_sent_bytes_total",
                "Bytes of answers' bodies.",
            ),
            kept: registry.counters(
                "taraf_gateway_cache_total",
                "Calls of routes that keep answers, by where the answer came from.",
                &["route", "from"],
            ),
            mirrored: Mirrored::new(&registry),
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

    /// Shows what the cache holds.
    pub(crate) fn watch(&self, cache: &Cache) {
        type Number = fn(&Store) -> usize;
        let gauges: [(&str, &str, Number); 2] = [
            (
                "taraf_gateway_cache_answers",
                "Answers that are kept.",
                |store| store.size().0,
            ),
            (
                "taraf_gateway_cache_bytes",
                "About the memory that they take.",
                |store| store.size().1,
            ),
        ];
        for (name, help, number) in gauges {
            let store = Arc::clone(&cache.store);
            let ask = move || {
                vec![(
                    Vec::new(),
                    i64::try_from(number(&store)).unwrap_or(i64::MAX),
                )]
            };
            self.registry.asked(name, help, &[], ask);
        }
    }

    /// Counts where the answer to a call of a route that keeps answers came from.
    pub(crate) fn cached(&self, route: &str, from: &'static str) {
        self.kept.with(&[route, from]).increment();
    }

    pub(crate) fn ended(&self, route: Option<&Entry>, status: u16, time: Duration, bytes: u64) {
        let series = match route {
            Some(entry) => entry.series.get_or_init(|| self.of_route(&entry.route.id)),
            None => &self.no_route,
        };
        let class = usize::from(status / 100).clamp(1, CLASSES.len()) - 1;
        series.classes[class].increment();
        series.seconds.observe(time);
        self.bytes_out.add(bytes);
    }

    /// Counts a call of a key. The first [`KEYS_MAX`] keys that call have series of their own, all
    /// others share one.
    pub(crate) fn called(&self, caller: &Caller, route: &Entry, time: Duration) {
        let series = caller.series.get_or_init(|| self.of_key(caller.key));
        series.seconds.observe(time);
        if let Some(name) = &series.name {
            series.route(self, name, route).increment();
        }
    }

    fn of_key(&self, key: KeyId) -> KeySeries {
        let has_own = self.keys_seen.fetch_add(1, Ordering::Relaxed) < KEYS_MAX;
        let mut name = key.to_string();
        name.truncate(KEY_NAME_CHARS);
        let label = if has_own { name.as_str() } else { OTHER };
        KeySeries {
            seconds: self.key_seconds.with(&[label]),
            name: has_own.then_some(name),
            routes: Mutex::default(),
        }
    }

    fn of_route(&self, id: &str) -> RouteSeries {
        RouteSeries::new(&self.calls, &self.seconds, id)
    }
}

impl RouteSeries {
    fn new(calls: &Family<Counter>, seconds: &Family<Histogram>, id: &str) -> Self {
        Self {
            classes: CLASSES.map(|class| calls.with(&[id, class])),
            seconds: seconds.with(&[id]),
        }
    }
}

impl KeySeries {
    /// The counter of the key's calls of a route.
    fn route(&self, metrics: &Metrics, name: &str, route: &Entry) -> Counter {
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        let known = routes.iter().find(|(of, _, _)| *of == route.fingerprint());
        if let Some((_, _, counter)) = known {
            return counter.clone();
        }
        let id = if routes.len() < KEY_ROUTES_MAX {
            route.route.id.as_str()
        } else {
            OTHER
        };
        let counter = metrics.key_calls.with(&[name, id]);
        if routes.len() < KEY_ROUTES_MAX {
            routes.push((route.fingerprint(), id.to_owned(), counter.clone()));
        }
        counter
    }

    /// The calls of the key by route, since the start.
    pub(crate) fn by_route(&self) -> BTreeMap<String, u64> {
        let routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        routes
            .iter()
            .map(|(_, id, counter)| (id.clone(), counter.get()))
            .collect()
    }
}

impl Mirrored {
    fn new(registry: &Registry) -> Self {
        let counts = registry.counters(
            "taraf_gateway_mirrored_total",
            "Copies of calls, by what became of them.",
            &["outcome"],
        );
        Self {
            sent: counts.with(&["sent"]),
            failed: counts.with(&["failed"]),
            skipped: counts.with(&["skipped"]),
        }
    }
}
