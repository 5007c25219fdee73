//! The tags of writers.

use acetate_oci::Digest;
use acetate_store::{FactKey, Store};

/// What stands between the tag that users name and the name of a writer.
const MARK: &str = "--w-";
/// The longest tag that registries take.
const MAX_TAG: usize = 128;
/// The digits of a writer's name.
const DIGITS: usize = 16;
/// How many tags writers have at most; from then on they use those of others.
pub(super) const MAX_WRITERS: usize = 8;
/// The space of facts about this state directory as a writer.
const NAME: &str = "registry-writer";

/// One state directory, as a writer of caches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Writer(String);

impl Writer {
    /// The name of this state directory, which it gets by chance the first time.
    ///
    /// A directory that is copied to many machines gives all of them one name; then two that write
    /// at once may lose each other's tag, as those do who share one because there are too many.
    pub(super) fn of(store: &Store) -> Self {
        let key = FactKey::new(NAME, b"");
        let known = store.index().facts(std::slice::from_ref(&key));
        let known = known.ok().into_iter().flatten().flatten().next();
        let known = known.and_then(|bytes| String::from_utf8(bytes).ok());
        let is_name = |text: &String| {
            text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit())
        };
        let name = known.filter(is_name).unwrap_or_else(|| {
            let name = chance();
            let value = name.clone().into_bytes();
            store.index().put_facts(vec![(key, value)]);
            name
        });
        Self(name)
    }

    /// Its tag beside the one that users name.
    pub(super) fn tag(&self, tag: &str) -> String {
        format!("{}{}", prefix(tag), self.0)
    }

    /// True for the tag of some writer beside the one that users name.
    pub(super) fn is_tag(tag: &str, found: &str) -> bool {
        let name = found.strip_prefix(&prefix(tag));
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        name.is_some_and(|name| name.len() == DIGITS && name.bytes().all(is_digit))
    }

    /// Some number, by which writers that share tags rarely begin with the same.
    pub(super) fn number(&self) -> usize {
        usize::from(Digest::of(self.0.as_bytes()).as_bytes()[0])
    }
}

/// What the tags of all writers begin with.
fn prefix(tag: &str) -> String {
    if tag.len() + MARK.len() + DIGITS <= MAX_TAG {
        return format!("{tag}{MARK}");
    }
    let hex = Digest::of(tag.as_bytes()).hex();
    format!("{}-{}{MARK}", &tag[..80], &hex[..16])
}

fn chance() -> String {
    let mut bytes = [0; DIGITS / 2];
    if aws_lc_rs::rand::fill(&mut bytes).is_err() {
        // Only a name: the process tells most writers apart.
        let seed = format!("{}-{:?}", std::process::id(), std::thread::current().id());
        bytes.copy_from_slice(&Digest::of(seed.as_bytes()).as_bytes()[..DIGITS / 2]);
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_directory_keeps_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let writer = Writer::of(&store);
        assert_eq!(Writer::of(&store), writer);
        let other = tempfile::tempdir().unwrap();
        assert_ne!(Writer::of(&Store::open(other.path()).unwrap()), writer);
    }

    #[test]
    fn tags_of_writers_are_told_from_others() {
        let writer = Writer("0123456789abcdef".to_owned());
        assert_eq!(writer.tag("main"), "main--w-0123456789abcdef");
        assert!(Writer::is_tag("main", "main--w-0123456789abcdef"));
        for other in [
            "main",
            "main--w-",
            "main--w-0123456789abcdeg",
            "x--w-0123456789abcdef",
        ] {
            assert!(!Writer::is_tag("main", other), "{other}");
        }
        let long = "x".repeat(128);
        let tag = writer.tag(&long);
        assert!(tag.len() <= MAX_TAG && Writer::is_tag(&long, &tag));
        assert!(!Writer::is_tag(&"x".repeat(127), &tag));
    }
}
