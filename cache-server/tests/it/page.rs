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
        let claim = serde_json::json!({ "name": name }).to_string();
        let key = Digest::of(&[u8::try_from(n).unwrap()]).hex();
        let path = format!("/x/v1/leases/{key}");
        let claimed = server.send(Method::POST, &path, claim.as_bytes()).await;
        assert!(claimed.text().await.unwrap().contains("granted"));
    }
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
    ] {
        assert!(dom.contains(text), "no `{text}` in {dom}");
    }
    for element in ["<script", "<img", "<h1>forged"] {
        assert!(!dom.contains(element), "`{element}` in {dom}");
    }
}
