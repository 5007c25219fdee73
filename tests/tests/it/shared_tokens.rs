//! Tokens of a shared cache: each flag has its own, and what one may not do is refused and counted.

use crate::shared_cache::{TWO_STAGES, build_on, warnings};
use acetate_tests::{CacheServer, World, cache_server_path};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

/// A cache with the tokens of the main branch, of a pull request and of whoever looks after it.
struct Site {
    world: World,
    server: CacheServer,
}

impl Site {
    fn new() -> Self {
        let world = World::new(TWO_STAGES);
        let auth = world.dir().join("auth").display().to_string();
        let all = [
            ("reader", "org:read"),
            ("writer", "org:write"),
            ("root", ":read"),
        ];
        for (name, scope) in all {
            token(&world, &auth, name, scope);
        }
        std::fs::write(world.dir().join("unknown"), "guess\n").expect("a file");
        let server = CacheServer::with(&world.dir().join("server"), &["--auth", &auth]);
        Self { world, server }
    }

    /// The sum of a metric of the server.
    fn metric(&self, name: &str) -> u64 {
        let token = std::fs::read_to_string(self.world.dir().join("root")).expect("a token");
        let url = self.server.url("org");
        let host = url.trim_start_matches("http://").trim_end_matches("/org");
        let mut stream = TcpStream::connect(host).expect("the server is there");
        let head = format!(
            "GET /metrics HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {}\r\n\
             connection: close\r\n\r\n",
            token.trim()
        );
        stream.write_all(head.as_bytes()).expect("a question");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("an answer");
        let lines = text.lines().filter(|line| line.starts_with(name));
        lines
            .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
            .sum()
    }

    fn flag(&self, flag: &str, token: &str) -> String {
        let url = self.server.url("org");
        let file = self.world.dir().join(token);
        let mode = if flag == "to" { ",mode=max" } else { "" };
        format!(
            "--cache-{flag}=type=http,url={url},token-file={}{mode}",
            file.display()
        )
    }
}

/// Makes a token and writes it into a file of its name.
fn token(world: &World, auth: &str, name: &str, scope: &str) {
    let args = ["token", "--name", name, "--auth", auth, "--scope", scope];
    let output = Command::new(cache_server_path()).args(args).output();
    let output = output.expect("the program starts");
    assert!(output.status.success(), "{output:?}");
    std::fs::write(world.dir().join(name), output.stdout).expect("a token is written");
}

#[test]
fn each_flag_sends_its_own_token() {
    let site = Site::new();
    let (read, write) = (site.flag("from", "reader"), site.flag("to", "writer"));
    let (made, outcome) = build_on(&site.world, "a", &[&read, &write]);
    assert_eq!(warnings(&outcome), Vec::<String>::new());
    // A token for writing that nobody knows leaves reading alone, whatever stands first.
    let unknown = site.flag("to", "unknown");
    for (machine, flags) in [("b", [&read, &unknown]), ("c", [&unknown, &read])] {
        let flags = [flags[0].as_str(), flags[1].as_str()];
        let (taken, outcome) = build_on(&site.world, machine, &flags);
        assert_eq!(outcome.ran(), Vec::<String>::new(), "{machine}");
        assert_eq!(taken.digest(), made.digest());
    }
}

#[test]
fn a_pull_request_that_writes_to_main_is_refused_and_counted() {
    let site = Site::new();
    let (read, write) = (site.flag("from", "reader"), site.flag("to", "reader"));
    let (poison, outcome) = build_on(&site.world, "pr", &[&read, &write]);
    let told = warnings(&outcome);
    assert!(
        told.len() == 1 && told[0].contains("does not allow writing"),
        "{told:?}"
    );
    assert_eq!(site.server.files("ac").len(), 0);
    assert!(site.metric("acetate_refused_total") > 0);
    let (main, outcome) = build_on(&site.world, "main", &[&read, &site.flag("to", "writer")]);
    assert_eq!(outcome.cached(), Vec::<String>::new());
    assert_ne!(main.digest(), poison.digest());
}
