//! How much room is left, as a metric.

use taraf_log::Space;
use taraf_service::metrics::Registry;
use tokio::sync::watch;

/// A registry whose gauge tells the room that is left.
pub(super) fn metrics(space: watch::Receiver<Space>) -> Registry {
    let registry = Registry::new();
    registry.asked(
        "taraf_log_space",
        "Room for data: 0 ample, 1 low (new runs are refused), 2 full (timers wait too).",
        &[],
        move || vec![(Vec::new(), level(*space.borrow()))],
    );
    registry
}

fn level(space: Space) -> i64 {
    match space {
        Space::Ample => 0,
        Space::Low => 1,
        Space::Full => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_metric_tells_the_room() {
        let space = watch::Sender::new(Space::Ample);
        let registry = metrics(space.subscribe());
        assert!(registry.text().contains("taraf_log_space 0"));
        space.send_replace(Space::Full);
        assert!(registry.text().contains("taraf_log_space 2"));
    }
}
