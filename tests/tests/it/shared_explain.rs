//! Why a step ran here although another machine had made it.

use crate::shared_cache::{both, root, words};
use acetate_tests::{CacheServer, Outcome, World};

/// What a build on a machine says about the steps that it ran.
fn explained(world: &World, machine: &str, flags: &[&str]) -> String {
    let mut args = vec!["--output=type=cacheonly", "--progress=plain", "--explain"];
    args.extend(flags);
    let mut command = world.command_in(&root(world, machine), &args);
    Outcome::read(&command.output().expect("acetate starts"))
        .ok()
        .stderr
}

#[test]
fn a_miss_is_explained_by_the_record_of_another_machine() {
    let world = World::new(
        "
        //- Dockerfile
        FROM base
        ARG VERSION
        RUN echo $VERSION > /version
        COPY src/ /src/
        //- src/a.sh mode=644
        echo a
    ",
    );
    let server = CacheServer::open(&world.dir().join("server"));
    let flags = both(&server.url("org"));
    let with = |version: &'static str| {
        let mut all = words(&flags);
        all.push(version);
        all
    };
    explained(&world, "a", &with("--build-arg=VERSION=1.2"));
    world.chmod("src/a.sh", 0o664);
    let text = explained(&world, "b", &with("--build-arg=VERSION=1.2"));
    assert!(text.contains("mode of `a.sh` was 0644, is 0664"), "{text}");
    assert!(text.contains(&server.url("org")), "it says whose: {text}");
    let stats = server.get("/x/v1/org/stats");
    assert!(stats.contains("files of the context changed"), "{stats}");
    // Values of variables are not shared, but that they differ is.
    let text = explained(&world, "c", &with("--build-arg=VERSION=secret-1.3"));
    assert!(text.contains("`ARG VERSION`"), "{text}");
    let kept = server.files("cas");
    for file in kept {
        let bytes = std::fs::read(&file).unwrap();
        let plain = zstd::decode_all(&*bytes).unwrap_or(bytes);
        let plain = zstd::decode_all(&*plain).unwrap_or(plain);
        let has = |word: &[u8]| plain.windows(word.len()).any(|window| window == word);
        let is_story = has(b"\"instruction\"");
        assert!(!is_story || !has(b"secret-1.3"), "{}", file.display());
    }
}
