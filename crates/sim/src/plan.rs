//! [pure] What a seed decides before anything happens: sizes, flows, and which faults there will be.

use std::collections::BTreeMap;
use std::sync::Arc;

use taraf_base::Timestamp;
use taraf_engine::Limits;
use taraf_engine::partition::{Audience, Definitions, Rest, Settings};
use taraf_flow::Definition;
use taraf_log::{PartitionId, file, machine};

use crate::dice::Dice;
use crate::flows;

/// One millisecond in the simulation's time.
pub(crate) const MS: u64 = 1_000;
/// One second.
pub(crate) const SECOND: u64 = 1_000 * MS;
/// The partition of accounts, as in the program.
pub(crate) const KEYS: PartitionId = taraf_gateway::PARTITION;
/// The first partition of runs, as in the program.
const FIRST: u32 = 16;
/// Ten minutes before a month ends: some simulations cross it.
const MONTH_ENDS_SOON: i64 = 1_769_903_400_000;

/// A kind of fault that a seed may choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The process is killed between two events.
    Kill,
    /// The machine loses power between two events.
    PowerLoss,
    /// The machine or process dies within an operation of the disk.
    DieInDisk,
    FailedSync,
    FullDisk,
    /// A leader is paused, another takes over, the first goes on.
    Pause,
    ClockStep,
    /// A bit of the log flips while the process is down.
    Rot,
}

const FAULTS: [Fault; 8] = [
    Fault::Kill,
    Fault::PowerLoss,
    Fault::DieInDisk,
    Fault::FailedSync,
    Fault::FullDisk,
    Fault::Pause,
    Fault::ClockStep,
    Fault::Rot,
];

/// Everything decided in advance.
pub(crate) struct Plan {
    pub(crate) partitions: Vec<PartitionId>,
    pub(crate) file: file::Config,
    pub(crate) machine: machine::Config,
    pub(crate) settings: Settings,
    pub(crate) library: Arc<Library>,
    pub(crate) runs: usize,
    /// Microseconds during which there are faults.
    pub(crate) faults_until: u64,
    /// Microseconds between two faults, about.
    pub(crate) fault_every: u64,
    pub(crate) faults: Vec<Fault>,
    pub(crate) begins: Timestamp,
    pub(crate) sync_us: u64,
    /// Microseconds that a service takes, about.
    pub(crate) service_us: u64,
    pub(crate) keys: usize,
}

/// The definitions that runs follow.
pub(crate) struct Library {
    pub(crate) flows: Vec<Arc<Definition>>,
    by_hash: BTreeMap<String, Arc<Definition>>,
}

impl Definitions for Library {
    fn definition(&self, hash: &str) -> Option<Arc<Definition>> {
        self.by_hash.get(hash).cloned()
    }
}

impl Plan {
    pub(crate) fn new(dice: &mut Dice) -> Self {
        let count = u32::try_from(dice.between(1, 2)).unwrap_or(1);
        let flows: Vec<_> = (0..dice.between(1, 3))
            .map(|n| flows::random(dice, usize::try_from(n).unwrap_or(0)))
            .collect();
        let by_hash = flows
            .iter()
            .map(|flow| (flow.hash.clone(), Arc::clone(flow)));
        let library = Library {
            by_hash: by_hash.collect(),
            flows,
        };
        let limits = Limits {
            group_events: usize::try_from(dice.between(4, 64)).unwrap_or(4),
            group_bytes: usize::try_from(dice.between(400, 8_000)).unwrap_or(400),
            // What services answer is longer than this now and then, or never.
            inline_bytes: *dice.pick(&[60, 250, 500, 64 << 10]),
            ..Limits::default()
        };
        let mut faults: Vec<Fault> = FAULTS.into_iter().filter(|_| dice.percent(50)).collect();
        if faults.is_empty() && dice.percent(80) {
            faults.push(*dice.pick(&FAULTS));
        }
        Self {
            partitions: (0..count).map(|n| PartitionId(FIRST + n)).collect(),
            file: file::Config {
                segment_bytes: *dice.pick(&[2, 2, 2, 3, 4, 8]) * 4_096,
                stripes: u32::try_from(dice.between(1, 2)).unwrap_or(1),
                ..file::Config::default()
            },
            machine: machine::Config {
                snapshot_every: dice.between(5, 80),
                checkpoint_every: dice.between(3, 60),
                ..machine::Config::default()
            },
            settings: Settings {
                limits,
                keep: 100_000,
                keep_for: std::time::Duration::from_secs(7 * 24 * 3_600),
                archives: false,
                payloads: None,
                audience: Audience::none(),
                // Few enough that runs rest and wake all the time.
                rest: Rest {
                    awake_max: 2,
                    ..Rest::default()
                },
            },
            library: Arc::new(library),
            runs: usize::try_from(dice.between(2, 10)).unwrap_or(2),
            faults_until: dice.between(10, 120) * SECOND,
            fault_every: dice.between(300, 8_000) * MS,
            faults,
            begins: Timestamp::from_millis(MONTH_ENDS_SOON),
            sync_us: dice.between(100, 4_000),
            service_us: *dice.pick(&[2 * MS, 20 * MS, 200 * MS, SECOND]),
            keys: usize::try_from(dice.between(0, 4)).unwrap_or(0),
        }
    }
}
