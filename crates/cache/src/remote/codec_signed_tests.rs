use std::sync::LazyLock;

use acetate_cache_api::Namespace;
use proptest::prelude::*;

use super::super::sign::{Distrust, Found, Signer, Trust, TrustedKeys};
use super::*;

const NOW: i64 = 1_800_000_000;

/// The key of the first example of RFC 8032.
const SEED: &str = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";
const PUBLIC: &str = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
/// The second example.
const OTHER_SEED: &str = "TM0Imyj/ltqdtsNG7BFOD1uKMZ81q6Yk2oz27U+4pvs=";

static TRUST: LazyLock<Trust> =
    LazyLock::new(|| Trust::require(TrustedKeys::parse(&format!("{PUBLIC} main")).unwrap()));

fn signer(seed: &str) -> SigningKey {
    SigningKey::parse(seed).unwrap()
}

fn key() -> Digest {
    Digest::of(b"key")
}

fn statement() -> Statement {
    Statement {
        namespace: "org/repo".to_owned(),
        builder: "job 7".to_owned(),
        time: NOW - 60,
    }
}

fn record() -> RemoteRecord {
    let chunk = |n: u8| Chunk {
        raw: Digest::of(&[1, n]),
        raw_size: u32::from(n),
        stored: Digest::of(&[2, n]),
        stored_size: u32::from(n) + 1,
    };
    let layer = |form| RemoteLayer {
        diff_id: Digest::of(b"tar"),
        size: 12,
        created: Timestamp::new(-5, 7),
        form,
        listing: Vec::new(),
    };
    let blob = Descriptor::new(MediaType::OCI_LAYER, Digest::of(b"blob"), 9);
    RemoteRecord {
        layers: vec![
            layer(LayerForm::Blob(blob)),
            layer(LayerForm::Chunks(vec![chunk(5), chunk(7)])),
        ],
        duration_ms: 1234,
        fidelity: Fidelity::Full,
        made_of: vec![Digest::of(b"parent")],
    }
}

fn signed() -> Vec<u8> {
    encode_signed(&key(), &record(), statement(), &signer(SEED))
}

/// What a reader of `org/repo` makes of an envelope.
fn judge(sealed: &Sealed) -> Result<Signer, Distrust> {
    let own: Namespace = "org/repo".parse().unwrap();
    let found = Found {
        own: &own,
        claimed: None,
        now: NOW,
    };
    TRUST.verify(sealed, found)
}

fn wrong() -> Distrust {
    Distrust::Wrong("21fe31dfa154a261626bf854046fd227".to_owned())
}

/// Whoever changes these bytes makes all signed records void, and raises the version in
/// `PAYLOAD_TYPE`.
#[test]
fn the_form_is_fixed() {
    let bytes = signed();
    assert_eq!(
        (bytes.len(), Digest::of(&bytes).hex().as_str()),
        (
            738,
            "e1b0f539657d86832706ef6e6495397ba7ba74ca77d60acd64a097ca5031ec2c"
        )
    );
    let opened = open(&key(), &bytes).unwrap();
    let sig = &opened.sealed.envelope.signatures[0].sig;
    let hex: String = sig.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        hex,
        "db3897eb56e46989d93f47c4eca2f2296e382fd4cd21bab18d46747bf365c9ad\
         305bc35e401d3122e89932daae7d5a4152df14c69ec0449599f66179c182690a"
    );
}

#[test]
fn what_is_signed_is_read_again() {
    let opened = open(&key(), &signed()).unwrap();
    assert_eq!(opened.record, record());
    assert_eq!(decode(&key(), &signed()), Ok(record()));
    let found = judge(&opened.sealed).unwrap();
    assert_eq!(
        found,
        Signer {
            id: "21fe31dfa154a261626bf854046fd227".to_owned(),
            name: Some("main".to_owned()),
            builder: "job 7".to_owned(),
            time: Timestamp::from_secs(NOW - 60),
        }
    );
}

#[test]
fn a_server_that_writes_records_anew_does_no_harm() {
    let mut result = ActionResult::decode(signed().as_slice()).unwrap();
    let metadata = result.execution_metadata.as_mut().unwrap();
    metadata.worker = "elsewhere".to_owned();
    metadata.auxiliary_metadata.reverse();
    result.stdout_raw = b"text".to_vec();
    let opened = open(&key(), &result.encode_to_vec()).unwrap();
    assert!(judge(&opened.sealed).is_ok());
}

type Change = fn(&mut Payload);

/// Every field that there is. A new one does not compile until it is listed.
fn changes() -> Vec<(&'static str, Change)> {
    let Payload {
        key: _,
        duration_ms: _,
        reduced: _,
        layers: _,
        made_of: _,
        statement: _,
    } = Payload::default();
    let PayloadLayer {
        diff_id: _,
        size: _,
        created_secs: _,
        created_nanos: _,
        chunks: _,
        blob: _,
        listing: _,
    } = PayloadLayer::default();
    let PayloadBlob {
        media_type: _,
        digest: _,
        size: _,
    } = PayloadBlob::default();
    let Statement {
        namespace: _,
        builder: _,
        time: _,
    } = Statement::default();
    vec![
        ("key", |p| p.key[0] ^= 1),
        ("duration", |p| p.duration_ms += 1),
        ("reduced", |p| p.reduced = Some(String::new())),
        ("listing", |p| p.layers[1].listing = vec![0; 72]),
        ("a layer less", |p| {
            p.layers.pop();
        }),
        ("order of layers", |p| p.layers.reverse()),
        ("diff id", |p| p.layers[1].diff_id[31] ^= 1),
        ("size", |p| p.layers[1].size += 1),
        ("seconds", |p| p.layers[1].created_secs += 1),
        ("nanoseconds", |p| p.layers[1].created_nanos += 1),
        ("digest of a piece", |p| p.layers[1].chunks[0] ^= 1),
        ("digest of an object", |p| p.layers[1].chunks[32] ^= 1),
        ("sizes of a chunk", |p| p.layers[1].chunks[71] ^= 1),
        ("a chunk less", |p| p.layers[1].chunks.truncate(CHUNK_LEN)),
        ("no blob", |p| p.layers[0].blob = None),
        ("media type", |p| blob(p).media_type.push('x')),
        ("digest of the blob", |p| blob(p).digest[0] ^= 1),
        ("size of the blob", |p| blob(p).size += 1),
        ("made of", |p| p.made_of[0][0] ^= 1),
        ("made of nothing", |p| p.made_of.clear()),
        ("no statement", |p| p.statement = None),
        ("namespace", |p| said(p).namespace.push('x')),
        ("no namespace", |p| said(p).namespace.clear()),
        ("builder", |p| said(p).builder.push('x')),
        ("time", |p| said(p).time += 1),
    ]
}

fn blob(payload: &mut Payload) -> &mut PayloadBlob {
    payload.layers[0].blob.as_mut().unwrap()
}

fn said(payload: &mut Payload) -> &mut Statement {
    payload.statement.as_mut().unwrap()
}

#[test]
fn every_field_is_signed() {
    let good = open(&key(), &signed()).unwrap().sealed;
    for (name, change) in changes() {
        let mut payload = Payload::decode(good.envelope.payload.as_slice()).unwrap();
        let before = payload.clone();
        change(&mut payload);
        assert_ne!(payload, before, "{name}");
        let mut sealed = good.clone();
        sealed.statement.clone_from(&payload.statement);
        sealed.envelope.payload = payload.encode_to_vec();
        assert_eq!(judge(&sealed), Err(wrong()), "{name}");
    }
    let mut sealed = good;
    sealed.envelope.payload_type.push('x');
    assert_eq!(judge(&sealed), Err(wrong()));
}

#[test]
fn a_record_of_another_type_is_not_read() {
    let opened = open(&key(), &signed()).unwrap();
    let mut envelope = opened.sealed.envelope;
    envelope.payload_type = "application/json".to_owned();
    let bytes = body(&opened.record, &envelope.sign(&signer(SEED)));
    assert_eq!(open(&key(), &bytes), Err(DecodeError::Foreign));
}

#[test]
fn one_good_signature_is_enough() {
    let other = signer(OTHER_SEED);
    let sealed = |envelope| Sealed {
        envelope,
        statement: Some(statement()),
    };
    let bare = || Envelope::unsigned(payload(&key(), &record(), Some(statement())));
    assert_eq!(judge(&sealed(bare())), Err(Distrust::Unsigned));
    let by_other = bare().sign(&other);
    assert_eq!(judge(&sealed(by_other.clone())), Err(Distrust::UnknownKey));
    let by_both = by_other.sign(&signer(SEED));
    assert!(judge(&sealed(by_both.clone())).is_ok());
    // A signature under the name of another key, none, half a one, and too many.
    let mut named = bare().sign(&other);
    named.signatures[0].keyid = by_both.signatures[1].keyid.clone();
    assert_eq!(judge(&sealed(named)), Err(wrong()));
    let mut nameless = by_both.clone();
    nameless.signatures[1].keyid.clear();
    assert_eq!(judge(&sealed(nameless)), Err(Distrust::UnknownKey));
    let mut half = by_both.clone();
    half.signatures[1].sig.truncate(32);
    assert_eq!(judge(&sealed(half)), Err(wrong()));
    let many = (0..8).fold(by_both, |envelope, _| envelope.sign(&other));
    assert_eq!(judge(&sealed(many)), Err(Distrust::TooMany));
}

#[test]
fn a_signature_that_says_nothing_of_its_place_is_none() {
    let envelope = Envelope::unsigned(payload(&key(), &record(), None)).sign(&signer(SEED));
    let opened = open(&key(), &body(&record(), &envelope)).unwrap();
    assert_eq!(judge(&opened.sealed), Err(Distrust::Nowhere));
}

#[test]
fn an_envelope_is_given_on_for_its_own_key_only() {
    let opened = open(&key(), &signed()).unwrap();
    let envelope = opened.sealed.envelope.encode_to_vec();
    let again = rewrap(&key(), &envelope).unwrap();
    assert_eq!(again.body, signed());
    assert_eq!(again.record, record());
    let other = rewrap(&Digest::of(b"other"), &envelope);
    assert_eq!(other.unwrap_err(), DecodeError::Key);
}

proptest! {
    #[test]
    fn no_envelope_does_harm(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(rewrap(&key(), &bytes).is_err());
        let sealed = [Digest::of(&bytes).as_bytes(), bytes.as_slice()].concat();
        if let Some(envelope) = unseal(&sealed) {
            let sealed = Sealed { envelope, statement: None };
            prop_assert!(judge(&sealed).is_err());
        }
    }

    /// Whatever is changed, cut or put in: what is still trusted is what was signed.
    #[test]
    fn changed_records_are_not_trusted(
        place in any::<proptest::sample::Index>(),
        bits in 1..=255_u8,
        cut in any::<bool>(),
        reseal in any::<bool>(),
    ) {
        let mut envelope = open(&key(), &signed()).unwrap().sealed.envelope.encode_to_vec();
        let place = place.index(envelope.len());
        envelope[place] ^= bits;
        if cut {
            envelope.truncate(place);
        }
        let mut result = ActionResult::decode(signed().as_slice()).unwrap();
        let notes = &mut result.execution_metadata.as_mut().unwrap().auxiliary_metadata;
        let digest = if reseal { Digest::of(&envelope) } else { Digest::of(b"") };
        notes[0].value = [digest.as_bytes(), envelope.as_slice()].concat();
        if let Ok(opened) = open(&key(), &result.encode_to_vec())
            && judge(&opened.sealed).is_ok()
        {
            prop_assert_eq!(opened.record, record());
            prop_assert_eq!(opened.sealed.statement, Some(statement()));
        }
    }
}
