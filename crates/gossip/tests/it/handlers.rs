//! Scripts run for events, by a real shell.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use taraf_base::Tasks;
use taraf_gossip::handlers::{Handlers, Settings, Spec};
use taraf_gossip::rpc::event::{Event, MemberChange, Query, QueryKey, Status, Tags, UserEvent};
use tokio::time::Instant;

use super::rpc::agent::{Fake, member};

const LIMIT: Duration = Duration::from_secs(10);

struct Running {
    agent: Fake,
    handlers: Handlers,
    tasks: Tasks,
    folder: tempfile::TempDir,
}

impl Running {
    /// Scripts have `$DIR` replaced by a folder of the test's own.
    fn start(scripts: &[&str], settings: Settings) -> Self {
        let (agent, tasks, folder) = (Fake::default(), Tasks::new(), tempfile::tempdir().unwrap());
        let specs = specs(scripts, folder.path());
        let handlers = Handlers::start(agent.clone(), specs, settings, &tasks);
        Self {
            agent,
            handlers,
            tasks,
            folder,
        }
    }

    fn user(&self, name: &str, payload: &'static str) {
        let payload = Bytes::from_static(payload.as_bytes());
        let name = name.into();
        self.agent.tell(Event::User(UserEvent {
            ltime: 7,
            name,
            payload,
            coalesce: true,
        }));
    }

    fn query(&self, name: &str) {
        let key = QueryKey { ltime: 3, id: 9 };
        let deadline = Instant::now() + LIMIT;
        self.agent.tell(Event::Query(Query {
            key,
            name: name.into(),
            payload: Bytes::new(),
            deadline,
        }));
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(file)).unwrap_or_default()
    }

    async fn until(&self, file: &str, expected: &str) {
        eventually(
            || self.read(file) == expected,
            || format!("{file}: {:?}", self.read(file)),
        )
        .await;
    }

    async fn until_did(&self, expected: &str) {
        let did = || self.agent.did().contains(&expected.to_owned());
        eventually(did, || format!("{:?}", self.agent.did())).await;
    }
}

fn specs(scripts: &[&str], folder: &Path) -> Vec<Spec> {
    let folder = folder.to_str().unwrap();
    let scripts: Vec<String> = scripts
        .iter()
        .map(|script| script.replace("$DIR", folder))
        .collect();
    Spec::parse_all(&scripts).unwrap()
}

async fn eventually(is_so: impl Fn() -> bool, told: impl Fn() -> String) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < LIMIT, "{}", told());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn serial() -> Settings {
    Settings {
        one_after_another: true,
        ..Settings::default()
    }
}

#[tokio::test]
async fn a_script_finds_the_event_in_its_environment_and_on_its_input() {
    let script =
        "user:deploy=(env | grep ^SERF_ | sort; cat) > $DIR/out.new; mv $DIR/out.new $DIR/out";
    let running = Running::start(&[script], Settings::default());
    running.user("other", "no");
    running.user("deploy", "v2");
    let expected = "SERF_EVENT=user\nSERF_SELF_NAME=a1\nSERF_SELF_ROLE=web\nSERF_TAG_ROLE=web\n\
                    SERF_USER_EVENT=deploy\nSERF_USER_LTIME=7\nv2\n";
    running.until("out", expected).await;
}

#[tokio::test]
async fn each_member_of_an_event_is_a_line() {
    let running = Running::start(
        &["member-join,member-leave=cat >> $DIR/out"],
        Settings::default(),
    );
    let tags: Tags = [
        ("role".to_owned(), "db".to_owned()),
        ("v".to_owned(), "1".to_owned()),
    ]
    .into();
    let members = vec![
        member("b1", 4, Status::Alive, tags),
        member("b2", 5, Status::Alive, Tags::new()),
    ];
    running
        .agent
        .tell(Event::Members(MemberChange::Failed, members.clone()));
    running
        .agent
        .tell(Event::Members(MemberChange::Join, members));
    running
        .until("out", "b1\t127.0.0.4\tdb\trole=db,v=1\nb2\t127.0.0.5\t\t\n")
        .await;
}

#[tokio::test]
async fn what_is_printed_for_a_query_is_its_answer_unless_the_script_fails() {
    let scripts = [
        "query:load=echo out; echo err >&2; echo more",
        "query:bad=echo no; exit 3",
        "query:none=true",
    ];
    let running = Running::start(&scripts, Settings::default());
    for name in ["bad", "none", "load"] {
        running.query(name);
    }
    running
        .until_did(r#"respond 3 9 b"out\nerr\nmore\n""#)
        .await;
    assert!(running.tasks.drain(LIMIT).await.is_empty());
    assert_eq!(running.agent.did().len(), 1, "{:?}", running.agent.did());
}

#[tokio::test]
async fn only_the_end_of_much_output_is_kept() {
    let running = Running::start(&["query=seq 100000"], Settings::default());
    running.query("big");
    let did = || {
        running
            .agent
            .did()
            .first()
            .is_some_and(|did| did.ends_with(r#"99999\n100000\n""#))
    };
    eventually(did, || format!("{:?}", running.agent.did().len())).await;
}

/// The first waits for what the second writes: one after another it would wait for ever.
#[tokio::test]
async fn handlers_go_side_by_side_and_each_in_order() {
    let scripts = [
        "user:go=while ! test -e $DIR/second; do sleep 0.01; done; echo first >> $DIR/out",
        "user:go=touch $DIR/second",
        "user:count=cat >> $DIR/order",
    ];
    let running = Running::start(&scripts, Settings::default());
    running.user("go", "");
    for payload in ["1", "2", "3", "4", "5", "6", "7", "8"] {
        running.user("count", payload);
    }
    running.until("out", "first\n").await;
    running.until("order", "1\n2\n3\n4\n5\n6\n7\n8\n").await;
}

#[tokio::test]
async fn one_after_another_is_as_in_serf() {
    let scripts = [
        "user=sleep 0.2; echo slow >> $DIR/out",
        "user=echo quick >> $DIR/out",
    ];
    let running = Running::start(&scripts, serial());
    running.user("a", "");
    running.user("b", "");
    running.until("out", "slow\nquick\nslow\nquick\n").await;
}

#[tokio::test]
async fn a_script_that_takes_too_long_is_killed_with_what_it_started() {
    let settings = Settings {
        time_max: Duration::from_millis(300),
        ..Settings::default()
    };
    let scripts = [
        "query:hang=(sleep 1000; echo never) & echo $! > $DIR/pid.new; mv $DIR/pid.new $DIR/pid; wait",
        "query:next=echo yes",
    ];
    let running = Running::start(&scripts, settings);
    running.query("hang");
    running.query("next");
    running.until_did(r#"respond 3 9 b"yes\n""#).await;
    eventually(
        || !running.read("pid").is_empty(),
        || "it never began".to_owned(),
    )
    .await;
    let child = format!("/proc/{}/stat", running.read("pid").trim());
    // Gone, or dead and not yet collected.
    let is_dead = || std::fs::read_to_string(&child).map_or(true, |stat| stat.contains(") Z "));
    eventually(is_dead, || format!("{child} goes on")).await;
    assert_eq!(running.agent.did().len(), 1);
}

#[tokio::test]
async fn a_script_that_leaves_something_behind_is_answered_for_at_once() {
    let running = Running::start(
        &["query=echo done; sleep 1000 & echo $! > $DIR/pid"],
        Settings::default(),
    );
    running.query("daemon");
    let started = Instant::now();
    running.until_did(r#"respond 3 9 b"done\n""#).await;
    assert!(started.elapsed() < Duration::from_secs(5));
    let pid = running.read("pid");
    assert!(
        std::process::Command::new("kill")
            .arg(pid.trim())
            .status()
            .unwrap()
            .success(),
        "it was killed"
    );
}

#[tokio::test]
async fn a_script_that_cannot_be_run_or_does_not_read_disturbs_nobody() {
    let scripts = [
        "user=/nonexistent/program",
        "user=exec 0<&-; exit 0",
        "user=cat > $DIR/out",
    ];
    let running = Running::start(&scripts, Settings::default());
    let payload: &'static str = Box::leak("x".repeat(100_000).into_boxed_str());
    running.user("big", payload);
    running.until("out", &format!("{payload}\n")).await;
    assert!(running.tasks.drain(LIMIT).await.is_empty());
    assert_eq!(running.tasks.panics(), 0);
}

#[tokio::test]
async fn new_handlers_take_over_and_those_that_stay_keep_what_waits() {
    let stays = "user=sleep 0.05; cat >> $DIR/stays";
    let running = Running::start(&[stays, "user=cat >> $DIR/goes"], Settings::default());
    running.user("a", "1");
    running.user("a", "2");
    running.until("goes", "1\n2\n").await;
    running.handlers.replace(specs(
        &[stays, "user=cat >> $DIR/comes"],
        running.folder.path(),
    ));
    // The change is seen before the next event, or with it.
    eventually(|| running.handlers.specs().len() == 2, String::new).await;
    tokio::task::yield_now().await;
    running.user("a", "3");
    running.until("stays", "1\n2\n3\n").await;
    running.until("comes", "3\n").await;
    assert_eq!(running.read("goes"), "1\n2\n");
}

#[tokio::test]
async fn what_waits_when_the_agent_stops_is_still_handled() {
    let running = Running::start(&["user=sleep 0.05; cat >> $DIR/out"], Settings::default());
    for payload in ["1", "2", "3"] {
        running.user("a", payload);
    }
    running.until("out", "1\n").await;
    assert!(running.tasks.drain(LIMIT).await.is_empty());
    assert_eq!(running.read("out"), "1\n2\n3\n");
}
