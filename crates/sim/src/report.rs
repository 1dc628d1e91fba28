//! What a simulation came to, and how that is told.

/// One seed's simulation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// The first thing that was not as it must be, with the oracle that saw it.
    pub failure: Option<String>,
    /// A hash over everything that happened.
    pub trace: u64,
    /// Events on the heap.
    pub events: u64,
    /// Microseconds that passed in the simulation.
    pub simulated_us: u64,
    /// Runs that were started.
    pub runs: usize,
    /// Calls that reached a service.
    pub calls: u64,
    /// Processes that were started.
    pub processes: u64,
}

impl Outcome {
    /// The oracle that saw the failure.
    #[must_use]
    pub fn oracle(&self) -> Option<&str> {
        let failure = self.failure.as_deref()?;
        failure.split_once(':').map(|(oracle, _)| oracle)
    }
}

#[expect(clippy::print_stdout, reason = "a trace that was asked for")]
pub(crate) fn print(line: &str) {
    println!("{line}");
}
