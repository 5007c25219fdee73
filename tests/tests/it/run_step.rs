//! RUN: who runs, where, and what it sees.

use acetate_tests::World;

#[track_caller]
fn out(dockerfile: &str, args: &[&str]) -> String {
    World::of(dockerfile).image(args).file("out")
}

#[test]
fn nobody_named_is_root_with_a_home() {
    let text = "FROM base\nRUN id > /out; echo $HOME $PATH $(pwd) $(hostname) >> /out\n";
    assert_eq!(
        out(text, &[]),
        "uid=0(root) gid=0(root) groups=0(root)\n/root /bin / buildkitsandbox\n"
    );
}

#[test]
fn a_user_has_the_groups_of_the_image() {
    let text = "
        FROM base
        RUN mkdir -m 777 /w
        USER app
        RUN id -u > /w/a; id -g >> /w/a; id -G >> /w/a; echo $HOME >> /w/a
        USER app:extra
        RUN id -g > /w/b; id -G >> /w/b
        USER 1234
        RUN id -u > /w/c; id -g >> /w/c
        USER 0
        RUN cat /w/a /w/b /w/c > /out
    ";
    assert_eq!(
        out(text, &[]),
        "1000\n1001\n1001 2000\n/home/app\n2000\n2000\n1234\n0\n"
    );
}

#[test]
fn users_and_groups_by_number_need_no_account() {
    let text = "
        FROM base
        RUN mkdir -m 777 /w
        USER 5000:6000
        RUN id -u > /w/a; id -g >> /w/a; touch /w/mine
        USER root
        RUN cp /w/a /out
    ";
    let image = World::of(text).image(&[]);
    assert_eq!(image.file("out"), "5000\n6000\n");
    let mine = image.item("w/mine");
    assert_eq!((mine.uid, mine.gid), (5000, 6000));
}

#[test]
fn a_working_directory_is_made_by_its_user_and_is_where_run_starts() {
    let text = "
        FROM base
        WORKDIR /a
        WORKDIR b/c
        RUN pwd > /out
        USER app
        WORKDIR d
        USER root
        RUN stat -c %U:%a . >> /out
    ";
    assert_eq!(out(text, &[]), "/a/b/c\napp:755\n");
}

#[test]
fn shell_and_exec_forms() {
    let text = r#"
        FROM base
        RUN ["/bin/sh", "-c", "echo $0 exec > /out", "zero"]
        SHELL ["/bin/sh", "-e", "-c"]
        RUN echo $- | tr -cd e >> /out
        RUN ["echo", "$PATH"]
    "#;
    let world = World::of(text);
    let (image, outcome) = world.image_and_outcome(&[]);
    assert_eq!(image.file("out"), "zero exec\ne");
    assert_eq!(
        image.config.config.shell,
        Some(vec!["/bin/sh".into(), "-e".into(), "-c".into()])
    );
    assert!(outcome.log().contains("$PATH"), "no shell, no variable");
}

#[test]
fn both_streams_are_shown() {
    let world = World::of("FROM base\nRUN echo to-out; echo to-err >&2\n");
    let log = world.build(&[]).ok().log();
    assert!(log.contains("to-out") && log.contains("to-err"), "{log}");
}

#[test]
fn hosts_are_added() {
    let world = World::of("FROM base\nRUN grep -E 'one|two|sandbox' /etc/hosts > /out\n");
    let image = world.image(&["--add-host=one:10.1.2.3", "--add-host", "two=[fd00::1]"]);
    let text = image.file("out");
    assert!(
        text.contains("10.1.2.3\tone") && text.contains("fd00::1\ttwo"),
        "{text}"
    );
    assert!(text.contains("buildkitsandbox"), "{text}");
    assert!(!image.has("etc/hosts"));
}

#[test]
fn without_a_network_there_is_nothing_but_loopback() {
    let text = "FROM base\nRUN ls /sys/class/net | tr '\\n' ' ' > /out\n";
    assert_eq!(out(text, &["--network=none"]), "lo ");
    let flag = "FROM base\nRUN --network=none ls /sys/class/net | tr '\\n' ' ' > /out\n";
    assert_eq!(out(flag, &["--network=host"]), "lo ");
}

#[test]
fn the_network_of_the_host_is_the_network_of_the_host() {
    let here = std::fs::read_link("/proc/self/ns/net").unwrap();
    let text = "FROM base\nRUN readlink /proc/self/ns/net > /out\n";
    assert_eq!(
        out(text, &["--network=host"]).trim(),
        here.to_string_lossy()
    );
    assert_ne!(
        out(text, &["--network=none"]).trim(),
        here.to_string_lossy()
    );
}

#[test]
fn a_step_sees_no_process_and_no_descriptor_of_others() {
    let text = "
        FROM base
        RUN ls /proc | grep -c '^[0-9]' > /out; ls /proc/self/fd | wc -l >> /out
    ";
    let world = World::of(text).image(&[]).file("out");
    let numbers: Vec<u32> = world
        .lines()
        .map(|line| line.trim().parse().unwrap())
        .collect();
    assert!(numbers[0] <= 6, "processes: {}", numbers[0]);
    // The three streams, and the directory that `ls` reads.
    assert!(numbers[1] <= 4, "descriptors: {}", numbers[1]);
}

#[test]
fn the_kernel_cannot_be_configured_from_a_step() {
    let world = World::of("FROM base\nRUN echo x > /proc/sys/kernel/core_pattern\n");
    world.build(&[]).fails(&["exit code: 1"]);
}

#[test]
fn a_background_process_ends_with_its_step() {
    let world = World::of("FROM base\nRUN (sleep 100 > /dev/null 2>&1 &) ; echo done\n");
    let before = std::time::Instant::now();
    world.build(&[]).ok();
    assert!(before.elapsed().as_secs() < 30);
}

#[test]
fn a_process_that_is_killed_fails_its_step() {
    let world = World::of("FROM base\nRUN sh -c 'kill -9 $$'; exit $?\n");
    world.build(&[]).fails(&["process \"/bin/sh -c sh -c 'kill -9 $$'; exit $?\" did not complete successfully: exit code: 137"]);
}
