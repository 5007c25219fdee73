//! A fleet whose tokens a CI system signs: main writes, pull requests have their own place.

use crate::server::{Server, ac, record};
use acetate_net::fake::{FakeServer, Reply};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

struct Issuer {
    server: FakeServer,
    key: EncodingKey,
}

impl Issuer {
    fn start() -> Self {
        let rng = aws_lc_rs::rand::SystemRandom::new();
        let pair = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &rng).unwrap();
        let key = EncodingKey::from_ec_der(pair.as_ref());
        let mut jwk = Jwk::from_encoding_key(&key, Algorithm::ES256).unwrap();
        jwk.common.key_id = Some("k".to_owned());
        let keys = json!({ "keys": [jwk] }).to_string();
        let server = FakeServer::start(move |seen, _| {
            let host = seen.header("host").unwrap();
            match seen.target.as_str() {
                "/.well-known/openid-configuration" => {
                    let url = format!("http://{host}");
                    let body = json!({"issuer": url, "jwks_uri": format!("{url}/keys")});
                    Reply::new(200, body.to_string())
                }
                _ => Reply::new(200, keys.clone()),
            }
        });
        Self { server, key }
    }

    fn name(&self) -> String {
        self.server.url("").trim_end_matches('/').to_owned()
    }

    /// A token as GitHub would sign it.
    #[expect(
        clippy::disallowed_methods,
        reason = "the server is a program and has the real time"
    )]
    fn token(&self, repository: &str, git_ref: &str, change: fn(&mut Value)) -> String {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs();
        let mut claims = json!({
            "iss": self.name(), "aud": "https://cache.example",
            "sub": format!("repo:{repository}:ref:{git_ref}"), "exp": now + 300,
            "repository": repository, "ref": git_ref,
        });
        change(&mut claims);
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some("k".to_owned());
        jsonwebtoken::encode(&header, &claims, &self.key).unwrap()
    }
}

fn none(_: &mut Value) {}

#[tokio::test]
async fn main_writes_and_a_pull_request_reads_and_has_its_own_place() {
    let issuer = Issuer::start();
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("server.toml");
    let text = format!(
        "[[oidc]]\nissuer = '{}'\naudience = 'https://cache.example'\n\n\
         [[oidc.rule]]\nclaims = {{ repository = 'org/*', ref = 'refs/heads/main' }}\n\
         scope = '{{repository}}:write'\n\n\
         [[oidc.rule]]\nclaims = {{ repository = 'org/*', ref = 'refs/pull/{{number}}/merge' }}\n\
         scope = ['{{repository}}:read', '{{repository}}/pr-{{number}}:write']\n",
        issuer.name()
    );
    std::fs::write(&config, text).unwrap();
    let server = Server::with(&["--config", config.to_str().unwrap()]);

    let server = server.token(&issuer.token("org/repo", "refs/heads/main", none));
    let (main, pull) = (ac("org/repo", "k"), ac("org/repo/pr-17", "k"));
    assert_eq!(
        server.status(Method::PUT, &main, &record(&[], 1)).await,
        200
    );
    assert_eq!(
        server.status(Method::PUT, &ac("org/other", "k"), b"").await,
        403
    );
    assert_eq!(server.status(Method::DELETE, &main, b"").await, 403);

    let server = server.token(&issuer.token("org/repo", "refs/pull/17/merge", none));
    assert_eq!(server.get(&pull).await, (200, record(&[], 1)));
    assert_eq!(
        server.status(Method::PUT, &main, &record(&[], 2)).await,
        403
    );
    assert_eq!(
        server.status(Method::PUT, &pull, &record(&[], 2)).await,
        200
    );
    assert_eq!(server.get(&main).await, (200, record(&[], 1)));
    let other = ac("org/repo/pr-18", "k");
    assert_eq!(
        server.status(Method::PUT, &other, &record(&[], 2)).await,
        403
    );

    for (what, token) in [
        (
            "another audience",
            issuer.token("org/repo", "refs/heads/main", |c| c["aud"] = "x".into()),
        ),
        (
            "expired",
            issuer.token("org/repo", "refs/heads/main", |c| c["exp"] = 1.into()),
        ),
    ] {
        let server = Server::with(&["--config", config.to_str().unwrap()]).token(&token);
        assert_eq!(server.get(&main).await.0, 401, "{what}");
    }
    // A token that is believed and for which there is no rule may do nothing.
    let server = server.token(&issuer.token("org/repo", "refs/heads/feature", none));
    assert_eq!(server.get(&main).await.0, 403);
    // The token of the server itself is as good as before.
    let token = server.own_token();
    assert_eq!(
        server
            .token(&token)
            .status(Method::DELETE, &main, b"")
            .await,
        204
    );
}
