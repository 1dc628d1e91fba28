//! What hyper starts beside a connection: tasks of a group, like all others.

use std::future::Future;

use hyper::rt::Executor;
use taraf_base::Tasks;

/// Runs what hyper spawns as tasks of a group.
#[derive(Clone)]
pub struct Spawner {
    tasks: Tasks,
    name: &'static str,
}

impl Spawner {
    /// Names the tasks that hyper will start.
    #[must_use]
    pub const fn new(tasks: Tasks, name: &'static str) -> Self {
        Self { tasks, name }
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Spawner {
    fn execute(&self, work: F) {
        self.tasks.spawn(self.name, work);
    }
}
