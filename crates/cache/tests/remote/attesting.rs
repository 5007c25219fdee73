//! Who signs, what is given on, and which records are replaced.

use acetate_cache::Fidelity;
use acetate_cache::remote::{
    Attest, Existing, Publication, Published, Put, RemoteCache, RemoteHit, Skip, Trust, action_key,
};
use acetate_net::fake::Reply;

use crate::scripted::{Scripted, Speaks};
use crate::server::Server;
use crate::signers::{Party, client};
use crate::support::{content, definition, hint, noise, publication};

async fn find(cache: &RemoteCache) -> Option<RemoteHit> {
    cache.lookup(&[definition("step")]).await.remove(0)
}

fn path() -> String {
    format!("/org/repo/ac/{}", action_key(&definition("step")).hex())
}

async fn put(cache: &RemoteCache, work: &Publication) -> Put {
    match cache.publish(work).await {
        Published::Done(puts) => puts[0],
        Published::Skipped(skip) => panic!("{skip:?}"),
    }
}

#[tokio::test]
async fn only_what_was_made_here_is_signed() {
    let ours = Party::new();
    for (attest, signed) in [
        (Attest::Own, true),
        (Attest::No, false),
        (Attest::Forward(Vec::new()), false),
        (Attest::Forward(vec![b"garbage".as_slice().into()]), false),
    ] {
        let server = Scripted::start(Speaks::Extensions);
        let writer = client(&server.url(), Some(&ours), ours.required());
        let work = Publication {
            attest: attest.clone(),
            ..publication("step", &[b"layer"])
        };
        assert_eq!(put(&writer, &work).await, Put::Written);
        let reader = client(&server.url(), None, ours.required());
        assert_eq!(find(&reader).await.is_some(), signed, "{attest:?}");
        let anyone = client(&server.url(), None, Trust::off());
        assert!(find(&anyone).await.is_some(), "{attest:?}");
    }
    let server = Scripted::start(Speaks::Extensions);
    let reduced = Publication {
        fidelity: Fidelity::Reduced {
            reason: "no pid namespace".to_owned(),
        },
        ..publication("step", &[b"layer"])
    };
    let writer = client(&server.url(), Some(&ours), Trust::off());
    let done = writer.publish(&reduced).await;
    assert_eq!(done, Published::Skipped(Skip::Reduced));
}

#[tokio::test]
async fn an_import_is_given_on_as_it_came() {
    let (ours, carrier) = (Party::new(), Party::new());
    let (from, to) = (Server::open().await, Server::open().await);
    let layer = noise(60, 5 << 20);
    let keys = vec![definition("step"), content("step"), hint("step")];
    let work = Publication {
        keys: keys.clone(),
        ..publication("step", &[&layer])
    };
    let writer = client(&from.config("org").url, Some(&ours), Trust::off());
    writer.publish(&work).await;
    let importer = client(&from.config("org").url, None, ours.required());
    let hits = importer.lookup(&keys).await;
    let envelopes = hits.iter().flatten().filter_map(|hit| hit.envelope.clone());
    let forward = Publication {
        attest: Attest::Forward(envelopes.collect()),
        ..work
    };
    // The one who carries it has a key, too, and signs nothing that it did not see.
    for (namespace, signer) in [("org", Some(ours.public.id())), ("elsewhere", None)] {
        let url = to.config(namespace).url;
        let done = client(&url, Some(&carrier), Trust::off())
            .publish(&forward)
            .await;
        assert_eq!(done, Published::Done(vec![Put::Written; 3]));
        let reader = client(&url, None, ours.preferred());
        for hit in reader.lookup(&keys).await {
            assert_eq!(hit.unwrap().signer, signer, "{namespace}");
        }
        assert_eq!(find(&client(&url, None, carrier.required())).await, None);
    }
}

#[tokio::test]
async fn an_envelope_about_other_layers_is_not_given_on() {
    let ours = Party::new();
    let (from, to) = (Server::open().await, Server::open().await);
    let writer = client(&from.config("org").url, Some(&ours), Trust::off());
    writer.publish(&publication("step", &[b"one layer"])).await;
    let hit = find(&client(&from.config("org").url, None, ours.required())).await;
    let forward = Publication {
        attest: Attest::Forward(vec![hit.unwrap().envelope.unwrap()]),
        ..publication("step", &[b"another layer"])
    };
    let url = to.config("org").url;
    client(&url, None, Trust::off()).publish(&forward).await;
    let hit = find(&client(&url, None, ours.preferred())).await.unwrap();
    assert_eq!(hit.signer, None);
    assert_eq!(hit.record.layers[0].diff_id, forward.layers[0].diff_id);
}

/// Who replaces an unsigned record: only who requires signatures and signs.
#[tokio::test]
async fn a_record_that_is_not_trusted_is_replaced_by_who_signs_and_requires() {
    let ours = Party::new();
    let cases = [
        (
            "signs, requires",
            Some(&ours),
            ours.required(),
            Attest::Own,
            true,
        ),
        ("imported", Some(&ours), ours.required(), Attest::No, false),
        ("requires", None, ours.required(), Attest::Own, false),
        (
            "signs, prefers",
            Some(&ours),
            ours.preferred(),
            Attest::Own,
            false,
        ),
        ("signs", Some(&ours), Trust::off(), Attest::Own, false),
    ];
    for speaks in [Speaks::Objects, Speaks::Batches, Speaks::Extensions] {
        for looks in [true, false] {
            for (name, signer, trust, attest, replaces) in &cases {
                if speaks == Speaks::Objects && !(looks && trust.policy == ours.required().policy) {
                    // Plain stores keep the last writer where nothing is known of the first.
                    continue;
                }
                let what = format!("{name}, {speaks:?}, looks: {looks}");
                let server = Scripted::start(speaks);
                let other = client(&server.url(), None, Trust::off());
                put(&other, &publication("step", &[b"theirs"])).await;
                let writer = client(&server.url(), *signer, trust.clone());
                if looks {
                    find(&writer).await;
                }
                let work = Publication {
                    attest: attest.clone(),
                    ..publication("step", &[b"ours"])
                };
                let expected = if *replaces { Put::Written } else { Put::Kept };
                assert_eq!(put(&writer, &work).await, expected, "{what}");
                let reader = client(&server.url(), None, ours.required());
                assert_eq!(find(&reader).await.is_some(), *replaces, "{what}");
                // The second time it is trusted, and stays.
                if *replaces {
                    assert_eq!(put(&writer, &work).await, Put::Kept, "{what}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_forced_step_replaces_no_record_that_others_may_trust() {
    let (ours, theirs) = (Party::new(), Party::new());
    for speaks in [Speaks::Objects, Speaks::Extensions] {
        let server = Scripted::start(speaks);
        let other = client(&server.url(), Some(&theirs), Trust::off());
        put(&other, &publication("step", &[b"theirs"])).await;
        let writer = client(&server.url(), None, ours.required());
        assert_eq!(find(&writer).await, None);
        let forced = Publication {
            existing: Existing::Replace,
            ..publication("step", &[b"ours"])
        };
        assert_eq!(put(&writer, &forced).await, Put::Kept, "{speaks:?}");
    }
}

#[tokio::test]
async fn of_two_that_replace_the_second_finds_the_first() {
    let ours = Party::new();
    for speaks in [Speaks::Objects, Speaks::Extensions] {
        let server = Scripted::start(speaks);
        let other = client(&server.url(), None, Trust::off());
        put(&other, &publication("step", &[b"theirs"])).await;
        let [first, second] = [0, 1].map(|_| client(&server.url(), Some(&ours), ours.required()));
        assert_eq!((find(&first).await, find(&second).await), (None, None));
        let (one, two) = (
            publication("step", &[b"one"]),
            publication("step", &[b"two"]),
        );
        assert_eq!(put(&first, &one).await, Put::Written);
        assert_eq!(put(&second, &two).await, Put::Kept, "{speaks:?}");
        let hit = find(&second).await.unwrap();
        assert_eq!(hit.record.layers[0].diff_id, one.layers[0].diff_id);
    }
}

#[tokio::test]
async fn a_record_is_replaced_as_long_as_it_is_the_one_that_was_seen() {
    let ours = Party::new();
    // The name of the version, what a write on that condition is answered, what becomes of it, and
    // how many writes it takes.
    let cases = [
        (Some("\"v1\""), 412, Put::Kept, vec![Some("\"v1\"")]),
        (Some("\"v1\""), 204, Put::Written, vec![Some("\"v1\"")]),
        (
            Some("\"v1\""),
            501,
            Put::Written,
            vec![Some("\"v1\""), None],
        ),
        (Some("W/\"v1\""), 412, Put::Written, vec![None]),
        (None, 412, Put::Written, vec![None]),
    ];
    for (etag, status, expected, writes) in cases {
        let server = Scripted::start(Speaks::Batches);
        let other = client(&server.url(), None, Trust::off());
        put(&other, &publication("step", &[b"theirs"])).await;
        let before = server.count("PUT", &path());
        server.spoil(move |seen, reply| match (seen.method.as_str(), etag) {
            ("PUT", _) if seen.header("if-match").is_some() => Reply::new(status, ""),
            ("GET", Some(etag)) if seen.target.contains("/ac/") => reply.header("ETag", etag),
            _ => reply,
        });
        let writer = client(&server.url(), Some(&ours), ours.required());
        find(&writer).await;
        let done = put(&writer, &publication("step", &[b"ours"])).await;
        assert_eq!(done, expected, "{etag:?} {status}");
        let seen = server.server.seen();
        let puts = seen
            .iter()
            .filter(|seen| seen.method == "PUT" && seen.target == path());
        let conditions: Vec<Option<&str>> = puts
            .skip(before)
            .map(|seen| seen.header("if-match"))
            .collect();
        assert_eq!(conditions, writes, "{etag:?} {status}");
    }
}

/// What a server names by version is the record above, which the own one cannot be compared with.
#[tokio::test]
async fn the_version_of_a_record_above_is_no_condition() {
    let ours = Party::new();
    let server = Scripted::start(Speaks::Batches);
    let above = client(&server.server.url("/org"), None, Trust::off());
    put(&above, &publication("step", &[b"theirs"])).await;
    let body = server.objects.lock().unwrap()[&path().replace("/repo/", "/")].clone();
    server.spoil(move |seen, reply| {
        if seen.method == "GET" && seen.target == path() {
            let found = Reply::new(200, body.clone()).header("ETag", "\"v1\"");
            return found.header("X-Acetate-Namespace", "org");
        }
        reply
    });
    let writer = client(&server.url(), Some(&ours), ours.required());
    assert_eq!(find(&writer).await, None);
    let done = put(&writer, &publication("step", &[b"ours"])).await;
    assert_eq!(done, Put::Written);
    let seen = server.server.seen();
    let written = seen
        .iter()
        .find(|seen| seen.method == "PUT" && seen.target == path())
        .unwrap();
    let conditions = ["if-match", "if-none-match"].map(|name| written.header(name));
    assert_eq!(conditions, [None, Some("*")]);
}

#[tokio::test]
async fn who_only_prefers_signatures_replaces_nothing_that_is_signed_wrongly() {
    let ours = Party::new();
    for speaks in [Speaks::Objects, Speaks::Batches] {
        let server = Scripted::start(speaks);
        let elsewhere = client(&server.server.url("/org/other"), Some(&ours), Trust::off());
        elsewhere.publish(&publication("step", &[b"theirs"])).await;
        server.edit(|objects| {
            let body = objects[&path().replace("/repo/", "/other/")].clone();
            objects.insert(path(), body);
        });
        for (trust, expected) in [
            (ours.preferred(), Put::Kept),
            (ours.required(), Put::Written),
        ] {
            let writer = client(&server.url(), Some(&ours), trust);
            assert_eq!(find(&writer).await, None);
            let done = put(&writer, &publication("step", &[b"ours"])).await;
            assert_eq!(done, expected, "{speaks:?}");
        }
    }
}

#[tokio::test]
async fn a_record_above_is_not_replaced_but_hidden() {
    let ours = Party::new();
    let server = Server::open().await;
    let (above, below) = (server.config("org").url, server.config("org/repo").url);
    let other = client(&above, None, Trust::off());
    put(&other, &publication("step", &[b"theirs"])).await;
    let writer = client(&below, Some(&ours), ours.required());
    assert_eq!(find(&writer).await, None);
    assert_eq!(
        put(&writer, &publication("step", &[b"ours"])).await,
        Put::Written
    );
    let hit = find(&client(&below, None, ours.required())).await.unwrap();
    assert_eq!(hit.namespace.as_deref(), Some("org/repo"));
    let hit = find(&client(&above, None, Trust::off())).await.unwrap();
    assert_eq!(hit.signer, None, "what is above stays");
}
