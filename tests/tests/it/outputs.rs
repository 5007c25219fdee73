//! `--output`: every kind, read back.

use acetate_tests::{Layout, Outcome, World, items_of_tar, needs_root};
use expect_test::expect;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::PathBuf;

const DOCKERFILE: &str = "
    FROM base AS build
    RUN mkdir -p /o/d && echo 1 > /o/d/f && chmod 750 /o/d && chmod 4755 /o/d/f && ln -s f /o/d/l && ln /o/d/f /o/h && mkfifo /o/p && touch /o/gone
    RUN rm /o/gone && chown 5:6 /o/h
    FROM scratch
    COPY --from=build /o /
    COPY Dockerfile /d/
    ENV A=1
";

fn output(world: &World, name: &str, attributes: &str) -> (PathBuf, String) {
    let dest = world.fresh(name);
    let flag = format!("--output={attributes},dest={}", dest.display());
    (dest, flag)
}

#[test]
fn an_oci_archive_and_an_oci_directory_hold_the_same() {
    let world = World::of(DOCKERFILE);
    let (archive, flag1) = output(&world, "a.tar", "type=oci");
    let (dir, flag2) = output(&world, "dir", "type=oci,tar=false");
    world.build(&[&flag1, &flag2, "-tname:tag"]).ok();
    let (archive, dir) = (Layout::read_archive(&archive), Layout::read(&dir));
    assert_eq!(archive.digest(), dir.digest());
    assert_eq!(archive.index, dir.index);
    let annotations = &dir.index.manifests[0].annotations;
    assert_eq!(annotations["org.opencontainers.image.ref.name"], "tag");
    assert_eq!(
        annotations["io.containerd.image.name"],
        "docker.io/library/name:tag"
    );
    assert_eq!(
        dir.manifest.layers[0].media_type.as_str(),
        "application/vnd.oci.image.layer.v1.tar+gzip"
    );
}

#[test]
fn compressions_change_blobs_but_not_layers() {
    let world = World::of(DOCKERFILE);
    let image = |compression: &str| {
        let (dest, flag) = output(
            &world,
            compression,
            &format!("type=oci,tar=false,compression={compression}"),
        );
        world.build(&[&flag]).ok();
        Layout::read(&dest)
    };
    let (plain, gzip, zstd) = (image("uncompressed"), image("gzip"), image("zstd"));
    assert_eq!(plain.config.rootfs, gzip.config.rootfs);
    assert_eq!(plain.manifest.config.digest, zstd.manifest.config.digest);
    let ending = |image: &Layout| {
        let media = image.manifest.layers[0].media_type.as_str().to_owned();
        media.rsplit('.').next().unwrap_or_default().to_owned()
    };
    assert_eq!(
        [&plain, &gzip, &zstd].map(ending),
        ["tar", "tar+gzip", "tar+zstd"]
    );
}

#[test]
fn a_tar_holds_the_merged_files() {
    let world = World::of(DOCKERFILE);
    let (dest, flag) = output(&world, "files.tar", "type=tar");
    world.build(&[&flag]).ok();
    let text: String = items_of_tar(&std::fs::read(dest).unwrap())
        .iter()
        .map(|item| item.line() + "\n")
        .collect();
    expect![[r"
        d0750 0:0 0 d/
        -0644 0:0 260 d/Dockerfile
        -4755 0:0 2 d/f
        l0777 0:0 0 d/l -> f
        -0755 5:6 2 h
        p0644 0:0 0 p
    "]]
    .assert_eq(&text);
}

#[test]
fn standard_output_takes_a_tar() {
    let world = World::of(DOCKERFILE);
    for flag in ["-", "type=tar", "type=tar,dest=-"] {
        let output = world.command(&["-o", flag]).output().unwrap();
        assert!(output.status.success());
        assert!(
            items_of_tar(&output.stdout)
                .iter()
                .any(|item| item.path == "d/Dockerfile"),
            "{flag}"
        );
    }
    let output = world.command(&["-o", "type=oci"]).output().unwrap();
    let archive = world.fresh("stdout.tar");
    std::fs::write(&archive, output.stdout).unwrap();
    Layout::read_archive(&archive);
}

#[test]
fn a_directory_takes_the_files() {
    if needs_root() {
        return;
    }
    let world = World::of(
        "FROM base AS b\nRUN mkdir -p /o/d && echo 1 > /o/d/f && chmod 4751 /o/d/f && ln -s f /o/d/l && ln /o/d/f /o/h && mkfifo /o/p && touch -d @1000 /o/d/f\nFROM scratch\nCOPY --from=b /o /\n",
    );
    let dest = world.fresh("local");
    std::fs::create_dir(&dest).unwrap();
    std::fs::write(dest.join("mine"), "kept").unwrap();
    world.build(&["-o", dest.to_str().unwrap()]).ok();
    let meta = |name: &str| std::fs::symlink_metadata(dest.join(name)).unwrap();
    assert_eq!(std::fs::read_to_string(dest.join("d/f")).unwrap(), "1\n");
    assert_eq!(std::fs::read_to_string(dest.join("mine")).unwrap(), "kept");
    assert_eq!(meta("d/f").mode() & 0o777, 0o751);
    assert_eq!(meta("d/f").mtime(), 1000);
    assert_eq!(
        std::fs::read_link(dest.join("d/l")).unwrap(),
        PathBuf::from("f")
    );
    assert!(meta("p").file_type().is_fifo());
    // Again, over what is there.
    world.build(&["-o", dest.to_str().unwrap()]).ok();
}

#[test]
fn a_directory_with_a_link_in_it_is_not_left() {
    let world = World::of(
        "FROM base AS b\nRUN mkdir -p /o/out && echo evil > /o/out/f\nFROM scratch\nCOPY --from=b /o /\n",
    );
    let (dest, outside) = (world.fresh("local"), world.fresh("outside"));
    std::fs::create_dir(&dest).unwrap();
    std::fs::create_dir(&outside).unwrap();
    std::os::unix::fs::symlink(&outside, dest.join("out")).unwrap();
    let outcome = world.build(&["-o", dest.to_str().unwrap()]);
    assert!(
        !outside.join("f").exists(),
        "written through a link; exit code {}",
        outcome.code
    );
}

#[test]
fn a_docker_archive_has_its_manifest() {
    let world = World::of(DOCKERFILE);
    let (dest, flag) = output(&world, "docker.tar", "type=docker");
    world.build(&[&flag, "-tname:tag"]).ok();
    let items = items_of_tar(&std::fs::read(dest).unwrap());
    let manifest = items
        .iter()
        .find(|item| item.path == "manifest.json")
        .expect("a manifest.json");
    let json: serde_json::Value = serde_json::from_slice(&manifest.content).unwrap();
    assert_eq!(json[0]["RepoTags"][0], "name:tag");
    let layers = json[0]["Layers"].as_array().unwrap();
    assert_eq!(layers.len(), 2);
    for layer in layers {
        assert!(
            items
                .iter()
                .any(|item| item.path == layer.as_str().unwrap()),
            "{layer}"
        );
    }
}

#[test]
fn several_outputs_come_of_one_build() {
    let world = World::of(DOCKERFILE);
    let outputs: Vec<(PathBuf, String)> = [
        "type=oci",
        "type=docker",
        "type=tar",
        "type=local",
        "type=oci,tar=false",
    ]
    .iter()
    .map(|attributes| output(&world, "out", attributes))
    .enumerate()
    .map(|(n, (dest, _))| {
        let dest = dest.with_file_name(format!("several-{n}"));
        let kind = [
            "type=oci",
            "type=docker",
            "type=tar",
            "type=local",
            "type=oci,tar=false",
        ][n];
        let flag = format!("--output={kind},dest={}", dest.display());
        (dest, flag)
    })
    .collect();
    let flags: Vec<&str> = outputs.iter().map(|(_, flag)| flag.as_str()).collect();
    let outcome: Outcome = world.build(&flags).ok();
    assert_eq!(outcome.ran().len(), 4);
    assert!(outputs.iter().all(|(dest, _)| dest.exists()));
}

#[test]
fn platforms_have_directories_of_their_own() {
    let world = World::of("FROM scratch\nARG TARGETARCH\nCOPY <<EOF /$TARGETARCH\nx\nEOF\n");
    let dest = world.fresh("local");
    world
        .build(&[
            "--platform=linux/amd64,linux/arm/v7",
            "-o",
            dest.to_str().unwrap(),
        ])
        .ok();
    assert!(dest.join("linux_amd64/amd64").exists() && dest.join("linux_arm_v7/arm").exists());
}

#[test]
fn an_output_that_cannot_be_written_fails_by_name() {
    let world = World::of(DOCKERFILE);
    world
        .build(&["-otype=oci,dest=/no/such/dir/x.tar"])
        .fails(&["/no/such/dir"]);
    world
        .build(&["-otype=oci,tar=false,dest=/dev/null/x"])
        .fails(&["/dev/null"]);
    world.build(&["-o/dev/null/x"]).fails(&["/dev/null"]);
}

#[test]
fn an_image_without_layers_goes_everywhere() {
    let world = World::of("FROM scratch\nLABEL a=b\n");
    for kind in ["type=oci", "type=docker", "type=tar", "type=local"] {
        let (_, flag) = output(&world, "none", kind);
        world.build(&[&flag]).ok();
    }
    world.build(&["-tempty"]).ok();
}
