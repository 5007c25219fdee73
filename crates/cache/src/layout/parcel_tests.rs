use super::*;
use crate::layout::catalog::{Entry, Layer};
use crate::{CacheKey, Fidelity, KeyKind};

fn catalog(n: u32) -> Catalog {
    let mut catalog = Catalog::default();
    for number in 0..n {
        let tar = Digest::of(&number.to_be_bytes());
        let layer = Layer {
            diff_id: tar,
            size: 10,
            created: Timestamp::from_secs(7),
            base: None,
        };
        let blob = Descriptor::of(MediaType::OCI_LAYER_GZIP, &number.to_le_bytes());
        catalog.put_blob(tar, blob);
        let of = Entry {
            chain: None,
            duration_ms: 5,
            fidelity: Fidelity::Full,
            made_of: vec![tar],
        };
        let key = CacheKey::from_parts(KeyKind::Definition, tar, number);
        catalog.put_result(&[key], &[layer], &of);
    }
    catalog
}

fn read(parcel: Parcel) -> (Catalog, Vec<Digest>) {
    let found = find(&parcel.root, "it").unwrap();
    let parts = parcel.parts.into_iter().map(|(_, bytes)| bytes).collect();
    let catalog = found.open(parcel.config.1, parts).unwrap();
    (catalog, found.merged)
}

fn shown(catalog: &Catalog) -> Vec<(CacheKey, String)> {
    let keys = catalog.keys();
    keys.map(|key| (*key, format!("{:?}", catalog.get(key))))
        .collect()
}

#[test]
fn every_form_gives_back_what_was_packed() {
    let records = catalog(3);
    let merged = [Digest::of(b"a"), Digest::of(b"b")];
    for form in [Form::Manifest, Form::Index] {
        let packed = pack(&records, form, Split::Large, &merged).unwrap();
        assert_eq!(packed.parts.len(), 0);
        let (found, others) = read(packed);
        assert_eq!(shown(&found), shown(&records), "{form:?}");
        assert_eq!(others, merged);
    }
    let packed = pack(&records, Form::DockerList, Split::Large, &[]).unwrap();
    let text = String::from_utf8(packed.root.clone()).unwrap();
    assert!(!text.contains("oci.image"), "{text}");
    // Whatever wrote it, the next form has its own types.
    let (found, _) = read(packed);
    let packed = pack(&found, Form::Manifest, Split::Large, &[]).unwrap();
    assert_eq!(
        packed,
        pack(&records, Form::Manifest, Split::Large, &[]).unwrap()
    );
}

#[test]
fn large_documents_travel_in_parts_below_a_mebibyte() {
    let records = catalog(8000);
    let packed = pack(&records, Form::Manifest, Split::Large, &[]).unwrap();
    assert!(packed.parts.len() > 1);
    assert!(packed.config.1.len() < 1000);
    assert!(packed.parts.iter().all(|(_, bytes)| bytes.len() < 1 << 20));
    let found = find(&packed.root, "it").unwrap();
    // A part that is missing or in another place is noticed.
    let mut parts: Vec<Vec<u8>> = packed
        .parts
        .iter()
        .map(|(_, bytes)| bytes.clone())
        .collect();
    parts.swap(0, 1);
    let swapped = found.open(packed.config.1.clone(), parts.clone());
    assert!(matches!(swapped, Err(Absent::Damaged(_))));
    assert_eq!(shown(&read(packed).0), shown(&records));
    // Where parts are not known the config holds all.
    let packed = pack(&records, Form::Manifest, Split::Never, &[]).unwrap();
    assert_eq!(packed.parts.len(), 0);
    assert_eq!(shown(&read(packed).0), shown(&records));
}

/// A catalog whose layers are all listed, each by `n_pieces`.
fn listed(n: u32, n_pieces: u32) -> Catalog {
    let mut catalog = catalog(n);
    for number in 0..n {
        let key = *catalog.keys().nth(number as usize).unwrap();
        let layers: Vec<Layer> = catalog
            .layers_of(&key)
            .unwrap()
            .into_iter()
            .cloned()
            .collect();
        let pieces = (0..n_pieces).map(|piece| Chunk {
            raw: Digest::of(b"raw"),
            raw_size: 9,
            stored: Digest::of(&[number.to_be_bytes(), piece.to_be_bytes()].concat()),
            stored_size: 7,
        });
        catalog.put_listings(&layers, vec![pieces.collect()]);
    }
    catalog
}

#[test]
fn the_manifest_names_what_listings_consist_of() {
    // A piece that two layers have is one blob.
    let mut records = listed(2, 2);
    let layers = |records: &Catalog| -> Vec<Layer> {
        let keys: Vec<CacheKey> = records.keys().copied().collect();
        let layers = keys.iter().flat_map(|key| records.layers_of(key).unwrap());
        layers.cloned().collect()
    };
    let [first, second] = &layers(&records)[..] else {
        panic!("two layers");
    };
    let shared = records.listed().next().copied().unwrap();
    records.put_listings(std::slice::from_ref(first), vec![vec![shared]]);
    records.put_listings(std::slice::from_ref(second), vec![vec![shared]]);
    for form in [Form::Manifest, Form::Index, Form::DockerList] {
        let packed = pack(&records, form, Split::Large, &[]).unwrap();
        let root: serde_json::Value = serde_json::from_slice(&packed.root).unwrap();
        let list = ["layers", "manifests"].map(|name| root[name].as_array());
        let list = list.into_iter().flatten().next().unwrap();
        let kind = |n: usize| list[n]["mediaType"].as_str().unwrap();
        assert!(kind(0).contains("gzip") && kind(1).contains("gzip"));
        assert_eq!(kind(2), LISTING_TYPE);
        assert_eq!(list[2]["digest"], shared.stored.to_string());
        assert_eq!(list[2]["size"], 7);
        let (found, _) = read(packed);
        let pieces: Vec<&Chunk> = found.listed().collect();
        assert_eq!(pieces, [&shared, &shared], "{form:?}");
    }
}

#[test]
fn records_are_kept_without_listings_where_these_are_too_many() {
    let records = listed(20, 2000);
    let packed = pack(&records, Form::Manifest, Split::Large, &[]).unwrap();
    let (found, _) = read(packed);
    assert_eq!(found.len(), 20);
    assert_eq!(found.listed().count(), 0);
}

#[test]
fn what_is_not_ours_or_newer_is_told_apart() {
    let packed = pack(&catalog(1), Form::Manifest, Split::Large, &[]).unwrap();
    let text = String::from_utf8(packed.root).unwrap();
    let newer = text.replace("cache.config.v1+json", "cache.config.v7+json");
    assert!(matches!(
        find(newer.as_bytes(), "it"),
        Err(Absent::Newer(_))
    ));
    let image = text.replace(
        "vnd.acetate.cache.config.v1+json",
        "vnd.oci.image.config.v1+json",
    );
    assert!(matches!(
        find(image.as_bytes(), "it"),
        Err(Absent::Foreign(_))
    ));
    let index = br#"{"schemaVersion":2,"manifests":[]}"#;
    assert!(matches!(find(index, "it"), Err(Absent::Foreign(_))));
    let parts = text.replace("cache.config.v1+json", "cache.config.v1.parts+json");
    assert!(matches!(
        find(parts.as_bytes(), "it"),
        Err(Absent::Damaged(_))
    ));
    assert!(matches!(find(b"[", "it"), Err(Absent::Damaged(_))));
}
