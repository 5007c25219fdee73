//! A cache that is looked at closely.

use acetate_cache::remote::{Depth, Distrust, Flaw, Seen, Tally, Trust, action_key};
use acetate_net::fake::Reply;

use crate::scripted::{Scripted, Speaks};
use crate::signers::{Party, client};
use crate::support::{definition, noise, publication};

const NAMES: [&str; 4] = ["signed", "unsigned", "theirs", "absent"];

async fn filled(speaks: Speaks, ours: &Party, theirs: &Party) -> Scripted {
    let server = Scripted::start(speaks);
    let shared = noise(70, 3 << 20);
    for (name, signer) in NAMES.iter().zip([Some(ours), None, Some(theirs)]) {
        let writer = client(&server.url(), signer, Trust::off());
        let work = publication(name, &[&shared, name.as_bytes()]);
        writer.publish(&work).await;
    }
    server
}

fn flaws(tally: &Tally) -> Vec<Flaw> {
    tally.flaws.iter().map(|(_, flaw)| flaw.clone()).collect()
}

#[tokio::test]
async fn a_good_cache_has_no_flaws() {
    let (ours, theirs) = (Party::new(), Party::new());
    for speaks in [Speaks::Objects, Speaks::Extensions] {
        let server = filled(speaks, &ours, &theirs).await;
        let n_objects = server.objects.lock().unwrap().len() as u64 - 3;
        let keys = NAMES.map(definition);
        let there = [&keys[..3], &keys[..1]].concat();
        let reader = client(&server.url(), None, ours.preferred());
        let tally = reader.examine(&there, Depth::Presence).await;
        assert_eq!(flaws(&tally), [], "{speaks:?}");
        assert_eq!((tally.n_keys, tally.n_records), (3, 3));
        assert_eq!((tally.n_unsigned, tally.n_unknown), (1, 1));
        assert_eq!(tally.signed.get(&ours.public.id()), Some(&1));
        let objects = (tally.n_objects, tally.n_missing, tally.n_layers);
        assert_eq!(objects, (n_objects, 0, 0));
        assert_eq!(reader.stats().chunks_down, 0);
        // All bytes, and each once.
        let tally = reader.examine(&keys, Depth::Bytes).await;
        assert_eq!(flaws(&tally), [Flaw::Absent]);
        assert_eq!(tally.n_layers, 4);
        assert_eq!(reader.stats().chunks_down, n_objects - tally.n_layers);
    }
}

#[tokio::test]
async fn what_is_required_is_a_flaw_where_it_is_not() {
    let (ours, theirs) = (Party::new(), Party::new());
    let server = filled(Speaks::Extensions, &ours, &theirs).await;
    let reader = client(&server.url(), None, ours.required());
    let tally = reader
        .examine(&NAMES.map(definition), Depth::Presence)
        .await;
    let expected = [
        Flaw::Distrust(Distrust::Unsigned),
        Flaw::Distrust(Distrust::UnknownKey),
        Flaw::Absent,
    ];
    assert_eq!(flaws(&tally), expected);
}

#[tokio::test]
async fn what_is_missing_or_damaged_is_found() {
    let (ours, theirs) = (Party::new(), Party::new());
    for speaks in [Speaks::Objects, Speaks::Extensions] {
        let server = filled(speaks, &ours, &theirs).await;
        let keys = NAMES.map(definition);
        let reader = client(&server.url(), None, ours.preferred());
        let hit = reader.lookup(&keys[..1]).await.remove(0).unwrap();
        let [shared, own] = [0, 1].map(|n| hit.record.layers[n].chunks()[0].stored);
        let cas = |stored: acetate_oci::Digest| format!("/org/repo/cas/{}", stored.hex());
        server.edit(|objects| objects.get_mut(&cas(own)).unwrap()[9] ^= 1);
        let presence = reader.examine(&keys[..3], Depth::Presence).await;
        assert_eq!(flaws(&presence), [], "its place is not empty");
        let bytes = reader.examine(&keys[..3], Depth::Bytes).await;
        let found = flaws(&bytes);
        assert!(
            matches!(&found[..], [Flaw::Layer { why, .. }] if why.contains("something else")),
            "{found:?}"
        );
        server.edit(|objects| drop(objects.remove(&cas(shared))));
        let gone = reader.examine(&keys[..3], Depth::Bytes).await;
        assert_eq!(flaws(&gone), vec![Flaw::Incomplete(1); 3]);
        assert_eq!(gone.n_missing, 1);
        // A record that nobody can read, and a server that does not answer.
        let record = format!("/org/repo/ac/{}", action_key(&keys[0]).hex());
        server.edit(|objects| drop(objects.insert(record, b"text".to_vec())));
        let tally = reader.examine(&keys[..1], Depth::Presence).await;
        assert!(matches!(flaws(&tally)[..], [Flaw::Record(_)]));
        server.spoil(|_, _| Reply::new(403, ""));
        let tally = reader.examine(&keys[..2], Depth::Presence).await;
        assert_eq!(flaws(&tally), [Flaw::Unanswered, Flaw::Unanswered]);
    }
}

#[tokio::test]
async fn keys_of_the_cache_itself_are_as_good_as_those_of_builds() {
    let (ours, theirs) = (Party::new(), Party::new());
    let server = filled(Speaks::Extensions, &ours, &theirs).await;
    let reader = client(&server.url(), None, ours.preferred());
    let keys = NAMES.map(definition);
    let listed = keys.map(|key| action_key(&key));
    let tally = reader.examine(&keys, Depth::Bytes).await;
    let same = reader.examine_listed(&listed, Depth::Bytes).await;
    assert_eq!(same.flaws, [(listed[3], Flaw::Absent)]);
    assert_eq!(
        (same.n_records, same.n_objects, same.n_layers),
        (tally.n_records, tally.n_objects, tally.n_layers)
    );
    // One record is seen whether or not it is trusted.
    let signer = |seen: Result<Seen, Flaw>| seen.unwrap().signer.map(|signer| signer.id);
    assert_eq!(signer(reader.see(&listed[0]).await), Ok(ours.public.id()));
    assert_eq!(
        signer(reader.see(&listed[1]).await),
        Err(Distrust::Unsigned)
    );
    assert_eq!(
        signer(reader.see(&listed[2]).await),
        Err(Distrust::UnknownKey)
    );
    assert_eq!(reader.see(&listed[3]).await, Err(Flaw::Absent));
}
