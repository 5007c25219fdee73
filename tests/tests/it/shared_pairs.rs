//! Results of several machines are never mixed where they do not fit.

use crate::shared_cache::{both, build_on, words};
use acetate_tests::{CacheServer, World};

/// A key and its certificate, made by two steps of which the second needs the first.
const PAIR: &str = "
    //- Dockerfile
    FROM base AS key
    RUN cat /proc/sys/kernel/random/uuid > /key
    FROM key AS certificate
    RUN cat /key > /certificate
    FROM base
    ARG WHICH
    COPY --from=key /key /key
    COPY --from=certificate /certificate /certificate
    RUN echo $WHICH > /which
";

#[track_caller]
fn assert_fits(image: &acetate_tests::Layout) {
    assert_eq!(image.file("key"), image.file("certificate"));
}

#[test]
fn a_key_of_one_machine_never_meets_a_certificate_of_another() {
    let world = World::new(PAIR);
    let server = CacheServer::open(&world.dir().join("server"));
    let url = server.url("org");
    let flags = both(&url);
    let to = flags[1].as_str();
    // Two machines that made everything without knowing of each other, one after the other into
    // the same cache: the second one loses where the first was.
    let (first, _) = build_on(&world, "a", &[]);
    let (second, _) = build_on(&world, "b", &[]);
    assert_ne!(first.file("key"), second.file("key"));
    // Of the one only the key becomes known, of the other the certificate.
    let key = |machine: &str| {
        let to = to.to_owned();
        let args = ["--target=key", "--build-arg=WHICH=x", to.as_str()];
        build_on(&world, machine, &args)
    };
    key("a");
    build_on(&world, "b", &["--target=certificate", to]);
    for (n, machine) in ["c", "d", "e"].into_iter().enumerate() {
        let which = format!("--build-arg=WHICH={n}");
        let mut args = words(&flags);
        args.push(&which);
        let (image, _) = build_on(&world, machine, &args);
        assert_fits(&image);
    }
    // Neither do those that have results of their own.
    for machine in ["a", "b"] {
        let mut args = words(&flags);
        args.push("--build-arg=WHICH=own");
        let (image, _) = build_on(&world, machine, &args);
        assert_fits(&image);
    }
}

#[test]
fn two_machines_at_once_leave_pairs_that_fit() {
    let world = World::new(PAIR);
    let server = CacheServer::open(&world.dir().join("server"));
    let url = server.url("org");
    let flags = [
        both(&url)[0].clone(),
        both(&url)[1].clone(),
        "--build-arg=WHICH=1".to_owned(),
    ];
    std::thread::scope(|scope| {
        for machine in ["a", "b", "c", "d"] {
            let (world, flags) = (&world, &flags);
            scope.spawn(move || assert_fits(&build_on(world, machine, &words(flags)).0));
        }
    });
    for (n, machine) in ["e", "f"].into_iter().enumerate() {
        let which = format!("--build-arg=WHICH=later {n}");
        let mut args = vec![flags[0].as_str(), flags[1].as_str()];
        args.push(&which);
        assert_fits(&build_on(&world, machine, &args).0);
    }
}

#[test]
fn s79_a_stage_of_which_only_a_time_changed_runs_again_what_sees_it() {
    let world = World::new(
        "
        //- Dockerfile
        FROM base AS a
        ARG T
        RUN touch -d @$T /f
        FROM a
        RUN stat -c %Y /f > /seen
    ",
    );
    let server = CacheServer::open(&world.dir().join("server"));
    let flags = both(&server.url("org"));
    let time = |machine: &str, time: &str| {
        let arg = format!("--build-arg=T={time}");
        let mut args = words(&flags);
        args.push(&arg);
        build_on(&world, machine, &args).0.file("seen")
    };
    assert_eq!(time("a", "1000"), "1000\n");
    assert_eq!(time("b", "2000"), "2000\n");
    assert_eq!(time("c", "1000"), "1000\n");
}
