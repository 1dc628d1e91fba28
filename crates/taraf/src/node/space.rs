//! How much room is left, as a metric.

use taraf_base::Tasks;
use taraf_log::Space;
use taraf_service::metrics::Registry;
use tokio::sync::watch;

/// A registry whose gauge follows the room that is left.
pub(super) fn metrics(mut space: watch::Receiver<Space>, tasks: &Tasks) -> Registry {
    let registry = Registry::new();
    let gauge = registry.gauge(
        "taraf_log_space",
        "Room for data: 0 ample, 1 low (new runs are refused), 2 full (timers wait too).",
    );
    gauge.set(level(*space.borrow_and_update()));
    let token = tasks.token();
    tasks.spawn("metric of the room left", async move {
        loop {
            tokio::select! {
                () = token.cancelled() => return,
                changed = space.changed() => {
                    // A log in memory has room for ever, and nobody who says otherwise.
                    if changed.is_err() {
                        return;
                    }
                    gauge.set(level(*space.borrow_and_update()));
                }
            }
        }
    });
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

    #[tokio::test]
    async fn the_metric_follows_the_room() {
        let (tasks, space) = (Tasks::new(), watch::Sender::new(Space::Ample));
        let registry = metrics(space.subscribe(), &tasks);
        assert!(registry.text().contains("taraf_log_space 0"));
        space.send_replace(Space::Full);
        while !registry.text().contains("taraf_log_space 2") {
            tokio::task::yield_now().await;
        }
    }
}
