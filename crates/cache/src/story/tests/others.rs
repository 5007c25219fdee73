//! What other machines are told, and what is made of what they tell.

use super::*;

const SALT: Salt = Salt([7; 16]);

/// Everything in a story that a value may stand in.
fn secretive() -> Story {
    let mut op = exec();
    op.argv = vec!["/bin/sh".into(), "-c".into(), "hush-command".into()];
    op.cwd = "/hush-cwd".into();
    op.user = "hush-user".into();
    op.mounts[1].target = "/hush-target".into();
    changed(|it| {
        it.variables[1] = variable("VERSION", "hush-arg", true);
        it.instruction.text = "ADD https://hush-address/x git@hush-host:y /z".into();
        it.name = "[build 2/4] ADD https://hush-address/x /z".into();
        it.fields = of_op(&Op::Exec(op));
        it.inputs[0].input = Input::Image {
            name: Value::plain("hush-image"),
            manifest: digest("one"),
            platform: "linux/amd64".into(),
            filled: vec![variable("RELEASE", "hush-filled", true)],
        };
        it.inputs[2].input = step("[deps 2/2] ADD https://hush-step/x /", "deps");
        it.inputs[3].input = Input::Fetched {
            address: Value::plain("https://hush-fetched/x"),
            content: digest("x").to_string(),
            details: "hush-name".into(),
        };
    })
}

#[test]
fn no_value_leaves_the_machine() {
    let salted = secretive().salted(SALT);
    let text = serde_json::to_string(&salted).unwrap();
    assert!(!text.contains("hush"), "{text}");
    for kept in ["VERSION", "[build 2/4]", "a.sh", "linux/amd64", "default"] {
        assert!(text.contains(kept), "{kept}: {text}");
    }
    assert_ne!(salted, secretive().salted(Salt([8; 16])), "the salt counts");
    assert_eq!(salted, salted.salted(SALT), "once is enough");
}

#[test]
fn what_is_uploaded_is_read_again() {
    let bytes = secretive().encode_for_upload(SALT).unwrap();
    assert_eq!(Story::decode(&bytes).unwrap(), secretive().salted(SALT));
}

#[test]
fn hostile_bytes_are_errors() {
    let pack = |text: &str| zstd::bulk::compress(text.as_bytes(), 1).unwrap();
    let story = serde_json::to_string(&story()).unwrap();
    for (bytes, words) in [
        (b"junk".to_vec(), "does not expand"),
        (pack("{}"), "cannot be read"),
        (pack(r#"{"form":"acetate/story/v9","story":{}}"#), "v9"),
        (
            pack(&format!(r#"{{"form":"acetate/story/v1","story":{story}}}"#)),
            "not salted",
        ),
        (pack(&" ".repeat(17 << 20)), "does not expand"),
    ] {
        let error = Story::decode(&bytes).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn one_salted_side_is_enough_to_compare() {
    let then = story().salted(SALT);
    assert_eq!(told(&then, &story()), "");
    let short = |text: &str| format!("sha256:{}", &digest(text).hex()[..12]);
    let moved = format!(
        "base `debian:bookworm` moved from {} to {}",
        short("one"),
        short("two")
    );
    let cases: [(Edit<Story>, &str); 5] = [
        (
            |it| it.variables[1] = variable("VERSION", "1.3", true),
            "`ARG VERSION` differs (the other value is not shared)",
        ),
        (|it| drop(it.variables.pop()), "`ARG VERSION` is gone"),
        (
            |it| it.variables.push(variable("NEW", "x", true)),
            "`ARG NEW` is new: x",
        ),
        (
            |it| it.inputs[1].input = files(vec![file("a.sh", "a")]),
            "`b` was removed",
        ),
        (
            |it| it.inputs[0].input = image("debian:bookworm", "two"),
            &moved,
        ),
    ];
    for (edit, words) in cases {
        assert_eq!(told(&then, &changed(edit)), words);
    }
    let mut op = exec();
    op.cwd = "/v".into();
    op.network = NetworkMode::None;
    let now = changed(|it| it.fields = of_op(&Op::Exec(op)));
    assert_eq!(
        told(&then, &now),
        "working directory differs (the other value is not shared)\nnetwork: was default, is none"
    );
}

#[test]
fn hidden_values_are_compared_too() {
    let with = |value: &str| changed(|it| it.variables[1].value = Value::hidden(value));
    let then = with("token").salted(SALT);
    assert_eq!(told(&then, &with("token")), "");
    assert_eq!(
        told(&then, &with("other")),
        "`ARG VERSION` differs (its value is not kept)"
    );
}
