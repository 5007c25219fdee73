//! Images that other tools made, as our bases.

use acetate_oci::MediaType;
use acetate_tests::{Layout, World, have, needs_root, tool};

const DOCKERFILE: &str =
    "FROM other\nRUN cat /added > /copy && test ! -e /data/a\nCOPY --from=other /added /again\n";

#[track_caller]
fn check(world: &World, layout: &str) {
    let context = format!("--build-context=other=oci-layout://{layout}");
    let image = world.image(&[&context]);
    assert_eq!(image.file("copy"), "from elsewhere\n");
    assert_eq!(image.file("again"), "from elsewhere\n");
    let base = Layout::read(layout.split(':').next().unwrap_or_default().as_ref());
    let n = base.n_layers();
    assert_eq!(
        image.config.rootfs.diff_ids[..n],
        base.config.rootfs.diff_ids[..]
    );
    // Compressed blobs of the base are used as they are.
    for (ours, theirs) in image.manifest.layers.iter().zip(&base.manifest.layers) {
        if theirs.media_type != MediaType::OCI_LAYER {
            assert_eq!(ours.digest, theirs.digest);
        }
    }
}

#[test]
fn made_by_umoci() {
    if !have("umoci") || needs_root() {
        return;
    }
    let world = World::of(DOCKERFILE);
    let layout = world.dir().join("umoci");
    tool(
        "cp",
        &[
            "-r",
            world.base().to_str().unwrap(),
            layout.to_str().unwrap(),
        ],
    );
    let image = format!("{}:made", layout.display());
    // umoci wants a name, which the base has none of.
    let index = std::fs::read_to_string(layout.join("index.json")).unwrap();
    let named = index.replacen(
        "{\"digest\"",
        "{\"annotations\":{\"org.opencontainers.image.ref.name\":\"made\"},\"digest\"",
        1,
    );
    assert_ne!(index, named);
    std::fs::write(layout.join("index.json"), named).unwrap();
    let bundle = world.fresh("bundle");
    tool(
        "umoci",
        &["unpack", "--image", &image, bundle.to_str().unwrap()],
    );
    std::fs::write(bundle.join("rootfs/added"), "from elsewhere\n").unwrap();
    std::fs::remove_file(bundle.join("rootfs/data/a")).unwrap();
    tool(
        "umoci",
        &["repack", "--image", &image, bundle.to_str().unwrap()],
    );
    check(&world, &image);
}

#[test]
fn made_by_buildah() {
    if !have("buildah") || needs_root() {
        return;
    }
    let world = World::of(DOCKERFILE);
    let storage = world.fresh("storage");
    let (root, run) = (
        storage.join("root").display().to_string(),
        storage.join("run").display().to_string(),
    );
    let buildah = |args: &[&str]| {
        let mut all = vec![
            "--root",
            &root,
            "--runroot",
            &run,
            "--storage-driver",
            "vfs",
        ];
        all.extend(args);
        tool("buildah", &all)
    };
    let added = world.dir().join("added");
    std::fs::write(&added, "from elsewhere\n").unwrap();
    buildah(&[
        "from",
        "--name",
        "c",
        &format!("oci:{}", world.base().display()),
    ]);
    buildah(&["run", "--isolation", "chroot", "c", "rm", "/data/a"]);
    buildah(&["copy", "c", added.to_str().unwrap(), "/added"]);
    buildah(&[
        "config",
        "--env",
        "BY=buildah",
        "--onbuild",
        "RUN echo triggered > /triggered",
        "c",
    ]);
    let layout = world.dir().join("buildah");
    buildah(&[
        "commit",
        "--format",
        "docker",
        "c",
        &format!("oci:{}:made", layout.display()),
    ]);
    buildah(&["rm", "c"]);
    buildah(&["rmi", "--all", "--force"]);
    check(&world, &format!("{}:made", layout.display()));
    let context = format!("--build-context=other=oci-layout://{}", layout.display());
    assert_eq!(world.image(&[&context]).env()["BY"], "buildah");
}

#[test]
fn made_by_ourselves_in_every_compression() {
    for compression in ["uncompressed", "gzip", "zstd"] {
        let world = World::of("FROM base\nRUN rm /data/a && echo 'from elsewhere' > /added\n");
        let layout = world.dir().join("ours");
        let output = format!(
            "-otype=oci,tar=false,compression={compression},dest={}",
            layout.display()
        );
        world.build(&[&output, "-tx:made"]).ok();
        world.dockerfile(DOCKERFILE);
        // A state directory that has none of it.
        world.acetate(&["prune", "--all", "--force"]).ok();
        check(&world, &format!("{}:made", layout.display()));
    }
}
