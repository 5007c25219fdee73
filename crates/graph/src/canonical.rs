//! Explicit hashing: the bytes behind every key are written out field by field.
//!
//! The encoding is self-delimiting, so that no two different values give the same bytes: a domain
//! tag with a version first, every string and list behind its length, every number in eight
//! little-endian bytes, every enum behind a tag byte. Nothing that serde writes is ever hashed,
//! since a renamed field would then silently move every key.

use acetate_oci::{Digest, DigestHasher};

/// Writes values in canonical form into a hash.
#[derive(Debug)]
pub struct CanonicalHasher {
    hasher: DigestHasher,
}

impl CanonicalHasher {
    /// Starts a hash in a domain; `domain` names purpose and version, as in `acetate/op/v1`.
    pub fn new(domain: &str) -> Self {
        let mut canonical = Self {
            hasher: DigestHasher::new(),
        };
        canonical.text(domain);
        canonical
    }

    /// Writes which of several alternatives follows.
    pub fn tag(&mut self, tag: u8) -> &mut Self {
        self.hasher.update(&[tag]);
        self
    }

    /// Writes a truth value.
    pub fn flag(&mut self, value: bool) -> &mut Self {
        self.tag(u8::from(value))
    }

    /// Writes a number.
    pub fn number(&mut self, value: u64) -> &mut Self {
        self.hasher.update(&value.to_le_bytes());
        self
    }

    /// Writes a signed number (a time, for instance).
    pub fn signed(&mut self, value: i64) -> &mut Self {
        self.hasher.update(&value.to_le_bytes());
        self
    }

    /// Writes a byte string behind its length.
    pub fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.length(value.len());
        self.hasher.update(value);
        self
    }

    /// Writes a text behind its length in bytes.
    pub fn text(&mut self, value: &str) -> &mut Self {
        self.bytes(value.as_bytes())
    }

    /// Writes a digest.
    pub fn digest(&mut self, value: &Digest) -> &mut Self {
        self.hasher.update(value.as_bytes());
        self
    }

    /// Writes nothing or something, told apart.
    pub fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) -> &mut Self {
        self.flag(value.is_some());
        if let Some(value) = value {
            write(self, value);
        }
        self
    }

    /// Writes a list behind its length, in the order given.
    pub fn list<T>(
        &mut self,
        items: impl ExactSizeIterator<Item = T>,
        mut write: impl FnMut(&mut Self, T),
    ) -> &mut Self {
        self.length(items.len());
        for item in items {
            write(self, item);
        }
        self
    }

    /// Ends the hash.
    pub fn finish(self) -> Digest {
        self.hasher.finish()
    }

    fn length(&mut self, length: usize) {
        // A length in memory fits 64 bits on every machine that Rust supports.
        self.hasher.update(&(length as u64).to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(write: impl FnOnce(&mut CanonicalHasher)) -> Digest {
        let mut hasher = CanonicalHasher::new("test/v1");
        write(&mut hasher);
        hasher.finish()
    }

    #[test]
    fn neighbouring_texts_do_not_run_together() {
        assert_ne!(
            of(|h| _ = h.text("ab").text("c")),
            of(|h| _ = h.text("a").text("bc"))
        );
    }

    #[test]
    fn a_list_is_told_from_its_items() {
        let list = |items: &[&str]| of(|h| _ = h.list(items.iter(), |h, item| _ = h.text(item)));
        assert_ne!(list(&["a"]), of(|h| _ = h.text("a")));
        assert_ne!(list(&[]), list(&[""]));
        assert_ne!(list(&["a", "b"]), list(&["b", "a"]));
    }

    #[test]
    fn nothing_is_told_from_the_empty_text() {
        let option =
            |value: Option<&str>| of(|h| _ = h.option(value, |h, value| _ = h.text(value)));
        assert_ne!(option(None), option(Some("")));
    }

    #[test]
    fn domains_separate() {
        assert_ne!(
            CanonicalHasher::new("acetate/a/v1").finish(),
            CanonicalHasher::new("acetate/b/v1").finish()
        );
    }

    #[test]
    fn the_bytes_are_fixed() {
        // Written out by hand: changing the encoding needs a new version in every domain tag.
        let by_hand = [
            &7u64.to_le_bytes()[..],
            b"test/v1",
            &1u64.to_le_bytes(),
            b"x",
            &[1],
        ]
        .concat();
        assert_eq!(of(|h| _ = h.text("x").flag(true)), Digest::of(&by_hand));
    }
}
