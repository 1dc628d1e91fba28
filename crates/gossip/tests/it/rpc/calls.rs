//! Every call of our client, and the streams.

use std::sync::Arc;

use bytes::Bytes;
use taraf_base::Tasks;
use taraf_gossip::rpc::codec::{EventRecord, QueryRecord};
use taraf_gossip::rpc::event::{Event, MemberChange, Query, QueryKey, Status, Tags, UserEvent};
use taraf_gossip::rpc::{
    Client, Incoming, KeyCommand, Level, Lines, Listener, QueryRequest, Reply, Server, Settings,
};
use tokio::time::Instant;

use super::agent::{Fake, member};
use super::{LIMIT, Served, within};

#[tokio::test]
async fn what_is_asked_is_done_and_answered() {
    let served = Served::start().await;
    let mut client = served.client().await;
    assert_eq!(client.members().await.unwrap().len(), 2);
    let tags: Tags = [("role".to_owned(), "w.*".to_owned())].into();
    let found = client
        .members_filtered(tags, "alive".into(), String::new())
        .await
        .unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(
        found[0],
        member(
            "a1",
            2,
            Status::Alive,
            [("role".to_owned(), "web".to_owned())].into()
        )
    );
    let joined = client
        .join(vec!["127.0.0.3".into(), "127.0.0.200".into()], true)
        .await
        .unwrap();
    assert_eq!((joined.count, joined.error), (1, None));
    let joined = client
        .join(vec!["127.0.0.200".into()], false)
        .await
        .unwrap();
    assert_eq!(joined.count, 0);
    assert!(
        joined
            .error
            .unwrap()
            .to_string()
            .starts_with("1 error occurred:\n\t* Failed to join 127.0.0.200: ")
    );
}

#[tokio::test]
async fn what_is_said_and_changed_is_said_and_changed() {
    let served = Served::start().await;
    let mut client = served.client().await;
    client
        .user_event("deploy".into(), Bytes::from_static(b"v2"), true)
        .await
        .unwrap();
    let refused = client
        .user_event("deploy".into(), Bytes::from(vec![0; 600]), true)
        .await
        .unwrap_err();
    assert_eq!(
        refused.to_string(),
        "user event exceeds configured limit of 512 bytes before encoding"
    );
    client.force_leave("a2".into(), true).await.unwrap();
    client
        .change_tags(
            [("v".to_owned(), "1".to_owned())].into(),
            vec!["role".into()],
        )
        .await
        .unwrap();
    assert_eq!(
        client.stats().await.unwrap()["tags"],
        [("v".to_owned(), "1".to_owned())].into()
    );
    let (here, there) = (
        client.coordinate("a1".into()).await.unwrap().unwrap(),
        client.coordinate("a2".into()).await.unwrap().unwrap(),
    );
    assert_eq!(here.round_trip(&there).as_micros(), 700);
    assert_eq!(client.coordinate("zz".into()).await.unwrap(), None);
    let failed = client.keys(KeyCommand::Use("bad".into())).await.unwrap();
    assert_eq!(
        (failed.failed, failed.messages.len(), failed.keys),
        (2, 2, None)
    );
    assert_eq!(
        failed.error.unwrap().to_string(),
        "2/2 nodes reported failure"
    );
    let listed = client.keys(KeyCommand::List).await.unwrap();
    assert_eq!((listed.keys.unwrap()["a2V5"], listed.error), (2, None));
    let did = served.agent.did();
    assert!(did.contains(&"force-leave a2 true".to_owned()), "{did:?}");
    assert!(
        did.contains(&"event deploy b\"v2\" true".to_owned()),
        "{did:?}"
    );
}

#[tokio::test]
async fn a_query_tells_what_comes_back_and_ends_when_nothing_more_can() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let request = QueryRequest {
        name: "load".into(),
        wants_ack: true,
        nodes: vec!["a2".into()],
        ..QueryRequest::default()
    };
    let started = Instant::now();
    let number = client.query(request).await.unwrap();
    let mut told = Vec::new();
    loop {
        let (from, record) = within(client.next()).await.unwrap();
        assert_eq!(from, number);
        let is_done = record == Incoming::Query(QueryRecord::Done);
        told.push(record);
        if is_done {
            break;
        }
    }
    let reply = |reply| Incoming::Query(QueryRecord::Reply(reply));
    let expected = [
        reply(Reply::Ack("a2".into())),
        reply(Reply::Response("a2".into(), Bytes::from_static(b"0.5\n"))),
        Incoming::Query(QueryRecord::Done),
    ];
    assert_eq!(told, expected);
    // The agent had closed its end: nobody waits for the deadline.
    assert!(started.elapsed().as_secs() < 5);
}

#[tokio::test]
async fn streams_tell_what_they_were_asked_for_and_queries_are_answered_by_number() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let events = client.stream("user:deploy,query").await.unwrap();
    let lines = client.monitor("warn").await.unwrap();
    served.lines.add(Level::Info, "[INFO] not this");
    served.lines.add(Level::Err, "[ERR] this");
    assert_eq!(
        within(client.next()).await.unwrap(),
        (lines, Incoming::Line("[ERR] this".into()))
    );
    served
        .agent
        .tell(Event::Members(MemberChange::Join, Vec::new()));
    let deploy = Event::User(UserEvent {
        ltime: 3,
        name: "deploy".into(),
        payload: Bytes::from_static(b"x"),
        coalesce: true,
    });
    served.agent.tell(deploy.clone());
    let told = within(client.next()).await.unwrap();
    assert_eq!(
        told,
        (
            events,
            Incoming::Event(EventRecord::Event(Arc::new(deploy)))
        )
    );
    let key = QueryKey { ltime: 4, id: 5 };
    let query = Query {
        key,
        name: "who".into(),
        payload: Bytes::new(),
        deadline: Instant::now() + LIMIT,
    };
    served.agent.tell(Event::Query(query));
    let (_, Incoming::Event(EventRecord::Query { id, name, .. })) =
        within(client.next()).await.unwrap()
    else {
        panic!("no query")
    };
    assert_eq!(name, "who".into());
    client.respond(id, Bytes::from_static(b"me")).await.unwrap();
    let unknown = client.respond(id + 1, Bytes::new()).await.unwrap_err();
    assert_eq!(unknown.to_string(), "No pending queries matching ID");
    assert!(
        served
            .agent
            .did()
            .contains(&"respond 4 5 b\"me\"".to_owned())
    );
    client.stop(events).await.unwrap();
    client.stop(lines).await.unwrap();
    client.monitor("info").await.unwrap();
}

#[tokio::test]
async fn a_client_that_takes_too_little_loses_events_and_nobody_waits_for_it() {
    let served = Served::start().await;
    let mut slow = served.client().await;
    let number = slow.stream("user").await.unwrap();
    // More than all buffers between hold.
    let payload = Bytes::from(vec![b'x'; 10_000]);
    let total = 4000;
    for ltime in 0..total {
        let event = UserEvent {
            ltime,
            name: "big".into(),
            payload: payload.clone(),
            coalesce: false,
        };
        served.agent.tell(Event::User(event));
        tokio::task::yield_now().await;
    }
    let mut told = Vec::new();
    while told.last() != Some(&(total - 1)) {
        let (from, Incoming::Event(EventRecord::Event(event))) = within(slow.next()).await.unwrap()
        else {
            panic!("no event")
        };
        assert_eq!(from, number);
        let Event::User(event) = &*event else {
            panic!("no user event")
        };
        told.push(event.ltime);
    }
    assert!(told.is_sorted(), "out of order");
    assert!(
        told.len() < usize::try_from(total).unwrap(),
        "nothing was lost: the test shows nothing"
    );
}

#[tokio::test]
async fn leaving_is_answered_before_the_agent_ends() {
    let served = Served::start().await;
    let mut client = served.client().await;
    client.leave().await.unwrap();
    // The connection is closed at the end.
    within(client.next()).await.unwrap_err();
    within(async {
        while !served.agent.has_ended() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(served.agent.did(), ["leave"]);
}

#[cfg(unix)]
#[tokio::test]
async fn a_socket_in_the_file_system_knows_its_callers_and_asks_for_no_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rpc.sock");
    let tasks = Tasks::new();
    let settings = Settings {
        key: "secret".to_owned().into(),
        ..Settings::default()
    };
    let server = Server::new(Fake::default(), Lines::default(), settings);
    server.listen(Listener::local(&path).unwrap(), &tasks);
    let mut client = Client::connect_local(&path, "").await.unwrap();
    assert_eq!(client.members().await.unwrap().len(), 2);
    // Somebody listens there: a second one is refused.
    let error = Listener::local(&path).unwrap_err().to_string();
    assert!(error.ends_with("bind: address already in use"), "{error}");
    assert!(tasks.drain(LIMIT).await.is_empty());
    let gone = Client::connect_local(&path, "")
        .await
        .err()
        .unwrap()
        .to_string();
    assert!(
        gone.ends_with("connect: no such file or directory"),
        "{gone}"
    );
    // What was left behind by a killed agent makes place; another file does not.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    drop(Listener::local(&path).unwrap());
    std::fs::write(&path, "mine").unwrap();
    Listener::local(&path).unwrap_err();
    assert_eq!(std::fs::read(&path).unwrap(), b"mine");
}
