//! Members of ours with the real Serf: who joins whom, who dies, who returns.

use std::net::SocketAddr;

use taraf_gossip::rpc::Agent as _;
use taraf_gossip::rpc::event::Status;

use super::ours::Ours;
use super::theirs::Theirs;

const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";
const KEY_TEXT: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// Ours and theirs, with a key or without, compressing or not.
async fn pair(has_key: bool, compress: bool) -> (Ours, Theirs) {
    let mut flags = Vec::new();
    if has_key {
        flags.extend(["-encrypt", KEY_TEXT]);
    }
    if !compress {
        flags.push("-disable-compression");
    }
    let theirs = Theirs::start("theirs", &flags).await;
    let ours = Ours::start("ours", has_key.then_some(KEY), compress);
    (ours, theirs)
}

const WAYS: [(bool, bool); 4] = [(false, false), (false, true), (true, false), (true, true)];

#[tokio::test]
async fn ours_joins_theirs() {
    for (has_key, compress) in WAYS {
        let (ours, theirs) = pair(has_key, compress).await;
        assert_eq!(ours.join(&[theirs.address]).await.count, 1);
        let member = ours.until("theirs", Status::Alive).await;
        assert_eq!((member.protocol.max, member.delegate.current), (5, 5));
        theirs.until("ours", "alive").await;
    }
}

#[tokio::test]
async fn theirs_joins_ours() {
    for (has_key, compress) in WAYS {
        let (ours, theirs) = pair(has_key, compress).await;
        let said = theirs.command(&["join", &ours.address.to_string()]).await;
        assert_eq!(
            said.trim(),
            "Successfully joined cluster by contacting 1 nodes."
        );
        ours.until("theirs", Status::Alive).await;
        theirs.until("ours", "alive").await;
    }
}

#[tokio::test]
async fn a_foreign_key_is_refused_in_both_directions() {
    let theirs = Theirs::start("theirs", &["-encrypt", KEY_TEXT]).await;
    for key in [None, Some([7_u8; 16].as_slice())] {
        let ours = Ours::start("ours", key, true);
        let joined = ours.join(&[theirs.address]).await;
        assert_eq!(joined.count, 0);
        let said = theirs.command(&["join", &ours.address.to_string()]).await;
        assert!(said.contains("Error joining"), "{said}");
        assert_eq!(ours.member("theirs"), None);
        assert_eq!(theirs.status("ours").await, None);
    }
}

#[tokio::test]
async fn theirs_is_killed_and_returns() {
    let (ours, theirs) = pair(false, true).await;
    let witness = Ours::start("witness", None, true);
    ours.join(&[theirs.address]).await;
    witness.join(&[ours.address]).await;
    witness.until("theirs", Status::Alive).await;
    let address = theirs.address;
    theirs.kill().await;
    ours.until("theirs", Status::Failed).await;
    witness.until("theirs", Status::Failed).await;
    let theirs = Theirs::start_at("theirs", address.ip(), &[]).await;
    theirs.command(&["join", &ours.address.to_string()]).await;
    // It refutes its own death.
    ours.until("theirs", Status::Alive).await;
    witness.until("theirs", Status::Alive).await;
}

#[tokio::test]
async fn ours_is_killed_and_returns() {
    let (ours, theirs) = pair(true, true).await;
    ours.join(&[theirs.address]).await;
    theirs.until("ours", "alive").await;
    let address: SocketAddr = ours.kill().await;
    theirs.until("ours", "failed").await;
    let ours = Ours::start_at("ours", address, Some(KEY), true);
    ours.join(&[theirs.address]).await;
    theirs.until("ours", "alive").await;
    assert_eq!(ours.handle.counters().refutations, 1);
}

#[tokio::test]
async fn their_tags_reach_us_and_ours_reach_them() {
    let (ours, theirs) = pair(true, true).await;
    ours.join(&[theirs.address]).await;
    theirs.until("ours", "alive").await;
    theirs.command(&["tags", "-set", "role=db"]).await;
    super::eventually("their tags", async || {
        (ours.member("theirs")?.tags.get("role")? == "db").then_some(())
    })
    .await;
    ours.tag("role", "web").await;
    super::eventually("our tags", async || {
        theirs
            .command(&["members"])
            .await
            .contains("role=web")
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn theirs_leaves_and_ours_leaves() {
    let (ours, theirs) = pair(false, true).await;
    let other = Theirs::start("other", &[]).await;
    let joined = ours.join(&[theirs.address, other.address]).await;
    assert_eq!(joined.count, 2, "{joined:?}");
    other.until("theirs", "alive").await;
    theirs.command(&["leave"]).await;
    ours.until("theirs", Status::Left).await;
    ours.handle.leave().await.unwrap();
    other.until("ours", "left").await;
}

#[tokio::test]
async fn mixed_members_hold_together_while_each_is_probed() {
    let theirs = Theirs::start("t0", &[]).await;
    let other = Theirs::start("t1", &[]).await;
    let ours: Vec<Ours> = (0..3)
        .map(|number| Ours::start(&format!("o{number}"), None, true))
        .collect();
    other.command(&["join", &theirs.address.to_string()]).await;
    for member in &ours {
        member.join(&[theirs.address]).await;
    }
    for name in ["t0", "t1", "o0", "o1", "o2"] {
        theirs.until(name, "alive").await;
        other.until(name, "alive").await;
        for member in &ours {
            member.until(name, Status::Alive).await;
        }
    }
}

#[tokio::test]
async fn ours_finds_theirs_again_by_its_rejoin_file() {
    let folder = tempfile::tempdir().unwrap();
    let theirs = Theirs::start("theirs", &[]).await;
    let bind = SocketAddr::new(super::address(), super::PORT);
    let settings = || {
        let mut settings = super::ours::settings("ours", bind);
        settings.snapshot = Some(folder.path().join("rejoin"));
        settings
    };
    let ours = Ours::with(settings());
    assert_eq!(ours.join(&[theirs.address]).await.count, 1);
    ours.until("theirs", Status::Alive).await;
    ours.kill().await;
    let held = std::fs::read_to_string(folder.path().join("rejoin")).unwrap();
    assert!(
        held.contains(&format!("alive: theirs {}\n", theirs.address)),
        "{held}"
    );
    let ours = Ours::with(settings());
    ours.until("theirs", Status::Alive).await;
    theirs.until("ours", "alive").await;
}

#[tokio::test]
async fn a_key_changes_over_both_kinds_of_members() {
    use taraf_gossip::rpc::KeyCommand;

    let folder = tempfile::tempdir().unwrap();
    let (their_file, our_file) = (folder.path().join("theirs"), folder.path().join("ours"));
    for file in [&their_file, &our_file] {
        std::fs::write(file, format!("[\"{KEY_TEXT}\"]")).unwrap();
    }
    let theirs = Theirs::start("theirs", &["-keyring-file", their_file.to_str().unwrap()]).await;
    let mut settings =
        super::ours::settings("ours", SocketAddr::new(super::address(), super::PORT));
    settings.keyring = Some(our_file.clone());
    let ours = Ours::with(settings);
    assert_eq!(ours.join(&[theirs.address]).await.count, 1);
    theirs.until("ours", "alive").await;
    let new = "AAECAwQFBgcICQoLDA0ODw==".to_owned();
    for command in [
        KeyCommand::Install(new.clone()),
        KeyCommand::Use(new.clone()),
        KeyCommand::Remove(KEY_TEXT.to_owned()),
    ] {
        let answer = ours.handle.keys(command).await;
        assert_eq!((answer.error, answer.asked, answer.answered), (None, 2, 2));
    }
    for file in [&their_file, &our_file] {
        let held = std::fs::read_to_string(file).unwrap();
        assert!(held.contains(&new) && !held.contains(KEY_TEXT), "{held}");
    }
    let said = theirs.command(&["keys", "-list"]).await;
    assert!(said.contains("[2/2]"), "{said}");
    theirs.until("ours", "alive").await;
}
