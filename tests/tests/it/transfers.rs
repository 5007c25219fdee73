//! What is shown of images while they travel.
#![expect(clippy::unwrap_used, reason = "a test fails at what it did not expect")]

use acetate_tests::{Fault, Proxy, Server, World, acetate, have};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

const DOCKERFILE: &str = "
    FROM base
    COPY big /big
";

/// A world whose image has a layer that does not compress, of this many bytes.
fn world(size: usize) -> World {
    let world = World::of(DOCKERFILE);
    let mut state = 1_u32;
    let letters = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b'!' + u8::try_from(state >> 26).unwrap())
    });
    world.write("big", &letters.take(size).collect::<String>());
    world
}

fn registry(world: &World) -> Option<Server> {
    (have("skopeo") && have("docker-registry")).then(|| Server::registry(world.dir()))
}

/// A way to a registry whose pieces of blobs come this many milliseconds apart, and the name of an
/// image on that way.
fn slowed(server: &Server, name: &str, pause: u64) -> (Proxy, String) {
    let slow = Proxy::to(&server.address, move |asked| {
        if asked.path.contains("/blobs/") && asked.method == "GET" {
            return Fault::Trickle(Duration::from_millis(pause));
        }
        Fault::Pass
    });
    let name = name.replace(&server.address, &slow.host());
    (slow, name)
}

/// What a command printed: standard output, and standard error.
fn printed(world: &World, args: &[&str]) -> (String, String) {
    let mut command = acetate();
    command.arg("--root").arg(world.root()).args(args);
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert!(output.status.success(), "{args:?}: {err}");
    (out, err)
}

/// The statuses of each part: the name of its step and its id, and how it went on.
fn statuses(stderr: &str) -> BTreeMap<(String, String), Vec<Value>> {
    let (mut names, mut parts) = (BTreeMap::new(), BTreeMap::new());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    for line in stderr.lines() {
        let object: Value = serde_json::from_str(line).unwrap();
        for vertex in object["vertexes"].as_array().into_iter().flatten() {
            names.insert(text(&vertex["digest"]), text(&vertex["name"]));
        }
        for status in object["statuses"].as_array().into_iter().flatten() {
            let key = (names[&text(&status["vertex"])].clone(), text(&status["id"]));
            let part: &mut Vec<Value> = parts.entry(key).or_default();
            part.push(status.clone());
        }
    }
    parts
}

/// The sizes of blobs, by the name of a step and by what happened to them in it.
type Told = BTreeMap<(String, String), Vec<u64>>;

/// What a command tells of blobs, all of which came to their ends.
fn ended(world: &World, args: &[&str]) -> Told {
    let (_, err) = printed(world, args);
    let mut totals = Told::new();
    for ((step, id), part) in statuses(&err) {
        let last = part.last().unwrap();
        assert_eq!(last["current"], last["total"], "{step} {id}");
        assert_eq!(last["completed"], last["timestamp"], "{step} {id}");
        for status in &part {
            // Without its `Z` a shorter fraction sorts before a longer one that begins with it.
            let time = |key: &str| {
                status[key]
                    .as_str()
                    .unwrap()
                    .trim_end_matches('Z')
                    .to_owned()
            };
            assert!(time("started") <= time("timestamp"), "{status}");
            assert!(status["current"].as_u64() <= status["total"].as_u64());
        }
        let name = last["name"].as_str().unwrap().to_owned();
        let sizes = totals.entry((step, name)).or_default();
        sizes.push(last["total"].as_u64().unwrap());
    }
    totals
}

/// This has happened to so many blobs in the step whose name begins so.
fn has(told: &Told, step: &str, name: &str, n_blobs: usize) {
    let is_meant = |key: &&(String, String)| key.0.starts_with(step) && key.1 == name;
    let key = told.keys().find(is_meant);
    let sizes = key.and_then(|key| told.get(key));
    let sizes = sizes.unwrap_or_else(|| panic!("no {name} in `{step}`: {told:?}"));
    assert_eq!(sizes.len(), n_blobs, "{told:?}");
    // The large file compresses by a quarter or so.
    assert!(
        sizes.iter().any(|it| (200_000..310_000).contains(it)),
        "{told:?}"
    );
}

const RAW: &str = "--progress=rawjson";

#[test]
fn builds_tell_of_the_blobs_that_they_push_fetch_and_write() {
    let world = world(300_000);
    let Some(server) = registry(&world) else {
        return;
    };
    let name = format!("{}/app:1", server.address);
    let (base, context) = (
        format!(
            "--build-context=base=oci-layout://{}",
            world.base().display()
        ),
        world.context().display().to_string(),
    );
    let tag = format!("-t{name}");
    let push = ["build", RAW, &base, &tag, "--push", &context];
    let told = ended(&world, &push);
    let step = format!("pushing {}/app", server.address);
    has(&told, &step, "uploading", 3);
    has(&told, "exporting to image", "compressing", 2);
    // What is there does not move.
    assert_eq!(ended(&world, &push), Told::new());
    // Layers of a base are told of by the step that takes it, also when they come long after it.
    world.dockerfile(&format!("FROM {name}\nCOPY Dockerfile /f\n"));
    let root = world.fresh("other").display().to_string();
    let output = format!("-otype=oci,dest={}", world.fresh("tar").display());
    let told = ended(&world, &["--root", &root, "build", RAW, &output, &context]);
    has(&told, &format!("[1/2] FROM {name}"), "downloading", 2);
    has(&told, "exporting to image", "writing", 3);
}

#[test]
fn images_tell_of_their_blobs_wherever_they_go() {
    let world = world(300_000);
    let Some(server) = registry(&world) else {
        return;
    };
    let name = format!("{}/app:1", server.address);
    world.build(&[&format!("-t{name}")]).ok();
    let image = |root: Option<&str>, args: &[&str]| {
        let root = root.map(|name| world.fresh(name).display().to_string());
        let root = root.iter().flat_map(|root| ["--root", root]);
        let all: Vec<&str> = root.chain(["image"]).chain(args.iter().copied()).collect();
        ended(&world, &[&all[..], &[RAW]].concat())
    };
    let told = image(None, &["push", &name]);
    has(&told, "pushing ", "compressing", 2);
    has(&told, "pushing ", "uploading", 3);
    assert_eq!(image(None, &["push", &name]), Told::new());
    let archive = world.fresh("tar").display().to_string();
    let told = image(None, &["save", "-o", &archive, &name]);
    has(&told, "writing ", "writing", 3);
    let told = image(Some("empty"), &["load", "-i", &archive]);
    has(&told, "loading ", "reading", 3);
    has(
        &image(Some("empty"), &["pull", &name]),
        "pulling ",
        "downloading",
        2,
    );
    let layout = format!("oci-layout://{}", world.fresh("layout").display());
    let told = image(Some("empty"), &["cp", &name, &layout]);
    has(&told, &format!("copying {name}"), "copying", 3);
    has(&told, &format!("writing {layout}"), "writing", 3);
    let dir = world.fresh("registry");
    std::fs::create_dir(&dir).unwrap();
    let far = Server::registry(&dir);
    let told = image(None, &["mirror", &name, &far.address]);
    has(&told, &format!("copying {name}"), "copying", 3);
    let other = format!("{}/other:1", far.address);
    let told = image(None, &["cp", &layout, &other]);
    has(&told, "copying oci-layout://", "copying", 3);
}

#[test]
fn logs_of_images_are_bounded_and_standard_output_stays_what_it_is() {
    let world = world(2_000_000);
    let Some(server) = registry(&world) else {
        return;
    };
    let name = format!("{}/app:1", server.address);
    world.build(&["--push", &format!("-t{name}")]).ok();
    // A second and a half for a hundred pieces.
    let (_slow, name) = slowed(&server, &name, 15);
    let pull = |args: &[&str]| {
        let root = world.fresh("root");
        std::fs::create_dir(&root).unwrap();
        let root = root.display().to_string();
        let all = [&["--root", &root, "image", "pull", &name], args].concat();
        printed(&world, &all)
    };
    let (out, err) = pull(&[]);
    assert!(out.starts_with(&format!("{name}: 2 layers for ")), "{out}");
    let lines: Vec<&str> = err.lines().collect();
    assert_eq!(lines.len(), 2, "{err}");
    for line in lines {
        let is_told = line.starts_with("sha256:") && line.ends_with("s done");
        assert!(is_told, "{line}");
    }
    let (plain_out, err) = pull(&["--progress=plain"]);
    assert_eq!(plain_out, out);
    let blobs = err.lines().filter(|line| line.starts_with("#1 sha256:"));
    let n_lines = blobs.count();
    assert!((4..=14).contains(&n_lines), "{err}");
    assert!(
        err.starts_with(&format!("#1 pulling {name}\n#1 sha256:")),
        "{err}"
    );
    for quiet in ["--progress=quiet", "--progress=none"] {
        assert_eq!(pull(&[quiet]), (out.clone(), String::new()));
    }
    let (digest, err) = pull(&["-q"]);
    assert!(out.ends_with(&format!("Digest: {digest}")), "{digest}");
    assert_eq!(err, "");
    // Of what stays on this machine logs say nothing.
    let archive = world.fresh("tar").display().to_string();
    let root = world.fresh("local").display().to_string();
    let image = |args: &[&str]| printed(&world, &[&["--root", &root, "image"], args].concat());
    image(&["pull", "-q", &name]);
    assert_eq!(image(&["save", "-o", &archive, &name]), <_>::default());
    let loaded = format!("Loaded image: {name}\n");
    assert_eq!(image(&["load", "-i", &archive]), (loaded, String::new()));
}

#[test]
fn what_is_wrong_with_the_flag_is_said_before_anything_moves() {
    let world = World::of(DOCKERFILE);
    for command in ["pull", "push", "save", "inspect"] {
        let outcome = world.acetate(&["image", command, "a", "--progress=fancy"]);
        match command {
            "inspect" => outcome.refused(&["--progress"]),
            _ => outcome.fails(&["--progress fancy: expected auto, plain, tty, quiet or rawjson"]),
        };
    }
    world
        .acetate(&["image", "pull", "a", "--progress=tty"])
        .fails(&["standard error is no terminal"]);
}

#[test]
fn a_terminal_has_a_bar_for_each_blob() {
    if !have("script") {
        return;
    }
    let world = world(2_000_000);
    let Some(server) = registry(&world) else {
        return;
    };
    let name = format!("{}/app:1", server.address);
    world.build(&["--push", &format!("-t{name}")]).ok();
    let (_slow, name) = slowed(&server, &name, 10);
    let program = acetate_tests::acetate_path().display();
    let root = world.fresh("root");
    let line = format!("{program} --root {} image pull {name}", root.display());
    let text = acetate_tests::tool("script", &["-qec", &line, "/dev/null"]);
    for words in [
        "[+] Pulling ",
        " => pulling ",
        " => => sha256:",
        "=>  ",
        "(1/1)",
        "Digest: ",
    ] {
        assert!(text.contains(words), "no `{words}` in {text}");
    }
}
