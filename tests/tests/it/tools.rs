//! Images that we write, read by other tools.

use acetate_tests::{World, have, needs_root, tool};
use serde_json::Value;
use std::os::unix::fs::MetadataExt;

const DOCKERFILE: &str = "
    FROM base
    RUN echo 1 > /one && rm -r /data/sub && ln /one /two
    COPY --chown=app --chmod=640 Dockerfile /three
    WORKDIR /w
    ENV A=1
    LABEL l=m
    CMD [\"cat\", \"/one\"]
";

struct Built {
    world: World,
    oci: String,
    archive: String,
    docker: String,
}

fn built() -> Built {
    let world = World::of(DOCKERFILE);
    let path = |name: &str| world.dir().join(name).display().to_string();
    let (oci, archive, docker) = (path("oci"), path("oci.tar"), path("docker.tar"));
    world
        .build(&[
            &format!("-otype=oci,tar=false,dest={oci}"),
            &format!("-otype=oci,dest={archive},compression=zstd"),
            &format!("-otype=docker,dest={docker}"),
            "-tname:tag",
        ])
        .ok();
    Built {
        world,
        oci,
        archive,
        docker,
    }
}

#[test]
fn skopeo_reads_all_three() {
    if !have("skopeo") {
        return;
    }
    let built = built();
    for source in [
        format!("oci:{}:tag", built.oci),
        format!("oci-archive:{}:tag", built.archive),
        format!("docker-archive:{}", built.docker),
    ] {
        let json: Value = serde_json::from_str(&tool("skopeo", &["inspect", &source])).unwrap();
        assert_eq!(json["Labels"]["l"], "m", "{source}");
        assert_eq!(json["Layers"].as_array().unwrap().len(), 4, "{source}");
        let copy = built.world.fresh("copy");
        // Copying decompresses and checks every layer.
        tool(
            "skopeo",
            &[
                "copy",
                "--dest-decompress",
                &source,
                &format!("dir:{}", copy.display()),
            ],
        );
    }
}

#[test]
fn umoci_unpacks_what_the_steps_left() {
    if !have("umoci") || needs_root() {
        return;
    }
    let built = built();
    let bundle = built.world.fresh("bundle");
    tool(
        "umoci",
        &[
            "unpack",
            "--image",
            &format!("{}:tag", built.oci),
            bundle.to_str().unwrap(),
        ],
    );
    let at = |name: &str| bundle.join("rootfs").join(name);
    assert_eq!(std::fs::read_to_string(at("two")).unwrap(), "1\n");
    assert!(!at("data/sub").exists() && at("w").is_dir());
    let meta = std::fs::metadata(at("three")).unwrap();
    assert_eq!(
        (meta.uid(), meta.gid(), meta.mode() & 0o7777),
        (1000, 1001, 0o640)
    );
    assert_eq!(
        std::fs::metadata(at("one")).unwrap().ino(),
        std::fs::metadata(at("two")).unwrap().ino()
    );
}

#[test]
fn buildah_builds_on_it_and_runs_it() {
    if !have("buildah") || needs_root() {
        return;
    }
    let built = built();
    let storage = built.world.fresh("storage");
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
    let name = buildah(&[
        "from",
        "--pull-never",
        "--name",
        "c",
        &format!("oci:{}:tag", built.oci),
    ]);
    assert_eq!(name.trim(), "c");
    let out = buildah(&["run", "--isolation", "chroot", "c", "cat", "/one"]);
    assert_eq!(out, "1\n");
    let json: Value = serde_json::from_str(&buildah(&["inspect", "c"])).unwrap();
    assert_eq!(json["OCIv1"]["config"]["Labels"]["l"], "m");
    buildah(&["rm", "c"]);
    buildah(&["rmi", "--all", "--force"]);
}
