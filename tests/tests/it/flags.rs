//! Flags that write files or print.

use acetate_tests::{Layout, Outcome, World, acetate};
use serde_json::Value;

const DOCKERFILE: &str = "FROM base\nRUN echo x > /x\n";

fn json(path: &std::path::Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).expect("the test's own files"))
        .expect("the test's own files")
}

#[test]
fn the_id_and_the_metadata_are_those_of_the_image() {
    let world = World::of(DOCKERFILE);
    let (id, meta) = (world.dir().join("id"), world.dir().join("meta.json"));
    let flags = [
        format!("--iidfile={}", id.display()),
        format!("--metadata-file={}", meta.display()),
    ];
    let image = world.image(&[&flags[0], &flags[1], "-tname", "-t", "example.com/a/b:c"]);
    assert_eq!(
        std::fs::read_to_string(&id).unwrap(),
        image.manifest.config.digest.to_string()
    );
    let meta = json(&meta);
    assert_eq!(meta["containerimage.digest"], image.digest().to_string());
    assert_eq!(
        meta["containerimage.config.digest"],
        image.manifest.config.digest.to_string()
    );
    assert_eq!(
        meta["containerimage.descriptor"]["digest"],
        image.digest().to_string()
    );
    assert_eq!(
        meta["containerimage.descriptor"]["size"],
        image.index.manifests[0].size
    );
    assert_eq!(
        meta["image.name"],
        "docker.io/library/name:latest,example.com/a/b:c"
    );
    assert_eq!(meta["acetate.steps"]["run"], 1);
}

#[test]
fn quiet_prints_the_id_and_nothing_else() {
    let world = World::of(DOCKERFILE);
    let mut command = acetate();
    command
        .arg("--root")
        .arg(world.root())
        .args(["build", "-q", "-tx"]);
    command
        .arg(format!(
            "--build-context=base=oci-layout://{}",
            world.base().display()
        ))
        .arg(world.context());
    let outcome = Outcome::of(command).ok();
    assert_eq!(outcome.stderr, "");
    let image = world.image(&[]);
    assert_eq!(
        outcome.stdout,
        format!("{}\n", image.manifest.config.digest)
    );
}

#[test]
fn a_dockerfile_elsewhere_by_path_and_from_standard_input() {
    let world = World::new("//- f\nfile\n");
    let path = world.dir().join("Elsewhere");
    std::fs::write(&path, "FROM scratch\nCOPY f /\n").unwrap();
    assert_eq!(
        world.image(&["-f", path.to_str().unwrap()]).file("f"),
        "file\n"
    );
    let dest = world.fresh("stdin");
    let mut command = world.command(&[
        "-f",
        "-",
        &format!("-otype=oci,tar=false,dest={}", dest.display()),
    ]);
    command.stdin(std::fs::File::open(&path).unwrap());
    Outcome::of(command).ok();
    assert_eq!(Layout::read(&dest).file("f"), "file\n");
}

#[test]
fn a_relative_dockerfile_is_relative_to_the_working_directory() {
    let world = World::new("//- sub/Dockerfile\nFROM scratch\nCOPY f /\n//- f\nx\n");
    let mut command = world.command(&["-f", "sub/Dockerfile"]);
    command.current_dir(world.context());
    Outcome::of(command).ok();
}

#[test]
fn the_lower_case_name_is_found_too() {
    let world = World::new("//- dockerfile\nFROM scratch\nLABEL a=b\n");
    assert_eq!(world.image(&[]).config.config.labels["a"], "b");
}

#[test]
fn a_platform_is_stamped() {
    let world = World::of(
        "FROM scratch\nARG TARGETARCH TARGETVARIANT\nLABEL arch=$TARGETARCH$TARGETVARIANT\nCOPY Dockerfile /\n",
    );
    let image = world.image(&["--platform=linux/arm/v7"]);
    assert_eq!(image.config.platform().to_string(), "linux/arm/v7");
    assert_eq!(image.config.config.labels["arch"], "armv7");
}

#[test]
fn several_platforms_are_an_index() {
    let world = World::of("FROM scratch\nARG TARGETARCH\nCOPY <<EOF /arch\n$TARGETARCH\nEOF\n");
    let dest = world.fresh("multi");
    let output = format!("-otype=oci,tar=false,dest={}", dest.display());
    world
        .build(&[
            "--platform=linux/amd64,linux/arm64",
            "--platform",
            "linux/amd64",
            &output,
        ])
        .ok();
    let (amd, arm) = (Layout::read_nth(&dest, 0), Layout::read_nth(&dest, 1));
    assert_eq!(
        (amd.file("arch"), arm.file("arch")),
        ("amd64\n".into(), "arm64\n".into())
    );
    assert_eq!(arm.config.platform().to_string(), "linux/arm64");
    assert_eq!(amd.index.manifests.len(), 2);
}

#[test]
fn the_state_directory_comes_from_the_environment() {
    let world = World::of("FROM scratch\nCOPY Dockerfile /\n");
    let home = world.dir().join("home");
    let mut command = acetate();
    command
        .env("ACETATE_HOME", &home)
        .arg("build")
        .arg(world.context());
    Outcome::of(command).ok();
    assert!(home.join("version").exists() && !world.root().exists());
}

#[test]
fn a_failed_build_writes_neither_id_nor_output() {
    let world = World::of("FROM base\nRUN false\n");
    let (id, dest) = (world.dir().join("id"), world.dir().join("dest"));
    world
        .build(&[
            &format!("--iidfile={}", id.display()),
            &format!("-o{}", dest.display()),
            "-tx",
        ])
        .fails(&[]);
    assert!(!id.exists() && !dest.exists());
    world
        .acetate(&["run", "x", "true"])
        .fails(&["no image is named `x:latest`"]);
}
