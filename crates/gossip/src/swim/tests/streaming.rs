//! Streams: what is asked over them, how they end, what happens to the wrong ones.

use super::*;
use crate::swim::StreamId;
use crate::wire::keyring::Keyring;
use crate::wire::memberlist::{Ack, PushPull};
use crate::wire::stream::{self, Frame, Reader, Side};

fn written(frame: &Frame, side: Side, envelope: &Envelope) -> Bytes {
    stream::write(frame, side, true, envelope, || [7; 12]).unwrap()
}

fn read(bytes: &Bytes, side: Side, envelope: &Envelope) -> Frame {
    let mut reader = Reader::new(side);
    reader.buffer().extend_from_slice(bytes);
    reader.next(envelope).unwrap().unwrap()
}

fn keyed(key: u8) -> Envelope {
    Envelope::new(b"", Some(Keyring::new(&[key; 16]).unwrap())).unwrap()
}

impl One {
    /// Another opens a stream, sends a request and reads what is answered; None for a close.
    fn asked(&mut self, request: &Bytes, envelope: &Envelope) -> Option<Frame> {
        let id = self.swim.stream_accepted(self.now, FROM).unwrap();
        // In two pieces.
        for piece in request.chunks(request.len().div_ceil(2)) {
            self.swim.stream_bytes(self.now, id, piece, &mut self.notes);
        }
        std::iter::from_fn(|| self.swim.output()).find_map(|output| match output {
            Output::StreamReply { id: replied, bytes } if replied == id => {
                Some(Some(read(&bytes, Side::Answer, envelope)))
            }
            Output::StreamClose { id: closed } if closed == id => Some(None),
            _ => None,
        })?
    }

    /// The stream that is opened next, with its request.
    fn opens(&mut self) -> (StreamId, SocketAddr, Bytes) {
        for output in std::iter::from_fn(|| self.swim.output()) {
            if let Output::OpenStream { id, to, request } = output {
                return (id, to, request);
            }
        }
        panic!("no stream is opened");
    }

    fn join(&mut self, addresses: &[SocketAddr]) {
        self.swim.join(
            self.now,
            Token(5),
            addresses.iter().copied(),
            &mut self.notes,
        );
    }

    fn joined(&mut self) -> Option<super::super::Joined> {
        std::iter::from_fn(|| self.swim.output()).find_map(|output| match output {
            Output::Joined(joined) => Some(joined),
            _ => None,
        })
    }
}

fn ping(node: &str) -> Frame {
    Frame::Ping(Ping {
        seq: 9,
        node: Name::from(node),
        source: None,
    })
}

#[test]
fn a_ping_is_answered_unless_it_is_for_another() {
    let plain = Envelope::default();
    let mut one = One::new();
    let answer = one.asked(&written(&ping("me"), Side::Request, &plain), &plain);
    let payload = Bytes::new();
    assert_eq!(answer, Some(Frame::Ack(Ack { seq: 9, payload })));
    let answer = one.asked(&written(&ping("other"), Side::Request, &plain), &plain);
    assert_eq!(answer, None);
    assert!(one.swim.streams_are_none());
}

#[test]
fn a_state_is_answered_with_ours_before_it_is_merged() {
    let plain = Envelope::default();
    let mut one = One::new();
    one.notes.state = Bytes::from_static(b"ours");
    let other = One::among(1).swim.own_state_for_test(b"theirs");
    let request = written(&Frame::PushPull(other), Side::Request, &plain);
    let Some(Frame::PushPull(state)) = one.asked(&request, &plain) else {
        panic!("a state");
    };
    assert_eq!(state.states.len(), 1);
    assert_eq!(&state.user_state[..], b"ours");
    assert!(state.is_join);
    let heard = one.heard();
    assert!(heard.contains(&"joined m0".to_owned()), "{heard:?}");
    assert_eq!(heard.last().unwrap(), "state theirs join true");
}

#[test]
fn an_empty_state_is_a_peek() {
    let plain = Envelope::default();
    let mut one = One::among(3);
    let request = written(&Frame::PushPull(PushPull::default()), Side::Request, &plain);
    let Some(Frame::PushPull(state)) = one.asked(&request, &plain) else {
        panic!("a state");
    };
    assert_eq!(state.states.len(), 4);
    assert!(one.heard().is_empty());
}

#[test]
fn what_cannot_be_read_is_answered_in_serfs_words() {
    let (plain, ours, theirs) = (Envelope::default(), keyed(1), keyed(2));
    for (mine, request_in, text) in [
        (
            &plain,
            &theirs,
            "Remote state is encrypted and encryption is not configured",
        ),
        (
            &ours,
            &plain,
            "Encryption is configured but remote state is not encrypted",
        ),
        (
            &ours,
            &theirs,
            "No installed keys could decrypt the message",
        ),
    ] {
        let mut one = One::new();
        one.swim.set_keyring(mine.keyring().cloned());
        let request = written(&ping("me"), Side::Request, request_in);
        assert_eq!(
            one.asked(&request, mine),
            Some(Frame::Error(text.to_owned()))
        );
    }
}

#[test]
fn a_join_contacts_every_address_and_counts() {
    let plain = Envelope::default();
    let mut one = One::new();
    one.join(&[socket(1), socket(2), socket(3)]);
    let (first, to, request) = one.opens();
    assert_eq!(to, socket(1));
    let Frame::PushPull(state) = read(&request, Side::Request, &plain) else {
        panic!("a state");
    };
    assert!(state.is_join && state.states.len() == 1);
    let (second, ..) = one.opens();
    let (third, ..) = one.opens();
    let other = One::among(1).swim.own_state_for_test(b"");
    let answer = written(&Frame::PushPull(other), Side::Answer, &plain);
    one.swim
        .stream_bytes(one.now, first, &answer, &mut one.notes);
    assert!(one.heard().contains(&"joined m0".to_owned()));
    assert_eq!(one.joined(), None);
    let error = written(&Frame::Error("no room".to_owned()), Side::Answer, &plain);
    one.swim
        .stream_bytes(one.now, second, &error, &mut one.notes);
    one.swim.stream_ended(
        one.now,
        third,
        Some("connect: connection refused"),
        &mut one.notes,
    );
    let joined = one.joined().unwrap();
    assert_eq!((joined.token, joined.contacted), (Token(5), 1));
    let failed = [
        (socket(2), "remote error: no room".to_owned()),
        (socket(3), "connect: connection refused".to_owned()),
    ];
    assert_eq!(joined.failed, failed);
}

#[test]
fn a_join_of_nothing_and_one_that_nobody_answers_end_too() {
    let mut one = One::new();
    one.join(&[]);
    assert_eq!(one.joined().unwrap().contacted, 0);
    one.join(&[socket(1)]);
    let outputs = one.pass(10 * SECOND);
    let joined = outputs.into_iter().find_map(|(_, output)| match output {
        Output::Joined(joined) => Some(joined),
        _ => None,
    });
    assert_eq!(
        joined.unwrap().failed,
        [(socket(1), "i/o timeout".to_owned())]
    );
    assert!(one.swim.streams_are_none());
}

#[test]
fn a_join_opens_few_streams_at_a_time() {
    let mut one = One::new();
    let addresses: Vec<SocketAddr> = (0..20).map(socket).collect();
    one.join(&addresses);
    let opened = |one: &mut One| {
        let outputs = std::iter::from_fn(|| one.swim.output());
        let ids = outputs.filter_map(|output| match output {
            Output::OpenStream { id, .. } => Some(id),
            _ => None,
        });
        ids.collect::<Vec<StreamId>>()
    };
    let ids = opened(&mut one);
    assert_eq!(ids.len(), 8);
    for id in ids {
        one.swim.stream_ended(one.now, id, None, &mut one.notes);
    }
    assert_eq!(opened(&mut one).len(), 8);
}

#[test]
fn streams_of_others_are_limited_in_number_time_and_bytes() {
    let mut one = One::new();
    one.swim.config.streams_max = 2;
    let first = one.swim.stream_accepted(one.now, FROM).unwrap();
    one.swim.stream_accepted(one.now, FROM).unwrap();
    assert!(!one.swim.accepts_streams());
    assert_eq!(one.swim.stream_accepted(one.now, FROM), None);
    assert_eq!(one.swim.counters().streams_refused, 1);
    one.swim.stream_ended(one.now, first, None, &mut one.notes);
    assert!(one.swim.accepts_streams());
    one.pass(10 * SECOND);
    assert!(one.swim.streams_are_none());
    one.swim.config.stream_bytes_max = 10;
    let id = one.swim.stream_accepted(one.now, FROM).unwrap();
    one.swim.stream_bytes(one.now, id, &[6; 11], &mut one.notes);
    assert!(one.swim.streams_are_none());
    assert_eq!(one.swim.counters().streams_failed, 1);
}

#[test]
fn who_connects_and_says_nothing_is_no_failure() {
    let mut one = One::new();
    let id = one.swim.stream_accepted(one.now, FROM).unwrap();
    one.swim.stream_ended(one.now, id, None, &mut one.notes);
    assert_eq!(one.swim.counters().streams_failed, 0);
}

#[test]
fn a_tcp_ping_saves_who_cannot_be_reached_otherwise() {
    let plain = Envelope::default();
    for (seq_off, is_saved) in [(0, true), (1, false)] {
        let mut one = One::among(1);
        // The probe begins within a second, and asks over TCP after half a second more.
        let mut outputs = one.pass(Duration::from_millis(1500)).into_iter();
        let (id, request) = outputs
            .find_map(|(_, output)| match output {
                Output::OpenStream { id, request, .. } => Some((id, request)),
                _ => None,
            })
            .unwrap();
        let Frame::Ping(ping) = read(&request, Side::Request, &plain) else {
            panic!("a ping");
        };
        assert_eq!(ping.node, name(0));
        let ack = Ack {
            seq: ping.seq.wrapping_add(seq_off),
            payload: Bytes::new(),
        };
        let answer = written(&Frame::Ack(ack), Side::Answer, &plain);
        one.swim.stream_bytes(one.now, id, &answer, &mut one.notes);
        one.pass(Duration::from_millis(500));
        assert_eq!(one.heard().is_empty(), is_saved);
        assert_eq!(one.swim.counters().probes_over_tcp, u64::from(is_saved));
    }
}

#[test]
fn a_user_message_over_tcp_reaches_the_layer_above() {
    let plain = Envelope::default();
    let mut one = One::new();
    let frame = Frame::User(Bytes::from_static(b"hello"));
    assert_eq!(
        one.asked(&written(&frame, Side::Request, &plain), &plain),
        None
    );
    assert_eq!(one.heard(), ["message hello"]);
}
