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
fn many_layers_come_in_their_order() {
    let (_dir, store) = store();
    let sizes = [10, 5 << 20, 0, 100_000, 9 << 20];
    let all = sample(20 << 20);
    let layers = sizes.map(|n: usize| plain(&store, &all[n..n * 2]));
    for recipe in ["gzip", "zstd"] {
        let recipe = Recipe::named(recipe).unwrap();
        let forms = compress_all(&store, &layers, recipe, Force::Plain, &NoProgress).unwrap();
        for (form, n) in forms.iter().zip(sizes) {
            assert!(unpack(&store, form).unwrap() == all[n..n * 2]);
        }
    }
    let mut lost = layers.to_vec();
    lost[0].descriptor.digest = Digest::of(b"lost");
    lost[0].diff_id = Digest::of(b"lost");
    let error =
        compress_all(&store, &lost, Recipe::estargz(), Force::Plain, &NoProgress).unwrap_err();
    assert!(matches!(error, ImageError::NotFound { .. }), "{error}");
}

#[test]
fn estargz_is_another_layer() {
    let (_dir, store) = store();
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(5);
    tar.append_data(&mut header, "a", &b"hello"[..]).unwrap();
    let layer = plain(&store, &tar.into_inner().unwrap());
    let recipe = Recipe::estargz();
    let form = compress(&store, &layer, recipe, Force::Plain).unwrap();
    assert_eq!(form.descriptor.media_type, MediaType::OCI_LAYER_GZIP);
    assert_ne!(form.diff_id, layer.diff_id);
    assert_eq!(
        Digest::of(&unpack(&store, &form).unwrap()),
        form.diff_id,
        "and it reads back"
    );
    assert_eq!(form.descriptor.annotations.len(), 2);
    // Remembered with all that belongs to it.
    store.blobs().remove(&layer.descriptor.digest).unwrap();
    let again = compress(&store, &layer, recipe, Force::Plain).unwrap();
    assert_eq!(again, form);
    // Kept, and told apart from gzip.
    let same = compress(&store, &form, recipe, Force::Other).unwrap();
    assert_eq!(same, form);
    let gzip = Recipe::new(Compression::Gzip);
    let kept = compress(&store, &form, gzip, Force::Plain).unwrap();
    assert_eq!(kept, form);
    let forced = compress(&store, &form, gzip, Force::Other).unwrap();
    assert!(forced.descriptor.annotations.is_empty());
    assert_eq!(forced.diff_id, form.diff_id, "the table stays in the tar");
    let turned = compress(&store, &forced, recipe, Force::Other).unwrap();
    assert_eq!(turned, form, "and is made anew");
}

#[test]
fn what_estargz_cannot_hold_is_refused_with_a_way_out() {
    let (_dir, store) = store();
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.as_old_mut().name[0] = 0xff;
    header.set_size(0);
    header.set_cksum();
    tar.append(&header, io::empty()).unwrap();
    let layer = plain(&store, &tar.into_inner().unwrap());
    let error = compress(&store, &layer, Recipe::estargz(), Force::Plain).unwrap_err();
    assert!(matches!(error, ImageError::Unsupported { .. }), "{error}");
    assert!(error.to_string().contains("`compression=gzip`"), "{error}");
    let layer = plain(&store, &[1; 1000]);
    let error = compress(&store, &layer, Recipe::estargz(), Force::Plain).unwrap_err();
    assert!(!matches!(error, ImageError::Unsupported { .. }), "{error}");
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
