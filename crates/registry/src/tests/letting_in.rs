use std::sync::Arc;

use acetate_net::fake::{FakeServer, Reply, Seen};
use acetate_stdx::clock::FixedClock;

use super::fixture::*;
use crate::{Name, Pushed, Registries, RegistryError};

fn tag() -> Name {
    Name::Tag("1".into())
}

/// A registry that wants the token that its own `/token` gives.
fn with_tokens(
    fake: Fake,
    token: impl Fn(&Seen, usize) -> Reply + Send + Sync + 'static,
    is_good: impl Fn(&Seen, usize) -> bool + Send + Sync + 'static,
) -> FakeServer {
    FakeServer::start(move |seen, n| {
        if seen.target.starts_with("/token") {
            return token(seen, n);
        }
        if is_good(seen, n) {
            return fake.serve(seen);
        }
        let host = seen.header("host").unwrap();
        let path = seen.target.split("/blobs/").next().unwrap();
        let path = path.split("/manifests/").next().unwrap();
        let name = path.strip_prefix("/v2/").unwrap();
        let action = if seen.method == "POST" {
            "pull,push"
        } else {
            "pull"
        };
        let challenge = format!(
            "Bearer realm=\"http://{host}/token\",service=\"reg\",scope=\"repository:{name}:{action}\""
        );
        Reply::new(401, r#"{"errors":[{"message":"authentication required"}]}"#)
            .header("WWW-Authenticate", challenge)
    })
}

fn config(server: &str, entry: &str) -> String {
    format!(r#"{{"auths":{{"{server}":{entry}}}}}"#)
}

fn filled() -> Fake {
    let fake = Fake::default();
    fake.put_manifest("1", b"{}");
    fake
}

fn targets(server: &FakeServer) -> Vec<String> {
    server.seen().into_iter().map(|seen| seen.target).collect()
}

#[tokio::test]
async fn a_password_goes_to_the_token_server_as_basic() {
    let server = with_tokens(
        filled(),
        |seen, _| match seen.header("authorization") {
            Some("Basic dTpwOnE=") => Reply::new(200, r#"{"token":"t"}"#),
            _ => Reply::new(401, ""),
        },
        |seen, _| seen.header("authorization") == Some("Bearer t"),
    );
    let (_dir, registries) = with_config(&config(&server.host(), r#"{"auth":"dTpwOnE="}"#));
    let served = registries.manifest(&app(&server), &tag()).await.unwrap();
    assert_eq!(served.bytes, b"{}");
    let token = targets(&server).remove(1);
    assert_eq!(
        token,
        "/token?service=reg&scope=repository%3Aapp%3Apull&account=u"
    );
    // The second request has it at once.
    registries.manifest(&app(&server), &tag()).await.unwrap();
    assert_eq!(server.seen().len(), 4);
}

#[tokio::test]
async fn an_identity_token_is_posted_as_a_form() {
    let server = with_tokens(
        filled(),
        |seen, _| {
            let body = String::from_utf8_lossy(&seen.body).into_owned();
            let expected = "grant_type=refresh_token&service=reg&client_id=acetate\
                            &scope=repository%3Aapp%3Apull&refresh_token=i%2Bd";
            match (seen.method.as_str(), body == expected) {
                ("POST", true) => Reply::new(200, r#"{"access_token":"t","expires_in":300}"#),
                _ => Reply::new(400, body),
            }
        },
        |seen, _| seen.header("authorization") == Some("Bearer t"),
    );
    let (_dir, registries) = with_config(&config(&server.host(), r#"{"identitytoken":"i+d"}"#));
    registries.manifest(&app(&server), &tag()).await.unwrap();
    let post = &server.seen()[1];
    assert_eq!(post.header("authorization"), None);
    assert_eq!(
        post.header("content-type"),
        Some("application/x-www-form-urlencoded")
    );
}

#[tokio::test]
async fn a_registry_token_needs_no_server() {
    let server = with_tokens(
        filled(),
        |_, _| Reply::new(500, ""),
        |seen, _| seen.header("authorization") == Some("Bearer mine"),
    );
    let (_dir, registries) = with_config(&config(&server.host(), r#"{"registrytoken":"mine"}"#));
    registries.manifest(&app(&server), &tag()).await.unwrap();
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn basic_is_answered_and_remembered() {
    let fake = filled();
    let server = FakeServer::start(move |seen, _| match seen.header("authorization") {
        Some("Basic dTpw") => fake.serve(seen),
        _ => Reply::new(401, "").header("WWW-Authenticate", "Basic realm=\"x\""),
    });
    let (_dir, registries) = with_config(&config(&server.host(), r#"{"auth":"dTpw"}"#));
    registries.manifest(&app(&server), &tag()).await.unwrap();
    registries.manifest(&app(&server), &tag()).await.unwrap();
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn refusals_end_at_once_and_say_what_to_do() {
    // Each asks again and again.
    for challenge in ["Basic realm=\"x\"", "TOKEN", "Negotiate", ""] {
        let server = FakeServer::start(move |seen, _| {
            if seen.target.starts_with("/token") {
                return Reply::new(200, r#"{"token":"t"}"#);
            }
            let host = seen.header("host").unwrap();
            let challenge = match challenge {
                "TOKEN" => format!("Bearer realm=\"http://{host}/token\""),
                other => other.to_owned(),
            };
            Reply::new(401, r#"{"errors":[{"message":"go away"}]}"#)
                .header("WWW-Authenticate", challenge)
        });
        for has_login in [false, true] {
            let entry = r#"{"username":"u","password":"hunter2"}"#;
            let json = if has_login {
                config(&server.host(), entry)
            } else {
                "{}".into()
            };
            let (_dir, registries) = with_config(&json);
            let result = registries.manifest(&app(&server), &tag()).await;
            let error = result.unwrap_err();
            assert!(matches!(error, RegistryError::Denied { .. }), "{error}");
            let text = format!("{error} {error:?}");
            let login = format!("`docker login {}`", server.host());
            assert!(text.contains(&login) && text.contains("go away"), "{text}");
            assert_eq!(text.contains("log in again"), has_login, "{text}");
            assert!(
                !text.contains("hunter2") && !text.contains("aHVudGVy"),
                "{text}"
            );
        }
        assert!(
            server.seen().len() <= 7,
            "{challenge}: {}",
            server.seen().len()
        );
    }
}

#[tokio::test]
async fn a_token_server_that_refuses_is_named() {
    let server = with_tokens(
        filled(),
        |_, _| Reply::new(401, "secret words"),
        |_, _| false,
    );
    let registries = anonymous();
    let error = registries
        .manifest(&app(&server), &tag())
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, RegistryError::Denied { .. }), "{text}");
    assert!(
        text.contains("/token?...` was refused with status 401"),
        "{text}"
    );
    assert!(!text.contains("secret"), "{text}");
}

#[tokio::test]
async fn tokens_that_are_none_are_refused() {
    for answer in [
        "{}",
        "<html>",
        r#"{"token":""}"#,
        r#"{"token":"a b"}"#,
        "LONG",
    ] {
        let server = with_tokens(
            filled(),
            move |_, _| match answer {
                "LONG" => Reply::new(200, format!(r#"{{"token":"{}"}}"#, "x".repeat(70_000))),
                other => Reply::new(200, other),
            },
            |_, _| false,
        );
        let error = anonymous()
            .manifest(&app(&server), &tag())
            .await
            .unwrap_err();
        assert!(
            matches!(&error, RegistryError::Token { source, .. }
                if matches!(**source, RegistryError::Corrupt { .. })),
            "{answer}: {error}"
        );
    }
}

#[tokio::test]
async fn a_token_that_ends_is_renewed_before_it_is_refused() {
    let server = with_tokens(
        filled(),
        |_, n| Reply::new(200, format!(r#"{{"token":"t{n}","expires_in":100}}"#)),
        |seen, _| seen.header("authorization").is_some(),
    );
    let clock = Arc::new(FixedClock::at(1000));
    let mut access = crate::Access::anonymous();
    access.clock = clock.clone();
    let registries = Registries::new(net(), access);
    let count = || {
        targets(&server)
            .iter()
            .filter(|t| t.starts_with("/token"))
            .count()
    };
    for (secs, n_tokens) in [(0, 1), (70, 1), (10, 2), (70, 2), (6, 3)] {
        clock.advance(secs);
        registries.manifest(&app(&server), &tag()).await.unwrap();
        assert_eq!(count(), n_tokens, "after {secs} more seconds");
    }
}

#[tokio::test]
async fn a_token_that_ends_while_something_is_pushed_is_renewed() {
    let fake = Fake::default();
    // Every token is good for three requests.
    let uses = std::sync::Mutex::new(std::collections::BTreeMap::<String, u32>::new());
    let server = with_tokens(
        fake.clone(),
        |_, n| Reply::new(200, format!(r#"{{"token":"t{n}"}}"#)),
        move |seen, _| {
            let Some(token) = seen.header("authorization") else {
                return false;
            };
            let mut uses = uses.lock().unwrap();
            let n = uses.entry(token.to_owned()).or_default();
            *n += 1;
            *n <= 3
        },
    );
    let registries = anonymous();
    for n in 1..6 {
        let blob = blob(&sample(n * 1000));
        let pushed = registries.push_blob(&app(&server), &blob, &silent()).await;
        assert_eq!(pushed.unwrap(), Pushed::Sent);
        assert!(fake.blob(&blob.descriptor.digest).is_some());
    }
}

#[tokio::test]
async fn a_push_asks_for_what_it_needs_and_a_mount_for_its_source() {
    let server = with_tokens(
        Fake::default(),
        |seen, _| Reply::new(200, format!(r#"{{"token":"{}"}}"#, seen.target.len())),
        |seen, _| seen.header("authorization").is_some(),
    );
    let registries = anonymous();
    let mut blob = blob(&sample(10));
    blob.mount_from = vec![named(&server, "org/base")];
    registries
        .push_blob(&app(&server), &blob, &silent())
        .await
        .unwrap();
    let tokens: Vec<_> = targets(&server)
        .into_iter()
        .filter(|target| target.starts_with("/token"))
        .collect();
    assert_eq!(
        tokens,
        [
            "/token?service=reg&scope=repository%3Aapp%3Apull%2Cpush",
            "/token?service=reg&scope=repository%3Aapp%3Apull%2Cpush&scope=repository%3Aorg%2Fbase%3Apull",
        ]
    );
}

#[tokio::test]
async fn credentials_do_not_follow_to_another_host() {
    // The other host asks for a login by itself, at a token server of its own.
    let other = FakeServer::start(|seen, _| {
        let host = seen.header("host").unwrap();
        let challenge = format!("Bearer realm=\"http://{host}/token\"");
        Reply::new(401, "").header("WWW-Authenticate", challenge)
    });
    let fake = Fake::default();
    let digest = fake.put_blob(&sample(10));
    let target = other.url("");
    let server = FakeServer::start(move |seen, _| {
        if seen.header("authorization") != Some("Basic dTpw") {
            return Reply::new(401, "").header("WWW-Authenticate", "Basic realm=\"x\"");
        }
        let mut reply = fake.serve(seen);
        match seen.method.as_str() {
            "GET" => Reply::new(307, "").header("Location", format!("{target}/blob")),
            "POST" => {
                reply.headers = vec![("Location".to_owned(), format!("{target}/upload"))];
                reply
            }
            _ => reply,
        }
    });
    let (_dir, registries) = with_config(&config(&server.host(), r#"{"auth":"dTpw"}"#));
    let descriptor = blob(&sample(10)).descriptor;
    assert_eq!(descriptor.digest, digest);
    let pull = registries.small_blob(&app(&server), &descriptor, 100).await;
    assert!(
        matches!(pull, Err(RegistryError::Denied { .. })),
        "{pull:?}"
    );
    let push = registries
        .push_blob(&app(&server), &blob(&sample(11)), &silent())
        .await;
    assert!(push.is_err());
    let seen = other.seen();
    assert!(
        seen.iter().any(|seen| seen.method == "PUT"),
        "the upload went there"
    );
    assert!(seen.iter().any(|seen| seen.target == "/blob"));
    for seen in seen {
        assert_eq!(
            seen.header("authorization"),
            None,
            "{} {}",
            seen.method,
            seen.target
        );
    }
}

#[tokio::test]
async fn who_is_redirected_to_may_not_ask_for_a_login() {
    for challenge in ["Bearer realm=\"http://HOST/token\"", "Basic realm=\"x\""] {
        let other = FakeServer::start(|seen, _| {
            let challenge = challenge.replace("HOST", seen.header("host").unwrap());
            Reply::new(401, "").header("WWW-Authenticate", challenge)
        });
        let target = other.url("/blob");
        let server =
            FakeServer::start(move |_, _| Reply::new(307, "").header("Location", target.clone()));
        let (_dir, registries) = with_config(&config(&server.host(), r#"{"auth":"dTpw"}"#));
        let blob = blob(&sample(10)).descriptor;
        let pull = registries.small_blob(&app(&server), &blob, 100).await;
        assert!(pull.is_err());
        assert_eq!(targets(&other), ["/blob"]);
        assert_eq!(targets(&server).len(), 1, "the password is not sent around");
    }
}

#[tokio::test]
async fn another_host_of_an_upload_gets_its_own_credential() {
    let fake = Fake::default();
    let rules = fake.clone();
    let other = FakeServer::start(move |seen, _| match seen.header("authorization") {
        Some("Basic bzpv") => rules.serve(seen),
        Some(_) => Reply::new(403, ""),
        None => Reply::new(401, "").header("WWW-Authenticate", "Basic realm=\"x\""),
    });
    let (rules, target) = (fake.clone(), other.url(""));
    let server = FakeServer::start(move |seen, _| {
        let mut reply = rules.serve(seen);
        for (name, value) in &mut reply.headers {
            if name == "Location" {
                *value = format!("{target}{value}");
            }
        }
        reply
    });
    let json = format!(
        r#"{{"auths":{{"{}":{{"auth":"dTpw"}},"{}":{{"auth":"bzpv"}}}}}}"#,
        server.host(),
        other.host()
    );
    let (_dir, registries) = with_config(&json);
    let blob = blob(&sample(1000));
    registries
        .push_blob(&app(&server), &blob, &silent())
        .await
        .unwrap();
    assert!(fake.blob(&blob.descriptor.digest).is_some());
}
