//! Both ways to run steps do the same.

use acetate_tests::{World, have};

const DOCKERFILE: &str = r"
    FROM base
    WORKDIR /w
    ENV A=1
    RUN echo $A $(pwd) $(hostname) $(id -u) $(id -G) $HOME > out; umask >> out
    RUN grep -E 'Cap(Prm|Eff|Bnd)|Seccomp:|NoNewPrivs' /proc/self/status > caps
    RUN ls /dev > dev; ls / > root; ls /proc/self/fd | wc -l > fds
    RUN rm -r /data/sub && mkdir /data/sub && mkfifo /data/pipe && ln /data/a /data/x
    USER app
    RUN id > /tmp/id; echo $HOME >> /tmp/id
    USER 7:8
    RUN id > /tmp/id2
";

#[test]
fn both_leave_the_same_layers() {
    if !have("runc") {
        return;
    }
    let world = World::of(DOCKERFILE);
    let native = world.image_in(
        &world.dir().join("native"),
        &["--isolation=native", "--network=none"],
    );
    let oci = world.image_in(
        &world.dir().join("oci"),
        &["--isolation=oci", "--network=none"],
    );
    for name in [
        "w/out", "w/caps", "w/dev", "w/root", "w/fds", "tmp/id", "tmp/id2",
    ] {
        assert_eq!(native.file(name), oci.file(name), "{name}");
    }
    for n in 0..native.n_layers() {
        assert_eq!(native.listing(n), oci.listing(n), "layer {n}");
    }
}

#[test]
fn both_fail_with_the_same_words() {
    if !have("runc") {
        return;
    }
    for isolation in ["--isolation=native", "--isolation=oci"] {
        let world = World::of("FROM base\nRUN echo words; exit 7\n");
        world.build(&[isolation]).fails(&[
            "process \"/bin/sh -c echo words; exit 7\" did not complete successfully: exit code: 7",
        ]);
        let world = World::of("FROM base\nRUN [\"/no/such/program\"]\n");
        world
            .build(&[isolation])
            .fails(&["process \"/no/such/program\" did not complete successfully: exit code: 127"]);
        let world = World::of("FROM base\nRUN [\"/data/a\"]\n");
        world
            .build(&[isolation])
            .fails(&["process \"/data/a\" did not complete successfully: exit code: 126"]);
    }
}

#[test]
fn capabilities_are_those_of_a_container() {
    let world = World::of("FROM base\nRUN grep CapBnd /proc/self/status > /caps\n");
    let bounding = |args: &[&str]| {
        let text = world.image(args).file("caps");
        u64::from_str_radix(text.rsplit('\t').next().unwrap_or_default().trim(), 16).unwrap()
    };
    assert_eq!(bounding(&["--network=none"]), 0x0000_0000_a804_25fb);
    // NET_RAW, bit 13, would reach the host's network.
    assert_eq!(
        bounding(&["--network=host"]),
        0x0000_0000_a804_25fb & !(1 << 13)
    );
}
