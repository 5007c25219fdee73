use std::time::Duration;

use acetate_stdx::Redacted;

use crate::fake::{FakeServer, Reply};
use crate::{Limits, Method, NetClient, NetError, PlainHttp, Request, Url};

fn quick() -> Limits {
    Limits {
        first_backoff: Duration::from_millis(1),
        longest_backoff: Duration::from_millis(50),
        idle_timeout: Duration::from_millis(300),
        connect_timeout: Duration::from_secs(2),
        n_retries: 3,
        ..Limits::default()
    }
}

fn get(server: &FakeServer, path: &str) -> Request {
    Request::get(&server.url(path)).unwrap()
}

#[tokio::test]
async fn reads_a_body_as_it_was_sent() {
    let server = FakeServer::start(|_, _| {
        Reply::new(200, [0x1f, 0x8b, 1, 2]).header("Content-Encoding", "gzip")
    });
    let fetched = NetClient::new(quick())
        .fetch(&get(&server, "/a?b=c"), 10)
        .await
        .unwrap();
    assert_eq!(
        (fetched.status, fetched.body.as_slice()),
        (200, &[0x1f, 0x8b, 1, 2][..])
    );
    let seen = &server.seen()[0];
    assert_eq!(
        (seen.method.as_str(), seen.target.as_str()),
        ("GET", "/a?b=c")
    );
    assert_eq!(seen.header("accept-encoding"), None);
    assert!(seen.header("user-agent").unwrap().starts_with("acetate/"));
}

#[tokio::test]
async fn a_status_is_an_answer() {
    let server = FakeServer::start(|_, _| Reply::new(404, "no"));
    let fetched = NetClient::new(quick())
        .fetch(&get(&server, "/"), 10)
        .await
        .unwrap();
    assert_eq!(fetched.status, 404);
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn passing_faults_are_retried() {
    let server = FakeServer::start(|_, n| match n {
        0 => Reply::new(503, "later"),
        1 => Reply::new(429, "slower").header("Retry-After", "0"),
        _ => Reply::new(200, "here"),
    });
    let fetched = NetClient::new(quick())
        .fetch(&get(&server, "/"), 10)
        .await
        .unwrap();
    assert_eq!(fetched.body, b"here");
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn retries_end_with_the_last_answer() {
    let server = FakeServer::start(|_, _| Reply::new(500, "broken"));
    let fetched = NetClient::new(quick())
        .fetch(&get(&server, "/"), 10)
        .await
        .unwrap();
    assert_eq!(fetched.status, 500);
    assert_eq!(server.seen().len(), 4);
}

#[tokio::test]
async fn a_long_retry_after_is_not_waited_for() {
    let server = FakeServer::start(|_, _| Reply::new(429, "").header("Retry-After", "3600"));
    let response = NetClient::new(quick())
        .send(&get(&server, "/"))
        .await
        .unwrap();
    assert_eq!(response.status(), 429);
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_cut_body_is_fetched_again() {
    let server = FakeServer::start(|_, n| match n {
        0 => Reply::new(200, "0123456789").cut_after(4),
        _ => Reply::new(200, "0123456789"),
    });
    let fetched = NetClient::new(quick())
        .fetch(&get(&server, "/"), 10)
        .await
        .unwrap();
    assert_eq!(fetched.body, b"0123456789");
}

#[tokio::test]
async fn a_cut_stream_is_an_error_that_counts_bytes() {
    let server = FakeServer::start(|_, _| Reply::new(200, "0123456789").cut_after(4));
    let mut response = NetClient::new(quick())
        .send(&get(&server, "/x?token=s"))
        .await
        .unwrap();
    let error = loop {
        match response.chunk().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the end was not noticed"),
            Err(error) => break error,
        }
    };
    assert!(error.is_transient());
    assert!(
        matches!(error, NetError::Interrupted { n_bytes: 4, .. }),
        "{error}"
    );
    assert!(!format!("{error} {error:?}").contains("token"), "{error:?}");
}

#[tokio::test]
async fn silence_has_an_end() {
    let server = FakeServer::start(|_, n| {
        let wait = if n == 0 { 2000 } else { 0 };
        Reply::new(200, "late").silence(Duration::from_millis(wait))
    });
    let fetched = NetClient::new(quick())
        .fetch(&get(&server, "/"), 10)
        .await
        .unwrap();
    assert_eq!(fetched.body, b"late");
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn bodies_are_bounded() {
    let server = FakeServer::start(|seen, _| match seen.target.as_str() {
        "/announced" => Reply::new(200, vec![0; 11]),
        _ => Reply::new(200, vec![0; 11]).header("Transfer-Encoding", "identity"),
    });
    let client = NetClient::new(quick());
    for path in ["/announced", "/seen"] {
        let result = client.fetch(&get(&server, path), 10).await;
        assert!(
            matches!(result, Err(NetError::TooLarge { limit: 10, .. })),
            "{result:?}"
        );
    }
    assert_eq!(
        client
            .fetch(&get(&server, "/announced"), 11)
            .await
            .unwrap()
            .body
            .len(),
        11
    );
}

#[tokio::test]
async fn head_has_no_body_to_bound() {
    let server = FakeServer::start(|_, _| Reply::new(200, vec![0; 100]));
    let url = Url::parse(&server.url("/")).unwrap();
    let response = NetClient::new(quick())
        .send(&Request::new(Method::Head, url))
        .await
        .unwrap();
    assert_eq!(response.announced(), Some(100));
    assert!(response.fetch(10).await.unwrap().body.is_empty());
}

#[tokio::test]
async fn credentials_stay_with_their_origin() {
    let other = FakeServer::start(|_, _| Reply::new(200, "blob"));
    let target = other.url("/blob?sig=1");
    let server = FakeServer::start(move |seen, _| match seen.target.as_str() {
        "/same" => Reply::new(307, "").header("Location", "/there"),
        "/there" => Reply::new(302, "").header("Location", target.clone()),
        _ => Reply::new(500, ""),
    });
    let secret = Redacted::new("Bearer abc".to_owned());
    let request = get(&server, "/same")
        .header("x-kept", "1")
        .authorization(Some(secret));
    assert!(!format!("{request:?}").contains("abc"));
    let fetched = NetClient::new(quick()).fetch(&request, 10).await.unwrap();
    assert_eq!(fetched.body, b"blob");
    assert_eq!(fetched.url.host_str(), Some("127.0.0.1"));
    for seen in server.seen() {
        assert_eq!(
            seen.header("authorization"),
            Some("Bearer abc"),
            "{}",
            seen.target
        );
    }
    assert_eq!(other.seen()[0].header("authorization"), None);
    assert_eq!(other.seen()[0].header("x-kept"), Some("1"));
}

#[tokio::test]
async fn redirects_are_bounded_and_checked() {
    let server = FakeServer::start(|seen, _| {
        let reply = Reply::new(302, "");
        match seen.target.as_str() {
            "/nowhere" => reply,
            "/out" => reply.header("Location", "http://registry.example/x?key=secret"),
            "/file" => reply.header("Location", "file:///etc/passwd"),
            _ => reply.header("Location", "/loop"),
        }
    });
    let client = NetClient::new(quick());
    for (path, words) in [
        ("/loop", "more than 5 redirects"),
        ("/nowhere", "names no target"),
        ("/out", "allowed for loopback addresses only"),
        ("/file", "only http and https are known"),
    ] {
        let error = client
            .send(&get(&server, path))
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains(words), "{path}: {error}");
        assert!(!error.contains("secret"), "{error}");
    }
}

#[tokio::test]
async fn bodies_are_sent_with_every_try() {
    let server = FakeServer::start(|_, n| match n {
        0 => Reply::new(503, ""),
        _ => Reply::new(201, "there"),
    });
    let url = Url::parse(&server.url("/x")).unwrap();
    let body = vec![7; 200_000];
    let request = Request::new(Method::Put, url).body(body.clone());
    assert!(format!("{request:?}").contains("n_body: Some(200000)"));
    let fetched = NetClient::new(quick()).fetch(&request, 10).await.unwrap();
    assert_eq!(fetched.status, 201);
    let seen = server.seen();
    assert_eq!(seen.len(), 2);
    for request in seen {
        assert_eq!((request.method.as_str(), &request.body), ("PUT", &body));
    }
}

#[tokio::test]
async fn what_writes_is_redirected_only_where_it_stays_itself() {
    let server = FakeServer::start(|seen, _| match seen.target.as_str() {
        "/kept" => Reply::new(307, "").header("Location", "/there"),
        "/there" => Reply::new(200, ""),
        _ => Reply::new(302, "").header("Location", "/there"),
    });
    let client = NetClient::new(quick());
    for (path, status) in [("/kept", 200), ("/changed", 302)] {
        let url = Url::parse(&server.url(path)).unwrap();
        let request = Request::new(Method::Post, url).body(*b"q");
        assert_eq!(
            client.send(&request).await.unwrap().status(),
            status,
            "{path}"
        );
    }
    let methods: Vec<String> = server.seen().into_iter().map(|seen| seen.method).collect();
    assert_eq!(methods, ["POST", "POST", "POST"]);
}

#[tokio::test]
async fn a_file_is_sent_from_its_beginning_with_every_try() {
    use std::io::Write;
    let server = FakeServer::start(|_, n| Reply::new(if n == 0 { 503 } else { 201 }, ""));
    let mut file = tempfile::tempfile().unwrap();
    let bytes: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    file.write_all(&bytes).unwrap();
    let url = Url::parse(&server.url("/x")).unwrap();
    let size = bytes.len() as u64;
    let request = Request::new(Method::Put, url).file(std::sync::Arc::new(file), size);
    let status = NetClient::new(quick())
        .send(&request)
        .await
        .unwrap()
        .status();
    assert_eq!(status, 201);
    let bodies: Vec<_> = server.seen().into_iter().map(|seen| seen.body).collect();
    assert!(bodies == [bytes.clone(), bytes]);
}

#[tokio::test]
async fn nobody_listening_is_named() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let request = Request::get(&format!("http://u:p@{address}/v2/?k=s")).unwrap();
    let error = NetClient::new(quick()).send(&request).await.unwrap_err();
    assert!(
        matches!(error, NetError::Unreachable { n_tries: 4, .. }),
        "{error}"
    );
    let text = format!("{error} {error:?}");
    assert!(
        error
            .to_string()
            .contains(&format!("http://{address}/v2/?...")),
        "{error}"
    );
    assert!(!text.contains("u:p") && !text.contains("k=s"), "{text}");
}

#[tokio::test]
async fn plain_http_elsewhere_is_refused_before_any_packet() {
    let request = Request::get("http://registry.example/v2/").unwrap();
    let error = NetClient::new(quick()).send(&request).await.unwrap_err();
    assert!(matches!(error, NetError::PlainHttp { .. }), "{error}");
    let allowed = Limits {
        plain_http: PlainHttp::Anywhere,
        n_retries: 0,
        ..quick()
    };
    // No name server knows the reserved domain; what matters is that the name was asked for.
    let request = Request::get("http://registry.invalid/v2/").unwrap();
    let error = NetClient::new(allowed).send(&request).await.unwrap_err();
    assert!(
        matches!(error, NetError::Unreachable { n_tries: 1, .. }),
        "{error}"
    );
}

#[test]
fn bad_addresses_do_not_leak() {
    let error = Request::get("https://user:secret@[bad").unwrap_err();
    assert!(matches!(error, NetError::Address { .. }));
    assert!(!error.to_string().contains("secret"), "{error}");
}

/// Bytes made as they are sent.
#[derive(Debug)]
struct Made(Vec<u8>, u64);

impl crate::BodySource for Made {
    fn size(&self) -> u64 {
        self.1
    }

    fn open(&self) -> std::io::Result<Box<dyn std::io::Read + Send>> {
        Ok(Box::new(std::io::Cursor::new(self.0.clone())))
    }
}

fn sending(url: &str, n: usize, size: u64) -> Request {
    let source = Made((0..=255).cycle().take(n).collect(), size);
    let url = Url::parse(url).unwrap();
    Request::new(Method::Put, url).source(std::sync::Arc::new(source))
}

#[tokio::test]
async fn a_source_is_sent_with_its_length_and_with_every_try() {
    let server = FakeServer::start(|_, n| Reply::new(if n == 0 { 503 } else { 201 }, ""));
    let request = sending(&server.url("/x"), 900_000, 900_000);
    let client = NetClient::new(quick());
    assert_eq!(client.send(&request).await.unwrap().status(), 201);
    for seen in server.seen() {
        assert_eq!(seen.header("content-length"), Some("900000"));
        assert_eq!(seen.body.len(), 900_000);
    }
    // An attempt is one.
    let server = FakeServer::start(|_, _| Reply::new(503, ""));
    let request = sending(&server.url("/x"), 10, 10);
    assert_eq!(client.attempt(&request).await.unwrap().status(), 503);
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_source_that_ends_early_is_the_cause() {
    let server = FakeServer::start(|_, _| Reply::new(201, ""));
    let request = sending(&server.url("/x"), 10, 300_000);
    let error = NetClient::new(quick()).attempt(&request).await.unwrap_err();
    assert!(matches!(error, NetError::Body { .. }), "{error}");
    assert!(
        error.to_string().contains("end 299990 bytes early"),
        "{error}"
    );
}

#[tokio::test]
async fn a_body_may_take_long_but_not_stand_still() {
    // It takes what the kernel buffers and no more.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/x", listener.local_addr().unwrap());
    let request = sending(&url, 64 << 20, 64 << 20);
    let error = NetClient::new(quick()).attempt(&request).await.unwrap_err();
    assert!(
        matches!(error, NetError::Stalled { n_bytes: 1.., .. }),
        "{error}"
    );
    assert!(error.is_transient());
    // One that only takes its time is waited for, longer than the silence between two reads.
    let server = FakeServer::start(|_, _| Reply::new(201, "").silence(Duration::from_millis(800)));
    let request = sending(&server.url("/x"), 10, 10);
    let response = NetClient::new(quick()).attempt(&request).await.unwrap();
    assert_eq!(response.status(), 201);
}
