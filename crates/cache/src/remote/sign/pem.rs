//! Blocks of PEM (RFC 7468), as far as keys need them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::KeyFault;

const BEGIN: &str = "-----BEGIN ";
const PRIVATE: &str = "PRIVATE KEY";
const PUBLIC: &str = "PUBLIC KEY";

/// Which half of a key is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Half {
    Private,
    Public,
}

impl Half {
    fn label(self) -> &'static str {
        match self {
            Self::Private => PRIVATE,
            Self::Public => PUBLIC,
        }
    }
}

/// True where a block begins.
pub(super) fn is_begin(text: &str) -> bool {
    text.trim_start().starts_with(BEGIN)
}

/// Reads the block that `text` begins with, and gives its bytes and what is behind it.
pub(super) fn block(text: &str, half: Half) -> Result<(Vec<u8>, &str), KeyFault> {
    let label = half.label();
    let text = text.trim_start();
    let begin = format!("{BEGIN}{label}-----");
    let Some(rest) = text.strip_prefix(&begin) else {
        return Err(KeyFault::Kind(kind(text)));
    };
    let end = format!("-----END {label}-----");
    let Some((body, rest)) = rest.split_once(&end) else {
        return Err(KeyFault::Unfinished(label));
    };
    let body: String = body.split_ascii_whitespace().collect();
    let bytes = STANDARD.decode(body).map_err(|_| KeyFault::Form)?;
    Ok((bytes, rest))
}

/// Writes a block. What is written here fits in one line of it.
pub(super) fn write(half: Half, bytes: &[u8]) -> String {
    let label = half.label();
    let body = STANDARD.encode(bytes);
    let lines: Vec<String> = body
        .as_bytes()
        .chunks(64)
        .map(|line| String::from_utf8_lossy(line).into_owned())
        .collect();
    let body = lines.join("\n");
    format!("{BEGIN}{label}-----\n{body}\n-----END {label}-----\n")
}

/// Bytes in either alphabet of base64.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let plain = STANDARD.decode(text).ok();
    plain.or_else(|| URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok())
}

/// What a block is that is not wanted here.
fn kind(text: &str) -> &'static str {
    let label = text.strip_prefix(BEGIN).unwrap_or_default();
    let kinds = [
        ("ENCRYPTED PRIVATE KEY", "an encrypted private key"),
        ("OPENSSH PRIVATE KEY", "a private key of OpenSSH"),
        ("RSA PRIVATE KEY", "a key of RSA"),
        ("EC PRIVATE KEY", "a key of another algorithm"),
        (PRIVATE, "a private key"),
        (PUBLIC, "a public key"),
        ("CERTIFICATE", "a certificate"),
    ];
    let found = kinds.iter().find(|(known, _)| label.starts_with(known));
    found.map_or("no key that is known here", |(_, kind)| kind)
}
