//! Which run of the machine wrote something.

use std::fmt;

use crate::layer_id::random_bytes;

/// Identifies one run of the kernel: what was written in it needs no sync to be trusted in it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BootId([u8; 16]);

impl BootId {
    /// Reads the id of the running kernel.
    ///
    /// Where it cannot be read, a random one is used: then nothing that other processes left
    /// unsynced is trusted, which costs work and never correctness.
    pub fn current() -> Self {
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
        match text.ok().as_deref().and_then(parse) {
            Some(id) => id,
            None => Self(random_bytes()),
        }
    }

    /// Takes raw bytes, for tests and for the index.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

fn parse(text: &str) -> Option<BootId> {
    let digits: String = text.trim().chars().filter(|c| *c != '-').collect();
    let value = u128::from_str_radix(&digits, 16).ok()?;
    (digits.len() == 32).then(|| BootId(value.to_be_bytes()))
}

impl fmt::Display for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_one_id() {
        assert_eq!(BootId::current(), BootId::current());
    }

    #[test]
    fn parses_the_kernels_spelling() {
        let id = parse("01020304-0506-0708-090a-0b0c0d0e0f10\n").unwrap();
        assert_eq!(id.to_string(), "0102030405060708090a0b0c0d0e0f10");
        assert!(parse("").is_none());
        assert!(parse("0102").is_none());
    }
}
