use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

use super::*;

const LIMIT: Duration = Duration::from_secs(20);

/// A helper of this script, named `x`, and the path that it is in.
fn script(text: &str) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("docker-credential-x");
    // Written under another name by another process: a test beside this one that starts a program
    // meanwhile would keep a file open for writing that is to be run.
    let made = Command::new("sh")
        .arg("-c")
        .arg("cat > \"$1\" && chmod 755 \"$1\"")
        .args(["sh".as_ref(), path.as_os_str()])
        .stdin(Stdio::piped())
        .spawn()
        .and_then(|mut child| {
            let mut stdin = child.stdin.take().unwrap();
            stdin.write_all(format!("#!/bin/sh\n{text}\n").as_bytes())?;
            drop(stdin);
            child.wait()
        });
    assert!(made.unwrap().success());
    assert!(path.metadata().unwrap().permissions().mode() & 0o100 != 0);
    let found = dir.path().display().to_string();
    (dir, found)
}

#[tokio::test]
async fn a_name_and_a_secret_are_read() {
    let (_dir, path) = script(
        r#"read -r server; [ "$1" = get ] && printf '{"ServerURL":"%s","Username":"u-%s","Secret":"s"}' "$server" "$server""#,
    );
    let found = ask(&path, "x", "r.example", LIMIT).await.unwrap().unwrap();
    let expected = Credential::Password {
        user: "u-r.example".into(),
        password: "s".to_owned().into(),
    };
    assert_eq!(found, expected);
}

#[tokio::test]
async fn the_name_token_means_an_identity() {
    let (_dir, path) = script(r#"echo '{"Username":"<token>","Secret":"s"}'"#);
    let found = ask(&path, "x", "r.example", LIMIT).await.unwrap();
    assert_eq!(found, Some(Credential::Identity("s".to_owned().into())));
}

#[tokio::test]
async fn not_found_is_no_error() {
    for text in [
        "echo credentials not found in native keychain; exit 1",
        r#"echo '{"Username":"","Secret":""}'"#,
    ] {
        let (_dir, path) = script(text);
        assert_eq!(ask(&path, "x", "r.example", LIMIT).await.unwrap(), None);
    }
}

#[tokio::test]
async fn faults_are_told_apart_and_quote_no_secret() {
    for (text, words) in [
        (
            "echo the keyring is locked; exit 1",
            "failed: the keyring is locked",
        ),
        ("echo broken >&2; exit 1", "failed: broken"),
        ("exit 1", "it gave no reason"),
        ("echo '{\"Secret\": hunter2'", "no answer of the form"),
        ("yes hunter2", "no answer of the form"),
    ] {
        let (_dir, path) = script(text);
        let error = ask(&path, "x", "r.example", LIMIT).await.unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(text.contains(words), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
    let error = ask("/nonexistent", "x", "s", LIMIT).await.unwrap_err();
    assert!(error.to_string().contains("not in PATH"), "{error}");
    let error = ask("/", "../x", "s", LIMIT).await.unwrap_err();
    assert!(error.to_string().contains("no name"), "{error}");
}

#[tokio::test]
async fn one_that_hangs_is_killed_with_its_children() {
    let (dir, path) = script("echo $$ > \"$0.pid\"; sleep 600 & sleep 600");
    let start = Instant::now();
    let limit = Duration::from_millis(700);
    let error = ask(&path, "x", "s", limit).await.unwrap_err();
    assert!(matches!(error, HelperError::Late { .. }), "{error}");
    assert!(start.elapsed() < Duration::from_secs(60));
    let pid = std::fs::read_to_string(dir.path().join("docker-credential-x.pid")).unwrap();
    let gone = || !Path::new(&format!("/proc/{}/cwd", pid.trim())).exists();
    while !gone() {
        assert!(start.elapsed() < Duration::from_secs(60), "it lives on");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
