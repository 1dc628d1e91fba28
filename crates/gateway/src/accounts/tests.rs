//! Accounts over a real log: keys are found, charged, rotated, revoked, and survive crashes.

use proptest::prelude::*;
use taraf_log::MemoryLog;

use super::*;
use crate::registry::rows::CHUNK_ROWS;

const SECOND: Duration = Duration::from_secs(1);

fn config(quota: Option<u64>) -> Config {
    let plan = Plan {
        rate_per_second: 1_000_000,
        burst: 1_000_000,
        quota_per_month: quota,
    };
    Config {
        plans: [("free".to_owned(), plan)].into(),
        ..Config::default()
    }
}

struct Process {
    accounts: Accounts,
    tasks: Tasks,
}

impl Process {
    async fn start(log: &Arc<MemoryLog>, quota: Option<u64>) -> Self {
        let tasks = Tasks::new();
        let accounts = Accounts::start(Arc::clone(log), config(quota), &tasks);
        let accounts = accounts.await.unwrap();
        Self { accounts, tasks }
    }

    /// Ends without a word: nothing is returned.
    async fn crash(self) {
        self.tasks.drain(SECOND).await;
    }
}

#[tokio::test]
async fn a_key_works_until_it_is_revoked() {
    let log = Arc::new(MemoryLog::new());
    let Process { accounts, .. } = Process::start(&log, Some(100)).await;
    let key = accounts.create_key("ana", None, "laptop").await.unwrap();
    let caller = accounts.identify(key.secret.expose()).unwrap();
    assert_eq!((caller.key, &*caller.account_name), (key.id, "ana"));
    accounts.charge(&caller, 1).await.unwrap();
    assert_eq!(accounts.standing(&caller).remaining, Some(99));
    accounts.revoke(key.id).await.unwrap();
    assert!(accounts.identify(key.secret.expose()).is_none());
    assert!(accounts.identify("short").is_none());
    assert!(accounts.identify(api_key::generate().expose()).is_none());
}

#[tokio::test]
async fn keys_and_usage_survive_a_restart() {
    let log = Arc::new(MemoryLog::new());
    let first = Process::start(&log, Some(100)).await;
    let key = first.accounts.create_key("ana", None, "").await.unwrap();
    let caller = first.accounts.identify(key.secret.expose()).unwrap();
    for _ in 0..3 {
        first.accounts.charge(&caller, 1).await.unwrap();
    }
    first.crash().await;
    let Process { accounts, .. } = Process::start(&log, Some(100)).await;
    let caller = accounts.identify(key.secret.expose()).unwrap();
    // The block of this plan is one unit, so nothing was lost.
    assert_eq!(accounts.standing(&caller).remaining, Some(97));
    let usage = accounts.usage(key.account).await.unwrap().unwrap();
    assert_eq!((usage.used, usage.keys[0].remaining), (3, Some(97)));
}

#[tokio::test]
async fn the_quota_ends_exactly_where_the_plan_says() {
    let log = Arc::new(MemoryLog::new());
    let Process { accounts, .. } = Process::start(&log, Some(250)).await;
    let key = accounts.create_key("ana", None, "").await.unwrap();
    let caller = accounts.identify(key.secret.expose()).unwrap();
    for _ in 0..250 {
        accounts.charge(&caller, 1).await.unwrap();
    }
    let over = Err(Denied::OverPlan(OverPlan::Quota));
    assert_eq!(accounts.charge(&caller, 1).await, over);
    assert_eq!(accounts.standing(&caller).remaining, Some(0));
    accounts.charge(&caller, 0).await.unwrap();
}

#[tokio::test]
async fn many_calls_at_once_spend_no_more_than_the_quota() {
    let log = Arc::new(MemoryLog::new());
    let Process { accounts, tasks } = Process::start(&log, Some(100)).await;
    let key = accounts.create_key("ana", None, "").await.unwrap();
    let caller = accounts.identify(key.secret.expose()).unwrap();
    let (tell, mut told) = tokio::sync::mpsc::channel(200);
    for _ in 0..200 {
        let (accounts, caller, tell) = (accounts.clone(), Arc::clone(&caller), tell.clone());
        tasks.spawn("caller", async move {
            let charged = accounts.charge(&caller, 1).await;
            tell.send(charged.is_ok()).await.unwrap();
        });
    }
    drop(tell);
    let mut served = 0;
    while let Some(is_ok) = told.recv().await {
        served += u32::from(is_ok);
    }
    assert_eq!(served, 100);
}

#[tokio::test]
async fn an_orderly_stop_returns_what_is_not_spent() {
    let log = Arc::new(MemoryLog::new());
    let first = Process::start(&log, Some(10_000)).await;
    let key = first.accounts.create_key("ana", None, "").await.unwrap();
    let caller = first.accounts.identify(key.secret.expose()).unwrap();
    for _ in 0..7 {
        first.accounts.charge(&caller, 1).await.unwrap();
    }
    first.accounts.settle().await;
    first.crash().await;
    let Process { accounts, .. } = Process::start(&log, Some(10_000)).await;
    let usage = accounts.usage(key.account).await.unwrap().unwrap();
    assert_eq!(usage.used, 7);
}

#[tokio::test]
async fn a_rotated_key_goes_on_for_the_overlap_and_shares_the_quota() {
    let log = Arc::new(MemoryLog::new());
    let Process { accounts, .. } = Process::start(&log, Some(100)).await;
    let old = accounts.create_key("ana", None, "").await.unwrap();
    let new = accounts.rotate(old.id, 3_600 * SECOND).await.unwrap();
    for secret in [&old.secret, &new.secret] {
        let caller = accounts.identify(secret.expose()).unwrap();
        accounts.charge(&caller, 1).await.unwrap();
    }
    let usage = accounts.key_usage(new.id).await.unwrap();
    assert_eq!((usage.id, usage.used), (new.id, 2));
    let last = accounts.rotate(new.id, Duration::ZERO).await.unwrap();
    assert!(accounts.identify(new.secret.expose()).is_none());
    assert!(accounts.identify(last.secret.expose()).is_some());
    let listed = accounts.list_keys(Some("ana")).await.unwrap();
    assert_eq!(listed.iter().filter(|key| key.revoked).count(), 1);
    assert_eq!(listed.len(), 3);
}

#[tokio::test]
async fn registration_answers_a_key_once_and_five_times_an_hour() {
    let log = Arc::new(MemoryLog::new());
    let Process { accounts, .. } = Process::start(&log, Some(100)).await;
    let from = "192.0.2.1".parse().unwrap();
    let key = accounts.register(" Ana@Exemplu.RO ", from).await.unwrap();
    assert!(accounts.identify(key.secret.expose()).is_some());
    let again = accounts.register("ana@exemplu.ro", from).await;
    assert_eq!(again.unwrap_err(), Error::Refused(Refusal::KnownEmail));
    for number in 0..3 {
        accounts
            .register(&format!("{number}@exemplu.ro"), from)
            .await
            .unwrap();
    }
    let sixth = accounts.register("six@exemplu.ro", from).await;
    assert!(matches!(sixth, Err(Error::TooManyRegistrations { .. })));
    for text in [
        "", "ana", "@b.ro", "a@b", "a@.ro", "a b@c.ro", "a@b..ro", "<a>@b.ro",
    ] {
        assert_eq!(normal_email(text), Err(Error::Email), "{text}");
    }
}

#[tokio::test]
async fn an_adopted_key_is_the_same_after_a_restart() {
    let log = Arc::new(MemoryLog::new());
    let secret = api_key::generate();
    let first = Process::start(&log, Some(100)).await;
    let key = first
        .accounts
        .adopt_key("dev", "free", &secret)
        .await
        .unwrap();
    first.crash().await;
    let Process { accounts, .. } = Process::start(&log, Some(100)).await;
    let again = accounts.adopt_key("dev", "free", &secret).await.unwrap();
    assert_eq!(again.id, key.id);
    assert!(accounts.identify(secret.expose()).is_some());
    let odd = Secret::new("odd".to_owned());
    let odd = accounts.adopt_key("dev", "free", &odd).await;
    assert_eq!(odd.unwrap_err(), Error::KeyForm);
}

#[tokio::test]
async fn a_larger_plan_opens_a_quota_that_was_used_up() {
    let log = Arc::new(MemoryLog::new());
    let Process { accounts, .. } = Process::start(&log, Some(1)).await;
    let key = accounts.create_key("ana", None, "").await.unwrap();
    let caller = accounts.identify(key.secret.expose()).unwrap();
    accounts.charge(&caller, 1).await.unwrap();
    accounts.charge(&caller, 1).await.unwrap_err();
    let plan = config(Some(2)).plans["free"].clone();
    accounts.set_plan("free", plan).await.unwrap();
    accounts.charge(&caller, 1).await.unwrap();
    accounts.charge(&caller, 1).await.unwrap_err();
}

#[tokio::test]
async fn unspent_units_of_more_lines_than_fit_at_once_are_all_returned() {
    let log = Arc::new(MemoryLog::new());
    let first = Process::start(&log, Some(10_000)).await;
    let mut accounts = Vec::new();
    for number in 0..RETURNS_MAX + 3 {
        let name = format!("account {}", number / 100);
        let key = first.accounts.create_key(&name, None, "").await.unwrap();
        let caller = first.accounts.identify(key.secret.expose()).unwrap();
        first.accounts.charge(&caller, 1).await.unwrap();
        accounts.push(key.account);
    }
    accounts.dedup();
    first.accounts.settle().await;
    first.crash().await;
    let Process {
        accounts: again, ..
    } = Process::start(&log, Some(10_000)).await;
    let mut used = 0;
    for account in accounts {
        used += again.usage(account).await.unwrap().unwrap().used;
    }
    assert_eq!(used, u64::try_from(RETURNS_MAX + 3).unwrap());
}

#[tokio::test]
async fn a_key_that_ended_long_ago_is_forgotten_and_its_text_may_come_again() {
    let log = Arc::new(MemoryLog::new());
    let tasks = Tasks::new();
    let config = Config {
        // What ends now ended before then.
        ended_keys_kept: Duration::ZERO,
        ..config(Some(100))
    };
    let accounts = Accounts::start(Arc::clone(&log), config, &tasks)
        .await
        .unwrap();
    let secret = api_key::generate();
    let key = accounts.adopt_key("ana", "free", &secret).await.unwrap();
    let other = accounts.create_key("ana", None, "").await.unwrap();
    let caller = accounts.identify(secret.expose()).unwrap();
    accounts.charge(&caller, 1).await.unwrap();
    accounts.revoke(key.id).await.unwrap();
    let again = accounts.adopt_key("ana", "free", &secret).await;
    assert_eq!(
        again.unwrap_err(),
        Error::Refused(Refusal::RevokedKey(key.id))
    );
    let ended = accounts.key(key.id).await.unwrap().ends.unwrap();
    while accounts.now() <= ended {
        tokio::task::yield_now().await;
    }
    // The accounts forget by themselves too, first as they start, which may be as late as this.
    accounts.forget_ended().await.unwrap();
    assert_eq!(accounts.forget_ended().await, Ok(0));
    let unknown = Error::Refused(Refusal::UnknownKey(key.id));
    assert_eq!(accounts.key(key.id).await.unwrap_err(), unknown);
    let again = accounts.adopt_key("ana", "free", &secret).await.unwrap();
    assert_ne!(again.id, key.id);
    assert_eq!(accounts.identify(secret.expose()).unwrap().key, again.id);
    assert!(accounts.identify(other.secret.expose()).is_some());
}

#[tokio::test]
async fn a_key_that_never_called_can_be_rotated_and_revoked() {
    let log = Arc::new(MemoryLog::new());
    let first = Process::start(&log, Some(100)).await;
    let (old, gone) = {
        let accounts = &first.accounts;
        let old = accounts.create_key("ana", None, "").await.unwrap();
        let gone = accounts.create_key("ana", None, "").await.unwrap();
        (old, gone)
    };
    first.crash().await;
    let Process { accounts, .. } = Process::start(&log, Some(100)).await;
    let new = accounts.rotate(old.id, 3_600 * SECOND).await.unwrap();
    accounts.revoke(gone.id).await.unwrap();
    assert!(accounts.identify(gone.secret.expose()).is_none());
    for secret in [&new.secret, &old.secret] {
        let caller = accounts.identify(secret.expose()).unwrap();
        assert_eq!(caller.meter.line, old.id);
        accounts.charge(&caller, 1).await.unwrap();
    }
    assert_eq!(accounts.key_usage(new.id).await.unwrap().used, 2);
}

#[tokio::test]
async fn keys_made_since_the_start_are_in_memory_once() {
    let log = Arc::new(MemoryLog::new());
    let Process { accounts, .. } = Process::start(&log, Some(100)).await;
    let mut secrets = Vec::new();
    for number in 0..=CHUNK_ROWS {
        let name = format!("account {}", number / 100);
        secrets.push(accounts.create_key(&name, None, "").await.unwrap().secret);
    }
    let are_one = async || {
        let chunks = accounts
            .shared
            .replica
            .read(|registry| registry.rows().chunks());
        accounts.shared.view.shares(&chunks.await.unwrap())
    };
    while are_one().await == 0 {
        tokio::task::yield_now().await;
    }
    for secret in &secrets {
        assert!(accounts.identify(secret.expose()).is_some());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Each number is how many calls a life of the process serves before it crashes.
    #[test]
    fn a_crash_charges_at_most_a_block_too_much_and_gives_nothing_back(
        quota in 1_u64..3_000,
        lives in proptest::collection::vec(0_u32..150, 1..8),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (served, charged) = runtime.block_on(async {
            let log = Arc::new(MemoryLog::new());
            let secret = api_key::generate();
            let mut served = 0_u64;
            for calls in &lives {
                let process = Process::start(&log, Some(quota)).await;
                process.accounts.adopt_key("ana", "free", &secret).await.unwrap();
                let caller = process.accounts.identify(secret.expose()).unwrap();
                for _ in 0..*calls {
                    served += u64::from(process.accounts.charge(&caller, 1).await.is_ok());
                }
                process.crash().await;
            }
            let Process { accounts, .. } = Process::start(&log, Some(quota)).await;
            let caller = accounts.identify(secret.expose()).unwrap();
            let charged = accounts.standing(&caller).used;
            (served, charged)
        });
        let block = (quota / 100).max(1);
        let crashes = u64::try_from(lives.len()).unwrap();
        prop_assert!(charged >= served, "{charged} charged, {served} served");
        prop_assert!(charged <= quota);
        prop_assert!(charged - served <= crashes * block, "{charged} charged, {served} served");
    }
}
