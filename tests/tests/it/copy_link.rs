//! `COPY --link`: layers that do not depend on what is below them.

use acetate_tests::World;

const WORLD: &str = "
    //- Dockerfile
    FROM base AS made
    COPY seed /seed
    RUN cat /seed > /made
    FROM made
    COPY --link f dir/
    RUN cat /made /dir/f > /out
    //- seed
    one
    //- f
    f
";

#[test]
fn s82_a_linked_copy_is_the_same_layer_on_another_base() {
    let world = World::new(WORLD);
    let before = world.image(&[]);
    world.write("seed", "two\n");
    let (after, outcome) = world.image_and_outcome(&[]);
    assert_eq!(after.file("out"), "two\nf\n");
    let link = |image: &acetate_tests::Layout| image.config.rootfs.diff_ids[3];
    assert_eq!(link(&before), link(&after));
    assert_ne!(
        before.config.rootfs.diff_ids[2],
        after.config.rootfs.diff_ids[2]
    );
    let copied = |names: Vec<String>| names.iter().any(|name| name == "COPY --link f dir/");
    assert!(copied(outcome.cached()), "{:?}", outcome.cached());
    assert!(!copied(outcome.ran()), "{:?}", outcome.ran());
}

#[test]
fn s82_it_is_found_again_where_its_base_is_made_again() {
    let world = World::new(WORLD);
    world.image(&[]);
    let (_, outcome) = world.image_and_outcome(&["--no-cache-filter=made"]);
    let ran = outcome.ran();
    assert!(ran.contains(&"RUN cat /seed > /made".to_owned()), "{ran:?}");
    assert!(!ran.contains(&"COPY --link f dir/".to_owned()), "{ran:?}");
    let (_, outcome) = world.image_and_outcome(&[]);
    assert_eq!(outcome.ran(), Vec::<String>::new());
}

#[test]
fn s110_the_two_parts_of_it_have_names() {
    let world = World::new(WORLD);
    let outcome = world.build(&[]).ok();
    let names: Vec<&str> = outcome
        .steps
        .iter()
        .map(|step| step.name.as_str())
        .filter(|name| name.contains("--link"))
        .collect();
    assert_eq!(
        names,
        [
            "[stage-1 1/2] COPY --link f dir/",
            "[stage-1 1/2] LINK COPY --link f dir/"
        ]
    );
}

#[test]
fn a_linked_layer_is_a_layer_like_others() {
    let world = World::new(
        "
        //- Dockerfile
        FROM base
        COPY --link --chown=app:extra f /a/b/
        COPY --link g /a/b/f2
        RUN stat -c '%n %U:%G' /a/b/f > /out; ls /a/b >> /out
        //- f
        f
        //- g
        g
    ",
    );
    let image = world.image(&[]);
    assert_eq!(image.file("out"), "/a/b/f app:extra\nf\nf2\n");
    assert_eq!(
        image.history(),
        "* COPY --chown=app:extra f /a/b/ # buildkit\n\
         * COPY g /a/b/f2 # buildkit\n\
         * RUN /bin/sh -c stat -c '%n %U:%G' /a/b/f > /out; ls /a/b >> /out # buildkit\n"
    );
    assert_eq!(image.n_layers(), 4);
    let again = world.image(&[]);
    assert_eq!(image.digest(), again.digest());
}

#[test]
fn s42_a_linked_copy_follows_no_link_of_its_base() {
    let world = World::new(
        "
        //- Dockerfile
        FROM base
        RUN mkdir /real && ln -s /real /way
        COPY --link f /way/f
        RUN test ! -e /real/f && test ! -L /way && cat /way/f > /out
        //- f
        f
    ",
    );
    assert_eq!(world.image(&[]).file("out"), "f\n");
}

#[test]
fn the_owner_is_looked_up_where_the_copy_goes() {
    let world = World::new(
        "
        //- Dockerfile
        FROM base
        RUN echo 'new:x:4242:4343::/:' >> /etc/passwd
        COPY --link --chown=new f /
        RUN stat -c '%u %g' /f > /out
        //- f
        f
    ",
    );
    assert_eq!(world.image(&[]).file("out"), "4242 4343\n");
    // Other changes below do not matter, one of the accounts does.
    let text = std::fs::read_to_string(world.context().join("Dockerfile")).unwrap();
    world.write(
        "Dockerfile",
        &text.replace("RUN echo", "RUN touch /x; echo"),
    );
    let (image, outcome) = world.image_and_outcome(&[]);
    assert_eq!(image.file("out"), "4242 4343\n");
    let copied = |names: Vec<String>| names.contains(&"COPY --link --chown=new f /".to_owned());
    assert!(copied(outcome.cached()), "{:?}", outcome.cached());
    world.write("Dockerfile", &text.replace("4242", "4244"));
    assert_eq!(world.image(&[]).file("out"), "4244 4343\n");
}

#[test]
fn links_on_nothing_and_between_stages() {
    let world = World::new(
        "
        //- Dockerfile
        FROM base AS a
        RUN echo a > /a && chown app /a
        FROM scratch
        COPY --link --from=a /a /
        COPY --link f /d/
        //- f
        f
    ",
    );
    let image = world.image(&[]);
    assert_eq!(image.n_layers(), 2);
    assert_eq!(
        (image.item("a").uid, image.file("d/f")),
        (1000, "f\n".into())
    );
}
