//! Tokens that should be believed, and many that should not, with an issuer on loopback.

use super::*;
use acetate_net::fake::{FakeServer, Reply};
use acetate_stdx::clock::FixedClock;
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};

const NOW: i64 = 1_800_000_000;

/// A key pair of an issuer.
struct Pair {
    id: String,
    algorithm: Algorithm,
    private: EncodingKey,
}

impl Pair {
    fn new(id: &str, algorithm: Algorithm) -> Self {
        let rng = aws_lc_rs::rand::SystemRandom::new();
        let private = match algorithm {
            Algorithm::ES256 => {
                let signing = &ECDSA_P256_SHA256_FIXED_SIGNING;
                let pair = EcdsaKeyPair::generate_pkcs8(signing, &rng).unwrap();
                EncodingKey::from_ec_der(pair.as_ref())
            }
            Algorithm::EdDSA => {
                let pair = Ed25519KeyPair::generate_pkcs8v1(&rng).unwrap();
                EncodingKey::from_ed_der(pair.as_ref())
            }
            _ => {
                let pair = aws_lc_rs::rsa::KeyPair::generate(KeySize::Rsa2048).unwrap();
                let der = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&pair).unwrap();
                // The key itself stands behind a head of fixed length (RFC 5208).
                EncodingKey::from_rsa_der(&der.as_ref()[26..])
            }
        };
        Self {
            id: id.to_owned(),
            algorithm,
            private,
        }
    }

    fn public(&self) -> Value {
        let mut jwk = Jwk::from_encoding_key(&self.private, self.algorithm).unwrap();
        jwk.common.key_id = Some(self.id.clone());
        serde_json::to_value(jwk).unwrap()
    }

    fn sign(&self, claims: &Value) -> String {
        let mut header = Header::new(self.algorithm);
        header.kid = Some(self.id.clone());
        jsonwebtoken::encode(&header, claims, &self.private).unwrap()
    }
}

/// An issuer that gives whatever keys it is told to, and may be down.
struct Loopback {
    server: FakeServer,
    keys: Arc<Mutex<Vec<Value>>>,
    is_down: Arc<AtomicBool>,
    clock: Arc<FixedClock>,
}

impl Loopback {
    fn start(pairs: &[&Pair]) -> Self {
        let keys: Arc<Mutex<Vec<Value>>> = Arc::default();
        let is_down = Arc::new(AtomicBool::new(false));
        let (given, down) = (Arc::clone(&keys), Arc::clone(&is_down));
        let server = FakeServer::start(move |seen, _| {
            if down.load(Ordering::SeqCst) {
                return Reply::closed();
            }
            let host = seen.header("host").unwrap();
            let body = match seen.target.as_str() {
                "/.well-known/openid-configuration" => {
                    json!({"issuer": format!("http://{host}"), "jwks_uri": format!("http://{host}/keys")})
                }
                _ => json!({"keys": *given.lock().unwrap()}),
            };
            Reply::new(200, body.to_string())
        });
        let issuer = Self {
            server,
            keys,
            is_down,
            clock: Arc::new(FixedClock::at(NOW)),
        };
        issuer.gives(pairs);
        issuer
    }

    fn gives(&self, pairs: &[&Pair]) {
        *self.keys.lock().unwrap() = pairs.iter().map(|pair| pair.public()).collect();
    }

    fn name(&self) -> String {
        self.server.url("").trim_end_matches('/').to_owned()
    }

    /// What a server believes that knows this issuer.
    fn issuers(&self) -> Issuers {
        let text = format!(
            "issuer = '{}'\naudience = ['cache', 'cache-2']\n\
             [[rule]]\nclaims = {{ repository = 'org/*', ref = 'refs/heads/main' }}\n\
             scope = '{{repository}}:write'\n\
             [[rule]]\nclaims = {{ repository = 'org/*', ref = 'refs/pull/{{n}}/merge' }}\n\
             scope = ['{{repository}}:read', '{{repository}}/pr-{{n}}:write']\n",
            self.name()
        );
        let issuer: Issuer = toml::from_str(&text).unwrap();
        Issuers::new(vec![issuer], Arc::clone(&self.clock) as Arc<dyn Clock>)
    }

    fn claims(&self, change: impl FnOnce(&mut Value)) -> Value {
        let mut claims = json!({
            "iss": self.name(), "aud": "cache", "sub": "repo:org/repo",
            "exp": NOW + 300, "nbf": NOW - 10, "iat": NOW,
            "repository": "org/repo", "ref": "refs/heads/main",
        });
        change(&mut claims);
        claims
    }

    fn n_fetched(&self) -> usize {
        let seen = self.server.seen();
        seen.iter().filter(|seen| seen.target == "/keys").count()
    }
}

fn scopes(grant: Option<Arc<Grant>>) -> Option<Vec<super::super::Scope>> {
    grant.map(|grant| grant.scopes.clone())
}

fn parsed(texts: &[&str]) -> Vec<super::super::Scope> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn none(_: &mut Value) {}

#[tokio::test]
async fn the_three_algorithms_are_believed() {
    let pairs = [
        Pair::new("rsa", Algorithm::RS256),
        Pair::new("ec", Algorithm::ES256),
        Pair::new("ed", Algorithm::EdDSA),
    ];
    let issuer = Loopback::start(&pairs.each_ref());
    let issuers = issuer.issuers();
    for pair in &pairs {
        let token = pair.sign(&issuer.claims(none));
        let grant = issuers.grant(&token).await.unwrap();
        assert_eq!(grant.name, "oidc:repo:org/repo");
        assert_eq!(
            scopes(Some(grant)),
            Some(parsed(&["org/repo:write"])),
            "{}",
            pair.id
        );
    }
    let pull = |claims: &mut Value| claims["ref"] = "refs/pull/17/merge".into();
    let token = pairs[1].sign(&issuer.claims(pull));
    let expected = Some(parsed(&["org/repo:read", "org/repo/pr-17:write"]));
    assert_eq!(scopes(issuers.grant(&token).await), expected);
    assert_eq!(issuer.n_fetched(), 1);
}

#[tokio::test]
async fn what_claims_say_is_no_way_out() {
    let pair = Pair::new("ec", Algorithm::ES256);
    let issuer = Loopback::start(&[&pair]);
    let issuers = issuer.issuers();
    for (repository, git_ref) in [
        ("org/repo", "refs/heads/other"),
        ("org/repo/more", "refs/heads/main"),
        ("org/..", "refs/heads/main"),
        ("evil/repo", "refs/heads/main"),
        ("org/repo", "refs/pull/../../main/merge"),
        ("org/repo", "refs/pull/a%2fb/merge"),
        ("org/repo", "refs/pull/17"),
    ] {
        let claims = issuer.claims(|claims| {
            claims["repository"] = repository.into();
            claims["ref"] = git_ref.into();
        });
        let found = scopes(issuers.grant(&pair.sign(&claims)).await);
        assert_eq!(found, Some(parsed(&[])), "{repository} {git_ref}");
    }
}

#[tokio::test]
async fn tokens_for_others_and_from_others_are_refused() {
    let pair = Pair::new("ec", Algorithm::ES256);
    let issuer = Loopback::start(&[&pair]);
    let issuers = issuer.issuers();
    let name = issuer.name();
    let changes = [
        ("wrong issuer", "iss", json!("https://evil.example")),
        ("issuer with a slash", "iss", json!(format!("{name}/"))),
        ("two issuers", "iss", json!([name, "https://evil.example"])),
        ("no issuer", "iss", Value::Null),
        ("wrong audience", "aud", json!("other")),
        ("wrong audiences", "aud", json!(["other", "cach"])),
        ("no audience", "aud", Value::Null),
        ("expired", "exp", json!(NOW - 60)),
        ("no expiry", "exp", Value::Null),
        ("expiry of text", "exp", json!("never")),
        ("not yet", "nbf", json!(NOW + 60)),
        ("begins with text", "nbf", json!("always")),
    ];
    let fine = [
        ("one of two audiences", "aud", json!(["other", "cache-2"])),
        ("a clock that is a little late", "exp", json!(NOW - 20)),
        ("a clock that is a little early", "nbf", json!(NOW + 20)),
        ("no beginning", "nbf", Value::Null),
        ("a fraction", "exp", json!(1_800_000_300.5)),
    ];
    let believed = async |claim: &str, value: Value| {
        let claims = issuer.claims(|claims| {
            claims[claim] = value;
            let claims = claims.as_object_mut().unwrap();
            claims.retain(|_, value| !value.is_null());
        });
        issuers.grant(&pair.sign(&claims)).await.is_some()
    };
    for (what, claim, value) in changes {
        assert!(!believed(claim, value).await, "{what}");
    }
    for (what, claim, value) in fine {
        assert!(believed(claim, value).await, "{what}");
    }
    let null = issuer.claims(|claims| claims["exp"] = Value::Null);
    assert!(issuers.grant(&pair.sign(&null)).await.is_none());
}

#[tokio::test]
async fn who_has_no_key_of_the_issuer_signs_nothing() {
    let (rsa, ec) = (
        Pair::new("rsa", Algorithm::RS256),
        Pair::new("ec", Algorithm::ES256),
    );
    let issuer = Loopback::start(&[&rsa, &ec]);
    let issuers = issuer.issuers();
    let claims = issuer.claims(none);
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let unsigned = |alg: &str| {
        let head = json!({"alg": alg, "typ": "JWT", "kid": "ec"});
        format!("{}.{}.", part(&head), part(&claims))
    };
    // A secret that everybody knows: the public key in the forms in which it is written.
    let confused = |secret: &[u8]| {
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some("rsa".to_owned());
        jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(secret)).unwrap()
    };
    let n = rsa.public()["n"].as_str().unwrap().to_owned();
    let good = ec.sign(&claims);
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let (head, _) = signed.split_once('.').unwrap();
    let other = issuer.claims(|c| c["repository"] = "org/other".into());
    let headed = |change: fn(&mut Header)| {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some("ec".to_owned());
        change(&mut header);
        jsonwebtoken::encode(&header, &claims, &ec.private).unwrap()
    };
    for (what, token) in [
        ("alg none", unsigned("none")),
        ("alg None", unsigned("None")),
        ("no signature", unsigned("ES256")),
        ("public key as text", confused(n.as_bytes())),
        (
            "public key as bytes",
            confused(&URL_SAFE_NO_PAD.decode(&n).unwrap()),
        ),
        (
            "public key as JWK",
            confused(rsa.public().to_string().as_bytes()),
        ),
        (
            "own key, known id",
            Pair::new("ec", Algorithm::ES256).sign(&claims),
        ),
        (
            "own key, unknown id",
            Pair::new("mine", Algorithm::ES256).sign(&claims),
        ),
        (
            "key of another kind",
            Pair::new("rsa", Algorithm::ES256).sign(&claims),
        ),
        (
            "other claims",
            format!("{head}.{}.{signature}", part(&other)),
        ),
        ("cut", good[..good.len() - 3].to_owned()),
        ("no id", headed(|header| header.kid = None)),
        (
            "own key inside",
            headed(|header| header.kid = Some("inside".to_owned())),
        ),
        (
            "critical extension",
            headed(|header| header.crit = Some(vec!["x".to_owned()])),
        ),
        ("long", format!("{good}{}", "A".repeat(20_000))),
        ("no token", "secret".to_owned()),
        ("dots", "...".to_owned()),
    ] {
        assert_eq!(scopes(issuers.grant(&token).await), None, "{what}");
    }
    assert!(issuers.grant(&good).await.is_some());
}

#[tokio::test]
async fn rotated_keys_are_fetched_at_most_once_a_minute() {
    let (old, new) = (
        Pair::new("old", Algorithm::ES256),
        Pair::new("new", Algorithm::ES256),
    );
    let issuer = Loopback::start(&[&old]);
    let issuers = issuer.issuers();
    let lasting = |n: i64| issuer.claims(|claims| claims["exp"] = (NOW + 3600 + n).into());
    assert!(issuers.grant(&old.sign(&lasting(0))).await.is_some());
    issuer.gives(&[&new]);
    for n in 0..20 {
        assert!(
            issuers.grant(&new.sign(&lasting(n))).await.is_none(),
            "too early to ask"
        );
    }
    assert_eq!(issuer.n_fetched(), 1);
    issuer.clock.advance(60);
    assert!(issuers.grant(&new.sign(&lasting(0))).await.is_some());
    assert_eq!(issuer.n_fetched(), 2);
    // The old key is gone, and with it all that it signed.
    assert!(issuers.grant(&old.sign(&lasting(0))).await.is_none());
    assert!(issuers.grant(&old.sign(&lasting(1))).await.is_none());
    assert_eq!(issuer.n_fetched(), 2);
}

#[tokio::test]
async fn the_last_keys_are_kept_while_the_issuer_is_down() {
    let pair = Pair::new("ec", Algorithm::ES256);
    let issuer = Loopback::start(&[&pair]);
    let issuers = issuer.issuers();
    let lasting = |n: i64| issuer.claims(|claims| claims["exp"] = (NOW + 9000 + n).into());
    assert!(issuers.grant(&pair.sign(&lasting(0))).await.is_some());
    issuer.is_down.store(true, Ordering::SeqCst);
    issuer.clock.advance(3600);
    let unknown = Pair::new("other", Algorithm::ES256);
    assert!(issuers.grant(&unknown.sign(&lasting(0))).await.is_none());
    assert!(issuers.grant(&pair.sign(&lasting(1))).await.is_some());
    // Neither does an answer without keys take them away.
    issuer.is_down.store(false, Ordering::SeqCst);
    issuer.gives(&[]);
    issuer.clock.advance(60);
    assert!(issuers.grant(&unknown.sign(&lasting(1))).await.is_none());
    assert!(issuers.grant(&pair.sign(&lasting(2))).await.is_some());
}

#[tokio::test]
async fn an_issuer_that_is_down_at_the_start_is_asked_again() {
    let pair = Pair::new("ec", Algorithm::ES256);
    let issuer = Loopback::start(&[&pair]);
    issuer.is_down.store(true, Ordering::SeqCst);
    let issuers = issuer.issuers();
    let token = pair.sign(&issuer.claims(none));
    assert!(issuers.grant(&token).await.is_none());
    issuer.is_down.store(false, Ordering::SeqCst);
    assert!(issuers.grant(&token).await.is_none());
    issuer.clock.advance(60);
    assert!(issuers.grant(&token).await.is_some());
}

#[tokio::test]
async fn what_is_remembered_ends_with_the_token() {
    let pair = Pair::new("ec", Algorithm::ES256);
    let issuer = Loopback::start(&[&pair]);
    let issuers = issuer.issuers();
    let token = pair.sign(&issuer.claims(|claims| claims["exp"] = (NOW + 5).into()));
    assert!(issuers.grant(&token).await.is_some());
    issuer.clock.advance(5 + 30);
    assert!(issuers.grant(&token).await.is_none());
}

#[tokio::test]
async fn a_description_of_another_issuer_is_not_taken() {
    let pair = Pair::new("ec", Algorithm::ES256);
    let issuer = Loopback::start(&[&pair]);
    let keys = issuer.server.url("/keys");
    let evil = FakeServer::start(move |_, _| {
        let body = json!({"issuer": "https://other.example", "jwks_uri": keys});
        Reply::new(200, body.to_string())
    });
    let name = evil.url("").trim_end_matches('/').to_owned();
    let text = format!(
        "issuer = '{name}'\naudience = 'cache'\n\
         rule = [{{ claims = {{ repository = 'org/*' }}, scope = ':read' }}]"
    );
    let known: Issuer = toml::from_str(&text).unwrap();
    let issuers = Issuers::new(vec![known], Arc::clone(&issuer.clock) as Arc<dyn Clock>);
    let token = pair.sign(&issuer.claims(|claims| claims["iss"] = name.clone().into()));
    assert!(issuers.grant(&token).await.is_none());
    assert_eq!(issuer.n_fetched(), 0);
}
