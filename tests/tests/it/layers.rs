//! What a step leaves as a layer, to the last entry.

use acetate_tests::{Layout, World, needs_root};
use expect_test::{Expect, expect};

/// Checks the layers that a Dockerfile makes on the base.
#[track_caller]
fn check(dockerfile: &str, expected: &Expect) -> Layout {
    let image = World::of(dockerfile).image(&[]);
    expected.assert_eq(&image.listings());
    image
}

#[test]
fn a_deleted_file_and_a_deleted_tree_are_one_whiteout_each() {
    check(
        "FROM base\nRUN rm /data/a\nRUN rm -r /data/sub\nRUN rm -r /data\n",
        &expect![[r"
            -- 1
            d0755 0:0 0 data/
            -0000 0:0 0 data/.wh.a
            -- 2
            d0755 0:0 0 data/
            -0000 0:0 0 data/.wh.sub
            -- 3
            -0000 0:0 0 .wh.data
        "]],
    );
}

#[test]
fn what_comes_and_goes_in_one_step_leaves_nothing() {
    check(
        "FROM base\nRUN touch /x && mkdir -p /y/z && rm -r /x /y\n",
        &expect![[r"
            -- 1
        "]],
    );
}

#[test]
fn a_directory_made_again_lists_what_it_lost() {
    let image = check(
        "FROM base\nRUN rm -r /data/sub && mkdir /data/sub && echo new > /data/sub/c\nRUN ls /data/sub > /out\n",
        &expect![[r"
            -- 1
            d0755 0:0 0 data/
            d0755 0:0 0 data/sub/
            -0644 0:0 4 data/sub/c
            -0000 0:0 0 data/sub/.wh.d
            -- 2
            -0644 0:0 2 out
        "]],
    );
    assert_eq!(image.file("out"), "c\n");
}

#[test]
fn a_directory_becomes_a_file_and_a_file_a_directory() {
    let image = check(
        "FROM base\nRUN rm -r /data/sub && echo f > /data/sub && rm /data/a && mkdir /data/a && touch /data/a/x\nRUN find /data | sort > /out\n",
        &expect![[r"
            -- 1
            d0755 0:0 0 data/
            d0755 0:0 0 data/a/
            -0644 0:0 0 data/a/x
            -0644 0:0 2 data/sub
            -- 2
            -0644 0:0 64 out
        "]],
    );
    assert_eq!(
        image.file("out"),
        "/data\n/data/a\n/data/a/x\n/data/b\n/data/hard\n/data/link\n/data/sub\n"
    );
}

#[test]
fn hard_links_have_one_file() {
    check(
        "FROM base\nRUN echo x > /one && ln /one /three && ln /one /data/two\n",
        &expect![[r"
            -- 1
            d0755 0:0 0 data/
            -0644 0:0 2 data/two
            h0644 0:0 0 one -> data/two
            h0644 0:0 0 three -> data/two
        "]],
    );
}

#[test]
fn a_new_link_to_a_file_below_brings_the_file() {
    let image = check(
        "FROM base\nRUN ln /data/b /data/again\nRUN cat /data/again /data/hard > /out\n",
        &expect![[r"
            -- 1
            d0755 0:0 0 data/
            -0644 0:0 2 data/again
            h0644 0:0 0 data/b -> data/again
            -- 2
            -0644 0:0 4 out
        "]],
    );
    assert_eq!(image.file("out"), "b\nb\n");
}

#[test]
fn set_id_and_sticky_bits_stay() {
    check(
        "FROM base\nRUN touch /u /g /x && chmod 4755 /u && chmod 2711 /g && mkdir /t && chmod 1777 /t && chown 3:4 /x\n",
        &expect![[r"
            -- 1
            -2711 0:0 0 g
            d1777 0:0 0 t/
            -4755 0:0 0 u
            -0644 3:4 0 x
        "]],
    );
}

#[test]
fn only_modes_and_owners_changed() {
    check(
        "FROM base\nRUN chmod 600 /data/a\nRUN chown 5:6 /data/sub\nRUN chmod 644 /data/b; touch -d @1000000000 /data/b\n",
        &expect![[r"
            -- 1
            d0755 0:0 0 data/
            -0600 0:0 2 data/a
            -- 2
            d0755 0:0 0 data/
            d0755 5:6 0 data/sub/
            -- 3
        "]],
    );
}

#[test]
fn links_are_replaced() {
    check(
        "FROM base\nRUN ln -sf b /data/link\nRUN rm /data/link && echo file > /data/link\n",
        &expect![[r"
            -- 1
            d0755 0:0 0 data/
            l0777 0:0 0 data/link -> b
            -- 2
            d0755 0:0 0 data/
            -0644 0:0 5 data/link
        "]],
    );
}

#[test]
fn pipes_and_devices_stay_what_they_are() {
    if needs_root() {
        return;
    }
    let image = check(
        "FROM base\nRUN mkfifo -m 640 /pipe && mknod -m 666 /zero c 1 5 && mknod /disk b 7 9\nRUN stat -c %F /pipe /zero /disk > /out\n",
        &expect![[r"
            -- 1
            b0644 0:0 0 disk
            p0640 0:0 0 pipe
            c0666 0:0 0 zero
            -- 2
            -0644 0:0 47 out
        "]],
    );
    assert_eq!(
        (image.item("zero").device, image.item("disk").device),
        ((1, 5), (7, 9))
    );
    assert_eq!(
        image.file("out"),
        "fifo\ncharacter special file\nblock special file\n"
    );
}

#[test]
fn a_device_that_a_step_made_opens_for_nobody() {
    if needs_root() {
        return;
    }
    let world = World::of("FROM base\nRUN mknod /zero c 1 5\nRUN head -c 1 /zero\n");
    world.build(&[]).fails(&["exit code: 1"]);
}

#[test]
fn nothing_of_the_sandbox_is_in_a_layer() {
    let world = World::of(
        "FROM base\nRUN ls /proc /sys /dev /etc/resolv.conf /etc/hosts > /dev/null && echo x > /dev/shm/x && echo y > /f\n",
    );
    let image = world.image(&["--add-host=a:1.2.3.4"]);
    assert_eq!(image.listings(), "-- 1\n-0644 0:0 2 f\n");
}

#[test]
fn a_step_that_writes_nothing_leaves_the_times_of_directories() {
    let world = World::of(
        "FROM base\nRUN cat /etc/resolv.conf > /dev/null\nRUN stat -c %Y / /etc /tmp | sort -u > /out\n",
    );
    let image = world.image(&[]);
    assert_eq!(image.listing(1), "");
    let times = image.file("out");
    assert!(times.contains("1000000000"), "{times}");
    assert!(
        times.lines().count() <= 2,
        "/ may have no entry of its own, but {times}"
    );
}

#[test]
fn names_with_blanks_newlines_and_bytes_survive() {
    let world = World::of(
        "FROM base\nRUN touch \"/a b\" \"$(printf '/c\\nd')\" \"$(printf '/e\\377')\" /ü && seq -s '' 100 | head -c 150 > /n && touch /$(cat /n)\nRUN ls / | wc -l > /out\n",
    );
    let image = world.image(&[]);
    let items = image.items(1);
    let names: Vec<&str> = items.iter().map(|item| item.path.as_str()).collect();
    assert!(
        names.contains(&"a b") && names.contains(&"c\nd") && names.contains(&"ü"),
        "{names:?}"
    );
    assert!(items.iter().any(|item| item.path.len() == 150));
}

#[test]
fn times_have_their_nanoseconds() {
    let world =
        World::of("FROM base\nRUN touch -d '2001-02-03 04:05:06.123456789' /f || touch /f\n");
    let image = world.image(&[]);
    let item = image.item("f");
    let time = String::from_utf8_lossy(item.pax.get("mtime").expect("a PAX time")).into_owned();
    assert!(time.contains('.'), "{time}");
}

#[test]
fn attributes_come_from_the_context_into_the_layer() {
    if needs_root() {
        return;
    }
    let world = World::new(
        "
        //- Dockerfile
        FROM base
        COPY f /
        RUN touch /g
        //- f
        x
    ",
    );
    let set = |name: &str, value: &[u8]| {
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::setxattr(world.context().join("f"), name, value, flags).is_ok()
    };
    // Version 2, all of chown, permitted.
    let capability = [1, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    if !set("user.note", b"hi") || !set("security.capability", &capability) {
        return;
    }
    let image = world.image(&[]);
    let item = image.item("f");
    assert_eq!(item.xattr("user.note"), Some(&b"hi"[..]));
    assert_eq!(item.xattr("security.capability"), Some(&capability[..]));
    let overlay = |n: usize| {
        image
            .items(n)
            .iter()
            .any(|i| i.pax.keys().any(|k| k.contains("overlay")))
    };
    assert!(!(0..image.n_layers()).any(overlay));
}

#[test]
fn a_working_directory_is_a_layer_and_run_without_effect_too() {
    check(
        "FROM base\nWORKDIR /a/b\nWORKDIR /a/b\nRUN true\n",
        &expect![[r"
            -- 1
            d0755 0:0 0 a/
            d0755 0:0 0 a/b/
            -- 2
            -- 3
        "]],
    );
}

#[test]
fn parents_of_a_copied_file_are_listed_as_they_are_below() {
    check(
        "FROM base\nRUN chmod 711 /data/sub\nCOPY Dockerfile /data/sub/x/y\n",
        &expect![[r"
            -- 1
            d0755 0:0 0 data/
            d0711 0:0 0 data/sub/
            -- 2
            d0755 0:0 0 data/
            d0711 0:0 0 data/sub/
            d0755 0:0 0 data/sub/x/
            -0644 0:0 64 data/sub/x/y
        "]],
    );
}

#[test]
fn the_layer_of_the_base_is_left_as_it_is() {
    let world = World::of("FROM base\nRUN true\n");
    let image = world.image(&["--build-arg=SOURCE_DATE_EPOCH=1"]);
    let base = Layout::read(world.base());
    assert_eq!(
        image.config.rootfs.diff_ids[0],
        base.config.rootfs.diff_ids[0]
    );
    assert_eq!(image.config.history[0], base.config.history[0]);
}

#[test]
fn a_file_larger_than_a_buffer_is_whole() {
    let world = World::of(
        "FROM base\nRUN yes acetate | head -c 9000001 > /big && sha256sum < /big > /sum\nRUN sha256sum < /big | cmp - /sum || sha256sum < /big > /again\n",
    );
    let image = world.image(&[]);
    assert_eq!(image.item("big").size, 9_000_001);
    let sum = acetate_oci::Digest::of(&image.item("big").content).hex();
    assert!(image.file("sum").starts_with(&sum));
}
