//! [pure] What all parts of a simulation share: the time, the heap of events, chance, the trace, and the
//! record of what must be true.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fmt;
use std::sync::Arc;

use taraf_base::Timestamp;
use taraf_engine::RunId;
use taraf_engine::partition::{Partition, Payloads, Reply, Rest, Settings};
use taraf_gateway::registry::{KeyId, Registry, Reply as KeyReply};
use taraf_log::machine::ProposeError;
use taraf_log::{Batch, PartitionId, Position};

use crate::bug::Bug;
use crate::dice::Dice;
use crate::disk::SimDisk;
use crate::event::Event;
use crate::history::History;
use crate::plan::{KEYS, MS, Plan};
use crate::planted::{Planted, Strings};
use crate::shadow::Shadow;

/// What clients are told.
pub(crate) enum Answer {
    Run(u64, Result<Reply, ProposeError>),
    Key(u64, Result<KeyReply, ProposeError>),
}

pub(crate) struct Context {
    /// Microseconds since the beginning.
    pub(crate) now: u64,
    /// Milliseconds by which the wall clock was moved.
    pub(crate) offset: i64,
    heap: BinaryHeap<Reverse<(u64, u64)>>,
    waiting: BTreeMap<u64, Event>,
    next: u64,
    pub(crate) events: u64,
    pub(crate) dice: Dice,
    pub(crate) plan: Plan,
    pub(crate) disk: SimDisk,
    pub(crate) bug: Option<Bug>,
    pub(crate) runs: BTreeMap<PartitionId, Shadow<Planted>>,
    pub(crate) keys: Shadow<Registry>,
    pub(crate) history: History,
    /// What clients are told next.
    pub(crate) answers: Vec<Answer>,
    /// Calls that were let through, by line of keys.
    pub(crate) counted: BTreeMap<KeyId, u64>,
    /// The first thing that is not as it must be.
    pub(crate) failure: Option<String>,
    trace: Trace,
}

/// Everything that happened, as a hash; as text too when somebody wants to read it.
struct Trace {
    hash: u64,
    line: String,
    is_printed: bool,
}

impl Context {
    pub(crate) fn new(seed: u64, bug: Option<Bug>, is_printed: bool) -> Self {
        let mut dice = Dice::new(seed);
        let plan = Plan::new(&mut dice);
        let disk = SimDisk::new(dice.split(), bug);
        let mut context = Self {
            now: 0,
            offset: 0,
            heap: BinaryHeap::new(),
            waiting: BTreeMap::new(),
            next: 0,
            events: 0,
            dice,
            disk,
            bug,
            runs: BTreeMap::new(),
            keys: Shadow::new(KEYS, Registry::default()),
            history: History::default(),
            answers: Vec::new(),
            counted: BTreeMap::new(),
            failure: None,
            trace: Trace {
                hash: 0xCBF2_9CE4_8422_2325,
                line: String::new(),
                is_printed,
            },
            plan,
        };
        for partition in context.plan.partitions.clone() {
            let empty = context.mirror();
            context
                .runs
                .insert(partition, Shadow::new(partition, empty));
        }
        context
    }

    /// An empty machine of runs.
    pub(crate) fn machine(
        &self,
        bug: Option<Bug>,
        strings: &Arc<Strings>,
        payloads: Option<Arc<Payloads>>,
    ) -> Planted {
        let settings = Settings {
            payloads,
            ..self.plan.settings.clone()
        };
        self.machine_with(settings, bug, strings)
    }

    /// One that all others must equal: without bugs, and its runs do not rest.
    fn mirror(&self) -> Planted {
        let settings = Settings {
            rest: Rest::default(),
            ..self.plan.settings.clone()
        };
        self.machine_with(settings, None, &Arc::default())
    }

    fn machine_with(
        &self,
        settings: Settings,
        bug: Option<Bug>,
        strings: &Arc<Strings>,
    ) -> Planted {
        let library = Arc::clone(&self.plan.library);
        let real = Partition::new(settings, library);
        Planted::new(real, bug, Arc::clone(strings))
    }

    /// What the wall clock says.
    pub(crate) fn wall(&self) -> Timestamp {
        let passed = i64::try_from(self.now / MS).unwrap_or(i64::MAX);
        Timestamp::from_millis(self.plan.begins.as_millis() + passed + self.offset)
    }

    /// Lets something happen after so many microseconds.
    pub(crate) fn after(&mut self, delay: u64, event: Event) {
        let id = self.next;
        self.next += 1;
        self.heap
            .push(Reverse((self.now.saturating_add(delay), id)));
        self.waiting.insert(id, event);
    }

    /// The next event; the time goes on to it.
    pub(crate) fn next_event(&mut self) -> Option<Event> {
        let Reverse((at, id)) = self.heap.pop()?;
        self.now = at;
        self.events += 1;
        self.waiting.remove(&id)
    }

    pub(crate) fn note(&mut self, what: fmt::Arguments<'_>) {
        use std::fmt::Write as _;
        let Trace {
            hash,
            line,
            is_printed,
        } = &mut self.trace;
        line.clear();
        // Writing to memory does not fail.
        let _written = write!(line, "{:>12.6} {what}", Seconds(self.now));
        for byte in line.bytes() {
            *hash = (*hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
        }
        if *is_printed {
            crate::report::print(line);
        }
    }

    pub(crate) const fn trace_hash(&self) -> u64 {
        self.trace.hash
    }

    /// Something is not as it must be. The first such thing counts.
    pub(crate) fn fail(&mut self, oracle: &str, what: impl fmt::Display) {
        if self.failure.is_none() {
            let text = format!("{oracle}: {what}");
            self.note(format_args!("FAILURE {text}"));
            self.failure = Some(text);
        }
    }

    pub(crate) fn check(&mut self, oracle: &str, checked: Result<(), String>) {
        if let Err(what) = checked {
            self.fail(oracle, what);
        }
    }

    /// The last record of a partition that is durable.
    pub(crate) fn durable(&self, partition: PartitionId) -> Position {
        match self.runs.get(&partition) {
            Some(shadow) => shadow.tail(),
            None => self.keys.tail(),
        }
    }

    /// A batch was told to be durable.
    pub(crate) fn durable_now(&mut self, partition: PartitionId, batch: &Batch) {
        let crc = crc32c::crc32c(&batch.frames);
        let (id, last) = (batch.id, batch.last());
        self.note(format_args!(
            "{partition} durable to {last}: batch {id} {crc:08x}"
        ));
        let taken = match self.runs.get_mut(&partition) {
            Some(shadow) => shadow
                .extend(batch)
                .and_then(|told| self.history.take(told)),
            None => self.keys.extend(batch).map(drop),
        };
        self.check("each record is written once", taken);
    }

    /// Units are charged before they are spent.
    pub(crate) fn check_quota(&mut self, line: KeyId) {
        let charged: u64 = self
            .keys
            .mirror()
            .months(line)
            .map(|(_, u)| u.charged)
            .sum();
        let counted = self.counted.get(&line).copied().unwrap_or(0);
        if charged < counted {
            let what = format!("{counted} calls were let through and {charged} charged to {line}");
            self.fail("a crash never gives a call back", what);
        }
    }

    pub(crate) fn has_answered(&self, run: RunId, step: u32) -> bool {
        self.history.has_answered(run, step)
    }
}

struct Seconds(u64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>6}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}
