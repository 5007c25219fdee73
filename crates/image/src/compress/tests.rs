use super::*;
use crate::testing::{sample, store};

fn plain(store: &Store, bytes: &[u8]) -> ImageLayer {
    let put = store.blobs().put(bytes).unwrap();
    ImageLayer {
        descriptor: Descriptor::new(MediaType::OCI_LAYER, put.digest, put.size),
        diff_id: put.digest,
    }
}

fn unpack(store: &Store, layer: &ImageLayer) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    layer
        .open(store)
        .unwrap()
        .unwrap()
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[test]
fn every_form_reads_back() {
    let (_dir, store) = store();
    let bytes = sample(3 << 20);
    let layer = plain(&store, &bytes);
    for kind in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let form = compress(&store, &layer, Recipe::new(kind), Force::Plain).unwrap();
        assert_eq!(form.compression().unwrap(), kind);
        assert_eq!(form.diff_id, layer.diff_id);
        assert!(unpack(&store, &form).unwrap() == bytes, "{kind:?}");
        assert_eq!(
            store.blobs().has(&form.descriptor.digest).unwrap(),
            Some(form.descriptor.size)
        );
        // From any form to any other.
        let back = Recipe::new(Compression::None);
        assert_eq!(compress(&store, &form, back, Force::Other).unwrap(), layer);
        let kept = compress(&store, &form, Recipe::new(Compression::Gzip), Force::Plain).unwrap();
        assert_eq!(
            kept == form,
            kind != Compression::None,
            "{kind:?} is kept unless plain"
        );
    }
}

#[test]
fn a_form_is_made_once() {
    let (_dir, store) = store();
    let layer = plain(&store, &sample(100_000));
    let recipe = Recipe::new(Compression::Gzip);
    let form = compress(&store, &layer, recipe, Force::Plain).unwrap();
    // Nothing to compress from: only the memory can answer.
    store.blobs().remove(&layer.descriptor.digest).unwrap();
    assert_eq!(
        compress(&store, &layer, recipe, Force::Plain).unwrap(),
        form
    );
    let other = compress(&store, &layer, recipe.at_level(9).unwrap(), Force::Plain);
    assert!(
        matches!(other, Err(ImageError::NotFound { .. })),
        "{other:?}"
    );
    // A memory without its blob is no memory.
    store.blobs().remove(&form.descriptor.digest).unwrap();
    assert!(compress(&store, &layer, recipe, Force::Plain).is_err());
}

#[test]
fn a_tar_from_elsewhere_gives_the_same_form() {
    let (_dir, store) = store();
    let bytes = sample(700_000);
    let layer = plain(&store, &bytes);
    let recipe = Recipe::new(Compression::Gzip);
    let open = || Ok(Box::new(io::Cursor::new(bytes.clone())) as Box<dyn Read + Send>);
    let packed = pack(&store, &layer.diff_id, open, recipe).unwrap();
    let unused = || panic!("it is there");
    assert_eq!(
        pack(&store, &layer.diff_id, unused, recipe).unwrap(),
        packed
    );
    assert_eq!(
        compress(&store, &layer, recipe, Force::Plain).unwrap(),
        packed
    );
    let unused = || panic!("the plain form is there too");
    let plain = pack(
        &store,
        &layer.diff_id,
        unused,
        Recipe::new(Compression::None),
    );
    assert_eq!(plain.unwrap(), layer);
    let wrong = || Ok(Box::new(io::Cursor::new(b"other")) as Box<dyn Read + Send>);
    let error = pack(&store, &Digest::of(b"one"), wrong, recipe).unwrap_err();
    assert!(matches!(error, ImageError::Corrupt { .. }), "{error}");
}

#[test]
fn wrong_bytes_are_noticed() {
    let (_dir, store) = store();
    let mut layer = plain(&store, b"content");
    layer.diff_id = Digest::of(b"other");
    for kind in [Compression::Gzip, Compression::Zstd] {
        let error = compress(&store, &layer, Recipe::new(kind), Force::Plain).unwrap_err();
        assert!(matches!(error, ImageError::Corrupt { .. }), "{error}");
    }
    let put = store.blobs().put(b"no gzip at all").unwrap();
    layer.descriptor = Descriptor::new(MediaType::OCI_LAYER_GZIP, put.digest, put.size);
    assert!(unpack(&store, &layer).is_err());
}

#[test]
fn levels_have_ranges() {
    assert!(Recipe::new(Compression::Gzip).at_level(9).is_ok());
    assert!(Recipe::new(Compression::Zstd).at_level(22).is_ok());
    for (kind, level) in [
        (Compression::Gzip, 10),
        (Compression::Zstd, 23),
        (Compression::None, 1),
        (Compression::Gzip, -1),
    ] {
        let error = Recipe::new(kind).at_level(level).unwrap_err().to_string();
        assert!(error.contains("has levels from 0 to"), "{error}");
    }
}

#[test]
fn a_form_from_elsewhere_is_taken_once_it_is_seen_to_hold_its_layer() {
    let (_here, store) = store();
    for kind in [Compression::Gzip, Compression::Zstd] {
        let (_there, elsewhere) = crate::testing::store();
        let bytes = sample(400_000);
        let layer = plain(&elsewhere, &bytes);
        let recipe = Recipe::new(kind);
        let made = compress(&elsewhere, &layer, recipe, Force::Plain).unwrap();
        let blob = elsewhere.blobs().read(&made.descriptor.digest, 1 << 20);
        store.blobs().put(&blob.unwrap().unwrap()).unwrap();
        let form = StoredForm::new(&store, layer.diff_id, recipe);
        let size = layer.descriptor.size;
        assert!(form.fits(&made.descriptor) && !form.fits(&layer.descriptor));
        assert!(form.expand(&made.descriptor, size).unwrap());
        assert_eq!(
            store.blobs().has(&layer.diff_id).unwrap(),
            Some(size),
            "{kind:?}"
        );
        assert!(
            !form.expand(&made.descriptor, size - 1).unwrap(),
            "too much"
        );
        let other = StoredForm::new(&store, Digest::of(b"other"), recipe);
        assert!(!other.expand(&made.descriptor, size).unwrap());
        let garbage = Descriptor::of(made.descriptor.media_type.clone(), b"garbage");
        assert!(!form.expand(&garbage, size).unwrap(), "it is not here");
        store.blobs().put(b"garbage").unwrap();
        assert!(!form.expand(&garbage, size).unwrap(), "no compressed bytes");
        assert_eq!(form.find().unwrap(), None);
        let origin = FormOrigin::Signed("key".to_owned());
        form.remember(&made.descriptor, &origin);
        assert_eq!(form.find().unwrap(), Some(made.clone()));
        let told = StoredForm::origin(&store, &made.descriptor.digest).unwrap();
        assert_eq!(told, origin);
        // Nothing to compress from is needed.
        store.blobs().remove(&layer.diff_id).unwrap();
        let found = compress(&store, &layer, recipe, Force::Plain).unwrap();
        assert_eq!(found, made);
        store.blobs().remove(&made.descriptor.digest).unwrap();
        assert_eq!(form.find().unwrap(), None);
        assert_eq!(form.descriptor().unwrap(), Some(made.descriptor));
    }
}
