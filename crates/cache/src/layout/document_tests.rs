use acetate_oci::MediaType;

use super::*;

fn digest(name: &str) -> Digest {
    Digest::of(name.as_bytes())
}

fn key(kind: KeyKind, name: &str) -> CacheKey {
    CacheKey::from_parts(kind, digest(name), 0)
}

fn blob(name: &str) -> Descriptor {
    Descriptor::of(MediaType::OCI_LAYER_GZIP, name.as_bytes())
}

fn layer(name: &str, secs: i64) -> Layer {
    Layer {
        diff_id: digest(name),
        size: 3,
        created: Timestamp::from_secs(secs),
        base: None,
    }
}

/// Two results on a base; one layer has been made at two times.
fn results() -> Vec<(Vec<CacheKey>, Vec<Layer>, Entry)> {
    let base = Layer {
        base: Some(blob("base")),
        ..layer("b", 0)
    };
    let entry = |ms| Entry {
        chain: None,
        duration_ms: ms,
        fidelity: Fidelity::Full,
        made_of: vec![digest("input")],
    };
    let keys = |name: &str| {
        let kinds = [KeyKind::Definition, KeyKind::Content, KeyKind::Hint];
        kinds.map(|kind| key(kind, name)).to_vec()
    };
    vec![
        (keys("one"), vec![base.clone(), layer("x", 1)], entry(7)),
        (
            keys("two"),
            vec![base, layer("x", 2), layer("y", 3)],
            entry(0),
        ),
    ]
}

fn catalog(results: &[(Vec<CacheKey>, Vec<Layer>, Entry)]) -> Catalog {
    let mut catalog = Catalog::default();
    for (keys, layers, entry) in results {
        assert!(catalog.put_result(keys, layers, entry));
    }
    for name in ["x", "y"] {
        catalog.put_blob(digest(name), blob(name));
    }
    catalog
}

fn text(catalog: &Catalog) -> String {
    let places = BTreeMap::from([(digest("x"), 0), (digest("y"), 1)]);
    let bytes = write(catalog, &places, Detail::All).to_bytes().unwrap();
    String::from_utf8(bytes).unwrap()
}

fn read(text: &str) -> Option<Catalog> {
    let document: Document = serde_json::from_str(text).ok()?;
    document.read(&[blob("x"), blob("y")], |_| Timestamp::from_secs(0))
}

/// Nobody changes this without a new version of the media type.
#[test]
fn the_form_is_the_one_that_was_recorded() {
    let catalog = catalog(&results()[..1]);
    let expected = concat!(
        r#"{"chains":[{"layer":1},{"below":0,"layer":0}],"layers":["#,
        r#"{"blob":0,"created":"1970-01-01T00:00:01Z","diffId":"X","size":3},"#,
        r#"{"base":{"digest":"BASE","mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","size":4},"created":"1970-01-01T00:00:00Z","diffId":"B","size":3}],"records":["#,
        r#"{"chain":1,"durationMs":7,"key":"ONE","kind":"definition","madeOf":["INPUT"],"output":0},"#,
        r#"{"chain":1,"durationMs":7,"key":"ONE","kind":"content","madeOf":["INPUT"],"output":0},"#,
        r#"{"durationMs":7,"key":"ONE","kind":"hint","output":0}]}"#,
    );
    let mut text = text(&catalog);
    let names = ["base", "b", "x", "one", "input"];
    for name in names {
        text = text.replace(&digest(name).to_string(), &name.to_uppercase());
    }
    assert_eq!(text, expected);
}

#[test]
fn equal_records_give_equal_bytes_in_any_order() {
    let mut results = results();
    let first = text(&catalog(&results));
    results.reverse();
    assert_eq!(text(&catalog(&results)), first);
    let again = read(&first).unwrap();
    assert_eq!(text(&again), first);
    for (keys, ..) in &results {
        for key in keys {
            assert_eq!(again.get(key), catalog(&results).get(key));
        }
    }
}

#[test]
fn numbers_that_name_nothing_are_refused() {
    let good = text(&catalog(&results()));
    assert!(read(&good).is_some());
    for (from, to) in [
        (r#""blob":1"#, r#""blob":2"#),
        (r#""below":0"#, r#""below":1"#),
        (r#""below":0"#, r#""below":77"#),
        (r#"{"layer":2}"#, r#"{"layer":9}"#),
        (r#""chain":2"#, r#""chain":55"#),
        (r#""chain":2"#, r#""chain":-1"#),
        (r#""kind":"content""#, r#""kind":"other""#),
        (r#""diffId":"sha256:"#, r#""diffId":"md5:"#),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good, "{from}");
        assert!(read(&bad).is_none(), "{to}");
    }
    // A blob that is no layer is none either.
    let document: Document = serde_json::from_str(&good).unwrap();
    let config = Descriptor::of(MediaType::OCI_CONFIG, b"x");
    let read = document.read(&[config, blob("y")], |_| Timestamp::from_secs(0));
    assert!(read.is_none());
}

#[test]
fn a_weaker_sandbox_is_told() {
    let mut results = results();
    results[0].2.fidelity = Fidelity::Reduced {
        reason: "one id".to_owned(),
    };
    let again = read(&text(&catalog(&results))).unwrap();
    let record = again.get(&results[0].0[0]).unwrap();
    assert_eq!(record.fidelity, results[0].2.fidelity);
}

#[test]
fn too_many_records_are_not_written() {
    let mut catalog = Catalog::default();
    let entry = results().remove(0).2;
    let entry = Entry {
        made_of: vec![digest("input"); 1000],
        ..entry
    };
    for n in 0..250 {
        let key = key(KeyKind::Content, &n.to_string());
        catalog.put_result(&[key], &[], &entry);
    }
    let document = write(&catalog, &BTreeMap::new(), Detail::All);
    assert!(document.to_bytes().is_none());
}

#[test]
fn listings_are_written_with_the_chains_and_not_into_images() {
    let results = results();
    let mut listed = catalog(&results);
    let piece = |size: u32| Chunk {
        raw: digest("raw"),
        raw_size: size,
        stored: digest("stored"),
        stored_size: 7,
    };
    let listings = vec![Vec::new(), vec![piece(5), piece(6)]];
    listed.put_listings(&results[0].1, listings);
    let places = BTreeMap::from([(digest("x"), 0), (digest("y"), 1)]);
    let blobs = [blob("x"), blob("y")];
    let document = write(&listed, &places, Detail::All);
    assert_eq!(document.listings().count(), 2);
    let read = document.read(&blobs, |_| Timestamp::default()).unwrap();
    let layers = read.get(&results[0].0[0]).unwrap().layers;
    assert_eq!(layers[1].listing, [piece(5), piece(6)]);
    // One that is larger than any is none, and the rest is read.
    let huge = u32::try_from(crate::remote::MAX_LISTING).unwrap();
    listed.put_listings(&results[0].1, vec![vec![piece(1), piece(huge)]]);
    let document = write(&listed, &places, Detail::All);
    let read = document.read(&blobs, |_| Timestamp::default()).unwrap();
    let layers = read.get(&results[0].0[0]).unwrap().layers;
    assert_eq!(layers[0].listing, []);
    let document = write(&listed, &places, Detail::Reproducible);
    assert_eq!(document.listings().count(), 0);
}
