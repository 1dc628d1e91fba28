//! What the hot path reads of the registry, kept up to date by what was committed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use taraf_base::Timestamp;
use taraf_log::machine::Observer;

use crate::auth::api_key::{Caller, KeyTable};
use crate::metrics::KeySeries;
use crate::quota::{Month, Plan};
use crate::registry::{AccountId, Event, Key, KeyId, Registry};
use crate::usage::Meter;

/// Requests read `keys` alone, and each its own meter; the rest is for changes.
pub(super) struct View {
    pub(super) keys: KeyTable,
    index: Mutex<Index>,
    clock: fn() -> Timestamp,
}

#[derive(Default)]
struct Index {
    plans: BTreeMap<String, Plan>,
    accounts: BTreeMap<AccountId, Arc<str>>,
    callers: BTreeMap<KeyId, Arc<Caller>>,
    meters: BTreeMap<KeyId, (String, Arc<Meter>)>,
}

impl View {
    pub(super) fn new(clock: fn() -> Timestamp) -> Self {
        Self {
            keys: KeyTable::default(),
            index: Mutex::default(),
            clock,
        }
    }

    pub(super) fn meters(&self) -> Vec<Arc<Meter>> {
        let index = self.lock();
        index
            .meters
            .values()
            .map(|(_plan, meter)| Arc::clone(meter))
            .collect()
    }

    pub(super) fn meter(&self, line: KeyId) -> Option<Arc<Meter>> {
        let index = self.lock();
        index
            .meters
            .get(&line)
            .map(|(_plan, meter)| Arc::clone(meter))
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

    fn recovered(&self, registry: &Registry) {
        let mut index = self.lock();
        for (name, plan) in registry.plans() {
            index.plans.insert(name.to_owned(), plan.clone());
        }
        for (id, account) in registry.accounts() {
            index.accounts.insert(id, account.name.as_str().into());
        }
        let month = Month::of((self.clock)());
        for (id, key) in registry.keys() {
            self.add(
                &mut index,
                id,
                key,
                (month, registry.charged(key.line, month)),
            );
        }
    }

    fn committed(&self, event: &Event, at: Timestamp) {
        let mut index = self.lock();
        match event {
            Event::PlanSet { name, plan } => {
                index.plans.insert(name.clone(), plan.clone());
                for (_, meter) in index.meters.values().filter(|(of, _)| of == name) {
                    meter.set_plan(plan.clone());
                }
            }
            Event::AccountCreated { id, name, email: _ } => {
                index.accounts.insert(*id, name.as_str().into());
            }
            Event::KeyCreated {
                id,
                account,
                line,
                hash,
                plan,
                label,
            } => {
                let key = Key {
                    account: *account,
                    line: *line,
                    hash: *hash,
                    plan: plan.clone(),
                    label: label.clone(),
                    created: at,
                    ends: None,
                    last_used_day: None,
                };
                // The meter of a line that goes on is there; a new line was charged nothing.
                self.add(&mut index, *id, &key, (Month::of(at), 0));
            }
            Event::KeyEnds { id, ends } => {
                if let Some(caller) = index.callers.get(id) {
                    caller.end(*ends);
                }
            }
            // Labels and days are not for the hot path; units reach the meter by the reply.
            Event::KeyLabelled { .. }
            | Event::KeyUsed { .. }
            | Event::UnitsReserved { .. }
            | Event::UnitsReturned { .. } => {}
        }
    }

    fn add(&self, index: &mut Index, id: KeyId, key: &Key, (month, charged): (Month, u64)) {
        // Both are there, as the registry keeps them; without them the key is refused.
        let Some(plan) = index.plans.get(&key.plan).cloned() else {
            return;
        };
        let Some(name) = index.accounts.get(&key.account).cloned() else {
            return;
        };
        let (_, meter) = index.meters.entry(key.line).or_insert_with(|| {
            let meter = Meter::new(key.line, plan, month, charged);
            (key.plan.clone(), Arc::new(meter))
        });
        let caller = Arc::new(Caller::new(id, key, name, Arc::clone(meter)));
        index.callers.insert(id, Arc::clone(&caller));
        self.keys.insert(caller);
    }

    fn lock(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
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
    fn recovered(&mut self, registry: &Registry) {
        self.0.recovered(registry);
    }

    fn committed(&mut self, events: &[(Timestamp, Event)]) {
        for (at, event) in events {
            self.0.committed(event, *at);
        }
    }

    fn release(&mut self, actions: Vec<std::convert::Infallible>) {
        drop(actions);
    }
}
