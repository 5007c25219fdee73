//! A shared cache that is not trusted: what counts is who signed a record.

use crate::shared_cache::{TWO_STAGES, build_on, warnings};
use acetate_tests::{CacheServer, World};
use std::os::unix::fs::PermissionsExt;

/// The two halves of the key of the first example of RFC 8032, and the public half of the second.
pub(crate) const PRIVATE: &str = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";
pub(crate) const PUBLIC: &str = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
const OTHER: &str = "PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=";

/// A cache, a key, and a list that holds it.
struct Site {
    world: World,
    server: CacheServer,
    key: String,
    list: String,
}

impl Site {
    fn new() -> Self {
        let world = World::new(TWO_STAGES);
        let server = CacheServer::open(&world.dir().join("server"));
        let (key, list) = (world.dir().join("key"), world.dir().join("list"));
        std::fs::write(&key, PRIVATE).expect("a key is written");
        std::fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).expect("a mode");
        std::fs::write(
            &list,
            format!("# who signs\n{PUBLIC} main\n{OTHER} other\n"),
        )
        .expect("a list is written");
        Self {
            key: key.display().to_string(),
            list: list.display().to_string(),
            server,
            world,
        }
    }

    fn from(&self, namespace: &str) -> String {
        let (url, list) = (self.server.url(namespace), &self.list);
        format!("--cache-from={url},trust={list}")
    }

    fn open_import(&self, namespace: &str) -> String {
        format!("--cache-from={}", self.server.url(namespace))
    }

    fn to(&self, namespace: &str) -> String {
        format!(
            "--cache-to=type=http,url={},mode=max",
            self.server.url(namespace)
        )
    }

    fn to_signed(&self, namespace: &str) -> String {
        format!("{},sign={}", self.to(namespace), self.key)
    }
}

#[test]
fn what_main_signed_is_taken_and_what_others_wrote_is_not() {
    let site = Site::new();
    let (from, signed) = (site.from("org"), site.to_signed("org"));
    let (made, outcome) = build_on(&site.world, "main", &[&from, &signed]);
    assert_eq!(outcome.cached(), Vec::<String>::new());
    assert_eq!(warnings(&outcome), Vec::<String>::new());
    // In the namespace itself, and in one below it.
    for namespace in ["org", "org/pr-1"] {
        let machine = namespace.replace('/', "-");
        let (taken, outcome) = build_on(&site.world, &machine, &[&site.from(namespace)]);
        assert_eq!(outcome.ran(), Vec::<String>::new(), "{namespace}");
        assert_eq!(taken.digest(), made.digest());
        assert_eq!(warnings(&outcome), Vec::<String>::new());
    }
}

#[test]
fn a_stolen_token_poisons_nobody_who_wants_signatures() {
    let site = Site::new();
    let (poison, _) = build_on(&site.world, "thief", &[&site.to("org")]);
    let (victim, _) = build_on(&site.world, "careless", &[&site.open_import("org")]);
    assert_eq!(victim.digest(), poison.digest(), "it is there to be taken");
    let (careful, outcome) = build_on(&site.world, "careful", &[&site.from("org")]);
    assert_eq!(outcome.cached(), Vec::<String>::new());
    assert_ne!(careful.digest(), poison.digest());
    let told = warnings(&outcome);
    assert!(
        told.len() == 1 && told[0].contains("nobody signed it"),
        "{told:?}"
    );
    // Who signs puts a record in its place, and then all take that one.
    let flags = [site.from("org"), site.to_signed("org")];
    let (main, _) = build_on(&site.world, "main", &[&flags[0], &flags[1]]);
    for from in [site.from("org"), site.open_import("org")] {
        let machine = format!("after {}", from.len());
        let (taken, outcome) = build_on(&site.world, &machine, &[&from]);
        assert_eq!(outcome.ran(), Vec::<String>::new());
        assert_eq!(taken.digest(), main.digest());
    }
}

#[test]
fn a_signature_is_carried_from_cache_to_cache() {
    let site = Site::new();
    let second = CacheServer::open(&site.world.dir().join("second"));
    let (made, _) = build_on(&site.world, "main", &[&site.to_signed("org")]);
    // The one who carries it has no key.
    let to = format!("--cache-to=type=http,url={},mode=max", second.url("org"));
    let (_, outcome) = build_on(&site.world, "carrier", &[&site.from("org"), &to]);
    assert_eq!(outcome.ran(), Vec::<String>::new());
    let from = format!("--cache-from={},trust={}", second.url("org"), site.list);
    let (taken, outcome) = build_on(&site.world, "reader", &[&from]);
    assert_eq!(outcome.ran(), Vec::<String>::new());
    assert_eq!(taken.digest(), made.digest());
}

#[test]
fn keys_that_cannot_be_used_end_the_build_before_it_begins() {
    let site = Site::new();
    let unsigned = site.open_import("org");
    let signed = site.to_signed("org");
    let refused = |flags: &[&str], words: &[&str]| {
        site.world.build(flags).fails(words);
    };
    refused(
        &[&unsigned, &signed],
        &[
            "would vouch for layers",
            "give each --cache-from `trust=FILE`",
        ],
    );
    std::fs::write(&site.list, format!("{PUBLIC} main\nx")).unwrap();
    refused(&[&site.from("org")], &["list`, line 2: is neither"]);
    std::fs::write(&site.key, "-----BEGIN OPENSSH PRIVATE KEY-----").unwrap();
    refused(&[&signed], &["a private key of OpenSSH"]);
}

#[test]
fn what_came_unsigned_earlier_is_not_taken_from_the_own_store_either() {
    let site = Site::new();
    build_on(&site.world, "stranger", &[&site.to("org")]);
    let (_, outcome) = build_on(&site.world, "victim", &[&site.open_import("org")]);
    assert_eq!(outcome.ran(), Vec::<String>::new());
    let (_, outcome) = build_on(&site.world, "victim", &[&site.from("org")]);
    assert_eq!(outcome.cached(), Vec::<String>::new());
    // What was made here is as good as signed.
    let (_, outcome) = build_on(&site.world, "victim", &[&site.from("org")]);
    assert_eq!(outcome.ran(), Vec::<String>::new());
}
