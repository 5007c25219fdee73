//! Under which key a shared cache keeps a record.

use acetate_cache_api::reapi::Digest as Named;
use acetate_oci::Digest;
use prost::Message;

use super::codec::named;
use crate::{CacheKey, KeyKind};

/// The version of what records hold; whoever changes their meaning raises it, and older ones become
/// misses.
const SALT: &[u8] = b"acetate/record/v2";

/// The parts of an `Action` of the Remote Execution API that are set here.
#[derive(Clone, PartialEq, prost::Message)]
struct Action {
    #[prost(message, optional, tag = "1")]
    command_digest: Option<Named>,
    #[prost(message, optional, tag = "2")]
    input_root_digest: Option<Named>,
    #[prost(bytes = "vec", tag = "9")]
    salt: Vec<u8>,
}

/// The part of a `Command` that is set here.
#[derive(Clone, PartialEq, prost::Message)]
struct Command {
    #[prost(string, repeated, tag = "1")]
    arguments: Vec<String>,
}

/// The key under which a shared cache keeps the record of `key`: the digest of an `Action` of the
/// Remote Execution API, so that it is none of Bazel's and servers take it for what it is.
///
/// The command is symbolic: the kind of key, its digest and the output. The input root is empty,
/// since definition and content keys stand for the inputs already.
pub fn action_key(key: &CacheKey) -> Digest {
    let kind = match key.kind() {
        KeyKind::Definition => "definition",
        KeyKind::Content => "content",
        KeyKind::Hint => "hint",
        KeyKind::Mount => "mount",
        KeyKind::Story => "story",
        KeyKind::Form => "form",
    };
    let command = Command {
        arguments: vec![
            "acetate".to_owned(),
            kind.to_owned(),
            key.digest().hex(),
            key.output().to_string(),
        ],
    };
    let command = command.encode_to_vec();
    let action = Action {
        command_digest: Some(named(&Digest::of(&command), command.len() as u64)),
        input_root_digest: Some(named(&Digest::of(b""), 0)),
        salt: SALT.to_vec(),
    };
    Digest::of(&action.encode_to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use acetate_graph::{ContentKey, DefinitionKey, OpKey};

    /// Whoever changes a key makes every shared cache cold, so these change with `SALT` only.
    #[test]
    fn keys_are_fixed() {
        let digest = Digest::of(b"key");
        let keys = [
            CacheKey::definition(&DefinitionKey::from_digest(digest), 0),
            CacheKey::definition(&DefinitionKey::from_digest(digest), 1),
            CacheKey::content(&ContentKey::from_digest(digest), 0),
            CacheKey::hint(&OpKey::from_digest(digest)),
            CacheKey::mount(&digest),
            CacheKey::form(&digest, "acetate-gzip-1-l6"),
        ];
        let found = keys.map(|key| action_key(&key).hex());
        assert_eq!(
            found,
            [
                "60d93d591620723b5fd4f6963cdf55f98f30676482424120e8d7279fc10c46b7",
                "a7080528b5c6f6ffb9b3863e1e140578893527fbc6037c1211313aead097201f",
                "ef59bea83de5f071de74366f87d44fa4accb4a3e673ca14ec277d89b1cb89335",
                "57e3a8084fa6d7f25d836d8efe051a0029c5800adc2bae0bab95e16603dc543b",
                "4c0afbd6954e08c42c60955a393822c1d07a7680544f1cdd9f8b833500d590a3",
                "7707edce728b11322c16f03f66c9b13f3634a464840816579c7d7cfa176f4461",
            ]
        );
    }
}
