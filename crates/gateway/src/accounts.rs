//! The accounts as the rest of the program sees them: make, list, rotate and revoke keys, identify and
//! charge callers. Joins the registry's replica with the view that the hot path reads.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use taraf_base::{Secret, Tasks, Timestamp};
use taraf_log::machine::{Class, Handle as Replica, ProposeError};
use taraf_log::{Log, PartitionId, machine};
use tokio::time::Instant;

use crate::auth::api_key::{self, Caller};
use crate::quota::{Month, Plan, Spend};
use crate::registry::{
    AccountId, FORGOTTEN_MAX, Input, KeyId, NewKey, RETURNS_MAX, Refusal, Registry, Reply,
};
use crate::usage::{OverPlan, Standing};

mod config;
mod report;
mod view;
mod visitors;

pub use config::Config;
pub use report::{AccountUsage, KeyUsage, KeyView, MonthUsage};
use view::{View, Watcher};
use visitors::Visitors;

/// The partition of the log that accounts live in.
pub const PARTITION: PartitionId = PartitionId(1);
const MILLIS_PER_DAY: i64 = 86_400_000;
/// How often ended keys are looked for.
const FORGET_INTERVAL: Duration = Duration::from_secs(3_600);

/// Why the accounts did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is not possible as things stand.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The log does not take it.
    #[error("the account log does not take it")]
    Log(#[from] ProposeError),
    /// The log of accounts could not be opened.
    #[error("failed to open the account log: {0}")]
    Open(String),
    /// Too many registrations from one address.
    #[error("too many registrations from this address")]
    TooManyRegistrations {
        /// When it could be tried again.
        wait: Duration,
    },
    /// The text is not an address that mail could be sent to.
    #[error("this is not an e-mail address")]
    Email,
    /// The text has not the form of a key.
    #[error("this has not the form of a key")]
    KeyForm,
}

/// Why a call is not let through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denied {
    /// The plan does not allow it now.
    OverPlan(OverPlan),
    /// It cannot be charged: the log does not answer.
    Unavailable,
}

/// A key as it is told to its owner, once.
#[derive(Clone, Debug)]
pub struct CreatedKey {
    /// The key's id.
    pub id: KeyId,
    /// The key itself. Nobody can tell it again.
    pub secret: Secret,
    /// Whose it is.
    pub account: AccountId,
    /// Its plan's name.
    pub plan: String,
}

/// The accounts of this node. Cheap to clone.
#[derive(Clone)]
pub struct Accounts {
    shared: Arc<Shared>,
}

struct Shared {
    config: Config,
    replica: Replica<Registry>,
    view: Arc<View>,
    visitors: Visitors,
    origin: Instant,
    tasks: Tasks,
}

impl Accounts {
    /// Opens the partition, replays it, and records the plans of the configuration that are new or
    /// changed.
    ///
    /// # Errors
    /// When the log cannot be led or a plan of the configuration is wrong.
    pub async fn start<L: Log>(log: Arc<L>, config: Config, tasks: &Tasks) -> Result<Self, Error> {
        let view = Arc::new(View::new(config.clock));
        let limits = machine::Config {
            clock: config.clock,
            accepts_replay: config.accepts_replay,
            ..machine::Config::default()
        };
        let watcher = Watcher::new(Arc::clone(&view));
        let empty = Registry::default();
        let replica = machine::Replica::start(log, PARTITION, empty, limits, watcher, tasks)
            .await
            .map_err(|error| Error::Open(error.to_string()))?;
        let accounts = Self {
            shared: Arc::new(Shared {
                visitors: Visitors::new(config.registrations_per_hour),
                replica,
                view,
                origin: Instant::now(),
                tasks: tasks.clone(),
                config,
            }),
        };
        for (name, plan) in accounts.shared.config.plans.clone() {
            accounts.set_plan(&name, plan).await?;
        }
        accounts.keep_up();
        Ok(accounts)
    }

    /// Makes or changes a plan.
    ///
    /// # Errors
    /// When the plan allows nothing or the log does not take it.
    pub async fn set_plan(&self, name: &str, plan: Plan) -> Result<(), Error> {
        let name = name.to_owned();
        self.propose(Input::SetPlan { name, plan })
            .await
            .map(|_| ())
    }

    /// Makes an account without keys.
    ///
    /// # Errors
    /// When name or e-mail address are known or wrong.
    pub async fn create_account(
        &self,
        name: &str,
        email: Option<&str>,
    ) -> Result<AccountId, Error> {
        let id = AccountId::random();
        let input = Input::CreateAccount {
            id,
            name: name.to_owned(),
            email: email.map(normal_email).transpose()?,
        };
        self.propose(input).await.map(|_| id)
    }

    /// Makes an account for an e-mail address and its first key on the default plan.
    ///
    /// # Errors
    /// [`Refusal::KnownEmail`] when the address has an account, [`Error::TooManyRegistrations`] when
    /// `from` asks too often.
    pub async fn register(&self, email: &str, from: IpAddr) -> Result<CreatedKey, Error> {
        let email = normal_email(email)?;
        let wait = self.shared.visitors.admit(from, self.now_ns());
        wait.map_err(|wait| Error::TooManyRegistrations { wait })?;
        let secret = api_key::generate();
        let plan = self.shared.config.default_plan.clone();
        self.make_key(&email, Some(email.clone()), plan, "", secret)
            .await
    }

    /// Makes a key, and the account when there is none of that name. Without a plan the default one.
    ///
    /// # Errors
    /// When the plan is unknown, a text wrong, or a limit reached.
    pub async fn create_key(
        &self,
        account: &str,
        plan: Option<&str>,
        label: &str,
    ) -> Result<CreatedKey, Error> {
        let plan = plan.unwrap_or(&self.shared.config.default_plan).to_owned();
        self.make_key(account, None, plan, label, api_key::generate())
            .await
    }

    /// Makes a key whose text the caller has, as [`Accounts::create_key`] does. Asked again, it
    /// answers the same key: a development node keeps one key over its restarts.
    ///
    /// # Errors
    /// When the text has not the form of a key, or was revoked or is another account's.
    pub async fn adopt_key(
        &self,
        account: &str,
        plan: &str,
        secret: &Secret,
    ) -> Result<CreatedKey, Error> {
        if !api_key::is_well_formed(secret.expose()) {
            return Err(Error::KeyForm);
        }
        self.make_key(account, None, plan.to_owned(), "", secret.clone())
            .await
    }

    /// Replaces a key. Both are taken for the time of the overlap, and they share one quota.
    ///
    /// # Errors
    /// When the key is unknown or has ended.
    pub async fn rotate(&self, id: KeyId, overlap: Duration) -> Result<CreatedKey, Error> {
        let secret = api_key::generate();
        let input = Input::Rotate {
            id,
            new: KeyId::random(),
            hash: self.hash(&secret),
            overlap_until: self.now().plus(overlap),
        };
        created(self.propose(input).await?, secret)
    }

    /// Refuses a key from now on. Calls that were let through go on.
    ///
    /// # Errors
    /// When the key is unknown.
    pub async fn revoke(&self, id: KeyId) -> Result<(), Error> {
        self.propose(Input::Revoke { id }).await.map(|_| ())
    }

    /// Changes what people call a key.
    ///
    /// # Errors
    /// When the key is unknown or the label wrong.
    pub async fn label(&self, id: KeyId, label: &str) -> Result<(), Error> {
        let label = label.to_owned();
        self.propose(Input::Label { id, label }).await.map(|_| ())
    }

    /// The key with this text, unless it is unknown or has ended.
    #[must_use]
    pub fn identify(&self, key: &str) -> Option<Arc<Caller>> {
        if !api_key::is_well_formed(key) {
            return None;
        }
        let hash = api_key::hash(self.shared.config.pepper.as_ref(), key);
        self.shared.view.find(&hash, self.now())
    }

    /// The caller of an identity that something else than a key has proved, charged as the key that
    /// stands in for all calls of that account on that plan. It is made when it is first needed, and
    /// no text is its key: it is hashed from what has not a key's form.
    ///
    /// # Errors
    /// When the plan is unknown, a text wrong, or the log does not take it.
    pub async fn stand_in(
        &self,
        by: &str,
        account: &str,
        plan: Option<&str>,
    ) -> Result<Arc<Caller>, Error> {
        let plan = plan.unwrap_or(&self.shared.config.default_plan);
        let secret = Secret::new(format!("{by}\0{account}\0{plan}"));
        let hash = self.hash(&secret);
        if let Some(known) = self.shared.view.find(&hash, self.now()) {
            return Ok(known);
        }
        let made = self
            .make_key(account, None, plan.to_owned(), by, secret)
            .await?;
        let found = self.shared.view.find(&hash, self.now());
        // What is committed is in the view before it is answered.
        found.ok_or(Error::Refused(Refusal::RevokedKey(made.id)))
    }

    /// Lets a call through and charges it: first the rate, then the quota. Also notes the day.
    ///
    /// # Errors
    /// When the plan does not allow it, or the quota cannot be reserved.
    pub async fn charge(&self, caller: &Caller, cost: u32) -> Result<(), Denied> {
        self.admit(caller, cost).await.0
    }

    /// The same, and how the caller stands after it.
    pub(crate) async fn admit(&self, caller: &Caller, cost: u32) -> (Result<(), Denied>, Standing) {
        let (now, now_ns) = (self.now(), self.now_ns());
        self.note_use(caller, now);
        let cost = u64::from(cost);
        let (passed, standing) = caller.meter.pass(now, now_ns, cost);
        let month = Month::of(now);
        match passed {
            Err(over) => (Err(Denied::OverPlan(over)), standing),
            // Nearly always the block holds enough, and nothing has to wait.
            Ok(Spend::Taken { renew }) => {
                if renew {
                    self.renew(caller, month, 0);
                }
                (Ok(()), standing)
            }
            Ok(Spend::Short | Spend::UsedUp) => {
                let limit = self.shared.config.quota_wait;
                let spent = Box::pin(self.spend(caller, month, cost));
                let spent = tokio::time::timeout(limit, spent).await;
                let spent = spent.unwrap_or(Err(Denied::Unavailable));
                (spent, self.standing(caller))
            }
        }
    }

    /// How a caller stands with its plan.
    #[must_use]
    pub fn standing(&self, caller: &Caller) -> Standing {
        caller.meter.standing(self.now(), self.now_ns())
    }

    /// Whether accounts can be read and charged now.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let status = self.shared.replica.status();
        let phase = &status.borrow().phase;
        *phase == machine::Phase::Leading
    }

    /// Returns what is reserved and not spent. To be called when no call can come any more; without
    /// it the rest of the blocks stays charged, as after a crash.
    pub async fn settle(&self) {
        let mut units = Vec::new();
        for meter in self.shared.view.meters() {
            let (month, unspent) = meter.surrender();
            if unspent > 0 {
                units.push((meter.line, month, unspent));
            }
        }
        for part in units.chunks(RETURNS_MAX) {
            let returned = Input::ReturnMany {
                units: part.to_vec(),
            };
            if let Err(error) = self.propose(returned).await {
                tracing::warn!(lines = part.len(), %error, "unspent quota stays charged");
            }
        }
    }

    /// Forgets keys that ended longer ago than they are kept.
    ///
    /// # Errors
    /// When the log does not take it.
    pub async fn forget_ended(&self) -> Result<usize, Error> {
        let kept =
            i64::try_from(self.shared.config.ended_keys_kept.as_millis()).unwrap_or(i64::MAX);
        let before = Timestamp::from_millis(self.now().as_millis().saturating_sub(kept));
        let mut forgotten = 0;
        loop {
            let count = match self.propose(Input::Forget { before }).await? {
                Reply::Forgotten(count) => count,
                Reply::Done
                | Reply::Account(_)
                | Reply::Key { .. }
                | Reply::Granted { .. }
                | Reply::Refused(_) => 0,
            };
            forgotten += count;
            if count < FORGOTTEN_MAX {
                return Ok(forgotten);
            }
        }
    }

    /// Forgets ended keys now and then, and shares what grew, until the tasks stop.
    fn keep_up(&self) {
        let (accounts, stop) = (self.clone(), self.shared.tasks.token());
        self.shared.tasks.spawn("accounts upkeep", async move {
            let mut forget = tokio::time::interval(FORGET_INTERVAL);
            loop {
                // Both may be dropped at any time: what was told and not taken is told again.
                tokio::select! {
                    () = stop.cancelled() => return,
                    _ = forget.tick() => match accounts.forget_ended().await {
                        Ok(0) => {}
                        Ok(keys) => tracing::info!(keys, "ended keys are forgotten"),
                        Err(error) => tracing::warn!(%error, "ended keys are not forgotten yet"),
                    },
                    () = accounts.shared.view.grown() => accounts.share_rows().await,
                }
            }
        });
    }

    /// Keys that were made since the start are rows of the machine and of the view; full chunks of them
    /// become one.
    async fn share_rows(&self) {
        let chunks = self
            .shared
            .replica
            .read(|registry| registry.rows().chunks());
        // Without an answer the log is not led any more, and there is nothing to share with.
        if let Ok(chunks) = chunks.await {
            self.shared.view.share(&chunks);
        }
    }

    async fn spend(&self, caller: &Caller, month: Month, cost: u64) -> Result<(), Denied> {
        let meter = &caller.meter;
        loop {
            // Subscribed before looking, so that a renewal that ends meanwhile is seen.
            let mut renewals = meter.renewals();
            match meter.spend(month, cost) {
                Spend::Taken { renew } => {
                    if renew {
                        self.renew(caller, month, 0);
                    }
                    return Ok(());
                }
                Spend::UsedUp => return Err(Denied::OverPlan(OverPlan::Quota)),
                Spend::Short => self.renew(caller, month, cost),
            }
            let has_ended = renewals.changed().await.is_ok();
            if !has_ended || renewals.borrow().has_failed {
                return Err(Denied::Unavailable);
            }
        }
    }

    /// Reserves a block, unless that is under way. A task of its own, as the request that needs it
    /// may be given up while others wait for the same block.
    fn renew(&self, caller: &Caller, month: Month, cost: u64) {
        let meter = Arc::clone(&caller.meter);
        let Some((month, units)) = meter.ask(month, cost) else {
            return;
        };
        let accounts = self.clone();
        self.shared.tasks.spawn("quota renewal", async move {
            let line = meter.line;
            let reply = accounts
                .propose(Input::Reserve { line, month, units })
                .await;
            let granted = match reply {
                Ok(Reply::Granted { units, charged }) => Some((units, charged)),
                Ok(other) => {
                    tracing::error!(%line, ?other, "a reservation was answered by something else");
                    None
                }
                Err(error) => {
                    tracing::warn!(%line, %error, "quota could not be reserved");
                    None
                }
            };
            meter.renewed(month, granted);
        });
    }

    fn note_use(&self, caller: &Caller, now: Timestamp) {
        let day = u32::try_from(now.as_millis() / MILLIS_PER_DAY).unwrap_or(0);
        if !caller.used_on(day) {
            return;
        }
        let (accounts, id) = (self.clone(), caller.key);
        self.shared.tasks.spawn("key used", async move {
            // Losing it is harmless: the day of last use is a hint for people.
            if let Err(error) = accounts.propose(Input::Used { id, day }).await {
                tracing::debug!(key = %id, %error, "the day of use was not recorded");
            }
        });
    }

    async fn make_key(
        &self,
        account: &str,
        email: Option<String>,
        plan: String,
        label: &str,
        secret: Secret,
    ) -> Result<CreatedKey, Error> {
        let key = NewKey {
            id: KeyId::random(),
            hash: self.hash(&secret),
            plan,
            label: label.to_owned(),
        };
        let input = Input::CreateKey {
            account: AccountId::random(),
            name: account.to_owned(),
            email,
            key,
        };
        created(self.propose(input).await?, secret)
    }

    async fn propose(&self, input: Input) -> Result<Reply, Error> {
        // A reservation is what a request waits for: it must not be refused as overload.
        let class = match input {
            Input::Reserve { .. } | Input::Return { .. } | Input::ReturnMany { .. } => {
                Class::Outcome
            }
            Input::Used { .. } | Input::Forget { .. } => Class::Event,
            Input::SetPlan { .. }
            | Input::CreateAccount { .. }
            | Input::CreateKey { .. }
            | Input::Rotate { .. }
            | Input::Revoke { .. }
            | Input::Label { .. } => Class::Control,
        };
        match self.shared.replica.propose(class, input).await? {
            Reply::Refused(refusal) => Err(Error::Refused(refusal)),
            reply @ (Reply::Done
            | Reply::Account(_)
            | Reply::Key { .. }
            | Reply::Granted { .. }
            | Reply::Forgotten(_)) => Ok(reply),
        }
    }

    fn hash(&self, secret: &Secret) -> crate::registry::KeyHash {
        api_key::hash(self.shared.config.pepper.as_ref(), secret.expose())
    }

    fn now(&self) -> Timestamp {
        (self.shared.config.clock)()
    }

    fn now_ns(&self) -> u64 {
        let passed = self.shared.origin.elapsed();
        u64::try_from(passed.as_nanos()).unwrap_or(u64::MAX)
    }
}

fn created(reply: Reply, secret: Secret) -> Result<CreatedKey, Error> {
    match reply {
        Reply::Key { id, account, plan } => Ok(CreatedKey {
            id,
            secret,
            account,
            plan,
        }),
        other @ (Reply::Done
        | Reply::Account(_)
        | Reply::Granted { .. }
        | Reply::Forgotten(_)
        | Reply::Refused(_)) => {
            let said = format!("a key was asked for and {other:?} answered");
            Err(Error::Log(ProposeError::Panicked(said)))
        }
    }
}

/// One spelling of an address: trimmed, in small letters. Only what cannot be an address is refused;
/// whether mail arrives is found out by sending it.
fn normal_email(text: &str) -> Result<String, Error> {
    let email = text.trim().to_lowercase();
    let Some((name, domain)) = email.rsplit_once('@') else {
        return Err(Error::Email);
    };
    let is_odd =
        |c: char| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | '"' | ',');
    let is_domain = domain.contains('.')
        && !domain.starts_with('.')
        && !domain.ends_with('.')
        && !domain.contains("..");
    let is_sound = !name.is_empty() && is_domain && !email.contains(is_odd) && !name.contains('@');
    if is_sound && email.len() <= crate::registry::TEXT_BYTES_MAX {
        Ok(email)
    } else {
        Err(Error::Email)
    }
}

#[cfg(test)]
mod tests;
