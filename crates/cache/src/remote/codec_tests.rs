use super::*;
use proptest::prelude::*;

fn key() -> Digest {
    Digest::of(b"key")
}

fn chunk(n: u32) -> Chunk {
    Chunk {
        raw: Digest::of(&n.to_be_bytes()),
        raw_size: n + 1,
        stored: Digest::of(&[n.to_be_bytes(), [0; 4]].concat()),
        stored_size: n / 2 + 1,
    }
}

fn layer(chunks: Vec<Chunk>) -> RemoteLayer {
    RemoteLayer {
        diff_id: Digest::of(b"tar"),
        size: chunks.iter().map(|chunk| u64::from(chunk.raw_size)).sum(),
        created: Timestamp::new(-5, 7),
        form: LayerForm::Chunks(chunks),
        listing: Vec::new(),
    }
}

/// A layer of a base image.
fn base(digest: Digest) -> RemoteLayer {
    let media_type = MediaType::oci_layer(acetate_oci::Compression::Gzip);
    RemoteLayer {
        size: 77,
        form: LayerForm::Blob(Descriptor::new(media_type, digest, 9)),
        ..layer(Vec::new())
    }
}

fn record(layers: Vec<RemoteLayer>) -> RemoteRecord {
    RemoteRecord {
        layers,
        duration_ms: 1234,
        fidelity: Fidelity::Full,
        made_of: Vec::new(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Takes a record apart, changes it and puts it together again.
fn changed(change: impl FnOnce(&mut ActionResult, &mut Payload)) -> Vec<u8> {
    let whole = record(vec![layer(vec![chunk(1), chunk(2)])]);
    let bytes = encode(&key(), &whole);
    let mut result = ActionResult::decode(bytes.as_slice()).unwrap();
    let notes = &result
        .execution_metadata
        .as_ref()
        .unwrap()
        .auxiliary_metadata;
    let mut envelope = unseal(&notes[0].value).unwrap();
    let mut payload = Payload::decode(envelope.payload.as_slice()).unwrap();
    change(&mut result, &mut payload);
    envelope.payload = payload.encode_to_vec();
    if let Some(metadata) = &mut result.execution_metadata {
        for note in &mut metadata.auxiliary_metadata {
            if note.type_url == RECORD_TYPE {
                note.value = seal(&envelope);
            }
        }
    }
    result.encode_to_vec()
}

/// Whoever changes these bytes raises the version in `RECORD_TYPE`.
#[test]
fn the_form_is_fixed() {
    let hint = encode(&key(), &record(Vec::new()));
    assert_eq!(
        hex(&hint),
        concat!(
            "4ab1010a07616365746174655a88010a11616365746174652f7265636f72642f763212735d502ebb",
            "8c2d59d5db038b2eaf6a601c684b3d2e22e4106c3a6fd710986b191a0a250a202c70e12b7a0646f9",
            "2279f427c7b38e7334d8e5389cff167a1dc30e73f826b68310d209122a6170706c69636174696f6e",
            "2f766e642e616365746174652e7265636f72642e76322b70726f746f6275665a1b0a0f6163657461",
            "74652f636f73742f7631120800000000000004d2",
        )
    );
    let whole = encode(&key(), &record(vec![layer(vec![chunk(1), chunk(2)])]));
    assert_eq!(
        (whole.len(), Digest::of(&whole).hex().as_str()),
        (
            457,
            "c40fc063bbdceff3d1ad4b883b92a69b07043a6556a3267721e0cfd00d19c6a1"
        )
    );
}

/// The field is added to what was there, so that records with a listing are read by those who know
/// none, and the others stay as they are.
#[test]
fn a_listing_is_named_in_the_record_and_to_the_server() {
    let listed = RemoteLayer {
        listing: vec![chunk(3), chunk(4)],
        ..layer(vec![chunk(1), chunk(2)])
    };
    let listed_base = RemoteLayer {
        listing: vec![chunk(5)],
        ..base(Digest::of(b"base"))
    };
    let whole = encode(&key(), &record(vec![listed_base, listed]));
    assert_eq!(
        (whole.len(), Digest::of(&whole).hex().as_str()),
        (
            1083,
            "d76a196d0ff600117a5b5a2c315a1b46257914df2fb49ef2341d850e7afd974d"
        )
    );
    let result = ActionResult::decode(whole.as_slice()).unwrap();
    let files = result.output_files.iter();
    let files: Vec<(&str, String)> = files
        .map(|file| (file.path.as_str(), file.digest.clone().unwrap().hash))
        .collect();
    assert_eq!(
        files,
        [
            ("listings/000/000000", chunk(5).stored.hex()),
            ("listings/001/000000", chunk(3).stored.hex()),
            ("listings/001/000001", chunk(4).stored.hex()),
        ]
    );
    let read = decode(&key(), &whole).unwrap();
    assert_eq!(read.layers[1].listing, [chunk(3), chunk(4)]);
    // Who rewrote the record without the files knew no listings; it holds all the same.
    let bare = ActionResult {
        output_files: Vec::new(),
        ..result
    };
    assert_eq!(decode(&key(), &bare.encode_to_vec()), Ok(read));
}

#[test]
fn a_listing_that_is_too_large_is_refused() {
    let huge = Chunk {
        raw_size: u32::try_from(MAX_CHUNK).unwrap(),
        ..chunk(1)
    };
    let listed = |n: usize| RemoteLayer {
        listing: vec![huge; n],
        ..layer(vec![chunk(1)])
    };
    let most = usize::try_from(crate::remote::MAX_LISTING).unwrap() / MAX_CHUNK;
    let read = |n| decode(&key(), &encode(&key(), &record(vec![listed(n)])));
    assert!(read(most).is_ok());
    assert_eq!(read(most + 1), Err(DecodeError::Layer(0)));
}

#[test]
fn another_key_is_not_answered() {
    let bytes = encode(&key(), &record(Vec::new()));
    assert_eq!(decode(&Digest::of(b"other"), &bytes), Err(DecodeError::Key));
}

#[test]
fn what_cannot_be_is_refused() {
    let cases: Vec<(&str, DecodeError, Vec<u8>)> = vec![
        ("not a message", DecodeError::Form, b"\xff\xff".to_vec()),
        ("too large", DecodeError::Form, vec![0; MAX_BODY + 1]),
        ("empty", DecodeError::Foreign, Vec::new()),
        (
            "a result of Bazel",
            DecodeError::Foreign,
            changed(|result, _| result.execution_metadata = None),
        ),
        (
            "two records in one",
            DecodeError::Foreign,
            changed(|result, _| {
                let metadata = result.execution_metadata.as_mut().unwrap();
                let note = metadata.auxiliary_metadata[0].clone();
                metadata.auxiliary_metadata.push(note);
            }),
        ),
        (
            "many layers",
            DecodeError::Layer(MAX_LAYERS),
            changed(|_, p| p.layers = vec![PayloadLayer::default(); MAX_LAYERS + 1]),
        ),
        (
            "a failed action",
            DecodeError::Trees,
            changed(|result, _| result.exit_code = 1),
        ),
        (
            "trees that the server did not look at",
            DecodeError::Trees,
            changed(|result, _| result.output_directories.clear()),
        ),
        (
            "chunks that are in no tree",
            DecodeError::Trees,
            changed(|_, p| p.layers[0].chunks[40] ^= 1),
        ),
    ];
    for (name, error, bytes) in cases {
        assert_eq!(decode(&key(), &bytes), Err(error), "{name}");
    }
}

#[test]
fn layers_that_cannot_be_are_refused() {
    let cases: Vec<(&str, Vec<u8>)> = vec![
        (
            "half a digest",
            changed(|_, p| p.layers[0].diff_id.truncate(31)),
        ),
        (
            "half a chunk",
            changed(|_, p| p.layers[0].chunks.truncate(100)),
        ),
        ("another size", changed(|_, p| p.layers[0].size += 1)),
        (
            "no chunks",
            changed(|_, p| (p.layers[0].chunks, p.layers[0].size) = (Vec::new(), 0)),
        ),
        (
            "a chunk of no bytes",
            changed(|_, p| {
                p.layers[0].chunks[64..68].fill(0);
                p.layers[0].size -= 2;
            }),
        ),
        (
            "a chunk of 4 GiB",
            changed(|_, p| p.layers[0].chunks[68..72].fill(255)),
        ),
        (
            "more than a second of nanoseconds",
            changed(|_, p| p.layers[0].created_nanos = 1_000_000_000),
        ),
    ];
    for (name, bytes) in cases {
        let refused = Err(DecodeError::Layer(0));
        assert_eq!(decode(&key(), &bytes), refused, "{name}");
    }
}

#[test]
fn what_others_add_is_borne() {
    let bytes = changed(|result, _| {
        result.stdout_raw = b"text".to_vec();
        let metadata = result.execution_metadata.as_mut().unwrap();
        metadata.worker = "elsewhere".to_owned();
        metadata.auxiliary_metadata.insert(0, Any::default());
    });
    let expected = record(vec![layer(vec![chunk(1), chunk(2)])]);
    assert_eq!(decode(&key(), &bytes), Ok(expected));
}

fn any_chunk() -> impl Strategy<Value = Chunk> {
    let sizes = (1..=MAX_CHUNK, 1..=MAX_STORED);
    (any::<[u8; 32]>(), any::<[u8; 32]>(), sizes).prop_map(|(raw, stored, sizes)| Chunk {
        raw: Digest::from_bytes(raw),
        raw_size: u32::try_from(sizes.0).unwrap(),
        stored: Digest::from_bytes(stored),
        stored_size: u32::try_from(sizes.1).unwrap(),
    })
}

fn any_record() -> impl Strategy<Value = RemoteRecord> {
    let chunks = proptest::collection::vec(any_chunk(), 1..5);
    let layers = (chunks, any::<(i64, [u8; 32])>(), 0..1_000_000_000_u32);
    let blob = any::<(bool, [u8; 32])>();
    let layers =
        (layers, blob).prop_map(|((chunks, (secs, diff_id), nanos), (is_base, digest))| {
            RemoteLayer {
                listing: chunks.clone(),
                created: Timestamp::new(secs, nanos),
                diff_id: Digest::from_bytes(diff_id),
                ..if is_base {
                    base(Digest::from_bytes(digest))
                } else {
                    layer(chunks)
                }
            }
        });
    let layers = proptest::collection::vec(layers, 0..4);
    let reduced = proptest::option::of(".{0,9}");
    let made_of = proptest::collection::vec(any::<[u8; 32]>().prop_map(Digest::from_bytes), 0..3);
    let parts = (layers, any::<u64>(), reduced, made_of);
    parts.prop_map(|(layers, duration_ms, reduced, made_of)| RemoteRecord {
        made_of,
        layers,
        duration_ms,
        fidelity: reduced.map_or(Fidelity::Full, |reason| Fidelity::Reduced { reason }),
    })
}

proptest! {
    #[test]
    fn records_round_trip(record in any_record(), key in any::<[u8; 32]>()) {
        let key = Digest::from_bytes(key);
        prop_assert_eq!(decode(&key, &encode(&key, &record)), Ok(record));
    }

    #[test]
    fn no_bytes_do_harm(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(decode(&key(), &bytes).is_err());
    }

    /// A change anywhere is noticed, or is in what nobody reads.
    #[test]
    fn changed_records_do_no_harm(
        record in any_record(),
        place in any::<proptest::sample::Index>(),
        bits in 1..=255_u8,
        cut in any::<bool>(),
    ) {
        let mut bytes = encode(&key(), &record);
        let place = place.index(bytes.len());
        bytes[place] ^= bits;
        if cut {
            bytes.truncate(place);
        }
        if let Ok(found) = decode(&key(), &bytes) {
            prop_assert_eq!(found, record);
        }
    }
}
