use crate::listing::{Item, items_of_tar, listing_of_tar};
use acetate_oci::{Digest, HistoryEntry, ImageConfig, Index, Manifest};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

/// An OCI layout directory that was written, read back without any of the program's own code for it.
#[derive(Debug)]
pub struct Layout {
    /// Where it is.
    pub dir: PathBuf,
    /// The index.
    pub index: Index,
    /// The first manifest.
    pub manifest: Manifest,
    /// Its config.
    pub config: ImageConfig,
    /// The uncompressed layers, bottom first, which outlive the directory.
    tars: Vec<Vec<u8>>,
}

impl Layout {
    /// Reads a layout and checks the digest of everything that its first manifest names.
    ///
    /// # Panics
    /// When anything is wrong with it.
    #[track_caller]
    pub fn read(dir: &Path) -> Self {
        Self::read_nth(dir, 0)
    }

    /// The same for another manifest of the index.
    ///
    /// # Panics
    /// When anything is wrong with it.
    #[track_caller]
    pub fn read_nth(dir: &Path, n: usize) -> Self {
        let mut index: Index = parse(&std::fs::read(dir.join("index.json")).expect("an index"));
        let mut bytes = checked(
            dir,
            index.manifests[n.min(index.manifests.len() - 1)].digest,
        );
        if let Ok(inner) = serde_json::from_slice::<Index>(&bytes) {
            // Several platforms under one name are an index in the index.
            index = inner;
            bytes = checked(dir, index.manifests[n].digest);
        }
        let manifest: Manifest = parse(&bytes);
        let config: ImageConfig = parse(&checked(dir, manifest.config.digest));
        let layers = manifest.layers.iter();
        let tars = layers
            .map(|layer| inflate(checked(dir, layer.digest)))
            .collect();
        let layout = Self {
            dir: dir.to_owned(),
            index,
            manifest,
            config,
            tars,
        };
        let diff_ids: Vec<Digest> = layout.tars.iter().map(|tar| Digest::of(tar)).collect();
        assert_eq!(diff_ids, layout.config.rootfs.diff_ids);
        let with_layer = layout
            .config
            .history
            .iter()
            .filter(|entry| !entry.empty_layer);
        assert_eq!(
            with_layer.count(),
            layout.n_layers(),
            "{:#?}",
            layout.config.history
        );
        layout
    }

    /// Unpacks an archive of a layout beside it and reads that.
    ///
    /// # Panics
    /// When it is broken.
    #[track_caller]
    pub fn read_archive(archive: &Path) -> Self {
        let dir = archive.with_extension("unpacked");
        let bytes = std::fs::read(archive).expect("an archive");
        tar::Archive::new(&bytes[..])
            .unpack(&dir)
            .expect("a whole archive");
        Self::read(&dir)
    }

    /// How many layers the image has.
    pub fn n_layers(&self) -> usize {
        self.manifest.layers.len()
    }

    /// The digest of the manifest.
    pub fn digest(&self) -> Digest {
        self.index.manifests[0].digest
    }

    /// The uncompressed tar of a layer.
    pub fn tar(&self, n: usize) -> &[u8] {
        &self.tars[n]
    }

    /// The entries of a layer.
    pub fn items(&self, n: usize) -> Vec<Item> {
        items_of_tar(self.tar(n))
    }

    /// The listing of a layer, one line an entry: kind, mode, owner, size, path, link.
    pub fn listing(&self, n: usize) -> String {
        listing_of_tar(self.tar(n))
    }

    /// The listings of the layers above the base's single one.
    pub fn listings(&self) -> String {
        let listing = |n: usize| format!("-- {n}\n{}", self.listing(n));
        (1..self.n_layers()).map(listing).collect()
    }

    /// An entry, from the topmost layer that has it.
    ///
    /// # Panics
    /// When no layer has it.
    #[track_caller]
    pub fn item(&self, path: &str) -> Item {
        let layers = (0..self.n_layers()).rev();
        let mut found = layers
            .flat_map(|n| self.items(n))
            .filter(|item| item.path.trim_end_matches('/') == path);
        found
            .next()
            .unwrap_or_else(|| panic!("no layer has `{path}`"))
    }

    /// The content of a file, from the topmost layer that has it.
    #[track_caller]
    pub fn file(&self, path: &str) -> String {
        String::from_utf8_lossy(&self.item(path).content).into_owned()
    }

    /// True when any layer names the path.
    pub fn has(&self, path: &str) -> bool {
        let mut items = (0..self.n_layers()).flat_map(|n| self.items(n));
        items.any(|item| item.path.trim_end_matches('/') == path)
    }

    /// The history above the base's single line: `*` marks a layer.
    pub fn history(&self) -> String {
        let line = |entry: &HistoryEntry| {
            let mark = if entry.empty_layer { ' ' } else { '*' };
            format!("{mark} {}\n", entry.created_by)
        };
        self.config.history.iter().skip(1).map(line).collect()
    }

    /// The environment as a map.
    pub fn env(&self) -> BTreeMap<String, String> {
        let pairs = self
            .config
            .config
            .env
            .iter()
            .filter_map(|line| line.split_once('='));
        pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }
}

/// Takes gzip and zstd away, as their magic bytes say.
fn inflate(bytes: Vec<u8>) -> Vec<u8> {
    let mut out = Vec::new();
    if bytes.starts_with(&[0x1f, 0x8b]) {
        flate2::read::MultiGzDecoder::new(&bytes[..])
            .read_to_end(&mut out)
            .expect("gzip");
    } else if bytes.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        zstd::stream::copy_decode(&bytes[..], &mut out).expect("zstd");
    } else {
        out = bytes;
    }
    out
}

#[track_caller]
fn checked(dir: &Path, digest: Digest) -> Vec<u8> {
    let bytes = std::fs::read(dir.join("blobs/sha256").join(digest.hex())).expect("a blob");
    assert_eq!(Digest::of(&bytes), digest);
    bytes
}

#[track_caller]
fn parse<T: for<'de> serde::Deserialize<'de>>(bytes: &[u8]) -> T {
    serde_json::from_slice(bytes).expect("JSON of the right shape")
}
