//! Stages: which are built, and what of them is in the image.

use acetate_tests::World;
use expect_test::expect;

#[test]
fn only_the_chain_of_the_target_is_in_the_image() {
    let world = World::of(
        "
        FROM base AS build
        LABEL of=build
        RUN echo tool > /tool && echo junk > /junk
        FROM base AS below
        RUN echo 1 > /below
        FROM below
        COPY --from=build /tool /usr/bin/tool
        RUN cat /below /usr/bin/tool > /all
    ",
    );
    let image = world.image(&[]);
    expect![[r"
        -- 1
        -0644 0:0 2 below
        -- 2
        d0755 0:0 0 usr/
        d0755 0:0 0 usr/bin/
        -0644 0:0 5 usr/bin/tool
        -- 3
        -0644 0:0 7 all
    "]]
    .assert_eq(&image.listings());
    assert_eq!(image.file("all"), "1\ntool\n");
    assert!(image.config.config.labels.is_empty());
}

#[test]
fn unreached_stages_are_neither_run_nor_resolved() {
    let world = World::of(
        "
        FROM base AS broken
        RUN false
        FROM nowhere.invalid/none AS unresolved
        RUN true
        FROM unresolved AS above
        COPY missing /
        FROM base
        RUN true
    ",
    );
    let outcome = world.build(&[]).ok();
    assert_eq!(outcome.ran(), ["RUN true"]);
}

#[test]
fn stages_go_by_name_whatever_its_case_and_by_index() {
    let world = World::of(
        "
        FROM base
        RUN echo zero > /zero
        FROM base AS One
        RUN echo one > /one
        FROM scratch
        COPY --from=0 /zero /
        COPY --from=oNE /one /
    ",
    );
    let image = world.image(&[]);
    assert_eq!(image.n_layers(), 2);
    assert_eq!(
        (image.file("zero"), image.file("one")),
        ("zero\n".into(), "one\n".into())
    );
}

#[test]
fn a_later_stage_of_the_same_name_wins() {
    let world = World::of(
        "
        FROM base AS x
        RUN echo first > /f
        FROM base AS x
        RUN echo second > /f
        FROM scratch
        COPY --from=x /f /
    ",
    );
    assert_eq!(world.image(&[]).file("f"), "second\n");
}

#[test]
fn copy_from_takes_files_of_an_image() {
    let world = World::of(
        "
        FROM scratch
        COPY --from=base /data/a /from-base
    ",
    );
    assert_eq!(world.image(&[]).file("from-base"), "a\n");
}

#[test]
fn a_target_is_built_alone() {
    let world = World::of(
        "
        FROM base AS one
        RUN echo 1 > /one
        FROM base AS two
        RUN echo 2 > /two
        FROM two AS three
        RUN false
    ",
    );
    let outcome = world.build(&["--target", "TWO"]).ok();
    assert_eq!(outcome.ran(), ["RUN echo 2 > /two"]);
}

#[test]
fn a_label_on_scratch_is_an_image_without_layers_that_can_be_a_base() {
    let world = World::of(
        "
        FROM scratch AS empty
        LABEL a=b
        FROM empty
        COPY Dockerfile /
    ",
    );
    let empty = world.image(&["--target", "empty"]);
    assert_eq!(empty.n_layers(), 0);
    assert_eq!(empty.config.config.labels["a"], "b");
    assert_eq!(empty.config.config.working_dir, "/");
    let above = world.image(&[]);
    assert_eq!(above.n_layers(), 1);
    assert_eq!(above.config.config.labels["a"], "b");
}

#[test]
fn onbuild_runs_first_once_and_in_order() {
    let world = World::of(
        "
        FROM base AS parent
        ONBUILD RUN echo 1 >> /order
        ONBUILD ENV SET=by-trigger
        ONBUILD COPY --from=other /x /x
        FROM base AS other
        RUN echo x > /x
        FROM parent AS child
        RUN echo 2 >> /order
        FROM child
        RUN echo 3 >> /order
    ",
    );
    let parent = world.image(&["--target=parent"]);
    assert_eq!(parent.config.config.on_build.len(), 3);
    let image = world.image(&[]);
    assert_eq!(image.file("order"), "1\n2\n3\n");
    assert_eq!(image.file("x"), "x\n");
    assert_eq!(image.env()["SET"], "by-trigger");
    assert!(image.config.config.on_build.is_empty());
}

#[test]
fn onbuild_of_a_base_image_runs_in_the_child() {
    let world = World::of(
        "
        FROM base
        ONBUILD COPY <<EOF /note
        from the base
        EOF
        ONBUILD RUN cp /note /note2
    ",
    );
    let base = world.image(&[]);
    let context = format!("--build-context=parent=oci-layout://{}", base.dir.display());
    world.dockerfile("FROM parent\nRUN cat /note2 > /note3\n");
    let image = world.image(&[&context]);
    assert_eq!(image.file("note3"), "from the base\n");
}

#[test]
fn a_context_of_the_name_of_a_stage_replaces_it() {
    let world = World::of(
        "
        FROM base AS dep
        RUN false
        FROM scratch
        COPY --from=dep f /
    ",
    );
    std::fs::create_dir(world.dir().join("dep")).unwrap();
    std::fs::write(world.dir().join("dep/f"), "from the directory").unwrap();
    let context = format!("--build-context=dep={}", world.dir().join("dep").display());
    assert_eq!(world.image(&[&context]).file("f"), "from the directory");
}

#[test]
fn an_unused_context_is_not_resolved() {
    let world = World::of("FROM scratch\nCOPY Dockerfile /\n");
    world
        .build(&["--build-context=x=oci-layout:///nowhere/at/all"])
        .ok();
    world
        .build(&["--build-context=x=docker-image://nowhere.invalid/x"])
        .ok();
}

#[test]
fn a_chain_of_many_layers_is_built_on() {
    let mut text = "FROM base\n".to_owned();
    for n in 0..40 {
        text += &format!("COPY Dockerfile /f{n}\n");
    }
    text += "RUN ls / | grep -c 'f[0-9]' > /count\n";
    let image = World::of(&text).image(&[]);
    assert_eq!(image.file("count"), "40\n");
    assert_eq!(image.n_layers(), 42);
}

#[test]
fn independent_stages_run_at_the_same_time() {
    let world = World::of(
        "
        FROM base AS a
        RUN date +%s > /begin && sleep 0.7 && date +%s > /end
        FROM base AS b
        RUN date +%s > /begin && sleep 0.8 && date +%s > /end
        FROM base AS c
        RUN date +%s > /begin && sleep 0.9 && date +%s > /end
        FROM scratch
        COPY --from=a / /a
        COPY --from=b / /b
        COPY --from=c / /c
    ",
    );
    let image = world.image(&[]);
    let time = |name: &str| image.file(name).trim().parse::<u64>().unwrap();
    let last_begin = ["a/begin", "b/begin", "c/begin"]
        .map(time)
        .into_iter()
        .max()
        .unwrap();
    let first_end = ["a/end", "b/end", "c/end"]
        .map(time)
        .into_iter()
        .min()
        .unwrap();
    assert!(last_begin <= first_end, "{last_begin} {first_end}");
}
