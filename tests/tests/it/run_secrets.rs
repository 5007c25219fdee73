//! Secrets: a step sees them, and nothing else ever does.

use acetate_tests::{Layout, World, files_below};
use std::path::Path;
use std::process::Command;

const SECRET: &str = "hunter2-of-this-test";

/// Every file below a directory that holds the secret, in any of some encodings.
fn holders(dir: &Path) -> Vec<String> {
    let hex: String = SECRET.bytes().map(|byte| format!("{byte:02x}")).collect();
    let needles = [SECRET.as_bytes().to_vec(), hex.into_bytes()];
    let holds = |bytes: &[u8]| {
        needles
            .iter()
            .any(|needle| bytes.windows(needle.len()).any(|part| part == needle))
    };
    files_below(dir)
        .into_iter()
        .filter(|path| std::fs::read(dir.join(path)).is_ok_and(|bytes| holds(&bytes)))
        .map(|path| path.display().to_string())
        .collect()
}

fn with_secret(mut command: Command) -> Command {
    command.env("SECRET_OF_TEST", SECRET);
    command
}

#[test]
fn a_secret_is_in_no_layer_config_history_cache_or_log() {
    let world = World::of(
        "
        FROM base
        RUN --mount=type=secret,id=file --mount=type=secret,id=env,env=TOKEN \
            --mount=type=cache,target=/c --mount=type=tmpfs,target=/t \
            test \"$TOKEN\" = \"$(cat /run/secrets/file)\" && cp /run/secrets/file /t/ \
            && echo ${#TOKEN} > /out
        RUN --mount=type=secret,id=env,env=TOKEN test -n \"$TOKEN\" && exit 3
    ",
    );
    let secret = world.dir().join("secret-file");
    std::fs::write(&secret, SECRET).unwrap();
    let file = format!("--secret=id=file,src={}", secret.display());
    let dest = world.dir().join("layout");
    let output = format!("--output=type=oci,tar=false,dest={}", dest.display());
    let run = |args: &[&str], log: &str| {
        let mut all = vec![&*file, "--secret=id=env,env=SECRET_OF_TEST", &*output];
        all.extend(args);
        let mut command = with_secret(world.command(&all));
        command.env("ACETATE_LOG", log).env("RUST_LOG", log);
        command.output().unwrap()
    };
    let clean = |output: &std::process::Output| {
        for text in [&output.stdout, &output.stderr] {
            let text = String::from_utf8_lossy(text);
            assert!(!text.contains(SECRET), "{text}");
        }
    };
    // A step that fails tells nothing, and one with all details about itself neither.
    let failed = run(&[], "trace");
    assert_eq!(failed.status.code(), Some(1));
    clean(&failed);
    let text = std::fs::read_to_string(world.context().join("Dockerfile")).unwrap();
    world.write("Dockerfile", &text.replace("&& exit 3", "&& true"));
    let done = run(&[], "trace");
    assert_eq!(
        done.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    clean(&done);
    let length = format!("{}\n", SECRET.len());
    assert_eq!(Layout::read(&dest).file("out"), length);
    std::fs::remove_file(&secret).unwrap();
    assert_eq!(holders(world.dir()), Vec::<String>::new());
}

#[test]
fn s73_only_the_name_and_the_place_of_a_secret_are_in_the_key() {
    let world =
        World::of("FROM base\nRUN --mount=type=secret,id=s cat /run/secrets/s > /dev/null\n");
    let path = world.dir().join("s");
    let flag = format!("--secret=id=s,src={}", path.display());
    let ran = |text: &str| {
        std::fs::write(&path, text).unwrap();
        world.build(&[&flag]).ok().ran().len()
    };
    assert_eq!(ran("one"), 1);
    assert_eq!(ran("two"), 0);
    world.dockerfile("FROM base\nRUN --mount=type=secret,id=s,target=/s cat /s > /dev/null\n");
    assert_eq!(ran("two"), 1);
}

#[test]
fn s70_names_of_steps_hide_variables_of_secrets() {
    let world = World::of(
        "FROM base\nRUN --mount=type=secret,id=s,env=TOKEN test -n \"$TOKEN\" && test ${TOKEN}\n",
    );
    let mut command = with_secret(world.command(&["--secret=id=s,env=SECRET_OF_TEST"]));
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("test -n \\\"****\\\" && test ****"), "{text}");
}

#[test]
fn a_secret_has_at_most_500_kib() {
    let world =
        World::of("FROM base\nRUN --mount=type=secret,id=s wc -c < /run/secrets/s > /out\n");
    let path = world.dir().join("s");
    let flag = format!("--secret=id=s,src={}", path.display());
    std::fs::write(&path, vec![b'x'; 500 << 10]).unwrap();
    assert_eq!(world.image(&[&flag]).file("out"), "512000\n");
    std::fs::write(&path, vec![b'x'; (500 << 10) + 1]).unwrap();
    let outcome = world.build(&[&flag, "--no-cache"]);
    outcome.fails(&["secret s: it is larger than 500 KiB", "Dockerfile:2"]);
}

#[test]
fn a_secret_that_is_gone_is_named_and_what_is_no_text_is_no_variable() {
    let world = World::of("FROM base\nRUN --mount=type=secret,id=s,env=TOKEN true\n");
    let path = world.dir().join("s");
    let flag = format!("--secret=id=s,src={}", path.display());
    std::fs::write(&path, [0xff, 0xfe]).unwrap();
    world
        .build(&[&flag])
        .fails(&["secret s: it cannot be a variable", "Dockerfile:2"]);
    std::fs::write(&path, "x").unwrap();
    world.build(&[&flag]).ok();
}

#[test]
fn a_secret_is_as_secret_in_an_oci_runtime() {
    if !acetate_tests::have("runc") {
        return;
    }
    let world = World::of(
        "
        FROM base
        RUN --mount=type=secret,id=s --mount=type=secret,id=s,env=TOKEN \
            test \"$TOKEN\" = \"$(cat /run/secrets/s)\" && stat -c '%a %u' /run/secrets/s
        RUN sleep 0.1; test ! -e /run/secrets
    ",
    );
    let args = ["--isolation=oci", "--secret=id=s,env=SECRET_OF_TEST"];
    let output = with_secret(world.command(&args)).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert_eq!(holders(world.dir()), Vec::<String>::new());
}
