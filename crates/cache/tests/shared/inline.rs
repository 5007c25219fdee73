//! Records in the config of an image.

use acetate_cache::layout::{INLINE_FIELD, InlineCache};
use acetate_cache::remote::{Cause, LayerForm, Lost, Publication};
use acetate_cache::{Fidelity, SharedCache};
use acetate_image::{Image, ImageLayer, Style, assemble};
use acetate_oci::{
    Descriptor, Digest, HistoryEntry, ImageConfig, MediaType, Timestamp, canonical_json,
};
use serde_json::Value;

use crate::support::{content, definition, hint, noise, publication};

fn layer(tar: &[u8], packed: &[u8]) -> ImageLayer {
    ImageLayer {
        descriptor: Descriptor::of(MediaType::OCI_LAYER_GZIP, packed),
        diff_id: Digest::of(tar),
    }
}

fn image(layers: Vec<ImageLayer>, records: Option<Value>) -> Image {
    let mut config = ImageConfig::scratch(&"linux/amd64".parse().unwrap());
    let history = (1..).zip(&layers).map(|(n, _)| HistoryEntry {
        created: Some(Timestamp::from_secs(n)),
        ..HistoryEntry::default()
    });
    let history = history.collect();
    if let Some(records) = records {
        config.extra.insert(INLINE_FIELD.to_owned(), records);
    }
    assemble(config, history, layers, Style::Oci).unwrap()
}

fn three() -> ([Vec<u8>; 3], Vec<ImageLayer>) {
    let tars = [noise(1, 3000), noise(2, 3000), noise(3, 3000)];
    let packed = [&b"one"[..], b"two", b"three"];
    let layers = tars
        .iter()
        .zip(packed)
        .map(|(tar, packed)| layer(tar, packed));
    let layers = layers.collect();
    (tars, layers)
}

fn results(tars: &[Vec<u8>; 3]) -> Vec<Publication> {
    let mut two = publication("two", &[&tars[0], &tars[1]]);
    two.keys.extend([content("two"), hint("two")]);
    two.made_of = vec![Digest::of(b"input")];
    let three = publication("three", &[&tars[0], &tars[1], &tars[2]]);
    let copied = publication("copied", &[&tars[2]]);
    let elsewhere = publication("elsewhere", &[&tars[0], b"not in the image"]);
    let mut weak = publication("weak", &[&tars[0]]);
    weak.fidelity = Fidelity::Reduced { reason: "x".into() };
    vec![two, three, copied, elsewhere, weak]
}

#[tokio::test]
async fn records_travel_with_the_image() {
    let (tars, layers) = three();
    let diff_ids: Vec<Digest> = layers.iter().map(|layer| layer.diff_id).collect();
    let records = InlineCache::encode(&results(&tars), &diff_ids).unwrap();
    let image = image(layers, Some(records));
    // As it comes from a registry.
    let config: ImageConfig = serde_json::from_slice(&image.config_bytes).unwrap();
    let cache = InlineCache::read("app:1", &config, &image.manifest.layers);
    assert_eq!((cache.len(), cache.is_empty()), (4, false));
    let keys = [
        definition("two"),
        content("two"),
        hint("two"),
        definition("three"),
        definition("copied"),
        definition("elsewhere"),
        definition("weak"),
    ];
    let hits = cache.lookup(&keys).await;
    let n_layers: Vec<Option<usize>> = hits
        .iter()
        .map(|hit| hit.as_ref().map(|hit| hit.record.layers.len()))
        .collect();
    assert_eq!(
        n_layers,
        [Some(2), None, Some(0), Some(3), Some(1), None, None]
    );
    let record = &hits[0].as_ref().unwrap().record;
    assert_eq!(record.made_of, []);
    for ((n, layer), secs) in record.layers.iter().enumerate().zip(1..) {
        assert_eq!(
            layer.form,
            LayerForm::Blob(image.layers[n].descriptor.clone())
        );
        assert_eq!((layer.diff_id, layer.size), (diff_ids[n], 3000));
        assert_eq!(layer.created, Timestamp::from_secs(secs));
        assert!(matches!(cache.fetch(layer).await, Err(Lost::Elsewhere)));
    }
    assert_eq!(cache.name(), "image:app:1");
    assert_eq!(cache.close().await.warnings, []);
}

#[test]
fn two_builds_of_the_same_give_the_same_image() {
    let (tars, layers) = three();
    let diff_ids: Vec<Digest> = layers.iter().map(|layer| layer.diff_id).collect();
    let first = results(&tars);
    let mut second = results(&tars);
    second.reverse();
    for result in &mut second {
        result.duration_ms += 17;
        for layer in &mut result.layers {
            layer.created = Timestamp::from_secs(5);
        }
    }
    let [first, second] = [first, second].map(|results| {
        let records = InlineCache::encode(&results, &diff_ids);
        image(layers.clone(), records).config_bytes
    });
    assert_eq!(first, second);
}

#[test]
fn the_form_is_the_one_that_was_recorded() {
    let tar = b"tar".to_vec();
    let records = InlineCache::encode(&[publication("a", &[&tar])], &[Digest::of(&tar)]);
    let text = String::from_utf8(canonical_json(&records.unwrap())).unwrap();
    let (key, diff_id) = (definition("a"), Digest::of(&tar));
    let expected = format!(
        r#"{{"chains":[{{"layer":0}}],"layers":[{{"blob":0,"diffId":"{diff_id}","size":3}}],"records":[{{"chain":0,"key":"{}","kind":"definition","output":0}}]}}"#,
        key.digest()
    );
    assert_eq!(text, expected);
}

#[test]
fn nothing_to_say_is_not_said() {
    let (tars, _) = three();
    assert_eq!(InlineCache::encode(&results(&tars), &[]), None);
    assert_eq!(InlineCache::encode(&[], &[Digest::of(&tars[0])]), None);
    let many: Vec<Publication> = (0..10_000)
        .map(|n| publication(&n.to_string(), &[&tars[0]]))
        .collect();
    assert_eq!(InlineCache::encode(&many, &[Digest::of(&tars[0])]), None);
}

#[tokio::test]
async fn what_does_not_fit_is_a_miss_with_one_warning() {
    let (tars, layers) = three();
    let diff_ids: Vec<Digest> = layers.iter().map(|layer| layer.diff_id).collect();
    let good = InlineCache::encode(&results(&tars), &diff_ids).unwrap();
    let cases: Vec<(Value, Vec<ImageLayer>)> = vec![
        (Value::from("text"), layers.clone()),
        (
            serde_json::json!({"layers": [], "chains": [{"layer": 0}], "records": []}),
            layers.clone(),
        ),
        (
            serde_json::json!({"layers": [], "chains": [], "records": [{"kind": "hint", "key": diff_ids[0], "output": 0, "chain": 3}]}),
            layers.clone(),
        ),
        (good.clone(), layers[..2].to_vec()),
        (good, layers.iter().rev().cloned().collect()),
    ];
    for (records, layers) in cases {
        let image = image(layers, Some(records.clone()));
        let cache = InlineCache::read("app:1", &image.config, &image.manifest.layers);
        assert!(
            cache.lookup(&[definition("two")]).await[0].is_none(),
            "{records}"
        );
        let warnings = cache.close().await.warnings;
        assert_eq!(warnings.len(), 1, "{records}");
        assert_eq!(warnings[0].cause, Cause::Damaged);
    }
    // One without records is none.
    let plain = image(layers.clone(), None);
    let cache = InlineCache::read("app:1", &plain.config, &plain.manifest.layers);
    assert!(cache.is_empty() && cache.close().await.warnings.is_empty());
    let mut newer = plain.config;
    newer.extra.insert("acetate.cache.v7".into(), Value::Null);
    let cache = InlineCache::read("app:1", &newer, &plain.manifest.layers);
    let warnings = cache.close().await.warnings;
    assert!(
        warnings[0].text.contains("use a newer acetate"),
        "{warnings:?}"
    );
}
