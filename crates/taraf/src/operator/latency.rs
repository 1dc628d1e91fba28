//! [pure] How long calls of each route take, from the buckets of their histogram.

use std::collections::BTreeMap;

use serde::Serialize;

/// The histogram that is read.
const BUCKET: &str = "taraf_gateway_call_seconds_bucket{route=\"";

/// The calls of a route, and the seconds within which a share of them ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Latency {
    calls: u64,
    /// Absent where the share lies above all bounds.
    p50: Option<f64>,
    p95: Option<f64>,
    p99: Option<f64>,
}

/// Each route that was called. A share is looked for within its bucket as if the calls in it were
/// evenly spread, as `histogram_quantile` of Prometheus does.
pub(super) fn by_route(text: &str) -> BTreeMap<String, Latency> {
    let mut routes: BTreeMap<String, Vec<(Option<f64>, u64)>> = BTreeMap::new();
    for line in text.lines() {
        if let Some((route, bound, below)) = bucket(line) {
            routes.entry(route).or_default().push((bound, below));
        }
    }
    let called = routes.into_iter().filter_map(|(route, buckets)| {
        let calls = buckets
            .last()
            .map(|(_, below)| *below)
            .filter(|calls| *calls > 0)?;
        let share = |percent| within(&buckets, calls, percent);
        let latency = Latency {
            calls,
            p50: share(50),
            p95: share(95),
            p99: share(99),
        };
        Some((route, latency))
    });
    called.collect()
}

/// Route, upper bound and number of calls below it.
fn bucket(line: &str) -> Option<(String, Option<f64>, u64)> {
    let (labels, below) = line.strip_prefix(BUCKET)?.rsplit_once("\"} ")?;
    let (route, bound) = labels.rsplit_once("\",le=\"")?;
    let route = route.replace("\\\"", "\"").replace("\\\\", "\\");
    Some((
        route,
        bound.parse().ok().filter(|bound: &f64| bound.is_finite()),
        below.parse().ok()?,
    ))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of calls need no more than 52 bits"
)]
fn within(buckets: &[(Option<f64>, u64)], calls: u64, percent: u64) -> Option<f64> {
    let rank = calls as f64 * percent as f64 / 100.0;
    let mut before = (0.0, 0);
    for (bound, below) in buckets {
        let bound = (*bound)?;
        if *below as f64 >= rank {
            let (from, passed) = before;
            let inside = (*below - passed).max(1) as f64;
            return Some(from + (bound - from) * ((rank - passed as f64) / inside));
        }
        before = (bound, *below);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_found_within_their_buckets() {
        let text = "taraf_gateway_call_seconds_bucket{route=\"GET /a\",le=\"0.1\"} 50\n\
            taraf_gateway_call_seconds_bucket{route=\"GET /a\",le=\"0.5\"} 90\n\
            taraf_gateway_call_seconds_bucket{route=\"GET /a\",le=\"1\"} 98\n\
            taraf_gateway_call_seconds_bucket{route=\"GET /a\",le=\"+Inf\"} 100\n\
            taraf_gateway_call_seconds_bucket{route=\"none\",le=\"+Inf\"} 0\n";
        let routes = by_route(text);
        assert_eq!(routes.len(), 1);
        let latency = &routes["GET /a"];
        assert_eq!(
            (latency.calls, latency.p50, latency.p99),
            (100, Some(0.1), None)
        );
        let p95 = latency.p95.unwrap();
        assert!((p95 - 0.8125).abs() < 1e-9, "{p95}");
    }
}
