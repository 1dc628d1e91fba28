//! What the hot path reads of the registry, kept up to date by what was committed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use taraf_base::Timestamp;
use taraf_log::Position;
use taraf_log::machine::Observer;
use tokio::sync::Notify;

use crate::auth::api_key::{Caller, Identity, KeyTable};
use crate::metrics::KeySeries;
use crate::quota::{Month, Plan};
use crate::registry::rows::{CHUNK_ROWS, Chunk, Row, Rows};
use crate::registry::{AccountId, Event, KeyHash, KeyId, Registry};
use crate::usage::Meter;

/// Keys that call are active: requests find them in `active` alone, and each its own meter. Of the
/// others there is a row, which becomes active at the key's first call; the rest is for changes.
///
/// Locks are taken in the order index, rows.
pub(super) struct View {
    active: KeyTable,
    rows: RwLock<Rows>,
    index: Mutex<Index>,
    /// Told when a chunk of rows is full and may be shared with the machine.
    grown: Notify,
    clock: fn() -> Timestamp,
}

#[derive(Default)]
struct Index {
    plans: BTreeMap<String, Plan>,
    /// By number, as the rows name them.
    plan_names: Vec<Arc<str>>,
    accounts: Vec<(AccountId, Arc<str>)>,
    account_numbers: BTreeMap<AccountId, u32>,
    /// What was charged before this start, by line.
    charged: BTreeMap<KeyId, (Month, u64)>,
    callers: BTreeMap<KeyId, Arc<Caller>>,
    meters: BTreeMap<KeyId, (Arc<str>, Arc<Meter>)>,
}

impl View {
    pub(super) fn new(clock: fn() -> Timestamp) -> Self {
        Self {
            active: KeyTable::default(),
            rows: RwLock::default(),
            index: Mutex::default(),
            grown: Notify::new(),
            clock,
        }
    }

    /// The caller with this hash, unless the key has ended.
    pub(super) fn find(&self, hash: &KeyHash, now: Timestamp) -> Option<Arc<Caller>> {
        let caller = match self.active.find(hash) {
            Some(active) => active,
            None => {
                // Most texts that are not active are nobody's: those wait for no change.
                self.rows().find(hash)?;
                self.activate(hash)?
            }
        };
        (!caller.is_ended(now)).then_some(caller)
    }

    pub(super) fn meters(&self) -> Vec<Arc<Meter>> {
        let index = self.lock();
        let meters = index.meters.values();
        meters.map(|(_plan, meter)| Arc::clone(meter)).collect()
    }

    /// The meter of a line that calls, or has called since the start.
    pub(super) fn meter(&self, line: KeyId) -> Option<Arc<Meter>> {
        let index = self.lock();
        let found = index.meters.get(&line);
        found.map(|(_plan, meter)| Arc::clone(meter))
    }

    /// A key's calls by route.
    pub(super) fn routes(&self, id: KeyId) -> BTreeMap<String, u64> {
        let index = self.lock();
        let series = index
            .callers
            .get(&id)
            .and_then(|caller| caller.series.get());
        series.map_or_else(BTreeMap::new, KeySeries::by_route)
    }

    /// Waits until a chunk of rows is full. One that filled up meanwhile is not missed.
    pub(super) async fn grown(&self) {
        self.grown.notified().await;
    }

    /// Puts full chunks of the machine's rows in the place of its own that hold the same.
    pub(super) fn share(&self, chunks: &[Chunk]) -> usize {
        self.rows_mut().share(chunks)
    }

    /// How many of these chunks are its own.
    #[cfg(test)]
    pub(super) fn shares(&self, chunks: &[Chunk]) -> usize {
        self.rows().shares(chunks)
    }

    /// Makes a caller of a key's row.
    fn activate(&self, hash: &KeyHash) -> Option<Arc<Caller>> {
        let mut index = self.lock();
        let (row, line, ends) = {
            let rows = self.rows();
            let row = *rows.row(rows.find(hash)?)?;
            (row, rows.line(row.id()), rows.ends(row.id()))
        };
        let id = row.id();
        if let Some(known) = index.callers.get(&id) {
            return Some(Arc::clone(known));
        }
        let plan = Arc::clone(index.plan_names.get(usize::from(row.plan))?);
        let (account, account_name) = index
            .accounts
            .get(usize::try_from(row.account).ok()?)?
            .clone();
        let meter = index.meter(line, &plan, (self.clock)())?;
        let identity = Identity {
            key: id,
            account,
            account_name,
            plan,
            hash: *hash,
        };
        let caller = Arc::new(Caller::new(identity, meter));
        if let Some(ends) = ends {
            caller.end(ends);
        }
        index.callers.insert(id, Arc::clone(&caller));
        self.active.insert(Arc::clone(&caller));
        Some(caller)
    }

    fn recovered(&self, registry: &Registry) {
        let mut index = self.lock();
        for (name, plan) in registry.plans() {
            index.plans.insert(name.to_owned(), plan.clone());
        }
        let names = registry.plan_names().iter();
        index.plan_names = names.map(|name| name.as_str().into()).collect();
        for id in registry.account_ids() {
            // A number without an account would shift all that follow.
            let name = registry.account(*id).map_or("", |account| &account.name);
            index.add_account(*id, name);
        }
        let month = Month::of((self.clock)());
        for line in registry.lines() {
            let charged = registry.charged(line, month);
            if charged > 0 {
                index.charged.insert(line, (month, charged));
            }
        }
        *self.rows_mut() = registry.rows().clone();
    }

    fn committed(&self, event: &Event, at: Timestamp) {
        let index = &mut *self.lock();
        match event {
            Event::PlanSet { name, plan } => {
                if index.plans.insert(name.clone(), plan.clone()).is_none() {
                    index.plan_names.push(name.as_str().into());
                }
                for (_, meter) in index.meters.values().filter(|(of, _)| **of == **name) {
                    meter.set_plan(plan.clone());
                }
            }
            Event::AccountCreated { id, name, email: _ } => index.add_account(*id, name),
            Event::KeyCreated { .. } => self.created(index, event, at),
            Event::KeyEnds { id, ends } => {
                self.rows_mut().end(*id, *ends);
                if let Some(caller) = index.callers.get(id) {
                    caller.end(*ends);
                }
            }
            Event::KeyRemoved { id, hash } => {
                if let Some(caller) = index.callers.remove(id) {
                    self.active.remove(&caller);
                }
                // Of a line the first key is the last that is removed.
                index.meters.remove(id);
                index.charged.remove(id);
                let mut rows = self.rows_mut();
                if let Some(number) = rows.find(hash) {
                    rows.remove(number);
                }
            }
            // Labels and days are not for the hot path; units reach the meter by the reply.
            Event::KeyLabelled { .. }
            | Event::KeyUsed { .. }
            | Event::UnitsReserved { .. }
            | Event::UnitsReturned { .. } => {}
        }
    }

    fn created(&self, index: &Index, event: &Event, at: Timestamp) {
        let Event::KeyCreated {
            id,
            account,
            line,
            hash,
            plan,
            label: _,
        } = event
        else {
            return;
        };
        // Both are there, as the registry keeps them; without them the key is refused.
        let plan = index.plan_names.iter().position(|name| **name == **plan);
        let plan = plan.and_then(|plan| u16::try_from(plan).ok());
        let (Some(account), Some(plan)) = (index.account_numbers.get(account), plan) else {
            return;
        };
        let mut row = Row::new(*id, *hash, at);
        (row.account, row.plan) = (*account, plan);
        let mut rows = self.rows_mut();
        if rows.find(hash).is_some() {
            return;
        }
        let number = rows.insert(row);
        rows.set_line(*id, *line);
        if usize::try_from(number).is_ok_and(|number| (number + 1).is_multiple_of(CHUNK_ROWS)) {
            self.grown.notify_one();
        }
    }

    fn rows(&self) -> RwLockReadGuard<'_, Rows> {
        self.rows.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn rows_mut(&self) -> RwLockWriteGuard<'_, Rows> {
        self.rows.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Index {
    fn add_account(&mut self, id: AccountId, name: &str) {
        let number = u32::try_from(self.accounts.len()).unwrap_or(u32::MAX);
        self.accounts.push((id, name.into()));
        self.account_numbers.insert(id, number);
    }

    /// The meter of a line; of one that calls for the first time since the start a new one.
    fn meter(&mut self, line: KeyId, plan: &Arc<str>, now: Timestamp) -> Option<Arc<Meter>> {
        if let Some((_plan, meter)) = self.meters.get(&line) {
            return Some(Arc::clone(meter));
        }
        let allowed = self.plans.get(&**plan)?.clone();
        let charged = self.charged.get(&line).copied();
        let (month, charged) = charged.unwrap_or_else(|| (Month::of(now), 0));
        let meter = Arc::new(Meter::new(line, allowed, month, charged));
        self.meters
            .insert(line, (Arc::clone(plan), Arc::clone(&meter)));
        Some(meter)
    }
}

/// Hands what the replica commits to the view.
pub(super) struct Watcher(Arc<View>);

impl Watcher {
    pub(super) fn new(view: Arc<View>) -> Self {
        Self(view)
    }
}

impl Observer<Registry> for Watcher {
    fn recovered(&mut self, registry: &Registry, _position: Position, _snapshot: Position) {
        self.0.recovered(registry);
    }

    fn committed(&mut self, _position: Position, events: &[(Timestamp, Event)]) {
        for (at, event) in events {
            self.0.committed(event, *at);
        }
    }

    fn release(&mut self, actions: Vec<std::convert::Infallible>) {
        drop(actions);
    }
}
