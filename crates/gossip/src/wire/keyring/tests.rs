//! Rings change as Serf's do; what is sealed opens with the right key, and only as it was.
#![expect(clippy::indexing_slicing, reason = "tests stop at the first surprise")]

use proptest::prelude::*;

use super::*;
use crate::wire::Error as WireError;

const NONCE: Nonce = [9; NONCE_BYTES];

fn ring(first: u8, others: &[u8]) -> Keyring {
    let mut ring = Keyring::new(&[first; 32]).unwrap();
    for other in others {
        ring.add(&[*other; 16]).unwrap();
    }
    ring
}

fn sealed(ring: &Keyring, associated: &[u8], plain: &[u8]) -> BytesMut {
    let mut out = BytesMut::from(&b"before"[..]);
    Keyring::begin(&mut out);
    out.put_slice(plain);
    ring.seal(NONCE, associated, 6, &mut out);
    assert_eq!(out.split_to(6), "before");
    out
}

fn opened(ring: &Keyring, associated: &[u8], mut sealed: BytesMut) -> Result<Vec<u8>, WireError> {
    let plain = ring.open(associated, &mut sealed)?;
    Ok(sealed[plain].to_vec())
}

/// As memberlist's protocol 1 seals, which nobody does here.
fn sealed_padded(ring: &Keyring, plain: &[u8], padding: &[u8]) -> BytesMut {
    let mut text = [plain, padding].concat();
    let tag = ring.primary.cipher.seal(&NONCE, b"", &mut text);
    let mut out = BytesMut::from(&[PADDED][..]);
    out.put_slice(&NONCE);
    out.put_slice(&text);
    out.put_slice(&tag);
    out
}

#[test]
fn a_ring_changes_as_serfs_does() {
    let (a, b, c) = ([1; 32], [2; 16], [3; 24]);
    let mut ring = Keyring::new(&a).unwrap();
    let keys = |ring: &Keyring| ring.keys().map(<[u8]>::to_vec).collect::<Vec<_>>();
    ring.add(&b).unwrap();
    ring.add(&b).unwrap();
    ring.add(&a).unwrap();
    assert_eq!(keys(&ring), [a.to_vec(), b.to_vec()]);
    assert_eq!(ring.use_key(&c), Err(Error::Unknown));
    assert_eq!(ring.use_key(b"short"), Err(Error::Unknown));
    ring.add(&c).unwrap();
    ring.use_key(&c).unwrap();
    assert_eq!(ring.primary(), c);
    assert_eq!(keys(&ring).len(), 3);
    assert_eq!(ring.remove(&c), Err(Error::Primary));
    ring.remove(&b).unwrap();
    ring.remove(&b).unwrap();
    assert_eq!(keys(&ring), [c.to_vec(), a.to_vec()]);
    assert_eq!(
        Error::Primary.to_string(),
        "Removing the primary key is not allowed"
    );
}

#[test]
fn keys_of_other_lengths_and_too_many_keys_are_refused() {
    for length in [0, 1, 15, 17, 23, 25, 31, 33, 64] {
        assert_eq!(Keyring::new(&vec![1; length]).unwrap_err(), Error::Size);
    }
    let mut ring = Keyring::new(&[255; 16]).unwrap();
    for key in 1..KEYS_MAX {
        ring.add(&[u8::try_from(key).unwrap(); 16]).unwrap();
    }
    assert_eq!(ring.add(&[200; 16]), Err(Error::Full));
    ring.add(&[1; 16]).unwrap();
}

#[test]
fn a_key_is_never_shown() {
    let ring = ring(7, &[8]);
    assert_eq!(format!("{ring:?}"), "2 keys");
}

#[test]
fn each_key_of_the_ring_opens_and_another_does_not() {
    let ours = ring(1, &[2, 3]);
    for key in [&[1; 32][..], &[2; 16], &[3; 16]] {
        let theirs = Keyring::new(key).unwrap();
        let sealed = sealed(&theirs, b"", b"hello");
        assert_eq!(sealed.len(), 5 + SEAL_BYTES);
        assert_eq!(opened(&ours, b"", sealed).unwrap(), b"hello");
    }
    let theirs = sealed(&ring(4, &[]), b"", b"hello");
    assert_eq!(opened(&ours, b"", theirs), Err(WireError::NoKey));
    let other_head = sealed(&ours, b"one", b"hello");
    assert_eq!(opened(&ours, b"two", other_head), Err(WireError::NoKey));
}

#[test]
fn what_was_changed_on_its_way_does_not_open_and_is_not_changed_again() {
    let ours = ring(1, &[2]);
    let whole = sealed(&ours, b"", b"hello");
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 0x40;
        let before = changed.clone();
        assert!(ours.open(b"", &mut changed).is_err(), "at {at}");
        assert_eq!(changed, before);
        let cut = BytesMut::from(&whole[..at]);
        assert!(opened(&ours, b"", cut).is_err(), "cut at {at}");
    }
}

#[test]
fn padding_is_taken_off_and_wrong_padding_refused() {
    let ours = ring(1, &[]);
    let check =
        |plain: &[u8], padding: &[u8]| opened(&ours, b"", sealed_padded(&ours, plain, padding));
    assert_eq!(check(b"hello world 0", &[3; 3]).unwrap(), b"hello world 0");
    assert_eq!(check(&[7; 16], &[16; 16]).unwrap(), [7; 16]);
    assert_eq!(check(b"", &[16; 16]).unwrap(), b"");
    for padding in [&[][..], &[0], &[17; 17], &[3, 2, 3], &[9, 9]] {
        assert_eq!(check(b"", padding), Err(WireError::Padding), "{padding:?}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_opened_or_refused(mut bytes: Vec<u8>) {
        prop_assert!(ring(1, &[2]).open(b"", &mut bytes).is_err());
    }

    #[test]
    fn any_bytes_come_back(
        plain: Vec<u8>,
        associated: Vec<u8>,
        length in prop::sample::select(vec![16_usize, 24, 32]),
    ) {
        let ring = Keyring::new(&vec![5; length]).unwrap();
        let sealed = sealed(&ring, &associated, &plain);
        prop_assert_eq!(opened(&ring, &associated, sealed).unwrap(), plain);
    }
}
