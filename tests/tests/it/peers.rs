//! Images in two registries, between this program and the clients that people have.
#![expect(clippy::unwrap_used, reason = "a test fails at what it did not expect")]

use std::path::PathBuf;

use acetate_tests::{Server, World, have, needs_root, peer, tool};
use serde_json::Value;

const DOCKERFILE: &str = "
    FROM base
    COPY Dockerfile /one
    RUN echo ours > /ours && rm -r /data/sub
    CMD [\"cat\", \"/ours\"]
";

/// A running registry for each program that is one.
fn registries(world: &World) -> Vec<Server> {
    let mut programs: Vec<PathBuf> = Vec::new();
    if have("docker-registry") {
        programs.push("docker-registry".into());
    }
    programs.extend(peer("registry"));
    let start = |program: &PathBuf| {
        let dir = world.fresh("registry");
        std::fs::create_dir(&dir).unwrap();
        Server::registry_by(program, &dir)
    };
    programs.iter().map(start).collect()
}

#[test]
fn crane_reads_what_is_pushed_and_its_pushes_are_built_upon() {
    let Some(crane) = peer("crane") else {
        return;
    };
    let crane = |args: &[&str]| tool(crane.to_str().unwrap(), args);
    let world = World::of(DOCKERFILE);
    for server in registries(&world) {
        let name = |path: &str| format!("{}/{path}", server.address);
        world.dockerfile(DOCKERFILE);
        // Crane checks and reads layers as gzip only.
        for (n, form) in ["gzip", "estargz"].iter().enumerate() {
            let ours = name(&format!("ours:{n}"));
            let output = format!("-otype=registry,name={ours},compression={form}");
            world.build(&[&output]).ok();
            crane(&["validate", "--remote", &ours]);
            let tar = format!("{}.tar", world.fresh(form).display());
            crane(&["export", &ours, &tar]);
            assert_eq!(tool("tar", &["-xOf", &tar, "ours"]), "ours\n", "{form}");
            assert!(!tool("tar", &["-tf", &tar]).contains("data/sub"), "{form}");
        }
        let config: Value = serde_json::from_str(&crane(&["config", &name("ours:0")])).unwrap();
        assert_eq!(config["config"]["Cmd"][1], "/ours");
        // A whole index is copied as it is.
        world.dockerfile("FROM base\nCOPY Dockerfile /one\n");
        let tag = format!("-t{}", name("ours:all"));
        let platforms = "--platform=linux/amd64,linux/arm64";
        // Attestations in the usual form are checked by crane, too.
        let attested = ["--provenance=mode=min", "--sbom=true"];
        world
            .build(&[&["--push", platforms, &tag], &attested[..]].concat())
            .ok();
        crane(&["validate", "--remote", &name("ours:all")]);
        crane(&["copy", &name("ours:all"), &name("copied:all")]);
        let digest = crane(&["digest", &name("copied:all")]);
        assert_eq!(digest, crane(&["digest", &name("ours:all")]));
        // What crane made is a base.
        let more = world.dir().join("more.tar").display().to_string();
        let dir = world.fresh("more");
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(dir.join("theirs"), "theirs\n").unwrap();
        tool(
            "tar",
            &["-C", dir.to_str().unwrap(), "-cf", &more, "theirs"],
        );
        crane(&[
            "append",
            "-b",
            &name("ours:0"),
            "-f",
            &more,
            "-t",
            &name("theirs:1"),
        ]);
        crane(&[
            "mutate",
            "--env",
            "A=1",
            "-t",
            &name("theirs:2"),
            &name("theirs:1"),
        ]);
        let text = format!(
            "FROM {}\nRUN cat /ours /theirs > /both && echo $A >> /both\n",
            name("theirs:2")
        );
        world.dockerfile(&text);
        assert_eq!(world.image(&[]).file("both"), "ours\ntheirs\n1\n");
    }
}

#[test]
fn podman_runs_what_is_pushed_and_its_pushes_are_built_upon() {
    if needs_root() || !have("podman") {
        return;
    }
    let world = World::of(DOCKERFILE);
    let short = tempfile::tempdir_in("/tmp").unwrap();
    let at = |name: &str| short.path().join(name).display().to_string();
    let (root, run) = (at("root"), at("run"));
    let place = ["--root", &root, "--runroot", &run, "--storage-driver=vfs"];
    let podman = |args: &[&str]| tool("podman", &[&place, args].concat());
    for server in registries(&world) {
        let name = |path: &str| format!("{}/{path}", server.address);
        world.dockerfile(DOCKERFILE);
        let ours = name("ours:1");
        world.build(&["--push", &format!("-t{ours}")]).ok();
        podman(&["pull", "--quiet", "--tls-verify=false", &ours]);
        let id = podman(&["create", "--network=none", &ours, "true"]);
        let note = world.dir().join("theirs").display().to_string();
        std::fs::write(&note, "theirs\n").unwrap();
        podman(&["cp", &note, &format!("{}:/theirs", id.trim())]);
        let theirs = name("theirs:1");
        podman(&["commit", "--quiet", id.trim(), &theirs]);
        podman(&["push", "--quiet", "--tls-verify=false", &theirs]);
        let text = format!("FROM {theirs}\nRUN cat /ours /theirs > /both\n");
        world.dockerfile(&text);
        assert_eq!(world.image(&[]).file("both"), "ours\ntheirs\n");
    }
}
