//! COPY: where things land.

use acetate_tests::{Layout, World};
use expect_test::{Expect, expect};

const FILES: &str = "
    //- foo
    foo
    //- bar
    bar
    //- dir/a
    a
    //- dir/sub/b mode=755
    b
    //- x.go
    x
    //- y.go
    y
";

#[track_caller]
fn check(dockerfile: &str, expected: &Expect) -> Layout {
    let world = World::new(FILES);
    world.dockerfile(dockerfile);
    let image = world.image(&[]);
    expected.assert_eq(&image.listings());
    image
}

#[track_caller]
fn fails(dockerfile: &str, words: &[&str]) {
    let world = World::new(FILES);
    world.dockerfile(dockerfile);
    world.build(&[]).fails(words);
}

#[test]
fn s32_a_directory_gives_its_contents() {
    for (source, dest) in [("dir", "/x"), ("dir/", "/x/"), ("dir/.", "/x")] {
        let world = World::new(FILES);
        world.dockerfile(&format!("FROM base\nCOPY {source} {dest}\n"));
        expect![[r"
            d0755 0:0 0 x/
            -0644 0:0 2 x/a
            d0755 0:0 0 x/sub/
            -0755 0:0 2 x/sub/b
        "]]
        .assert_eq(&world.image(&[]).listing(1));
    }
}

#[test]
fn s33_a_new_directory_has_none_of_its_sources_attributes_and_nested_ones_do() {
    let world = World::new(FILES);
    world.chmod("dir", 0o700);
    world.chmod("dir/sub", 0o711);
    world.dockerfile("FROM base\nCOPY dir /x\n");
    expect![[r"
        d0755 0:0 0 x/
        -0644 0:0 2 x/a
        d0711 0:0 0 x/sub/
        -0755 0:0 2 x/sub/b
    "]]
    .assert_eq(&world.image(&[]).listing(1));
}

#[test]
fn s34_an_existing_directory_keeps_its_own_and_nested_ones_take_the_sources() {
    let world = World::new(FILES);
    world.chmod("dir/sub", 0o711);
    world.dockerfile("FROM base\nRUN mkdir -p /x/sub && chmod 750 /x /x/sub && chown 3:3 /x /x/sub\nCOPY dir /x\n");
    expect![[r"
        d0750 3:3 0 x/
        -0644 0:0 2 x/a
        d0711 0:0 0 x/sub/
        -0755 0:0 2 x/sub/b
    "]]
    .assert_eq(&world.image(&[]).listing(2));
}

#[test]
fn s38_a_slash_or_a_directory_takes_the_file_inside() {
    check(
        "FROM base\nCOPY foo /data\nCOPY foo /new/\nCOPY foo /name\nWORKDIR /w\nARG NOTHING\nCOPY foo .\nCOPY bar \"$NOTHING\"\n",
        &expect![[r"
            -- 1
            d0755 0:0 0 data/
            -0644 0:0 4 data/foo
            -- 2
            d0755 0:0 0 new/
            -0644 0:0 4 new/foo
            -- 3
            -0644 0:0 4 name
            -- 4
            d0755 0:0 0 w/
            -- 5
            d0755 0:0 0 w/
            -0644 0:0 4 w/foo
            -- 6
            d0755 0:0 0 w/
            -0644 0:0 4 w/bar
        "]],
    );
}

#[test]
fn s39_relative_destinations_start_at_the_working_directory_and_sources_at_the_root() {
    check(
        "FROM base AS s\nWORKDIR /elsewhere\nRUN echo 1 > f\nFROM base\nWORKDIR /w\nCOPY --from=s elsewhere/f rel/\nCOPY foo ../up\n",
        &expect![[r"
            -- 1
            d0755 0:0 0 w/
            -- 2
            d0755 0:0 0 w/
            d0755 0:0 0 w/rel/
            -0644 0:0 2 w/rel/f
            -- 3
            -0644 0:0 4 up
        "]],
    );
}

#[test]
fn s40_sources_cannot_leave_the_context() {
    check(
        "FROM base\nCOPY ../../foo /1\nCOPY /foo /2\nCOPY dir/../../foo /3\n",
        &expect![[r"
            -- 1
            -0644 0:0 4 1
            -- 2
            -0644 0:0 4 2
            -- 3
            -0644 0:0 4 3
        "]],
    );
}

#[test]
fn s43_files_and_directories_do_not_replace_one_another() {
    fails(
        "FROM base\nCOPY dir /data/a\n",
        &["cannot copy to non-directory", "/data/a", ">>> COPY dir"],
    );
    fails(
        "FROM base\nCOPY dir /\nRUN mkdir -p /q/a\nCOPY dir /q\n",
        &["cannot replace to directory", "with file"],
    );
}

#[test]
fn s44_wildcards_match_as_go_does() {
    let image = check(
        "FROM base\nCOPY *.go /go/\nCOPY [fg]oo nomatch* ?ar /some/\nCOPY d*/*b /deep/\n",
        &expect![[r"
            -- 1
            d0755 0:0 0 go/
            -0644 0:0 2 go/x.go
            -0644 0:0 2 go/y.go
            -- 2
            d0755 0:0 0 some/
            -0644 0:0 4 some/bar
            -0644 0:0 4 some/foo
            -- 3
            d0755 0:0 0 deep/
            -0755 0:0 2 deep/b
        "]],
    );
    assert_eq!(image.file("deep/b"), "b\n");
}

#[test]
fn s44_a_missing_path_fails_with_its_line() {
    fails(
        "FROM base\nRUN true\nCOPY foo badfile /\n",
        &["badfile", "not found", "   3 | >>> COPY foo badfile /"],
    );
    fails(
        "FROM base AS s\nFROM base\nCOPY --from=s /no/such /\n",
        &["/no/such", "not found", ">>> COPY --from=s"],
    );
}

#[test]
fn s44_brackets_are_quoted_by_brackets() {
    let world = World::new(
        "
        //- a[1].txt
        x
        //- Dockerfile
        FROM base
        COPY a[[]1].txt /out
    ",
    );
    assert_eq!(world.image(&[]).file("out"), "x\n");
}

#[test]
fn s45_several_files_need_a_directory() {
    fails(
        "FROM base\nCOPY foo bar /name\n",
        &["/name", "end it with `/`"],
    );
    let image = check(
        "FROM base\nCOPY foo bar /data\n",
        &expect![[r"
        -- 1
        d0755 0:0 0 data/
        -0644 0:0 4 data/bar
        -0644 0:0 4 data/foo
    "]],
    );
    assert_eq!(image.file("data/bar"), "bar\n");
}

#[test]
fn s46_one_hit_of_a_wildcard_can_be_renamed() {
    check(
        "FROM base\nCOPY x*.go /z.go\nCOPY di* /d\n",
        &expect![[r"
        -- 1
        -0644 0:0 2 z.go
        -- 2
        d0755 0:0 0 d/
        -0644 0:0 2 d/a
        d0755 0:0 0 d/sub/
        -0755 0:0 2 d/sub/b
    "]],
    );
}

#[test]
fn s59_names_are_literal() {
    let world = World::new(
        "
        //- test-%C3%A4.txt
        x
        //- Dockerfile
        FROM base
        COPY test-%C3%A4.txt /
        COPY [\"ü b\", \"/c d\"]
    ",
    );
    world.write("ü b", "y\n");
    let image = world.image(&[]);
    assert_eq!(
        (image.file("test-%C3%A4.txt"), image.file("c d")),
        ("x\n".into(), "y\n".into())
    );
}

#[test]
fn a_whole_context_and_a_whole_stage() {
    let world = World::new(FILES);
    world.dockerfile("FROM scratch AS all\nCOPY . /\nFROM scratch\nCOPY --from=all / /copy\n");
    let image = world.image(&[]);
    assert_eq!(image.file("copy/dir/sub/b"), "b\n");
    assert_eq!(image.items(0).len(), 10);
}

#[test]
fn times_of_sources_are_kept() {
    let world = World::new(FILES);
    world.dockerfile("FROM base\nCOPY foo /\nFROM base\nCOPY --from=0 foo data/a /\n");
    let time = std::time::UNIX_EPOCH + std::time::Duration::new(1_234_567_890, 0);
    let file = std::fs::File::options()
        .write(true)
        .open(world.context().join("foo"))
        .unwrap();
    file.set_modified(time).unwrap();
    let image = world.image(&[]);
    assert_eq!(
        (image.item("foo").mtime, image.item("a").mtime),
        (1_234_567_890, 1_000_000_000)
    );
}

#[test]
fn names_that_mean_deletion_are_refused() {
    let world = World::new(
        "
        //- dir/.wh.foo
        x
        //- Dockerfile
        FROM base
        COPY dir /dir/
    ",
    );
    world.build(&[]).fails(&[".wh.foo"]);
    world.dockerfile("FROM base\nRUN touch /.wh.bar\n");
    world.build(&["-ttest"]).fails(&[".wh.bar"]);
}

#[test]
fn a_named_context_is_copied_from() {
    let world = World::of("FROM scratch\nCOPY --from=other sub /x\nCOPY --from=other f /x/\n");
    let other = world.dir().join("other");
    std::fs::create_dir_all(other.join("sub")).unwrap();
    std::fs::write(other.join("sub/g"), "g").unwrap();
    std::fs::write(other.join("f"), "f").unwrap();
    let image = world.image(&[&format!("--build-context=other={}", other.display())]);
    assert_eq!(
        (image.file("x/f"), image.file("x/g")),
        ("f".into(), "g".into())
    );
}
