//! The pools of all services and of the hosts outside, following the directory.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};

use tokio::sync::watch;

use super::Shared;
use crate::pool::{Place, Pool, PoolView};
use crate::{CallError, Directory, ServiceName};

/// The pools of all services, and of the hosts outside that were called lately.
///
/// Invariant: a call begun after a directory was published sees that directory, because each look-up
/// first compares versions. Locks are held for a look-up or a rebuilding, never while waiting.
pub(super) struct Table {
    services: RwLock<Services>,
    origins: RwLock<HashMap<String, Arc<Origin>>>,
}

struct Services {
    directory: watch::Receiver<Arc<Directory>>,
    pools: HashMap<ServiceName, Arc<Pool>>,
}

struct Origin {
    pool: Arc<Pool>,
    used: std::sync::atomic::AtomicU64,
}

impl Table {
    pub(super) fn new(mut directory: watch::Receiver<Arc<Directory>>) -> Self {
        directory.mark_changed();
        Self {
            services: RwLock::new(Services {
                directory,
                pools: HashMap::new(),
            }),
            origins: RwLock::default(),
        }
    }

    /// The pool of a service.
    pub(super) fn service(&self, name: &str, shared: &Shared) -> Result<Arc<Pool>, CallError> {
        let known = |services: &Services| {
            let pool = services.pools.get(name).cloned();
            pool.ok_or_else(|| CallError::NoSuchService(name.to_owned()))
        };
        // One lock in most cases: the cores share it.
        let services = self.services.read().unwrap_or_else(PoisonError::into_inner);
        if services.is_current() {
            return known(&services);
        }
        drop(services);
        known(&self.follow(shared))
    }

    /// Rebuilds the pools when the directory has changed.
    pub(super) fn refresh(&self, shared: &Shared) {
        let services = self.services.read().unwrap_or_else(PoisonError::into_inner);
        if services.is_current() {
            return;
        }
        drop(services);
        drop(self.follow(shared));
    }

    fn follow(&self, shared: &Shared) -> RwLockWriteGuard<'_, Services> {
        let services = self.services.write();
        let mut services = services.unwrap_or_else(PoisonError::into_inner);
        services.follow(shared);
        services
    }

    /// The pool of a host outside the directory.
    pub(super) fn origin(&self, place: Place, shared: &Shared) -> Result<Arc<Pool>, CallError> {
        use std::sync::atomic::Ordering::Relaxed;

        let key = place.to_string();
        let now = u64::try_from(shared.now().as_millis()).unwrap_or(u64::MAX);
        let origins = self.origins.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(origin) = origins.get(&key) {
            origin.used.store(now, Relaxed);
            return Ok(Arc::clone(&origin.pool));
        }
        drop(origins);
        let mut origins = self.origins.write().unwrap_or_else(PoisonError::into_inner);
        if origins.len() >= shared.config.origins_max && !origins.contains_key(&key) {
            let unused = origins
                .iter()
                .filter(|(_, origin)| origin.pool.in_flight() == 0)
                .min_by_key(|(_, origin)| origin.used.load(Relaxed))
                .map(|(key, _)| key.clone());
            let unused = unused.ok_or_else(|| CallError::Overloaded(key.clone()))?;
            origins.remove(&unused);
        }
        let origin = origins.entry(key).or_insert_with_key(|key| {
            let standing = shared.standing(key, OUTSIDE);
            Arc::new(Origin {
                pool: Arc::new(Pool::of_origin(standing, place, &shared.config)),
                used: now.into(),
            })
        });
        Ok(Arc::clone(&origin.pool))
    }

    /// All pools, services first.
    pub(super) fn pools(&self) -> Vec<Arc<Pool>> {
        let services = self.services.read().unwrap_or_else(PoisonError::into_inner);
        let mut pools: Vec<_> = services.pools.values().cloned().collect();
        drop(services);
        let origins = self.origins.read().unwrap_or_else(PoisonError::into_inner);
        pools.extend(origins.values().map(|origin| Arc::clone(&origin.pool)));
        pools
    }

    pub(super) fn views(&self, shared: &Shared) -> Vec<PoolView> {
        let now = shared.now();
        let mut views: Vec<_> = self.pools().iter().map(|pool| pool.view(now)).collect();
        views.sort_by(|a, b| a.name.cmp(&b.name));
        views
    }
}

/// Hosts outside are counted together: their names come from flows and would make metrics grow
/// without bound.
const OUTSIDE: &str = "outside";

impl Services {
    fn is_current(&self) -> bool {
        // An error means that nobody publishes any more: the last directory stays.
        let has_changed = self.directory.has_changed().unwrap_or(false);
        // Before the first rebuilding the publisher may be gone already.
        !has_changed && !self.pools.is_empty()
    }

    fn follow(&mut self, shared: &Shared) {
        let directory = Arc::clone(&self.directory.borrow_and_update());
        let mut before = std::mem::take(&mut self.pools);
        for (name, endpoints) in directory.iter() {
            let old = before.remove(name);
            let standing = match &old {
                Some(pool) => Arc::clone(&pool.standing),
                None => shared.standing(name.as_str(), name.as_str()),
            };
            let pool = Pool::of_service(standing, endpoints, old.as_deref(), &shared.config);
            self.pools.insert(name.clone(), Arc::new(pool));
        }
        for gone in before.values() {
            gone.retire();
        }
    }
}
