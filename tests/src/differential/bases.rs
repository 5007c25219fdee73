use super::case::Case;
use super::outcome::Below;
use super::tree::Tree;
use crate::base::{Base, write_layout};
use crate::listing::items_of_tar;
use acetate_oci::{ContainerConfig, Digest, Empty, Platform};
use serde_json::json;
use std::path::{Path, PathBuf};

/// The base images of the corpus, as layouts that a case names by their words.
#[derive(Debug)]
pub(super) struct Bases {
    layouts: Vec<(&'static str, String)>,
    pub(super) below: Vec<Below>,
}

impl Bases {
    /// Writes the layouts below `dir`.
    pub(super) fn write(dir: &Path) -> Self {
        let mut bases = Self {
            layouts: Vec::new(),
            below: Vec::new(),
        };
        let plain = Base {
            tar: mountable(Base::busybox().tar),
            ..Base::busybox()
        };
        let arm = plain.clone().on("linux/arm64");
        bases.add(dir, "base", std::slice::from_ref(&plain));
        bases.add(dir, "foreign", std::slice::from_ref(&arm));
        bases.add(dir, "multi", &[plain.clone(), arm]);
        bases.add(dir, "full", &[with(&plain, full())]);
        bases.add(dir, "trigger", &[with(&plain, trigger())]);
        bases
    }

    fn add(&mut self, dir: &Path, name: &'static str, images: &[Base]) {
        let layout = write_layout(&dir.join(name), images);
        let digest = root(&layout, images.len());
        let value = format!("{name}=oci-layout://{}@{digest}", layout.display());
        self.layouts.push((name, value));
        self.below.extend(images.iter().map(|image| Below {
            diff_ids: vec![Digest::of(&image.tar).to_string()],
            lines: Tree::of(&[items_of_tar(&image.tar)]).lines(),
        }));
    }

    /// The flags that give a case the bases that its texts name.
    pub(super) fn flags(&self, case: &Case) -> Vec<String> {
        let named = |name: &str| {
            let texts = case.files.iter().map(|file| file.text.as_str());
            texts
                .chain(case.args.iter().map(String::as_str))
                .any(|text| has_word(text, name))
        };
        let wanted = self.layouts.iter().filter(|(name, _)| named(name));
        wanted
            .map(|(_, value)| format!("--build-context={value}"))
            .collect()
    }
}

/// Adds the directories that every container has something mounted at, as real images have them:
/// BuildKit leaves those behind that it had to make.
fn mountable(mut tar: Vec<u8>) -> Vec<u8> {
    // Two blocks of zeros are the end of a tar.
    tar.truncate(tar.len() - 1024);
    let mut tar = tar::Builder::new(tar);
    for path in ["dev/", "proc/", "sys/"] {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Directory);
        header.set_mode(0o755);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_000_000_000);
        header.set_size(0);
        tar.append_data(&mut header, path, std::io::empty())
            .expect("a tar in memory");
    }
    tar.into_inner().expect("a tar in memory")
}

/// The digest that stands for all of a layout: of the only manifest, or of an index of them, which
/// is put among the blobs for that.
fn root(layout: &Path, n_images: usize) -> Digest {
    let path = layout.join("index.json");
    let bytes = std::fs::read(&path).expect("the index was written");
    let index: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
    if n_images == 1 {
        let digest = index["manifests"][0]["digest"].as_str();
        return digest.and_then(|text| text.parse().ok()).expect("a digest");
    }
    let digest = Digest::of(&bytes);
    let blob: PathBuf = layout.join("blobs/sha256").join(digest.hex());
    std::fs::write(blob, &bytes).expect("a blob is written");
    let entry = json!({ "mediaType": index["mediaType"], "size": bytes.len(),
        "digest": digest.to_string() });
    let outer =
        json!({ "schemaVersion": 2, "mediaType": index["mediaType"], "manifests": [entry] });
    std::fs::write(&path, outer.to_string()).expect("the index is written");
    digest
}

fn has_word(text: &str, word: &str) -> bool {
    let is_letter = |letter: char| letter.is_alphanumeric() || matches!(letter, '-' | '_' | '/');
    text.split(|letter| !is_letter(letter))
        .any(|found| found == word)
}

fn with(base: &Base, config: ContainerConfig) -> Base {
    Base {
        platform: Platform::host(),
        tar: base.tar.clone(),
        config,
    }
}

fn list(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Something in every field.
fn full() -> ContainerConfig {
    ContainerConfig {
        user: "app".to_owned(),
        env: list(&["PATH=/bin", "A=1", "B=2"]),
        entrypoint: Some(list(&["/bin/false"])),
        cmd: Some(list(&["from", "base"])),
        working_dir: "/work".to_owned(),
        volumes: [("/v".to_owned(), Empty {})].into(),
        exposed_ports: [("80/tcp".to_owned(), Empty {})].into(),
        labels: [("l".to_owned(), "base".to_owned())].into(),
        stop_signal: Some("SIGINT".to_owned()),
        ..ContainerConfig::default()
    }
}

/// Triggers of several kinds.
fn trigger() -> ContainerConfig {
    ContainerConfig {
        env: list(&["PATH=/bin"]),
        on_build: list(&[
            "ENV T=1",
            "RUN echo \"$T\" > /triggered",
            "COPY f /from-child",
            "COPY <<EOF /inline\nt=$T\nEOF\n",
        ]),
        ..ContainerConfig::default()
    }
}
