//! Directories and images as caches.

use crate::shared_cache::{TWO_STAGES, build_on, root, warnings};
use acetate_tests::{Outcome, Running, Server, World, have, tool};
use std::path::Path;

fn flags(dir: &Path) -> [String; 2] {
    let dir = dir.display();
    [
        format!("--cache-from=type=local,src={dir}"),
        format!("--cache-to=type=local,dest={dir},mode=max"),
    ]
}

#[test]
fn a_directory_gives_all_that_was_put_into_it() {
    let world = World::new(TWO_STAGES);
    let dir = world.dir().join("cache");
    let [from, to] = flags(&dir);
    let (first, made) = build_on(&world, "a", &[&from, &to]);
    assert_eq!(warnings(&made), Vec::<String>::new());
    let (second, taken) = build_on(&world, "b", &[&from]);
    assert_eq!(taken.ran(), Vec::<String>::new());
    assert_eq!(second.digest(), first.digest());
    world.write("late", "other\n");
    let (image, outcome) = build_on(&world, "c", &[&from, &to]);
    assert_eq!(outcome.ran().len(), 2, "{:?}", outcome.ran());
    assert_eq!(image.file("both"), "one\nother\n");
    // The earlier results are still there.
    world.write("late", "l\n");
    let (image, outcome) = build_on(&world, "d", &[&from]);
    assert_eq!(outcome.ran(), Vec::<String>::new());
    assert_eq!(image.digest(), first.digest());
}

#[test]
fn two_builds_that_write_one_directory_at_once_lose_nothing() {
    let world = World::new(
        "
        //- Dockerfile
        FROM base
        ARG N
        RUN echo $N > /n; cat /proc/sys/kernel/random/uuid > /id
    ",
    );
    let dir = world.dir().join("cache");
    let [from, to] = flags(&dir);
    let running: Vec<Running> = (0..6)
        .map(|n| {
            let arg = format!("--build-arg=N={n}");
            let machine = root(&world, &n.to_string());
            Running::start(world.command_in(&machine, &["--output=type=cacheonly", &arg, &to]))
        })
        .collect();
    for running in running {
        running.wait().ok();
    }
    for n in 0..6 {
        let arg = format!("--build-arg=N={n}");
        let (image, outcome) = build_on(&world, &format!("reader-{n}"), &[&arg, &from]);
        assert_eq!(outcome.ran(), Vec::<String>::new(), "build {n}");
        assert_eq!(image.file("n"), format!("{n}\n"));
    }
}

#[test]
fn a_directory_that_is_garbage_or_missing_costs_a_line() {
    let world = World::new(TWO_STAGES);
    let dir = world.dir().join("cache");
    let [from, to] = flags(&dir);
    let (_, outcome) = build_on(&world, "a", &[&from]);
    assert_eq!(warnings(&outcome).len(), 1, "{}", outcome.stderr);
    build_on(&world, "b", &[&to]);
    std::fs::write(dir.join("index.json"), "{").unwrap();
    let (_, outcome) = build_on(&world, "c", &[&from]);
    assert_eq!(warnings(&outcome).len(), 1, "{}", outcome.stderr);
    assert_eq!(outcome.ran().len(), 5);
}

#[test]
fn what_is_gone_from_a_directory_is_made_again() {
    let world = World::new(TWO_STAGES);
    let dir = world.dir().join("cache");
    let [from, to] = flags(&dir);
    build_on(&world, "a", &[&to]);
    for blob in acetate_tests::files_below(&dir.join("blobs")) {
        let path = dir.join("blobs").join(blob);
        let is_layer = std::fs::metadata(&path).unwrap().len() > 200
            && !std::fs::read(&path).unwrap().starts_with(b"{");
        if is_layer {
            std::fs::write(&path, "something else").unwrap();
        }
    }
    let (image, _) = build_on(&world, "b", &[&from, &to]);
    assert_eq!(image.file("both"), "one\nl\n");
    let (again, outcome) = build_on(&world, "c", &[&from]);
    assert_eq!(outcome.ran(), Vec::<String>::new());
    assert_eq!(again.digest(), image.digest());
}

#[test]
fn an_image_in_a_registry_holds_the_records_of_its_layers() {
    if !have("docker-registry") || !have("skopeo") {
        return;
    }
    let world = World::new(TWO_STAGES);
    let registry = Server::registry(world.dir());
    let name = format!("{}/app:1", registry.address);
    let (first, _) = build_on(&world, "a", &["--cache-to=type=inline"]);
    let from = format!("oci:{}", first.dir.display());
    let to = format!("docker://{name}");
    tool(
        "skopeo",
        &["copy", "--quiet", "--dest-tls-verify=false", &from, &to],
    );
    let cache = format!("--cache-from={name}");
    let (second, outcome) = build_on(&world, "b", &[&cache, "--cache-to=type=inline"]);
    assert_eq!(outcome.ran(), Vec::<String>::new());
    assert_eq!(warnings(&outcome), Vec::<String>::new());
    assert_eq!(second.file("id"), first.file("id"));
    assert_eq!(second.digest(), first.digest());
    world.write("late", "other\n");
    let (image, outcome) = build_on(&world, "c", &[&cache]);
    let ran = outcome.ran();
    assert!(
        !ran.iter().any(|step| step.starts_with("COPY --from=build")),
        "{ran:?}"
    );
    assert_eq!(image.file("both"), "one\nother\n");
}

#[test]
fn an_image_that_cannot_be_had_costs_a_line() {
    let world = World::new(TWO_STAGES);
    let from = "--cache-from=127.0.0.1:9/none/such:1";
    let mut command = world.command_in(&root(&world, "a"), &["--output=type=cacheonly", from]);
    let outcome = Outcome::read(&command.output().unwrap()).ok();
    assert_eq!(warnings(&outcome).len(), 1, "{}", outcome.stderr);
}
