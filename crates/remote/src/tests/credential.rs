//! Credential helpers: small scripts that answer, refuse, babble and hang.

use crate::{CredentialError, credential};
use std::path::Path;
use std::time::{Duration, Instant};

const URL: &str = "https://cache.example/org/repo";

/// A directory with the helper `acetate-credential-test`.
fn helper(script: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("script"), script).unwrap();
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/src/tests/helper.sh");
    let link = dir.path().join("acetate-credential-test");
    std::os::unix::fs::symlink(program, link).unwrap();
    dir
}

async fn ask(dir: &Path, name: &str, limit: Duration) -> Result<Option<String>, CredentialError> {
    let search_path = format!(":/no/such/dir:{}", dir.display());
    let asked = credential(&search_path, name, URL, limit).await?;
    Ok(asked.map(|secret| secret.expose().clone()))
}

const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_helper_is_told_the_address_and_gives_the_secret() {
    for (script, expected) in [
        (
            r#"read -r url; printf '{"Username":"u","Secret":"%s %s"}' "$1" "$url""#,
            Some("get https://cache.example/org/repo"),
        ),
        // It need not listen, and may say more than anybody wants to know.
        (
            r#"echo noise >&2; echo '{"ServerURL":"x","Username":"","Secret":"s"}'"#,
            Some("s"),
        ),
        (r#"echo '{"Username":"","Secret":""}'"#, None),
        (
            "echo credentials not found in native keychain; exit 1",
            None,
        ),
    ] {
        let dir = helper(script);
        let found = ask(dir.path(), "test", LONG).await.unwrap();
        assert_eq!(found.as_deref(), expected, "{script}");
    }
}

#[tokio::test]
async fn a_helper_that_gives_none_says_why() {
    for (script, name, words) in [
        (
            "echo first >&2; printf 'no \\033[1mkey\\n\\n' >&2; exit 3",
            "test",
            "run `acetate-credential-test`: first; no  [1mkey",
        ),
        ("exit 1", "test", "it failed and gave no reason"),
        ("echo secret", "test", "expected an answer of the form"),
        (
            r#"echo '{"Username":"secret"}'"#,
            "test",
            "expected an answer of the form",
        ),
        (
            "",
            "other",
            "run `acetate-credential-other`: it is not in PATH",
        ),
        ("", "../test", "`../test` is no name of a credential helper"),
        ("", "", "`` is no name of a credential helper"),
    ] {
        let dir = helper(script);
        let error = ask(dir.path(), name, LONG).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains(words), "{script}: {text}");
        assert!(!text.contains("secret"), "{text}");
        assert_eq!(error.is_configuration(), script.is_empty(), "{text}");
    }
}

#[tokio::test]
async fn a_helper_that_hangs_is_killed_with_all_that_it_started() {
    let lock = tempfile::NamedTempFile::new().unwrap();
    // Whoever lives holds the lock; the helper itself has ended, which must not hide the other.
    let script = format!(
        "exec 9>>{}; flock 9; echo up >&2; sleep 1000 & exit 0",
        lock.path().display()
    );
    let dir = helper(&script);
    let began = Instant::now();
    let error = ask(dir.path(), "test", Duration::from_secs(2))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "run `acetate-credential-test`: no answer within 2 s"
    );
    assert!(began.elapsed() < LONG);
    // This waits for the lock: it is free as soon as nobody is left.
    let file = lock.reopen().unwrap();
    rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive).unwrap();
}
