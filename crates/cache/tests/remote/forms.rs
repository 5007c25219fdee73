//! Compressed forms of layers, as one machine gives them and another finds them.

use std::io::Cursor;
use std::sync::Arc;

use acetate_cache::remote::{
    Attest, Depth, Existing, FormName, FormSource, Lost, Published, Put, RemoteCache, RemoteForm,
    Trust,
};
use acetate_net::fake::Reply;
use acetate_oci::{Descriptor, Digest, MediaType};

use crate::scripted::{Scripted, Speaks};
use crate::server::Server;
use crate::signers::{Party, client};
use crate::support::{definition, noise, nothing, publication, texts};

fn name(layer: &str, recipe: &str) -> FormName {
    FormName {
        diff_id: Digest::of(layer.as_bytes()),
        recipe: recipe.to_owned(),
    }
}

/// A form of `layer` whose blob has these bytes.
fn form(layer: &str, blob: &[u8]) -> FormSource {
    let shared: Arc<[u8]> = blob.into();
    FormSource {
        name: name(layer, "gzip-6"),
        descriptor: Descriptor::of(MediaType::OCI_LAYER_GZIP, blob),
        open: Some(Arc::new(move || {
            Ok(Box::new(Cursor::new(Arc::clone(&shared))))
        })),
        attest: Attest::Own,
        existing: Existing::Keep,
    }
}

async fn find(cache: &RemoteCache, name: FormName) -> Option<RemoteForm> {
    cache.forms(&[name]).await.remove(0)
}

fn is_written(published: &Published) -> bool {
    *published == Published::Done(vec![Put::Written])
}

#[tokio::test]
async fn a_form_comes_back_as_it_was_given_and_only_for_its_recipe() {
    for speaks in [Speaks::Objects, Speaks::Batches, Speaks::Extensions] {
        let server = Scripted::start(speaks);
        let writer = client(&server.url(), None, Trust::off());
        for (layer, size) in [("small", 100), ("large", (5 << 20) + 17)] {
            let blob = noise(size as u64, size);
            assert!(is_written(&writer.publish_form(&form(layer, &blob)).await));
            let reader = client(&server.url(), None, Trust::off());
            let names = [
                name(layer, "gzip-6"),
                name(layer, "gzip-9"),
                name("other", "gzip-6"),
            ];
            let found = reader.forms(&names).await;
            let is_there: Vec<bool> = found.iter().map(Option::is_some).collect();
            assert_eq!(is_there, [true, false, false], "{speaks:?} {layer}");
            let found = found[0].clone().unwrap();
            let descriptor = Descriptor::of(MediaType::OCI_LAYER_GZIP, &blob);
            assert_eq!((found.descriptor, found.signer), (descriptor, None));
            let bytes = found.bytes.unwrap();
            assert_eq!(bytes.stored_size(), blob.len() as u64, "as it is");
            let came = reader.fetch_layer(&bytes, Vec::new(), nothing).await;
            assert!(came.unwrap() == blob);
            // Results of steps are counted, and these are none.
            assert_eq!((reader.stats().hits, reader.stats().misses), (0, 0));
        }
        assert_eq!(writer.stats().forms_given, 2);
        // What is there is not sent twice.
        let n_sent = server.count("PUT", "/cas/");
        let again = client(&server.url(), None, Trust::off());
        again.publish_form(&form("small", &noise(100, 100))).await;
        assert_eq!(server.count("PUT", "/cas/"), n_sent, "{speaks:?}");
    }
}

#[tokio::test]
async fn a_name_is_replaced_by_who_has_the_bytes() {
    let server = Server::open().await;
    let cache = server.client("org");
    let only_name = FormSource {
        open: None,
        ..form("layer", b"blob")
    };
    assert!(is_written(&cache.publish_form(&only_name).await));
    let found = find(&cache, name("layer", "gzip-6")).await.unwrap();
    assert_eq!((found.descriptor.size, found.bytes), (4, None));
    let whole = FormSource {
        existing: Existing::Replace,
        ..form("layer", b"blob")
    };
    assert!(is_written(&cache.publish_form(&whole).await));
    let found = find(&cache, name("layer", "gzip-6")).await.unwrap();
    assert!(found.bytes.is_some());
}

#[tokio::test]
async fn a_wrong_piece_is_not_taken() {
    let server = Scripted::start(Speaks::Extensions);
    let writer = client(&server.url(), None, Trust::off());
    writer
        .publish_form(&form("layer", &noise(7, 3 << 20)))
        .await;
    server.spoil(|seen, reply| match reply {
        Reply { status: 200, .. } if seen.method == "GET" && seen.target.contains("/cas/") => {
            let mut body = reply.body.clone();
            body[9] ^= 1;
            Reply { body, ..reply }
        }
        reply => reply,
    });
    let reader = client(&server.url(), None, Trust::off());
    let found = find(&reader, name("layer", "gzip-6")).await.unwrap();
    let bytes = found.bytes.unwrap();
    let came = reader.fetch_layer(&bytes, Vec::new(), nothing).await;
    assert!(matches!(came, Err(Lost::Damaged(_))), "{came:?}");
    assert_eq!(texts(&reader).len(), 1);
}

#[tokio::test]
async fn a_record_that_is_no_form_is_none() {
    let server = Scripted::start(Speaks::Extensions);
    let cache = client(&server.url(), None, Trust::off());
    let wanted = name("layer", "gzip-6");
    let mut work = publication("step", &[b"one layer"]);
    work.keys = vec![wanted.key()];
    cache.publish(&work).await;
    assert_eq!(find(&cache, wanted).await, None);
    assert_eq!(texts(&cache).len(), 1);
    // Whoever has the form puts it in its place.
    assert!(is_written(
        &cache.publish_form(&form("layer", b"blob")).await
    ));
    let reader = client(&server.url(), None, Trust::off());
    assert!(find(&reader, name("layer", "gzip-6")).await.is_some());
}

#[tokio::test]
async fn forms_are_signed_and_required_to_be() {
    let ours = Party::new();
    for (signer, policy, names) in [
        (None, ours.preferred(), Some(false)),
        (None, ours.required(), None),
        (Some(&ours), Trust::off(), Some(false)),
        (Some(&ours), ours.preferred(), Some(true)),
        (Some(&ours), ours.required(), Some(true)),
    ] {
        let server = Scripted::start(Speaks::Extensions);
        let writer = client(&server.url(), signer, Trust::off());
        writer.publish_form(&form("layer", b"blob")).await;
        let reader = client(&server.url(), None, policy);
        let found = find(&reader, name("layer", "gzip-6")).await;
        assert_eq!(found.map(|form| form.signer.is_some()), names);
    }
}

#[tokio::test]
async fn forms_are_looked_at_like_all_else() {
    let server = Scripted::start(Speaks::Extensions);
    let cache = client(&server.url(), None, Trust::off());
    cache.publish(&publication("step", &[b"layer"])).await;
    cache.publish_form(&form("layer", &noise(3, 3 << 20))).await;
    let keys = [definition("step"), name("layer", "gzip-6").key()];
    let tally = cache.examine(&keys, Depth::Bytes).await;
    assert_eq!(
        (tally.n_records, tally.n_layers, tally.flaws),
        (2, 2, vec![])
    );
    // A piece of the blob goes: servers that check results find it missing, and so does this.
    let piece = Digest::of(&noise(3, 3 << 20)[..2 << 20]).hex();
    server.edit(|objects| objects.retain(|path, _| !path.contains(&piece)));
    let tally = cache.examine(&keys, Depth::Presence).await;
    assert_eq!((tally.n_missing, tally.flaws.len()), (1, 1));
}
