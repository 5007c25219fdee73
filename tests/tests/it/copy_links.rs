//! COPY: symbolic links, hard links, and files that are no files.

use acetate_tests::{World, needs_root};
use expect_test::expect;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

#[test]
fn s41_links_that_are_named_are_followed_and_those_inside_stay() {
    let world = World::new(
        "
        //- dir/a
        a
        //- Dockerfile
        FROM base
        COPY link /1
        COPY dlink /2
        COPY up/a /3
        COPY l* /4/
        COPY abs /5
    ",
    );
    let at = |name: &str| world.context().join(name);
    symlink("dir/a", at("link")).unwrap();
    symlink("dir", at("dlink")).unwrap();
    symlink("dir", at("up")).unwrap();
    symlink("/dir/a", at("abs")).unwrap();
    symlink("a", at("dir/inner")).unwrap();
    symlink("/nowhere", at("dir/dangling")).unwrap();
    expect![[r"
        -- 1
        -0644 0:0 2 1
        -- 2
        d0755 0:0 0 2/
        -0644 0:0 2 2/a
        l0777 0:0 0 2/dangling -> /nowhere
        l0777 0:0 0 2/inner -> a
        -- 3
        -0644 0:0 2 3
        -- 4
        d0755 0:0 0 4/
        -0644 0:0 2 4/link
        -- 5
        -0644 0:0 2 5
    "]]
    .assert_eq(&world.image(&[]).listings());
}

#[test]
fn s41_a_link_out_of_the_context_stays_in_it() {
    let world = World::of("FROM base\nCOPY out /\n");
    symlink("../../../../../../etc/passwd", world.context().join("out")).unwrap();
    world.build(&[]).fails(&["not found"]);
    world.write("etc/passwd", "mine");
    assert_eq!(world.image(&[]).file("out"), "mine");
}

#[test]
fn s41_links_of_a_stage_lead_into_the_stage() {
    let world = World::of(
        "
        FROM base AS s
        RUN mkdir /t && echo in-stage > /t/f && ln -s /t/f /l && ln -s t /d && ln -s /l /ll
        FROM scratch
        COPY --from=s /l /1
        COPY --from=s /d/f /2
        COPY --from=s /ll /3
    ",
    );
    let image = world.image(&[]);
    for name in ["1", "2", "3"] {
        assert_eq!(image.file(name), "in-stage\n", "{name}");
    }
}

#[test]
fn s41_links_in_a_circle_fail() {
    let world = World::of("FROM base\nCOPY loop /\n");
    symlink("loop", world.context().join("loop")).unwrap();
    world.build(&[]).fails(&["loop"]);
}

#[test]
fn s42_links_of_the_destination_are_followed_inside_the_image() {
    let world = World::of(
        "
        FROM base
        RUN ln -s /data /abs && ln -s ../tmp/t /dangling && ln -s ../../.. /data/up
        COPY Dockerfile /abs/1
        COPY Dockerfile /dangling/
        COPY Dockerfile /data/up/3
        RUN test -L /abs && test -L /dangling && ls /data/1 /tmp/t/Dockerfile /3 > /out
    ",
    );
    assert_eq!(
        world.image(&[]).file("out"),
        "/3\n/data/1\n/tmp/t/Dockerfile\n"
    );
}

#[test]
fn s43_a_file_in_a_tree_replaces_a_link() {
    let world = World::of(
        "
        FROM base AS s
        RUN mkdir /x && echo file > /x/link
        FROM base
        COPY --from=s /x /data
    ",
    );
    expect![[r"
        d0755 0:0 0 data/
        -0644 0:0 5 data/link
    "]]
    .assert_eq(&world.image(&[]).listing(1));
}

#[test]
fn s52_hard_links_stay_together_within_one_copy() {
    let world = World::new(
        "
        //- d/a
        a
        //- Dockerfile
        FROM base
        COPY d /d
        COPY d/a /a
        FROM base
        COPY --from=0 /d /e
    ",
    );
    let link =
        |name: &str| std::fs::hard_link(world.context().join("d/a"), world.context().join(name));
    link("d/b").unwrap();
    link("d/c").unwrap();
    let image = world.image(&[]);
    expect![[r"
        d0755 0:0 0 e/
        -0644 0:0 2 e/a
        h0644 0:0 0 e/b -> e/a
        h0644 0:0 0 e/c -> e/a
    "]]
    .assert_eq(&image.listing(1));
}

#[test]
fn s52_hard_links_of_a_base_layer_stay_together() {
    let world = World::of("FROM scratch\nCOPY --from=base /data /d\n");
    expect![[r"
        d0755 0:0 0 d/
        -0644 0:0 2 d/a
        -0644 0:0 2 d/b
        h0644 0:0 0 d/hard -> d/b
        l0777 0:0 0 d/link -> a
        d0755 0:0 0 d/sub/
        -0644 0:0 2 d/sub/c
        -0644 0:0 2 d/sub/d
    "]]
    .assert_eq(&world.image(&[]).listing(0));
}

#[test]
fn s49_a_socket_becomes_an_empty_file_and_a_pipe_a_pipe() {
    let world = World::of("FROM base\nCOPY sock /\nCOPY d /d\n");
    std::fs::create_dir(world.context().join("d")).unwrap();
    let _listener = UnixListener::bind(world.context().join("sock")).unwrap();
    let mode = rustix::fs::Mode::from_raw_mode(0o640);
    let pipe = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(
        rustix::fs::CWD,
        world.context().join("d/pipe"),
        pipe,
        mode,
        0,
    )
    .unwrap();
    let image = world.image(&[]);
    let sock = image.item("sock");
    assert_eq!((sock.kind, sock.size), ('-', 0));
    assert_eq!(image.item("d/pipe").kind, 'p');
}

#[test]
fn s49_devices_are_copied_as_devices() {
    if needs_root() {
        return;
    }
    let world =
        World::of("FROM base AS s\nRUN mknod /n c 1 3\nFROM scratch\nCOPY --from=s /n /n\n");
    let item = world.image(&[]).item("n");
    assert_eq!((item.kind, item.device), ('c', (1, 3)));
}
