//! Other programs read the directory.

use std::io;
use std::process::Command;

use acetate_cache::layout::LayoutOptions;
use acetate_image::Recipe;
use acetate_oci::Compression;

use crate::place::{Layout, store};
use crate::suite::publish;
use crate::support::{noise, publication};

/// Runs a program; `None`, with a line that says so, when it is not installed.
#[expect(clippy::print_stderr, reason = "a skip must be visible")]
fn run(program: &str, args: &[&str]) -> Option<String> {
    let output = match Command::new(program).args(args).output() {
        Ok(output) => output,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            eprintln!("skipped: needs {program}");
            return None;
        }
        Err(error) => panic!("{program}: {error}"),
    };
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {errors}");
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[tokio::test]
async fn skopeo_copies_and_inspects() {
    for kind in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let ((_dir, store), layout) = (store(), Layout::new());
        let options = LayoutOptions {
            recipe: Recipe::new(kind),
            ..LayoutOptions::default()
        };
        let cache = layout.writer_with(&store, options);
        let bytes = [noise(1, 100_000), noise(2, 50_000)];
        publish(&cache, &publication("a", &[&bytes[0], &bytes[1]])).await;
        let from = format!("oci:{}:latest", layout.dir().display());
        let to = layout.0.path().join("copy");
        let copy = format!("dir:{}", to.display());
        if run("skopeo", &["--insecure-policy", "copy", &from, &copy]).is_none() {
            return;
        }
        let raw = run("skopeo", &["inspect", "--raw", &from]).unwrap();
        let manifest: acetate_oci::Manifest = serde_json::from_str(&raw).unwrap();
        assert_eq!(manifest.layers.len(), 2);
        for blob in manifest.layers.iter().chain([&manifest.config]) {
            let copied = std::fs::metadata(to.join(blob.digest.hex())).unwrap();
            assert_eq!(copied.len(), blob.size);
        }
        // And back into a layout, which is then a cache like the first one.
        let other = Layout::new();
        let back = format!("oci:{}:latest", other.dir().display());
        run("skopeo", &["--insecure-policy", "copy", &copy, &back]).unwrap();
        let (_there, there) = crate::place::store();
        let cache = other.writer(&there);
        let key = crate::support::definition("a");
        let hit = acetate_cache::SharedCache::lookup(&cache, &[key]).await;
        let record = &hit[0].as_ref().expect("the records came along").record;
        for layer in &record.layers {
            acetate_cache::SharedCache::fetch(&cache, layer)
                .await
                .unwrap();
        }
    }
}
