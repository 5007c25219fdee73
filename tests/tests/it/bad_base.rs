//! Base images whose bytes are not what they should be.

use acetate_oci::Digest;
use acetate_tests::{Layout, World};
use std::path::PathBuf;

const DOCKERFILE: &str = "FROM base\nRUN echo ran > /f\n";

fn blob(world: &World, digest: Digest) -> PathBuf {
    world.base().join("blobs/sha256").join(digest.hex())
}

/// Damages the layer of the base; the build fails by name, and works once the layer is whole again.
#[track_caller]
fn damaged(damage: impl FnOnce(Vec<u8>) -> Option<Vec<u8>>) {
    let world = World::of(DOCKERFILE);
    let layer = Layout::read(world.base()).manifest.layers[0].digest;
    let path = blob(&world, layer);
    let whole = std::fs::read(&path).expect("the test's own files");
    match damage(whole.clone()) {
        Some(bytes) => std::fs::write(&path, bytes).expect("the test's own files"),
        None => std::fs::remove_file(&path).expect("the test's own files"),
    }
    world.build(&["-tx"]).fails(&[&layer.hex()[..12]]);
    std::fs::write(&path, whole).expect("the test's own files");
    world.build(&["-tx"]).ok();
    world.acetate(&["run", "x", "cat", "/f"]).ok();
}

#[test]
fn a_flipped_byte_of_a_layer() {
    damaged(|mut bytes| {
        let n = bytes.len() / 2;
        bytes[n] ^= 1;
        Some(bytes)
    });
}

#[test]
fn a_layer_that_is_cut_short() {
    damaged(|bytes| Some(bytes[..bytes.len() / 3].to_vec()));
}

#[test]
fn a_layer_that_goes_on() {
    damaged(|mut bytes| {
        bytes.push(0);
        Some(bytes)
    });
}

#[test]
fn a_layer_that_is_missing() {
    damaged(|_| None);
}

#[test]
fn damaged_documents() {
    for pick in [0, 1, 2] {
        let world = World::of(DOCKERFILE);
        let base = Layout::read(world.base());
        let path = match pick {
            0 => world.base().join("index.json"),
            1 => blob(&world, base.digest()),
            _ => blob(&world, base.manifest.config.digest),
        };
        std::fs::write(path, "{").unwrap();
        let outcome = world.build(&[]);
        outcome.fails(&["ERROR"]);
    }
}

#[test]
fn a_config_that_lists_other_layers() {
    let world = World::of(DOCKERFILE);
    let base = Layout::read(world.base());
    let mut config = base.config.clone();
    config.rootfs.diff_ids = vec![Digest::of(b"another layer")];
    let config = acetate_oci::canonical_json(&config);
    let mut manifest = base.manifest.clone();
    manifest.config.digest = Digest::of(&config);
    manifest.config.size = config.len() as u64;
    let manifest = acetate_oci::canonical_json(&manifest);
    let mut index = base.index.clone();
    index.manifests[0].digest = Digest::of(&manifest);
    index.manifests[0].size = manifest.len() as u64;
    std::fs::write(blob(&world, Digest::of(&config)), &config).unwrap();
    std::fs::write(blob(&world, Digest::of(&manifest)), &manifest).unwrap();
    std::fs::write(
        world.base().join("index.json"),
        acetate_oci::canonical_json(&index),
    )
    .unwrap();
    world.build(&[]).fails(&["ERROR"]);
}
