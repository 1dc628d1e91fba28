//! Gossip keys changed over a whole cluster.

use taraf_base::Secret;

use super::net::with_key;
use super::*;
use crate::cluster::Config;
use crate::serf::{KeyOperation, Status};

fn encrypted(count: u8) -> Net {
    Net::with_settings(count, |_, config| Config {
        has_keyring_file: true,
        ..with_key(config, 1)
    })
}

fn command(net: &mut Net, operation: KeyOperation, key: Option<u8>) -> String {
    let key = Secret::new(key.map_or_else(Vec::new, |key| vec![key; 16]));
    net.with(1, |cluster, now, token| {
        cluster.keys(now, token, operation, key);
    });
    net.until("the command ends", 5, |net| {
        net.node(1)
            .log
            .last()
            .is_some_and(|line| line.starts_with("keys"))
    });
    net.logs().remove(&1).unwrap().pop().unwrap()
}

#[test]
fn a_key_is_changed_while_all_go_on() {
    let mut net = encrypted(4);
    assert_eq!(net.node(1).stat("encrypted"), "true");
    assert_eq!(
        command(&mut net, KeyOperation::Install, Some(2)),
        "keys None []"
    );
    assert_eq!(
        command(&mut net, KeyOperation::Use, Some(2)),
        "keys None []"
    );
    assert_eq!(
        command(&mut net, KeyOperation::Remove, Some(1)),
        "keys None []"
    );
    assert_eq!(command(&mut net, KeyOperation::List, None), "keys None []");
    for node in net.nodes.values() {
        assert_eq!(node.keys_written, [2, 2, 1]);
        let keys: Vec<_> = node
            .cluster
            .swim()
            .envelope()
            .keyring()
            .unwrap()
            .keys()
            .collect();
        assert_eq!(keys, [[2; 16]]);
    }
    net.run(30_000);
    assert!(
        net.nodes
            .values()
            .all(|node| node.count(Status::Alive) == 4)
    );
}

#[test]
fn what_a_member_refuses_is_told() {
    let mut net = encrypted(2);
    let refused = command(&mut net, KeyOperation::Remove, Some(1));
    let text = "Removing the primary key is not allowed";
    assert_eq!(
        refused,
        format!("keys Some(\"2/2 nodes reported failure\") [\"{text}\", \"{text}\"]")
    );
    let refused = command(&mut net, KeyOperation::Use, Some(7));
    assert!(
        refused.contains("Requested key is not in the keyring"),
        "{refused}"
    );
    net.node_mut(2).fails_to_write_keys = true;
    let failed = command(&mut net, KeyOperation::Install, Some(3));
    let text = "Failed to write keyring file: disk full";
    assert_eq!(
        failed,
        format!("keys Some(\"1/2 nodes reported failure\") [\"{text}\"]")
    );
}

#[test]
fn without_encryption_there_are_no_keys() {
    let mut net = Net::of(1);
    let refused = command(&mut net, KeyOperation::Install, Some(1));
    assert!(
        refused.contains("No keyring to modify (encryption not enabled)"),
        "{refused}"
    );
    let refused = command(&mut net, KeyOperation::List, None);
    assert!(
        refused.contains("Keyring is empty (encryption not enabled)"),
        "{refused}"
    );
}
