//! Values that are fetched once however many ask for them at the same time, and kept while good.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use taraf_flow::FlowError;
use tokio::sync::OnceCell;

/// Values by name. At most so many are kept; beyond it the longest unused is forgotten.
pub(super) struct Kept<V> {
    slots: Mutex<Slots<V>>,
    max: usize,
}

struct Slots<V> {
    slots: HashMap<String, (u64, Arc<Slot<V>>)>,
    turn: u64,
}

/// One value, being fetched or there.
struct Slot<V> {
    /// A failure stays only for those who wait for it.
    value: OnceCell<Result<Arc<V>, FlowError>>,
    /// The value before.
    before: Option<Arc<V>>,
}

impl<V> Kept<V> {
    pub(super) fn new(max: usize) -> Self {
        let slots = Slots {
            slots: HashMap::new(),
            turn: 0,
        };
        Self {
            slots: Mutex::new(slots),
            max,
        }
    }

    /// The value of that name when it is good, else what `make` makes of the value before. One
    /// caller makes it and all who ask meanwhile get the same, a failure too; when that caller gives
    /// up, another goes on.
    pub(super) async fn get<F>(
        &self,
        name: &str,
        is_good: impl Fn(&V) -> bool,
        make: impl FnOnce(Option<Arc<V>>) -> F,
    ) -> Result<Arc<V>, FlowError>
    where
        F: Future<Output = Result<V, FlowError>>,
    {
        let slot = self.slot(name, is_good);
        let made = slot.value.get_or_init(|| {
            let making = make(slot.before.clone());
            async move { making.await.map(Arc::new) }
        });
        made.await.clone()
    }

    fn slot(&self, name: &str, is_good: impl Fn(&V) -> bool) -> Arc<Slot<V>> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.turn += 1;
        let turn = slots.turn;
        let before = match slots.slots.get_mut(name) {
            Some((used, slot)) => {
                *used = turn;
                match slot.value.get() {
                    None => return Arc::clone(slot),
                    Some(Ok(value)) if is_good(value) => return Arc::clone(slot),
                    Some(Ok(value)) => Some(Arc::clone(value)),
                    Some(Err(_)) => slot.before.clone(),
                }
            }
            None => None,
        };
        if slots.slots.len() >= self.max && !slots.slots.contains_key(name) {
            let oldest = slots.slots.iter().min_by_key(|(_, (used, _))| *used);
            if let Some(oldest) = oldest.map(|(name, _)| name.clone()) {
                slots.slots.remove(&oldest);
            }
        }
        let slot = Arc::new(Slot {
            value: OnceCell::new(),
            before,
        });
        let kept = (turn, Arc::clone(&slot));
        slots.slots.insert(name.to_owned(), kept);
        slot
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn many_who_ask_get_what_one_makes_a_failure_too() {
        let kept = Arc::new(Kept::<u32>::new(4));
        let made = Arc::new(AtomicU32::new(0));
        for fails in [true, false] {
            let gate = Arc::new(Semaphore::new(0));
            let mut asking = tokio::task::JoinSet::new();
            for _ in 0..100 {
                let (kept, made, gate) = (Arc::clone(&kept), Arc::clone(&made), Arc::clone(&gate));
                asking.spawn(async move {
                    let make = async |_| {
                        let n = made.fetch_add(1, Ordering::Relaxed) + 1;
                        let _open = gate.acquire().await;
                        if fails {
                            return Err(FlowError::authentication("no"));
                        }
                        Ok(n)
                    };
                    kept.get("a", |_| true, make).await
                });
            }
            tokio::task::yield_now().await;
            gate.add_permits(1);
            let results = asking.join_all().await;
            assert!(results.iter().all(|result| result.is_err() == fails));
            assert_eq!(made.load(Ordering::Relaxed), if fails { 1 } else { 2 });
        }
    }

    #[tokio::test]
    async fn one_who_gives_up_leaves_the_work_to_the_next() {
        let kept = Kept::<u32>::new(4);
        {
            let never = kept.get("a", |_| true, |_| std::future::pending());
            tokio::select! {
                biased;
                _ = never => panic!("it never ends"),
                () = std::future::ready(()) => {}
            }
        }
        let value = kept.get("a", |_| true, async |_| Ok(7)).await.unwrap();
        assert_eq!(*value, 7);
    }

    #[tokio::test]
    async fn a_value_that_is_not_good_is_made_anew_from_the_one_before() {
        let kept = Kept::<u32>::new(1);
        let next = async |before: Option<Arc<u32>>| Ok(before.map_or(1, |before| *before + 1));
        assert_eq!(*kept.get("a", |_| true, next).await.unwrap(), 1);
        assert_eq!(*kept.get("a", |_| true, next).await.unwrap(), 1);
        assert_eq!(*kept.get("a", |_| false, next).await.unwrap(), 2);
        // A failure does not lose what was before it.
        let fails = async |_| Err(FlowError::authentication("no"));
        assert!(kept.get("a", |_| false, fails).await.is_err());
        assert_eq!(*kept.get("a", |_| true, next).await.unwrap(), 3);
        // There is room for one only.
        assert_eq!(*kept.get("b", |_| true, next).await.unwrap(), 1);
        assert_eq!(*kept.get("a", |_| true, next).await.unwrap(), 1);
    }
}
