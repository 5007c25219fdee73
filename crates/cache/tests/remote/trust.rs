//! Whose records are taken.

use acetate_cache::remote::{Publication, Published, Put, RemoteCache, RemoteHit, Trust};
use acetate_cache::{CacheKey, remote::action_key};
use acetate_net::fake::Reply;

use crate::scripted::{Scripted, Speaks};
use crate::server::Server;
use crate::signers::{NOW, Party, client, client_at};
use crate::support::{content, definition, hint, publication, texts};

const DAY: i64 = 86_400;

async fn find(cache: &RemoteCache, key: CacheKey) -> Option<RemoteHit> {
    cache.lookup(&[key]).await.remove(0)
}

/// A server with the record `step`, signed or not.
async fn holding(speaks: Speaks, signer: Option<&Party>) -> Scripted {
    let server = Scripted::start(speaks);
    let writer = client(&server.url(), signer, Trust::off());
    let done = writer.publish(&publication("step", &[b"layer"])).await;
    assert_eq!(done, Published::Done(vec![Put::Written]));
    server
}

/// The path of a record in the namespace of [`Scripted::url`].
fn path(name: &str) -> String {
    format!("/org/repo/ac/{}", action_key(&definition(name)).hex())
}

#[tokio::test]
async fn a_policy_decides_what_is_taken() {
    let (ours, theirs) = (Party::new(), Party::new());
    // Signed by whom, whether one who is off, prefers and requires takes it, and names a signer.
    let cases = [
        (None, [true, true, false], [false, false, false]),
        (Some(&ours), [true, true, true], [false, true, true]),
        (Some(&theirs), [true, true, false], [false, false, false]),
    ];
    for (n, (signer, takes, names)) in cases.into_iter().enumerate() {
        for speaks in [Speaks::Objects, Speaks::Extensions] {
            let server = holding(speaks, signer).await;
            let policies = [Trust::off(), ours.preferred(), ours.required()];
            for (idx, trust) in policies.into_iter().enumerate() {
                let what = format!("case {n}, policy {idx}, {speaks:?}");
                let reader = client(&server.url(), None, trust);
                let hit = find(&reader, definition("step")).await;
                assert_eq!(hit.is_some(), takes[idx], "{what}");
                let stats = reader.stats();
                let counted = (stats.hits, stats.untrusted, stats.misses + stats.damaged);
                let expected = (u64::from(takes[idx]), u64::from(!takes[idx]), 0);
                assert_eq!(counted, expected, "{what}");
                let signed_by = hit.as_ref().and_then(|hit| hit.signer.clone());
                assert_eq!(signed_by, names[idx].then(|| ours.public.id()), "{what}");
                let envelope = hit.and_then(|hit| hit.envelope);
                assert_eq!(envelope.is_some(), takes[idx] && signer.is_some(), "{what}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_not_trusted_is_warned_of_once_and_not_fetched() {
    let ours = Party::new();
    let server = holding(Speaks::Batches, None).await;
    let reader = client(&server.url(), None, ours.required());
    for _ in 0..2 {
        assert_eq!(find(&reader, definition("step")).await, None);
    }
    assert_eq!(reader.stats().untrusted, 2);
    assert_eq!(reader.stats().saved_ms, 0);
    assert_eq!(server.count("GET", "/cas/"), 0);
    let warnings = texts(&reader);
    assert!(
        warnings.len() == 1 && warnings[0].contains("not trusted: nobody signed it"),
        "{warnings:?}"
    );
}

#[tokio::test]
async fn hints_and_all_keys_of_a_result_are_signed() {
    let ours = Party::new();
    let server = Server::open().await;
    let url = server.config("org").url;
    let keys = vec![definition("step"), content("step"), hint("step")];
    let work = Publication {
        keys: keys.clone(),
        ..publication("step", &[b"layer"])
    };
    let writer = client(&url, Some(&ours), ours.required());
    let done = writer.publish(&work).await;
    assert_eq!(done, Published::Done(vec![Put::Written; 3]));
    let reader = client(&url, None, ours.required());
    let hits = reader.lookup(&keys).await;
    assert_eq!(hits.iter().flatten().count(), 3);
    assert_eq!(texts(&reader), Vec::<String>::new());
}

#[tokio::test]
async fn a_record_of_another_key_is_refused() {
    let ours = Party::new();
    let server = holding(Speaks::Objects, Some(&ours)).await;
    // A server that answers every question with a record that is well signed.
    server.edit(|objects| {
        let body = objects[&path("step")].clone();
        objects.insert(path("other"), body);
    });
    let reader = client(&server.url(), None, ours.required());
    assert_eq!(find(&reader, definition("other")).await, None);
    assert_eq!(reader.stats().damaged, 1);
    assert!(find(&reader, definition("step")).await.is_some());
}

#[tokio::test]
async fn a_record_of_another_namespace_is_refused() {
    let ours = Party::new();
    let server = holding(Speaks::Objects, Some(&ours)).await;
    server.edit(|objects| {
        let copies: Vec<_> = objects
            .iter()
            .map(|(path, body)| (path.replace("/org/repo/", "/org/other/"), body.clone()))
            .collect();
        objects.extend(copies);
    });
    for trust in [ours.required(), ours.preferred()] {
        let reader = client(&server.server.url("/org/other"), None, trust);
        assert_eq!(find(&reader, definition("step")).await, None);
        assert_eq!(reader.stats().untrusted, 1);
        let warnings = texts(&reader);
        let words = "signed for the namespace `org/repo` and came from `org/other`";
        assert!(warnings[0].contains(words), "{warnings:?}");
    }
}

#[tokio::test]
async fn a_record_is_taken_from_the_level_that_it_was_signed_for() {
    let ours = Party::new();
    let server = Server::open().await;
    for (n, namespace) in ["org", "org/repo", "org/repo/pr-1"].iter().enumerate() {
        let writer = client(&server.config(namespace).url, Some(&ours), Trust::off());
        let name = format!("step {n}");
        writer.publish(&publication(&name, &[b"layer"])).await;
    }
    let reader = client(&server.config("org/repo/pr-1").url, None, ours.required());
    let keys = ["step 0", "step 1", "step 2"].map(definition);
    let hits = reader.lookup(&keys).await;
    let found: Vec<_> = hits
        .iter()
        .map(|hit| hit.as_ref().and_then(|hit| hit.namespace.as_deref()))
        .collect();
    assert_eq!(
        found,
        [Some("org"), Some("org/repo"), Some("org/repo/pr-1")]
    );
}

#[tokio::test]
async fn a_server_that_lies_about_the_level_is_not_believed() {
    let ours = Party::new();
    let server = holding(Speaks::Objects, Some(&ours)).await;
    // What the server says, and whether the record, which was signed for `org/repo`, is taken by
    // readers of `org/repo`, `org/repo/pr-1`, `org/other` and `org`.
    let cases = [
        (None, [true, false, false, false]),
        (Some("org/repo"), [true, true, false, false]),
        (Some("org"), [false, false, false, false]),
        (Some(""), [false, false, false, false]),
        (Some("org/repo/pr-1"), [false, false, false, false]),
        (Some("../org/repo"), [false, false, false, false]),
        (Some("org//repo"), [false, false, false, false]),
    ];
    for (says, takes) in cases {
        let body = server.objects.lock().unwrap()[&path("step")].clone();
        server.spoil(move |seen, reply| {
            if !seen.target.contains("/ac/") {
                return reply;
            }
            let reply = Reply::new(200, body.clone());
            match says {
                Some(says) => reply.header("X-Acetate-Namespace", says),
                None => reply,
            }
        });
        let readers = ["/org/repo", "/org/repo/pr-1", "/org/other", "/org"];
        for (reader, takes) in readers.iter().zip(takes) {
            let reader = client(&server.server.url(reader), None, ours.required());
            let hit = find(&reader, definition("step")).await;
            assert_eq!(hit.is_some(), takes, "{says:?} to {}", reader.name());
            assert_eq!(reader.stats().untrusted, u64::from(!takes));
        }
    }
}

#[tokio::test]
async fn a_key_is_taken_on_its_days() {
    let ours = Party::new();
    let server = holding(Speaks::Objects, Some(&ours)).await;
    // The days in the list, and when the list is used; the record was signed on 2026-07-01.
    let cases = [
        ("2026-07-01..2026-07-01", NOW, "taken"),
        ("2026-07-02..", NOW + 2 * DAY, "was not valid yet"),
        ("2026-07-01..2026-07-03", NOW - DAY, "was not valid yet"),
        ("..2026-06-30", NOW, "is not valid any more"),
        ("2026-06-01..2026-07-01", NOW + DAY, "is not valid any more"),
        ("..2026-07-02", NOW + DAY, "taken"),
    ];
    for (days, now, expected) in cases {
        let trust = [Trust::require, Trust::prefer].map(|policy| policy(ours.list(days)));
        for trust in trust {
            let reader = client_at(&server.url(), None, trust, now);
            let hit = find(&reader, definition("step")).await;
            let warnings = texts(&reader);
            match expected {
                "taken" => assert!(hit.is_some() && warnings.is_empty(), "{days}: {warnings:?}"),
                words => {
                    assert_eq!(hit, None, "{days}");
                    assert_eq!(reader.stats().untrusted, 1);
                    assert!(warnings[0].contains(words), "{days}: {warnings:?}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_key_that_left_the_list_is_unknown() {
    let (old, new) = (Party::new(), Party::new());
    let server = holding(Speaks::Objects, Some(&old)).await;
    let both = format!("{} old\n{} new", old.public.base64(), new.public.base64());
    let both = acetate_cache::remote::TrustedKeys::parse(&both).unwrap();
    let reader = client(&server.url(), None, Trust::require(both));
    assert!(find(&reader, definition("step")).await.is_some());
    let reader = client(&server.url(), None, new.required());
    assert_eq!(find(&reader, definition("step")).await, None);
    let warnings = texts(&reader);
    assert!(warnings[0].contains("no key of the list"), "{warnings:?}");
}

#[tokio::test]
async fn a_damaged_record_is_a_miss_whoever_signed_it() {
    let ours = Party::new();
    let server = holding(Speaks::Objects, Some(&ours)).await;
    let body = server.objects.lock().unwrap()[&path("step")].clone();
    for place in (0..body.len()).step_by(7) {
        server.edit(|objects| {
            let mut body = body.clone();
            body[place] ^= 0x10;
            objects.insert(path("step"), body);
        });
        let reader = client(&server.url(), None, ours.required());
        let hit = find(&reader, definition("step")).await;
        if let Some(hit) = hit {
            // The change was in what nobody reads.
            assert_eq!(hit.signer, Some(ours.public.id()), "{place}");
            assert_eq!(hit.record.duration_ms, 1500);
        }
    }
}
