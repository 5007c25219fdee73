//! Reads manifests and indexes, and refuses what could be read as both.

use acetate_oci::{Descriptor, Digest, Index, Manifest};
use serde_json::Value;

use crate::ImageError;

pub(crate) use acetate_registry::MANIFEST_LIMIT;
/// The largest image configuration that is read, in bytes.
pub(crate) const CONFIG_LIMIT: u64 = 8 << 20;
/// The most layers an image may have; the file systems below allow fewer at a time.
pub(crate) const LAYER_LIMIT: usize = 1000;
/// The most entries of an index that are looked at.
const ENTRY_LIMIT: usize = 4096;

/// What a manifest digest may stand for.
#[derive(Clone, Debug)]
pub(crate) enum Document {
    /// Several manifests.
    Index(Index),
    /// One image.
    Manifest(Box<Manifest>),
}

/// What a document is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To be used as an image: every layer has to be one.
    Use,
    /// To be carried on as it is.
    Carry,
}

impl Purpose {
    /// Parses a document; `name` goes into errors.
    pub(crate) fn parse(self, bytes: &[u8], name: &str) -> Result<Document, ImageError> {
        match self {
            Self::Use => parse(bytes, name),
            Self::Carry => parse_any(bytes, name),
        }
    }
}

/// Parses the document of an image; `name` goes into errors.
pub(crate) fn parse(bytes: &[u8], name: &str) -> Result<Document, ImageError> {
    let document = parse_any(bytes, name)?;
    if let Document::Manifest(manifest) = &document {
        check_layers(manifest, name)?;
    }
    Ok(document)
}

/// Parses a document that is only carried: what its manifests hold need not be layers.
fn parse_any(bytes: &[u8], name: &str) -> Result<Document, ImageError> {
    let bad = |reason: String| ImageError::corrupt(name, reason);
    let value: Value = serde_json::from_slice(bytes).map_err(|error| bad(error.to_string()))?;
    let has = |key: &str| value.get(key).is_some();
    if value.get("schemaVersion") == Some(&Value::from(1)) {
        return Err(ImageError::unsupported(
            name,
            "its format, schema 1, is from before 2016",
        ));
    }
    // One text must have one meaning, whatever type the sender claims (CVE-2021-41190).
    match (has("manifests"), has("config") || has("layers")) {
        (true, true) => Err(bad("it is an index and a manifest at once".to_owned())),
        (true, false) => {
            let index: Index =
                serde_json::from_value(value).map_err(|error| bad(error.to_string()))?;
            if index
                .media_type
                .as_ref()
                .is_some_and(|kind| !kind.is_index())
            {
                return Err(bad("an index names another media type".to_owned()));
            }
            if index.manifests.len() > ENTRY_LIMIT {
                return Err(bad(format!("an index of more than {ENTRY_LIMIT} entries")));
            }
            Ok(Document::Index(index))
        }
        (false, true) => {
            let manifest: Manifest =
                serde_json::from_value(value).map_err(|error| bad(error.to_string()))?;
            check_manifest(&manifest, name)?;
            Ok(Document::Manifest(Box::new(manifest)))
        }
        (false, false) => Err(bad("it is neither an index nor a manifest".to_owned())),
    }
}

fn check_manifest(manifest: &Manifest, name: &str) -> Result<(), ImageError> {
    if manifest
        .media_type
        .as_ref()
        .is_some_and(|kind| !kind.is_manifest())
    {
        return Err(ImageError::corrupt(
            name,
            "a manifest names another media type",
        ));
    }
    if manifest.layers.len() > LAYER_LIMIT {
        return Err(ImageError::corrupt(
            name,
            format!("more than {LAYER_LIMIT} layers"),
        ));
    }
    Ok(())
}

fn check_layers(manifest: &Manifest, name: &str) -> Result<(), ImageError> {
    match manifest
        .layers
        .iter()
        .find(|layer| !layer.media_type.is_layer())
    {
        None => Ok(()),
        Some(layer) => Err(ImageError::unsupported(
            name,
            format!(
                "layer `{}` has the unknown type `{}`",
                layer.digest, layer.media_type
            ),
        )),
    }
}

/// Checks bytes that claim to be a blob.
pub(crate) fn check_bytes(bytes: &[u8], expected: &Descriptor) -> Result<(), ImageError> {
    if bytes.len() as u64 != expected.size {
        return Err(ImageError::corrupt(
            format!("blob `{}`", expected.digest),
            format!("it has {} bytes instead of {}", bytes.len(), expected.size),
        ));
    }
    check_digest(bytes, expected.digest)
}

/// Checks the digest of bytes whose size nobody promised.
pub(crate) fn check_digest(bytes: &[u8], expected: Digest) -> Result<(), ImageError> {
    let found = Digest::of(bytes);
    if found == expected {
        return Ok(());
    }
    Err(ImageError::corrupt(
        format!("blob `{expected}`"),
        format!("its bytes have the digest `{found}`"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        parse(text.as_bytes(), "`x`").unwrap_err().to_string()
    }

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn one_text_has_one_meaning() {
        let both = r#"{"schemaVersion":2,"manifests":[],"layers":[]}"#;
        assert!(error(both).contains("at once"));
        assert!(error(r#"{"schemaVersion":2}"#).contains("neither"));
        assert!(error(r#"{"schemaVersion":1,"fsLayers":[]}"#).contains("schema 1"));
        assert!(error("[").contains("EOF"));
        let disguised = r#"{"schemaVersion":2,"manifests":[],
            "mediaType":"application/vnd.oci.image.manifest.v1+json"}"#;
        assert!(error(disguised).contains("another media type"));
    }

    #[test]
    fn layers_must_be_readable_and_few() {
        let config = format!(r#"{{"mediaType":"a/b","digest":"{DIGEST}","size":1}}"#);
        let layer =
            |kind: &str| format!(r#"{{"mediaType":"{kind}","digest":"{DIGEST}","size":0}}"#);
        let manifest = |layers: Vec<String>| {
            let layers = layers.join(",");
            format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{layers}]}}"#)
        };
        let tar = layer("application/vnd.oci.image.layer.v1.tar");
        assert!(parse(manifest(vec![tar.clone()]).as_bytes(), "`x`").is_ok());
        let odd = layer("application/vnd.oci.image.layer.v1.tar+gzip+encrypted");
        assert!(error(&manifest(vec![odd])).contains("unknown type"));
        assert!(error(&manifest(vec![tar; LAYER_LIMIT + 1])).contains("more than 1000 layers"));
    }
}
