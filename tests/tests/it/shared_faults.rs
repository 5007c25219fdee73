//! A cache that loses, lies, stalls or is gone costs time and a line, and never a build.

use crate::shared_cache::{both, build_on, warnings, words};
use acetate_tests::{Asked, CacheServer, Fault, Layout, Proxy, World};
use std::time::{Duration, Instant};

/// Steps that give the same on every machine.
const WORLD: &str = "
    //- Dockerfile
    FROM base AS build
    COPY source /source
    RUN seq 1 400000 > /numbers; cat /source > /made; touch -d @0 /numbers /made
    FROM base
    COPY --from=build /made /made
    COPY --from=build /numbers /numbers
    COPY late /late
    RUN cat /made /late > /both; touch -d @0 /both
    //- source
    one
    //- late
    l
";

/// A server that knows all of the build, and the image.
struct Ground {
    world: World,
    server: CacheServer,
    image: Layout,
}

const EPOCH: &str = "--build-arg=SOURCE_DATE_EPOCH=0";

fn ground() -> Ground {
    let world = World::new(WORLD);
    let server = CacheServer::open(&world.dir().join("server"));
    let flags = both(&server.url("org"));
    let mut args = words(&flags);
    args.push(EPOCH);
    let (image, _) = build_on(&world, "first", &args);
    Ground {
        world,
        server,
        image,
    }
}

impl Ground {
    /// Builds on a fresh machine behind a proxy with this script; the image must be the same, and
    /// the number of warnings at most that of their causes.
    #[track_caller]
    fn bears(
        &self,
        name: &str,
        script: impl Fn(&Asked) -> Fault + Send + Sync + 'static,
    ) -> Duration {
        let proxy = Proxy::to(self.server.address(), script);
        let flags = both(&proxy.url("org"));
        let mut args = words(&flags);
        args.push(EPOCH);
        let began = Instant::now();
        let (image, outcome) = build_on(&self.world, name, &args);
        let took = began.elapsed();
        assert_eq!(image.digest(), self.image.digest(), "{name}");
        let warnings = warnings(&outcome);
        let mut once = warnings.clone();
        once.sort();
        once.dedup();
        assert!(
            warnings.len() <= 2 && once.len() == warnings.len(),
            "{name}: {warnings:#?}"
        );
        took
    }
}

#[test]
fn blobs_that_are_lost_are_made_again() {
    let ground = ground();
    for seed in 0..6 {
        let share = 20 + 15 * seed;
        ground.bears(&format!("lost-{seed}"), move |asked| {
            let is_lost =
                asked.is_content() && asked.method != "PUT" && asked.lot(seed) % 100 < share;
            if is_lost {
                Fault::Status(404)
            } else {
                Fault::Pass
            }
        });
    }
}

#[test]
fn blobs_that_the_server_really_lost_are_published_anew() {
    let ground = ground();
    for file in ground.server.files("cas") {
        std::fs::remove_file(file).unwrap();
    }
    ground.bears("all-gone", |_| Fault::Pass);
    let flags = both(&ground.server.url("org"));
    let mut args = words(&flags);
    args.push(EPOCH);
    let (image, outcome) = build_on(&ground.world, "after", &args);
    assert_eq!(outcome.ran(), Vec::<String>::new());
    assert_eq!(image.digest(), ground.image.digest());
}

#[test]
fn flipped_bits_are_noticed() {
    let ground = ground();
    for place in [0, 1, 7, 100, 5000] {
        ground.bears(&format!("content-{place}"), move |asked| {
            if asked.method == "GET" && asked.is_content() {
                Fault::Flip(place)
            } else {
                Fault::Pass
            }
        });
        ground.bears(&format!("record-{place}"), move |asked| {
            let is_answer = asked.path.contains("batchGet") || asked.path.contains("/ac/");
            if is_answer {
                Fault::Flip(place)
            } else {
                Fault::Pass
            }
        });
    }
}

#[test]
fn bodies_that_end_early_are_noticed() {
    let ground = ground();
    for n in [0, 1, 1000] {
        ground.bears(&format!("short-{n}"), move |asked| {
            match asked.method.as_str() {
                "GET" => Fault::Truncate(n),
                _ => Fault::Pass,
            }
        });
    }
}

#[test]
fn every_status_is_borne() {
    let ground = ground();
    for status in [401, 403, 404, 409, 429, 500, 503, 507] {
        let name = format!("status-{status}");
        let took = ground.bears(&name, move |_| Fault::Status(status));
        assert!(took < Duration::from_secs(20), "{status}: {took:?}");
        ground.bears(&format!("{name}-of-writes"), move |asked| {
            match asked.method.as_str() {
                "PUT" => Fault::Status(status),
                _ => Fault::Pass,
            }
        });
        ground.bears(&format!("{name}-now-and-then"), move |asked| {
            match asked.n % 3 {
                0 => Fault::Status(status),
                _ => Fault::Pass,
            }
        });
    }
}

#[test]
fn resets_and_lost_answers_are_borne() {
    let ground = ground();
    ground.bears("reset", |_| Fault::Reset);
    ground.bears("swallowed", |_| Fault::Swallow);
    for n in 2..5 {
        ground.bears(&format!("reset-{n}"), move |asked| {
            if asked.n % n == 1 {
                Fault::Reset
            } else {
                Fault::Pass
            }
        });
    }
}

#[test]
fn a_server_that_stands_still_costs_a_bounded_time() {
    let ground = ground();
    let began = Instant::now();
    let without = {
        build_on(&ground.world, "alone", &[EPOCH]);
        began.elapsed()
    };
    for n in [0, 1, 700] {
        let took = ground.bears(&format!("stalled-{n}"), move |_| Fault::Stall(n));
        let lost = took.saturating_sub(without);
        assert!(
            lost < Duration::from_millis(5500),
            "stalled after {n}: {lost:?}"
        );
    }
    // What it did well before is no reason to wait longer.
    let content = ground.bears("stalled-content", |asked| {
        let is_read = asked.is_content() && asked.method == "GET";
        if is_read {
            Fault::Stall(100)
        } else {
            Fault::Pass
        }
    });
    let lost = content.saturating_sub(without);
    assert!(
        lost < Duration::from_millis(5500),
        "stalled content: {lost:?}"
    );
}

#[test]
fn s88_a_cache_that_cannot_be_written_is_an_error_only_where_that_is_asked_for() {
    let ground = ground();
    let proxy = Proxy::to(ground.server.address(), |asked| {
        match asked.method.as_str() {
            "PUT" => Fault::Status(500),
            _ => Fault::Pass,
        }
    });
    let url = proxy.url("other");
    for (strict, code) in [("true", 0), ("false", 1)] {
        let to = format!("--cache-to=type=http,url={url},ignore-error={strict}");
        let root = ground.world.dir().join(format!("machine-strict-{strict}"));
        let mut command = ground
            .world
            .command_in(&root, &["--output=type=cacheonly", EPOCH, &to]);
        let outcome = acetate_tests::Outcome::read(&command.output().unwrap());
        assert_eq!(outcome.code, code, "{}", outcome.stderr);
        assert!(outcome.stderr.contains(url.as_str()), "{}", outcome.stderr);
    }
}

#[test]
fn nobody_there_costs_one_line_and_no_time() {
    let ground = ground();
    let began = Instant::now();
    build_on(&ground.world, "alone", &[EPOCH]);
    let without = began.elapsed();
    for url in ["http://127.0.0.1:9/org", "http://no-such-host.invalid/org"] {
        let flags = both(url);
        let mut args = words(&flags);
        args.push(EPOCH);
        let began = Instant::now();
        let name = format!("nobody-{}", url.len());
        let (image, outcome) = build_on(&ground.world, &name, &args);
        assert_eq!(image.digest(), ground.image.digest());
        assert_eq!(warnings(&outcome).len(), 1, "{}", outcome.stderr);
        assert!(
            began.elapsed() < without + Duration::from_secs(2),
            "{:?}",
            began.elapsed()
        );
    }
}

#[test]
fn a_server_that_is_started_again_while_it_is_written_to_is_borne() {
    let mut ground = ground();
    for round in 0..3 {
        let url = ground.server.url("restart");
        let flags = both(&url);
        let late = format!("--build-arg=ROUND={round}");
        let world = &ground.world;
        let server = &mut ground.server;
        let image = std::thread::scope(|scope| {
            let build = scope.spawn(|| {
                let mut args = words(&flags);
                args.extend([EPOCH, &late]);
                build_on(world, &format!("restart-{round}"), &args).0
            });
            std::thread::sleep(Duration::from_millis(150 * (round + 1)));
            server.restart(&["--insecure-open"]);
            build.join().expect("the build ends")
        });
        assert_eq!(image.digest(), ground.image.digest());
    }
}
