//! What followers see.

use super::text::PIECE;
use super::*;
use acetate_cache_api::lease::{Claim, Lease};
use acetate_cache_api::log::FrameReader;
use acetate_cache_api::{Kind, Namespace};
use acetate_oci::Digest;

fn route(n: u32) -> Route {
    Route {
        namespace: Namespace::root(),
        kind: Kind::Action,
        key: Digest::of(&n.to_le_bytes()),
    }
}

fn claim(leases: &Leases, route: &Route) -> String {
    match leases.claim(route, Claim::default()) {
        Lease::Granted { lease, .. } => lease,
        other => panic!("{other:?}"),
    }
}

async fn next(follower: &mut Follower) -> Vec<Frame> {
    let sent = follower.next().await.unwrap();
    FrameReader::default().feed(&sent).unwrap()
}

fn bytes(stream: Stream, at: u64, bytes: &[u8]) -> Frame {
    let bytes = bytes.to_vec();
    Frame::Bytes { stream, at, bytes }
}

#[tokio::test]
async fn a_follower_sees_what_was_said_and_what_is_said() {
    let (logs, leases) = (Logs::default(), Leases::default());
    let lease = claim(&leases, &route(1));
    logs.append(&leases, &route(1), &lease, Stream::Out, b"one ");
    logs.append(&leases, &route(1), &lease, Stream::Out, b"two ");
    logs.append(&leases, &route(1), &lease, Stream::Err, b"three");
    let mut first = logs.follow(&leases, &route(1), 0).unwrap();
    let all = [
        bytes(Stream::Out, 0, b"one two "),
        bytes(Stream::Err, 8, b"three"),
    ];
    assert_eq!(next(&mut first).await, all);
    let mut second = logs.follow(&leases, &route(1), 6).unwrap();
    let rest = [
        bytes(Stream::Out, 6, b"o "),
        bytes(Stream::Err, 8, b"three"),
    ];
    assert_eq!(next(&mut second).await, rest);
    let (more, ()) = tokio::join!(next(&mut first), async {
        logs.append(&leases, &route(1), &lease, Stream::Err, b"!");
    });
    assert_eq!(more, [bytes(Stream::Err, 13, b"!")]);
    let (end, ()) = tokio::join!(next(&mut first), async {
        assert!(leases.give_up(&route(1), &lease));
        logs.sweep(&leases);
    });
    assert_eq!(end, [Frame::End { at: 14 }]);
    assert_eq!(first.next().await, None);
    // For a while the whole can be read still, also from beyond its end.
    let mut late = logs.follow(&leases, &route(1), 999).unwrap();
    assert_eq!(next(&mut late).await, [Frame::End { at: 14 }]);
    assert!(
        logs.follow(&leases, &route(2), 0).is_none(),
        "nobody makes it"
    );
}

#[tokio::test(start_paused = true)]
async fn silence_is_no_end() {
    let (logs, leases) = (Logs::default(), Leases::default());
    claim(&leases, &route(1));
    let mut follower = logs.follow(&leases, &route(1), 0).unwrap();
    assert_eq!(next(&mut follower).await, [Frame::Alive { at: 0 }]);
}

#[tokio::test]
async fn another_lease_has_another_log() {
    let (logs, leases) = (Logs::default(), Leases::default());
    let first = claim(&leases, &route(1));
    logs.append(&leases, &route(1), &first, Stream::Out, b"first");
    let mut follower = logs.follow(&leases, &route(1), 5).unwrap();
    leases.give_up(&route(1), &first);
    assert!(!logs.append(&leases, &route(1), &first, Stream::Out, b"late"));
    let second = claim(&leases, &route(1));
    let mut other = logs.follow(&leases, &route(1), 0).unwrap();
    assert_eq!(next(&mut follower).await, [Frame::End { at: 5 }]);
    logs.append(&leases, &route(1), &second, Stream::Out, b"second");
    assert_eq!(next(&mut other).await, [bytes(Stream::Out, 0, b"second")]);
    assert_eq!(logs.bytes(), 6 + PIECE);
}

#[tokio::test]
async fn the_newest_bytes_are_kept_and_the_others_named() {
    let (logs, leases) = (Logs::default(), Leases::default());
    let lease = claim(&leases, &route(1));
    let mut slow = logs.follow(&leases, &route(1), 0).unwrap();
    for n in 0..100_u8 {
        logs.append(&leases, &route(1), &lease, Stream::Out, &vec![n; 30_000]);
    }
    assert!(logs.bytes() <= MOST_OF_ONE && logs.bytes() > MOST_OF_ONE / 2);
    let (mut at, mut n_dropped) = (0, 0);
    while at < 3_000_000 {
        for frame in next(&mut slow).await {
            assert!(matches!(
                &frame,
                Frame::Dropped { .. } | Frame::Bytes { .. }
            ));
            if let Frame::Dropped { at: 0, n } = frame {
                n_dropped = n;
            }
            if let Frame::Bytes {
                at: begin, bytes, ..
            } = &frame
            {
                assert_eq!(*begin, at);
                assert!(
                    bytes
                        .iter()
                        .zip(at..)
                        .all(|(b, i)| u64::from(*b) == i / 30_000)
                );
            }
            at = frame.next();
        }
    }
    assert!(n_dropped > 1_900_000, "{n_dropped}");
}

#[test]
fn all_logs_together_are_bounded() {
    let (logs, leases) = (Logs::default(), Leases::default());
    for n in 0..100 {
        let lease = claim(&leases, &route(n));
        logs.append(
            &leases,
            &route(n),
            &lease,
            Stream::Out,
            &vec![7; MOST_OF_ONE - PIECE],
        );
        assert!(logs.bytes() <= MOST_OF_ALL);
    }
    assert!(logs.bytes() > MOST_OF_ALL / 2);
    let total: usize = logs.lock().values().map(|log| log.lock().cost).sum();
    assert_eq!(logs.bytes(), total);
    for n in 100..10_000 {
        let lease = claim(&leases, &route(n));
        logs.append(&leases, &route(n), &lease, Stream::Out, b"x");
    }
    assert_eq!(logs.lock().len(), MOST_LOGS);
}
