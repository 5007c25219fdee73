//! COPY: owners and modes.

use acetate_tests::{World, needs_root};
use expect_test::{Expect, expect};

#[track_caller]
fn check(dockerfile: &str, expected: &Expect) {
    let world = World::new(
        "
        //- foo
        foo
        //- dir/a
        a
        //- dir/sub/b mode=755
        b
    ",
    );
    world.dockerfile(dockerfile);
    expected.assert_eq(&world.image(&[]).listings());
}

#[test]
fn s35_owners_and_octal_modes_are_those_of_new_parents_too() {
    check(
        "FROM base\nCOPY --chown=1:2 foo /p/foo\nCOPY --chmod=777 foo /q/foo\nCOPY --chmod=u=rw,go= foo /r/foo\n",
        &expect![[r"
            -- 1
            d0755 1:2 0 p/
            -0644 1:2 4 p/foo
            -- 2
            d0777 0:0 0 q/
            -0777 0:0 4 q/foo
            -- 3
            d0755 0:0 0 r/
            -0600 0:0 4 r/foo
        "]],
    );
}

#[test]
fn s36_files_of_the_context_are_roots_and_those_of_a_stage_keep_their_owner() {
    if needs_root() {
        return;
    }
    let world = World::new(
        "
        //- f
        f
        //- Dockerfile
        FROM base AS s
        COPY f /mine
        RUN echo x > /f && chown 5:6 /f
        FROM base
        COPY f /context
        COPY --from=s /f /stage
        COPY --from=s --chown=7 /f /changed
    ",
    );
    std::os::unix::fs::chown(world.context().join("f"), Some(1234), Some(1234)).unwrap();
    expect![[r"
        -- 1
        -0644 0:0 2 context
        -- 2
        -0644 5:6 2 stage
        -- 3
        -0644 7:7 2 changed
    "]]
    .assert_eq(&world.image(&[]).listings());
}

#[test]
fn s37_names_are_looked_up_where_is_copied_to() {
    check(
        "FROM base\nCOPY --chown=app foo /1\nCOPY --chown=app:extra foo /2\nCOPY --chown=1000 foo /3\nCOPY --chown=1000:extra foo /4\nCOPY --chown=:extra foo /5\n",
        &expect![[r"
            -- 1
            -0644 1000:1001 4 1
            -- 2
            -0644 1000:2000 4 2
            -- 3
            -0644 1000:1000 4 3
            -- 4
            -0644 1000:2000 4 4
            -- 5
            -0644 0:2000 4 5
        "]],
    );
}

#[test]
fn s37_an_account_that_an_earlier_step_added_is_known() {
    let world = World::of(
        "FROM base\nRUN echo new:x:77:88::/:/bin/sh >> /etc/passwd\nCOPY --chown=new Dockerfile /f\n",
    );
    let item = world.image(&[]).item("f");
    assert_eq!((item.uid, item.gid), (77, 88));
}

#[test]
fn s37_unknown_names_fail_and_name_the_file() {
    let world = World::of("FROM base\nCOPY --chown=nobody-here Dockerfile /\n");
    world
        .build(&[])
        .fails(&["nobody-here", "/etc/passwd", "   2 | >>> COPY --chown"]);
    let world = World::of("FROM base\nCOPY --chown=app:no-group Dockerfile /\n");
    world.build(&[]).fails(&["no-group", "/etc/group"]);
    let world = World::of("FROM scratch\nCOPY --chown=app Dockerfile /\n");
    world.build(&[]).fails(&["app", "/etc/passwd"]);
}

#[test]
fn s35_the_owner_is_that_of_everything_in_a_directory() {
    check(
        "FROM base\nCOPY --chown=8:9 --chmod=750 dir /d\n",
        &expect![[r"
            -- 1
            d0750 8:9 0 d/
            -0750 8:9 2 d/a
            d0750 8:9 0 d/sub/
            -0750 8:9 2 d/sub/b
        "]],
    );
}

#[test]
fn symbolic_modes_change_what_they_name() {
    check(
        "FROM base\nCOPY --chmod=go-r,u+x foo /1\nCOPY --chmod=a=rX dir /2\nCOPY --chmod=+x foo /3\n",
        &expect![[r"
            -- 1
            -0700 0:0 4 1
            -- 2
            d0755 0:0 0 2/
            -0444 0:0 2 2/a
            d0555 0:0 0 2/sub/
            -0555 0:0 2 2/sub/b
            -- 3
            -0755 0:0 4 3
        "]],
    );
}

#[test]
fn s50_set_id_bits_survive_and_can_be_set() {
    let world = World::new(
        "
        //- su mode=4755
        x
        //- sg mode=2755
        x
        //- Dockerfile
        FROM base AS one
        COPY su sg /
        COPY --chmod=4711 sg /set
        FROM base
        COPY --from=one su sg set /from/
        COPY --chown=3:4 su /owned
    ",
    );
    expect![[r"
        -- 1
        d0755 0:0 0 from/
        -4711 0:0 2 from/set
        -2755 0:0 2 from/sg
        -4755 0:0 2 from/su
        -- 2
        -4755 3:4 2 owned
    "]]
    .assert_eq(&world.image(&[]).listings());
}

#[test]
fn numbers_that_are_no_mode_are_refused() {
    let world = World::of("FROM base\nCOPY --chmod=64a Dockerfile /\n");
    world.build(&[]).fails(&[
        "invalid chmod parameter: '64a'. it should be octal string and between 0 and 07777",
    ]);
}

#[test]
fn variables_name_owners_and_modes() {
    let world =
        World::of("FROM base\nARG U=4 G=5 M=640\nCOPY --chown=$U:${G} --chmod=$M Dockerfile /f\n");
    let image = world.image(&[]);
    assert!(image.item("f").line().starts_with("-0640 4:5 "));
    assert!(
        image
            .history()
            .contains("COPY --chown=4:5 --chmod=640 Dockerfile /f # buildkit")
    );
}
