//! Reads what `docker save` and its like write.

use std::io::{Cursor, Read};
use std::path::Path;

use acetate_oci::{Compression, Descriptor, Digest, ImageConfig, MediaType};
use acetate_registry::Progress;
use acetate_store::{Expect, Store, StoreError};
use serde::Deserialize;

use crate::ImageError;
use crate::assemble::{Image, Style};
use crate::document::{CONFIG_LIMIT, LAYER_LIMIT, MANIFEST_LIMIT};
use crate::layer::ImageLayer;
use crate::layout::Archive;
use crate::puller::Told;

/// An image of a docker archive, whose layers are in the store now.
#[derive(Clone, Debug)]
pub struct ArchivedImage {
    /// The names that the archive gives it, as they stand there.
    pub names: Vec<String>,
    /// The image; its configuration is that of the archive, byte for byte.
    pub image: Image,
}

/// An element of `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

/// Reads all images of a docker archive into the store; none when it is another archive. `progress`
/// hears of the layers, which it knows by their uncompressed digests.
///
/// Every layer is hashed and has to be the one that its image's configuration names. Blocks on disks.
///
/// # Errors
/// [`ImageError`]: what is missing, is larger than allowed, or does not have its digest.
pub fn read_docker_archive(
    path: &Path,
    store: &Store,
    progress: &dyn Progress,
) -> Result<Option<Vec<ArchivedImage>>, ImageError> {
    let archive = Archive::open(path)?;
    let reading = Reading {
        path,
        archive,
        store,
        progress,
    };
    let Some(bytes) = reading.small("manifest.json", MANIFEST_LIMIT)? else {
        return Ok(None);
    };
    let entries: Vec<Entry> = serde_json::from_slice(&bytes)
        .map_err(|error| ImageError::corrupt(reading.what("manifest.json"), error))?;
    let images = entries.into_iter().map(|entry| reading.image(entry));
    images.collect::<Result<_, _>>().map(Some)
}

struct Reading<'a> {
    path: &'a Path,
    archive: Archive,
    store: &'a Store,
    progress: &'a dyn Progress,
}

impl Reading<'_> {
    fn what(&self, name: &str) -> String {
        format!("`{}` in `{}`", clean(name), self.path.display())
    }

    fn missing(&self, name: &str) -> ImageError {
        ImageError::NotFound {
            what: format!("{}, which `manifest.json` names", self.what(name)),
        }
    }

    fn small(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>, ImageError> {
        let Some(blob) = self.archive.file(clean(name)) else {
            return Ok(None);
        };
        if blob.size > limit {
            let reason = format!("it has {} bytes, more than the limit of {limit}", blob.size);
            return Err(ImageError::corrupt(self.what(name), reason));
        }
        let (mut reader, mut bytes) = (blob.reader, Vec::new());
        reader
            .read_to_end(&mut bytes)
            .map_err(ImageError::io(self.path))?;
        Ok(Some(bytes))
    }

    fn image(&self, entry: Entry) -> Result<ArchivedImage, ImageError> {
        let name = &entry.config;
        let config = self.small(name, CONFIG_LIMIT)?;
        let config = config.ok_or_else(|| self.missing(name))?;
        self.check_name(name, Digest::of(&config))?;
        let parsed: ImageConfig = serde_json::from_slice(&config)
            .map_err(|error| ImageError::corrupt(self.what(name), error))?;
        let (paths, diff_ids) = (entry.layers.unwrap_or_default(), parsed.rootfs.diff_ids);
        if paths.len() != diff_ids.len() || paths.len() > LAYER_LIMIT {
            let reason = format!(
                "it names {} layers, `manifest.json` {}",
                diff_ids.len(),
                paths.len()
            );
            return Err(ImageError::corrupt(self.what(name), reason));
        }
        let layers = paths.iter().zip(diff_ids);
        let layers = layers.map(|(path, diff_id)| self.layer(path, diff_id));
        let layers = layers.collect::<Result<_, _>>()?;
        self.store.blobs().put(&config)?;
        Ok(ArchivedImage {
            names: entry.repo_tags.unwrap_or_default(),
            image: Image::of_config(config, layers, Style::Oci)?,
        })
    }

    /// A file that is named after its digest has to have it.
    fn check_name(&self, name: &str, found: Digest) -> Result<(), ImageError> {
        let last = name.rsplit('/').next().unwrap_or(name);
        let stem = last.strip_suffix(".json").unwrap_or(last);
        match Digest::from_hex(stem) {
            Ok(named) if named != found => {
                let reason = format!("its bytes have the digest `{found}`");
                Err(ImageError::corrupt(self.what(name), reason))
            }
            _ => Ok(()),
        }
    }

    fn layer(&self, name: &str, diff_id: Digest) -> Result<ImageLayer, ImageError> {
        let blob = self.archive.file(clean(name));
        let blob = blob.ok_or_else(|| self.missing(name))?;
        // What the blob is called is known when all of it was read.
        let shown = Descriptor::new(MediaType::OCI_LAYER, diff_id, blob.size);
        let mut reader = Told::new(blob.reader, &shown, self.progress);
        let mut head = Vec::new();
        (&mut reader)
            .take(4)
            .read_to_end(&mut head)
            .map_err(ImageError::io(self.path))?;
        let compression = Compression::of_bytes(&head);
        let expect = match compression {
            Compression::None => Expect::digest(diff_id),
            _ => Expect::ANY,
        };
        let kept = self
            .store
            .blobs()
            .ingest(Cursor::new(head).chain(reader), expect);
        let kept = kept.map_err(|error| match error {
            error @ StoreError::WrongDigest { .. } => ImageError::corrupt(self.what(name), error),
            error => error.into(),
        })?;
        let kind = MediaType::oci_layer(compression);
        let layer = ImageLayer {
            descriptor: Descriptor::new(kind, kept.digest, kept.size),
            diff_id,
        };
        if compression != Compression::None {
            self.check_content(&layer, name)?;
        }
        Ok(layer)
    }

    fn check_content(&self, layer: &ImageLayer, name: &str) -> Result<(), ImageError> {
        let reader = layer.open(self.store)?;
        let reader = reader.ok_or_else(|| self.missing(name))?;
        let checked = reader.finish();
        checked
            .map(drop)
            .map_err(|error| ImageError::corrupt(self.what(name), error))
    }
}

fn clean(name: &str) -> &str {
    name.trim_start_matches("./")
}

#[cfg(test)]
mod tests {
    use super::*;
    use acetate_registry::NoProgress;
    use std::io::Write;

    fn config(layers: &[&[u8]]) -> Vec<u8> {
        let ids = layers
            .iter()
            .map(|layer| format!("\"{}\"", Digest::of(layer)));
        let ids = ids.collect::<Vec<_>>().join(",");
        format!(
            r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":[{ids}]}}}}"#
        )
        .into_bytes()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        out.write_all(bytes).unwrap();
        out.finish().unwrap()
    }

    /// Reads an archive of these files: the images, or what is wrong.
    fn read(files: &[(&str, &[u8])]) -> Result<Option<Vec<ArchivedImage>>, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.tar");
        let mut tar = tar::Builder::new(std::fs::File::create(&path).unwrap());
        for (name, bytes) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, name, *bytes).unwrap();
        }
        tar.finish().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        read_docker_archive(&path, &store, &NoProgress).map_err(|error| error.to_string())
    }

    const MANIFEST: &[u8] =
        br#"[{"Config":"c.json","RepoTags":["a:1"],"Layers":["one.tar","./two.tar"]}]"#;

    #[test]
    fn layers_are_what_the_configuration_names() {
        let (config, two) = (config(&[b"one", b"two"]), gzip(b"two"));
        let good = [
            ("manifest.json", MANIFEST),
            ("c.json", &config),
            ("one.tar", b"one"),
            ("two.tar", &two),
        ];
        let images = read(&good).unwrap().unwrap();
        let image = &images[0].image;
        assert_eq!(images[0].names, ["a:1"]);
        assert_eq!(image.config_bytes, config);
        let kinds = [MediaType::OCI_LAYER, MediaType::OCI_LAYER_GZIP];
        let layers = image
            .layers
            .iter()
            .map(|it| it.descriptor.media_type.clone());
        assert!(layers.eq(kinds));
        for (at, bytes, words) in [
            (2, &b"other"[..], "trust `one.tar`"),
            (3, &gzip(b"other"), "trust `two.tar`"),
            (3, &two[..9], "trust `two.tar`"),
            (1, b"{}", "trust `c.json`"),
            (
                1,
                &self::config(&[b"one"]),
                "it names 1 layers, `manifest.json` 2",
            ),
            (0, b"[{", "trust `manifest.json`"),
        ] {
            let mut bad = good;
            bad[at].1 = bytes;
            let error = read(&bad).unwrap_err();
            assert!(error.contains(words), "{words}: {error}");
        }
        for gone in 1..4 {
            let mut bad = good.to_vec();
            let (name, _) = bad.remove(gone);
            let error = read(&bad).unwrap_err();
            assert!(
                error.contains(name) && error.contains("`manifest.json` names"),
                "{error}"
            );
        }
        assert!(read(&good[1..]).unwrap().is_none());
    }

    #[test]
    fn a_configuration_has_the_digest_that_its_name_says() {
        let config = config(&[]);
        let named = |digest: Digest| {
            let name = format!("{}.json", digest.hex());
            let manifest = format!(r#"[{{"Config":"{name}","RepoTags":null,"Layers":null}}]"#);
            let files = [("manifest.json", manifest.as_bytes()), (&name, &config)];
            read(&files).map(|images| images.unwrap().len())
        };
        assert_eq!(named(Digest::of(&config)), Ok(1));
        assert!(
            named(Digest::of(b"x"))
                .unwrap_err()
                .contains("its bytes have the digest")
        );
    }
}
