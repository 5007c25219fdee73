//! Behaviours that one build alone does not show.

use acetate_tests::{Base, Server, World, have, mounts_of, tool, write_layout};
use std::path::{Path, PathBuf};

fn push(server: &Server, layout: &Path, name: &str) {
    let (from, to) = (
        format!("oci:{}", layout.display()),
        format!("docker://{}/{name}", server.address),
    );
    let flags = ["copy", "--all", "--dest-tls-verify=false"];
    tool("skopeo", &[&flags[..], &[&from, &to]].concat());
}

#[test]
fn s86_a_tag_that_moved_is_noticed() {
    if !have("skopeo") || !have("docker-registry") {
        return;
    }
    let world = World::new("");
    let server = Server::registry(world.dir());
    push(&server, world.base(), "moving:1");
    world.dockerfile(&format!(
        "FROM {}/moving:1\nRUN echo $WHICH > /out\n",
        server.address
    ));
    assert_eq!(world.image(&[]).file("out"), "\n");
    assert!(world.build(&[]).ok().ran().is_empty());

    let mut other = Base::busybox();
    other.config.env.push("WHICH=other".to_owned());
    let other = write_layout(&world.dir().join("other"), &[other]);
    push(&server, &other, "moving:1");
    let (image, outcome) = world.image_and_outcome(&[]);
    assert_eq!(outcome.ran(), ["RUN echo other > /out"]);
    assert_eq!(image.file("out"), "other\n");
}

#[test]
fn s97_the_same_build_twice_is_the_same_image() {
    let world = World::new(
        "
        //- Dockerfile
        FROM base AS one
        RUN date +%N > /t
        FROM base
        COPY --from=one /t /t
        COPY f /f
        WORKDIR /w
        ENV A=1
        //- f
        f
    ",
    );
    let first = world.image(&[]);
    let second = world.image(&[]);
    assert_eq!(first.digest(), second.digest());
    assert_eq!(first.manifest.config.digest, second.manifest.config.digest);
}

#[test]
fn s112_pruning_after_a_build_leaves_nothing() {
    let world = World::new(
        "
        //- Dockerfile
        FROM base AS one
        RUN echo x > /x
        FROM base
        RUN --mount=type=cache,target=/c --mount=from=one,target=/m cat /m/x > /c/y
        COPY --from=one /x /x
        COPY f /f
        //- f
        f
    ",
    );
    world.build(&["-tname"]).ok();
    world.acetate(&["prune", "--all", "--force"]).ok();
    assert_eq!(world.stored(), Vec::<PathBuf>::new());
    assert_eq!(mounts_of(world.dir()), Vec::<String>::new());
}
