//! Members of ours among themselves.

use taraf_gossip::rpc::event::Status;

use super::ours::Ours;
use super::{PORT, address};

#[tokio::test]
async fn a_chain_of_joins_becomes_one_cluster() {
    let ours: Vec<Ours> = (0..8)
        .map(|number| Ours::start(&format!("m{number}"), None, true))
        .collect();
    for pair in ours.windows(2) {
        assert_eq!(pair[1].join(&[pair[0].address]).await.count, 1);
    }
    for member in &ours {
        for number in 0..ours.len() {
            member.until(&format!("m{number}"), Status::Alive).await;
        }
    }
}

#[tokio::test]
async fn a_cluster_over_ipv6_with_a_key() {
    let key = Some([9_u8; 32].as_slice());
    let (one, two) = (
        Ours::start_at("one", "[::1]:0".parse().unwrap(), key, true),
        Ours::start_at("two", "[::1]:0".parse().unwrap(), key, false),
    );
    assert_eq!(one.join(&[two.address]).await.count, 1);
    one.until("two", Status::Alive).await;
    two.until("one", Status::Alive).await;
}

#[tokio::test]
async fn a_join_of_nobody_says_why() {
    let ours = Ours::start("one", None, true);
    let nobody = std::net::SocketAddr::new(address(), PORT);
    let joined = ours.join(&[nobody]).await;
    assert_eq!(joined.count, 0);
    let why = format!(
        "1 error occurred:\n\t* Failed to join {}: dial tcp {nobody}: connect: connection refused\n\n",
        nobody.ip()
    );
    assert_eq!(joined.error.unwrap().0, why);
}

#[tokio::test]
async fn keys_that_differ_keep_members_apart() {
    let one = Ours::start("one", Some(&[1; 16]), true);
    let two = Ours::start("two", Some(&[2; 16]), true);
    let joined = one.join(&[two.address]).await;
    assert_eq!(joined.count, 0);
    assert_eq!(two.member("one"), None);
    let plain = Ours::start("plain", None, true);
    assert_eq!(plain.join(&[two.address]).await.count, 0);
    assert_eq!(two.join(&[plain.address]).await.count, 0);
}
