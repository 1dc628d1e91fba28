//! The parts' tasks, a group each, so that they can be stopped in order.

use std::time::Duration;

use taraf_base::Tasks;

/// A group of tasks for each part, in the order of the start.
pub(crate) struct Groups {
    pub(crate) log: Tasks,
    pub(crate) client: Tasks,
    pub(crate) services: Tasks,
    pub(crate) gossip: Tasks,
    pub(crate) names: Tasks,
    pub(crate) accounts: Tasks,
    pub(crate) engine: Tasks,
    pub(crate) gateway: Tasks,
    pub(crate) operator: Tasks,
}

impl Groups {
    pub(crate) fn new() -> Self {
        Self {
            log: Tasks::new(),
            client: Tasks::new(),
            services: Tasks::new(),
            gossip: Tasks::new(),
            names: Tasks::new(),
            accounts: Tasks::new(),
            engine: Tasks::new(),
            gateway: Tasks::new(),
            operator: Tasks::new(),
        }
    }

    /// Stops one part after another, the last started first. A part may take `limit` to finish
    /// what it has begun; what has not ended then is told and left behind. The gateway has a limit
    /// of its own for calls under way, and returns unspent quota after it.
    pub(crate) async fn stop(&self, calls: Duration, limit: Duration) {
        let parts = [
            ("gateway", &self.gateway, calls.saturating_add(limit)),
            ("operator API", &self.operator, limit),
            ("engine", &self.engine, limit),
            ("accounts", &self.accounts, limit),
            ("names", &self.names, limit),
            ("gossip", &self.gossip, limit),
            ("services", &self.services, limit),
            ("service client", &self.client, limit),
            ("log", &self.log, limit),
        ];
        for (part, tasks, limit) in parts {
            tracing::debug!(part, "stopping");
            for task in tasks.drain(limit).await {
                tracing::warn!(part, task, "did not end in time");
            }
        }
        tracing::info!("stopped");
    }
}
