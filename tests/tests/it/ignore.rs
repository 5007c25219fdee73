//! `.dockerignore`.

use acetate_tests::World;

const FILES: &str = "
    //- Dockerfile
    FROM scratch
    COPY . /
    //- keep
    k
    //- a.log
    l
    //- sub/b.log
    l
    //- sub/important.log
    l
    //- node_modules/x/y
    m
    //- node_modules/keep
    m
";

/// Everything in the first layer but directories, joined by blanks.
#[track_caller]
fn files(world: &World, args: &[&str]) -> String {
    let items = world.image(args).items(0);
    let names = items
        .into_iter()
        .filter(|item| item.kind != 'd')
        .map(|item| item.path);
    names.collect::<Vec<_>>().join(" ")
}

#[test]
fn patterns_exclude_and_exclamation_marks_include_again() {
    let world = World::new(FILES);
    world.write(".dockerignore", "# comment\n**/*.log\n!sub/important.log\n  /node_modules \n!node_modules/keep\n.dockerignore\nDockerfile\n");
    assert_eq!(
        files(&world, &[]),
        "keep node_modules/keep sub/important.log"
    );
}

#[test]
fn the_file_beside_the_dockerfile_goes_first() {
    let world = World::new(FILES);
    world.write(".dockerignore", "keep\n");
    world.write("other.Dockerfile", "FROM scratch\nCOPY . /\n");
    world.write("other.Dockerfile.dockerignore", "*\n!a.log\n");
    let file = world.context().join("other.Dockerfile");
    assert_eq!(files(&world, &["-f", file.to_str().unwrap()]), "a.log");
    assert!(!files(&world, &[]).contains("keep keep"));
}

#[test]
fn an_ignored_file_is_not_found() {
    let world = World::new(FILES);
    world.write(".dockerignore", "keep\n");
    world.dockerfile("FROM scratch\nCOPY keep /\n");
    world.build(&[]).fails(&["keep", "not found"]);
}

#[test]
fn the_dockerfile_itself_may_be_ignored() {
    let world = World::new(FILES);
    world.write(".dockerignore", "*\n!keep\n");
    assert_eq!(files(&world, &[]), "keep");
}

#[test]
fn what_is_ignored_does_not_matter() {
    let world = World::new(FILES);
    world.write(".dockerignore", "*.log\nsub\n.dockerignore\nDockerfile\n");
    world.build(&[]).ok();
    world.write("a.log", "changed");
    world.write("sub/b.log", "changed");
    assert!(world.build(&[]).ok().ran().is_empty());
    // Another file that says the same changes nothing either.
    world.write(
        ".dockerignore",
        "# same\n*.log\nsub\n.dockerignore\nDockerfile\n",
    );
    assert!(world.build(&[]).ok().ran().is_empty());
}

#[test]
fn a_named_context_has_its_own_file() {
    let world = World::of("FROM scratch\nCOPY --from=other . /\n");
    world.write(".dockerignore", "a\n");
    let other = world.dir().join("other");
    std::fs::create_dir(&other).unwrap();
    for (name, text) in [
        ("a", "a"),
        ("b", "b"),
        (".dockerignore", "b\n.dockerignore\n"),
    ] {
        std::fs::write(other.join(name), text).unwrap();
    }
    let context = format!("--build-context=other={}", other.display());
    assert_eq!(files(&world, &[&context]), "a");
}

#[test]
fn a_lone_exclamation_mark_is_refused() {
    let world = World::new(FILES);
    world.write(".dockerignore", "!\n");
    world
        .build(&[])
        .fails(&["illegal exclusion pattern: \"!\""]);
}
