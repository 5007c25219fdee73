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

/// Scripts for older builders hold flags that mean nothing any more; they build all the same.
#[test]
fn flags_of_older_builders_are_taken_and_what_could_be_missed_is_told() {
    let world = World::of("FROM scratch\nCOPY Dockerfile /\n");
    let flags = [
        "--progress=plain",
        "--rm",
        "--force-rm=true",
        "--compress",
        "--isolation=default",
        "--pull=false",
        "--squash",
        "--security-opt=seccomp=unconfined",
        "--builder=ci",
    ];
    let outcome = world.build(&flags).ok();
    for words in [
        "WARNING: --squash has no effect",
        "WARNING: --security-opt has no effect",
        "WARNING: --builder ci has no effect",
    ] {
        assert!(outcome.stderr.contains(words), "{}", outcome.stderr);
    }
    assert_eq!(outcome.stderr.matches("has no effect").count(), 3);
    let quiet = ["--quiet", "--squash", "--builder=ci"];
    assert_eq!(world.build(&quiet).ok().stderr, "");
}

#[test]
fn warnings_are_short_unless_they_are_asked_for() {
    let world = World::of("FROM scratch\nWORKDIR a\n\nMAINTAINER me\n");
    let short = world.build(&["--progress=plain"]).ok().stderr;
    assert!(
        short.contains("2 warnings found (use --debug to expand):\n - "),
        "{short}"
    );
    assert!(!short.contains(">>>"), "{short}");
    let long = world.build(&["--progress=plain", "-D"]).ok().stderr;
    assert!(long.contains("2 warnings found:\n - "), "{long}");
    for line in [">>> WORKDIR a", ">>> MAINTAINER me"] {
        assert!(long.contains(line), "{long}");
    }
}

/// S73: the name is in the key, the address is not.
#[test]
fn s73_the_gateway_is_this_machine() {
    let world = World::of("FROM base\nRUN cat /etc/hosts > /hosts\n");
    let image = world.image(&["--add-host=gate:host-gateway", "--add-host", "v6=[::1]"]);
    let hosts = image.file("hosts");
    for line in ["127.0.0.1\tgate\n", "::1\tv6\n"] {
        assert!(hosts.contains(line), "{hosts}");
    }
    let address = ["--add-host=gate:10.1.2.3", "--add-host=v6:::2"];
    assert!(world.build(&address).ok().ran().is_empty());
}

/// S70: from a file, from a variable, and whichever of the two has the name of the id.
#[test]
fn s70_secrets_come_from_files_and_variables() {
    let world = World::of(
        "FROM base\n\
         RUN --mount=type=secret,id=one --mount=type=secret,id=two --mount=type=secret,id=three \\\n\
         \x20   cat /run/secrets/one /run/secrets/two /run/secrets/three > /all\n",
    );
    let file = world.dir().join("secret");
    std::fs::write(&file, "from a file\n").unwrap();
    let dest = world.fresh("secrets");
    let mut command = world.command(&[
        &format!("--secret=id=one,src={}", file.display()),
        "--secret",
        "id=two,env=ACETATE_TEST_SECRET",
        "--secret=id=three",
        &format!("-otype=oci,tar=false,dest={}", dest.display()),
    ]);
    command.env("ACETATE_TEST_SECRET", "from a variable\n");
    command.env("three", "by its name\n");
    Outcome::of(command).ok();
    assert_eq!(
        Layout::read(&dest).file("all"),
        "from a file\nfrom a variable\nby its name\n"
    );
}

#[test]
fn steps_have_the_limits_and_the_memory_that_were_asked_for() {
    let world = World::of(
        "FROM base\nRUN ulimit -Sn > /soft; ulimit -Hn > /hard; grep ' /dev/shm ' /proc/mounts > /shm\n",
    );
    let image = world.image(&["--ulimit=nofile=100:200", "--shm-size=1m"]);
    assert_eq!(
        (image.file("soft"), image.file("hard")),
        ("100\n".into(), "200\n".into())
    );
    let shm = image.file("shm");
    assert!(shm.contains("size=1024k"), "{shm}");
    let wider = ["--ulimit=nofile=100:200", "--shm-size=1024k"];
    assert!(world.build(&wider).ok().ran().is_empty(), "the same sizes");
    let other = world
        .build(&["--ulimit=nofile=101:200", "--shm-size=1m"])
        .ok();
    assert_eq!(other.ran().len(), 1, "another limit is another step (S73)");
}

/// S14: what a script sets for one builder it sets for this one.
#[test]
fn s14_arguments_come_from_the_environment_when_only_named() {
    let world = World::of("FROM scratch\nARG A=no\nARG B=no\nLABEL a=$A b=$B\nCOPY Dockerfile /\n");
    let dest = world.fresh("args");
    let output = format!("-otype=oci,tar=false,dest={}", dest.display());
    let mut command = world.command(&["--build-arg=A", "--build-arg", "B", &output]);
    command.env("A", "yes").env_remove("B");
    Outcome::of(command).ok();
    let labels = Layout::read(&dest).config.config.labels;
    assert_eq!((labels["a"].as_str(), labels["b"].as_str()), ("yes", "no"));
}
