use std::os::unix::fs::PermissionsExt;

use acetate_stdx::Redacted;
use proptest::prelude::*;

use super::dsse::pae;
use super::*;

/// The first two examples of RFC 8032, 7.1: seed, public key, message, signature.
const EXAMPLES: [[&str; 4]; 2] = [
    [
        "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=",
        "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ],
    [
        "TM0Imyj/ltqdtsNG7BFOD1uKMZ81q6Yk2oz27U+4pvs=",
        "PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=",
        "r",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ],
];

/// The example of RFC 8410, 10.3 and 10.1: what OpenSSL writes.
const PRIVATE_PEM: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
-----END PRIVATE KEY-----
";
const PUBLIC_PEM: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
";
/// The first with its public half (RFC 5958), as other tools write it.
const PRIVATE_V2: &str = "-----BEGIN PRIVATE KEY-----
MHICAQEwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
oB8wHQYKKoZIhvcNAQkJFDEPDA1DdXJkbGUgQ2hhaXJzgSEAGb9ECWmEzf6FQbrB
Z9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PRIVATE KEY-----
";

/// The order of the base point, lowest byte first.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn public(text: &str) -> PublicKey {
    let list = TrustedKeys::parse(text).unwrap();
    list.keys()[0].key
}

/// The vector of the specification of DSSE, and lengths that are those of bytes.
#[test]
fn the_encoding_is_that_of_dsse() {
    let encoded = pae(b"http://example.com/HelloWorld", b"hello world");
    let expected = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world";
    assert_eq!(encoded, expected);
    assert_eq!(pae(b"", b""), b"DSSEv1 0  0 ");
    assert_eq!(pae("é".as_bytes(), b"a b"), "DSSEv1 2 é 3 a b".as_bytes());
    let envelope = Envelope::unsigned(b"x".to_vec());
    let text = b"DSSEv1 42 application/vnd.acetate.record.v2+protobuf 1 x";
    assert_eq!(envelope.signed(), text);
}

#[test]
fn signatures_are_those_of_the_standard() {
    for [seed, key, message, expected] in EXAMPLES {
        let signing = SigningKey::parse(seed).unwrap();
        assert_eq!(signing.public().base64(), key);
        let signature = signing.sign(message.as_bytes());
        assert_eq!(hex(&signature), expected);
        assert!(public(key).verifies(message.as_bytes(), &signature));
        assert!(!public(key).verifies(b"another", &signature));
        assert!(!public(key).verifies(message.as_bytes(), &signature[1..]));
    }
}

/// S + L is the same number for a careless reader; a second signature of the same text would let
/// records differ that say the same (RFC 8032, 5.1.7).
#[test]
fn a_signature_has_one_form() {
    let [seed, key, ..] = EXAMPLES[0];
    let mut signature = SigningKey::parse(seed).unwrap().sign(b"text");
    let mut carry = 0_u16;
    for (byte, order) in signature[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    assert_eq!(carry, 0);
    assert!(!public(key).verifies(b"text", &signature));
}

#[test]
fn the_id_is_the_beginning_of_a_digest() {
    let key = public(EXAMPLES[0][1]);
    assert_eq!(key.id(), "21fe31dfa154a261626bf854046fd227");
}

#[test]
fn keys_are_read_in_every_form() {
    let url_safe = EXAMPLES[0][0].replace('/', "_").replace('=', "");
    let one_line = PRIVATE_PEM.replace('\n', " ");
    for (text, id) in [
        (EXAMPLES[0][0], public(EXAMPLES[0][1])),
        (&url_safe, public(EXAMPLES[0][1])),
        (PRIVATE_PEM, public(PUBLIC_PEM)),
        (&one_line, public(PUBLIC_PEM)),
        (PRIVATE_V2, public(PUBLIC_PEM)),
    ] {
        assert_eq!(SigningKey::parse(text).unwrap().public(), id, "{text}");
        let padded = format!("\n {text}\r\n");
        assert_eq!(SigningKey::parse(&padded).unwrap().public(), id, "{text}");
    }
    let der = "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";
    assert_eq!(public(der), public(PUBLIC_PEM));
    assert_eq!(public(der).pem(), PUBLIC_PEM);
}

#[test]
fn what_is_no_private_key_is_refused_without_being_shown() {
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIGb\n-----END ENCRYPTED PRIVATE KEY-----";
    let rsa = "-----BEGIN RSA PRIVATE KEY-----\nMIGb\n-----END RSA PRIVATE KEY-----";
    let damaged = PRIVATE_PEM.replace("MC4C", "MC5C");
    let unfinished = &PRIVATE_PEM[..60];
    let cases: &[(&str, &str, &str)] = &[
        ("", "holds no key", "acetate cache keygen"),
        (
            "nWGxne/9WmC6",
            "neither PEM nor base64 of 32 bytes",
            "PKCS#8",
        ),
        ("not a key at all", "neither PEM nor base64", "PKCS#8"),
        (PUBLIC_PEM, "is a public key", "BEGIN PRIVATE KEY"),
        (encrypted, "an encrypted private key", "unencrypted PKCS#8"),
        (rsa, "a key of RSA", "BEGIN PRIVATE KEY"),
        (&damaged, "no Ed25519 key", "only Ed25519"),
        (unfinished, "has no end", "last line"),
    ];
    for (text, words, hint) in cases {
        let error = SigningKey::parse(text).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(shown.contains(words), "{shown}");
        assert!(error.hint().contains(hint), "{}", error.hint());
        assert!(!shown.contains("nWGx") && !shown.contains("MC"), "{shown}");
    }
}

#[test]
fn a_new_key_works_and_is_not_shown() {
    let new = generate(Some("main")).unwrap();
    let signing = SigningKey::parse(new.private.expose()).unwrap();
    assert_eq!(public(&new.public), signing.public());
    assert_eq!(signing.public().id(), new.id);
    assert!(new.public.ends_with("= main"), "{}", new.public);
    assert!(
        new.private
            .expose()
            .starts_with("-----BEGIN PRIVATE KEY-----\n")
    );
    let body = new.private.expose().lines().nth(1).unwrap();
    let shown = format!("{new:?} {signing:?}");
    assert!(!shown.contains(body), "{shown}");
    assert_ne!(generate(None).unwrap().id, new.id);
    assert!(generate(Some("two words")).is_err());
    assert!(generate(Some("a..b")).is_err());
}

#[test]
fn a_key_file_that_others_can_read_is_told_of() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key.pem");
    let missing = SigningKey::load(&path).unwrap_err();
    assert!(missing.to_string().contains("key.pem"), "{missing}");
    std::fs::write(&path, PRIVATE_PEM).unwrap();
    for (mode, warns) in [(0o600, false), (0o400, false), (0o640, true), (0o604, true)] {
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        let (key, warning) = SigningKey::load(&path).unwrap();
        assert_eq!(key.public(), public(PUBLIC_PEM));
        assert_eq!(warning.is_some(), warns, "{mode:o}");
        if let Some(warning) = warning {
            let text = warning.to_string();
            assert!(
                text.contains("chmod 600") && text.contains("(mode 06"),
                "{text}"
            );
        }
    }
    std::fs::write(&path, vec![b'a'; 100_000]).unwrap();
    let error = SigningKey::load(&path).unwrap_err().to_string();
    assert!(error.contains("too long"), "{error}");
}

#[test]
fn a_list_has_one_key_a_line() {
    let [a, b] = [EXAMPLES[0][1], EXAMPLES[1][1]];
    let pem = PUBLIC_PEM.trim_end();
    let text = format!(
        "# who signs\n\n{a} main 2026-01-01..2026-12-31 # until the next\r\n  {b}\n\
         {pem} ci@example.org ..2027-02-28\n"
    );
    let list = TrustedKeys::parse(&text).unwrap();
    let found: Vec<_> = list
        .keys()
        .iter()
        .map(|key| (key.key, key.name.as_deref(), key.validity))
        .collect();
    let year = Validity {
        from: Some(1_767_225_600),
        until: Some(1_798_761_600),
    };
    let open = Validity {
        from: None,
        until: Some(1_803_859_200),
    };
    assert_eq!(
        found,
        [
            (public(a), Some("main"), year),
            (public(b), None, Validity::default()),
            (public(PUBLIC_PEM), Some("ci@example.org"), open),
        ]
    );
    // Both days belong to it.
    assert!(year.is_before(1_767_225_599) && !year.is_before(1_767_225_600));
    assert!(!year.is_over(1_798_761_599) && year.is_over(1_798_761_600));
}

#[test]
fn a_list_is_refused_at_the_line_that_is_wrong() {
    let [a, b] = [EXAMPLES[0][1], EXAMPLES[1][1]];
    let pem = PUBLIC_PEM.trim_end();
    let cases: Vec<(String, &str, &str)> = vec![
        (String::new(), "the key: holds no key", "keygen"),
        ("# nothing\n".to_owned(), "the key: holds no key", "keygen"),
        (format!("{a}\ngarbage"), "line 2: is neither", "base64"),
        (
            format!("{a}\n\n{b}\n{a} x"),
            "line 4: is the same key as line 1",
            "remove",
        ),
        (
            format!("{pem}\n{b}\n{pem}"),
            "line 5: is the same key as line 1",
            "remove",
        ),
        (
            format!("{a} x\n{b} x"),
            "line 2: has the same name as line 1",
            "own name",
        ),
        (format!("{a} x y"), "line 1: what follows", "NAME"),
        (format!("{a} x\u{1b}[31m"), "line 1: what follows", "NAME"),
        (
            format!("{a} 2026-13-01.."),
            "line 1: the validity is no pair",
            "2026-01-01",
        ),
        (
            format!("{a} .."),
            "line 1: the validity is no pair",
            "2026-01-01",
        ),
        (
            format!("{a} 2026-02-02..2026-02-01"),
            "line 1: the validity ends",
            "2026",
        ),
        (
            format!("{a}\n{PRIVATE_PEM}"),
            "line 2: is a private key",
            "public half",
        ),
        (
            format!("{a}\n-----BEGIN PUBLIC KEY-----\nMCow"),
            "line 2: `-----BEGIN",
            "last line",
        ),
        ("x".repeat(80), "line 1: is neither", "base64"),
    ];
    for (text, words, hint) in cases {
        let error = TrustedKeys::parse(&text).unwrap_err();
        assert!(error.to_string().contains(words), "{text}: {error}");
        assert!(error.hint().contains(hint), "{text}: {}", error.hint());
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trusted");
    std::fs::write(&path, format!("{a}\nx")).unwrap();
    let error = TrustedKeys::load(&path).unwrap_err().to_string();
    assert!(error.contains("trusted`, line 2: is neither"), "{error}");
}

proptest! {
    #[test]
    fn no_text_does_harm(text in "(?s)[-A-Za-z0-9+/= .#\n]{0,200}|.{0,100}") {
        drop(TrustedKeys::parse(&text));
        drop(SigningKey::parse(&text));
    }

    #[test]
    fn no_changed_key_does_harm(
        place in any::<proptest::sample::Index>(),
        with in any::<char>(),
        text in proptest::sample::select(vec![PRIVATE_PEM, PUBLIC_PEM, PRIVATE_V2, EXAMPLES[0][0]]),
    ) {
        let place = place.index(text.len());
        let text = Redacted::new(format!("{}{with}{}", &text[..place], &text[place + 1..]));
        drop(TrustedKeys::parse(text.expose()));
        drop(SigningKey::parse(text.expose()));
    }
}
