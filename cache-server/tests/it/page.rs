//! The page as a browser sees it.

use crate::server::{Server, ac, have, record};
use acetate_oci::Digest;
use reqwest::Method;
use std::process::Command;

/// The document after the browser read it: what became an element is one here.
fn dump(url: &str) -> String {
    let home = tempfile::tempdir().unwrap();
    let output = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"])
        .args(["--no-first-run", "--disable-background-networking"])
        .arg(format!("--user-data-dir={}", home.path().display()))
        .arg(url)
        .env("HOME", home.path())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn numbers_are_shown_and_names_stay_text() {
    if !have("chromium") {
        return;
    }
    let server = Server::open();
    let path = ac("org/repo", "k");
    server.get(&path).await;
    server.send(Method::PUT, &path, &record(&[], 90_000)).await;
    server.get(&path).await;
    server.put_content(&vec![7; 3 << 20]).await;
    for (n, name) in [
        "<script>document.title='taken'</script>",
        "<img src=x onerror=\"document.title='taken'\">",
        "</table><h1>forged</h1>",
        "{{largest}}",
        "&lt;b&gt;",
    ]
    .iter()
    .enumerate()
    {
        let claim = serde_json::json!({ "name": name, "expected_ms": 2500 }).to_string();
        let key = Digest::of(&[u8::try_from(n).unwrap()]).hex();
        let path = format!("/x/v1/org/leases/{key}");
        let claimed = server.send(Method::POST, &path, claim.as_bytes()).await;
        assert!(claimed.text().await.unwrap().contains("granted"));
    }
    let misses = serde_json::json!([
        {"step": "RUN make", "reason": "mode of `a.sh` was 0644, is 0664", "key": "k".repeat(64)},
        {"step": "<script>1</script>", "reason": "<img src=x> {{largest}}", "key": "<b>&</b>"},
    ]);
    let told = misses.to_string();
    let told = server.send(Method::POST, "/x/v1/org/misses", told.as_bytes());
    assert_eq!(told.await.status().as_u16(), 204);
    let url = server.url.clone();
    let dom = tokio::task::spawn_blocking(move || dump(&url))
        .await
        .unwrap();
    for text in [
        "<title>acetate cache</title>",
        "<th>hit rate</th><td>50 % of 2</td>",
        "<th>records</th><td>1</td>",
        "<th>time saved</th><td>90 s</td>",
        "3072 KiB",
        "org/repo",
        "&lt;script&gt;document.title='taken'&lt;/script&gt;",
        "&lt;/table&gt;&lt;h1&gt;forged&lt;/h1&gt;",
        "<td>{{largest}}</td>",
        "<td>&amp;lt;b&amp;gt;</td>",
        // A step in flight with its namespace and how long it took last time.
        "<td>{{largest}}</td><td>org</td>",
        "<td>2.5 s</td>",
        "<td>RUN make</td><td>mode of `a.sh` was 0644, is 0664</td><td>org</td><td>kkkkkkkkkkkk</td>",
        "<td>&lt;script&gt;1&lt;/script&gt;</td><td>&lt;img src=x&gt; {{largest}}</td>",
        "<th>bytes saved</th>",
    ] {
        assert!(dom.contains(text), "no `{text}` in {dom}");
    }
    for element in ["<script", "<img", "<h1>forged"] {
        assert!(!dom.contains(element), "`{element}` in {dom}");
    }
}

#[tokio::test]
async fn without_a_token_the_page_says_how_to_give_one() {
    if !have("chromium") {
        return;
    }
    let server = Server::with(&[]);
    let answer = server.send(Method::GET, "/", b"").await;
    assert_eq!(answer.status().as_u16(), 401);
    let challenge = answer.headers()["www-authenticate"].to_str().unwrap();
    assert!(challenge.starts_with("Basic realm="), "{challenge}");
    let policy = answer.headers()["content-security-policy"]
        .to_str()
        .unwrap();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    let text = answer.text().await.unwrap();
    assert!(text.contains("give the token as the password"), "{text}");
    // With the token as a password, as a browser sends it.
    let with_token = server
        .url
        .replace("//", &format!("//x:{}@", server.own_token()));
    let dom = tokio::task::spawn_blocking(move || dump(&with_token)).await;
    assert!(dom.unwrap().contains("<th>hit rate</th>"));
}
