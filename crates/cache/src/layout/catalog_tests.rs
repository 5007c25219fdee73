use acetate_oci::MediaType;

use super::*;

fn key(name: &str) -> CacheKey {
    CacheKey::from_parts(KeyKind::Definition, Digest::of(name.as_bytes()), 0)
}

fn layer(name: &str) -> Layer {
    Layer {
        diff_id: Digest::of(name.as_bytes()),
        size: name.len() as u64,
        created: Timestamp::from_secs(1),
        base: None,
    }
}

fn blob(name: &str) -> Descriptor {
    Descriptor::of(MediaType::OCI_LAYER_GZIP, name.as_bytes())
}

fn entry() -> Entry {
    Entry {
        chain: None,
        duration_ms: 1,
        fidelity: Fidelity::Full,
        made_of: Vec::new(),
    }
}

/// A catalog of records whose layers are the letters of their names.
fn catalog(names: &[&str]) -> Catalog {
    let mut catalog = Catalog::default();
    for name in names {
        let letters: Vec<String> = name.chars().map(String::from).collect();
        let layers: Vec<Layer> = letters.iter().map(|letter| layer(letter)).collect();
        assert!(catalog.put_result(&[key(name)], &layers, &entry()));
        for letter in &letters {
            catalog.put_blob(Digest::of(letter.as_bytes()), blob(letter));
        }
    }
    catalog
}

#[test]
fn chains_share_what_is_equal_in_them() {
    let catalog = catalog(&["abc", "abd", "ab", "ba"]);
    assert_eq!(catalog.layers.values.len(), 4);
    assert_eq!(catalog.links.values.len(), 6, "a ab abc abd b ba");
    let layers = catalog.layers_of(&key("abd")).unwrap();
    let expected: Vec<Layer> = ["a", "b", "d"].map(layer).to_vec();
    assert_eq!(layers, expected.iter().collect::<Vec<_>>());
}

#[test]
fn records_move_with_their_chains_and_blobs_only() {
    let other = catalog(&["abc", "xy"]);
    let mut mine = catalog(&["ba"]);
    mine.adopt(&other, [key("abc"), key("absent")].iter());
    assert_eq!(mine.get(&key("abc")), other.get(&key("abc")));
    assert_eq!((mine.len(), mine.blobs().len()), (2, 3));
    assert!(!mine.owns(&blob("x").digest));
}

#[test]
fn what_is_lost_takes_all_above_it_along() {
    let mut catalog = catalog(&["a", "ab", "abc", "b", "c"]);
    assert_eq!(catalog.drop_lost(|found| *found != blob("b")), 3);
    let left: Vec<bool> = ["a", "ab", "abc", "b", "c"]
        .map(|n| catalog.holds(&key(n)))
        .into();
    assert_eq!(left, [true, false, false, false, true]);
}

fn piece(name: &str) -> Chunk {
    Chunk {
        raw: Digest::of(name.as_bytes()),
        raw_size: 5,
        stored: Digest::of(&[name.as_bytes(), b"z"].concat()),
        stored_size: 7,
    }
}

#[test]
fn a_listing_is_that_of_a_layer_on_those_below() {
    let mut other = catalog(&["ab", "cb"]);
    let layers = ["a", "b"].map(layer);
    other.put_listings(&layers, vec![Vec::new(), vec![piece("b on a")]]);
    let layers = ["c", "b"].map(layer);
    other.put_listings(&layers, vec![vec![piece("c")], vec![piece("b on c")]]);
    let mut mine = catalog(&["cc"]);
    mine.adopt(&other, [key("ab"), key("cb")].iter());
    let listings = |catalog: &Catalog, name: &str| {
        let layers = catalog.get(&key(name)).unwrap().layers.into_iter();
        layers.map(|layer| layer.listing).collect::<Vec<_>>()
    };
    assert_eq!(listings(&mine, "ab"), [vec![], vec![piece("b on a")]]);
    let both = [vec![piece("c")], vec![piece("b on c")]];
    assert_eq!(listings(&mine, "cb"), both);
    // One that is gone takes nothing along.
    assert_eq!(mine.drop_lost(|blob| blob.digest != piece("c").stored), 0);
    assert_eq!(listings(&mine, "cb"), [vec![], vec![piece("b on c")]]);
}

#[test]
fn layers_of_base_images_are_never_lost() {
    let mut catalog = Catalog::default();
    let base = Layer {
        base: Some(blob("base")),
        ..layer("a")
    };
    catalog.put_result(&[key("a")], &[base], &entry());
    assert_eq!(catalog.drop_lost(|_| false), 0);
    let form = catalog.get(&key("a")).unwrap().layers.remove(0).form;
    assert_eq!(form, LayerForm::Blob(blob("base")));
}

#[test]
fn a_chain_has_an_end() {
    let mut catalog = Catalog::default();
    let layers = vec![layer("a"); MAX_LAYERS + 1];
    assert!(!catalog.put_result(&[key("long")], &layers, &entry()));
    assert!(catalog.put_result(&[key("long")], &layers[1..], &entry()));
    assert_eq!(catalog.add_link(layer("a"), Some(usize::MAX)), None);
    assert!(!catalog.holds(&key("longer")));
}
