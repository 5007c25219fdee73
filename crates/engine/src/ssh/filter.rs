//! What of the agent protocol may pass.
//!
//! A message is its length in four bytes, then a byte that says what it is, then the rest.

/// No key list and no signature comes near; the agent of OpenSSH takes no more either.
pub(super) const MAX_MESSAGE: usize = 256 << 10;

const FAILURE: u8 = 5;
const REQUEST_IDENTITIES: u8 = 11;
const SIGN_REQUEST: u8 = 13;

/// The whole answer to what may not pass.
pub(super) const REFUSAL: [u8; 1] = [FAILURE];

/// True for a request that changes nothing in the agent: the list of keys, or one signature.
pub(super) fn may_pass(request: &[u8]) -> bool {
    matches!(request, [REQUEST_IDENTITIES] | [SIGN_REQUEST, ..])
}

/// The length that a message announces, if it is one that can be.
pub(super) fn announced(length: [u8; 4]) -> Option<usize> {
    let length = usize::try_from(u32::from_be_bytes(length)).ok()?;
    (1..=MAX_MESSAGE).contains(&length).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_keys_and_signatures_pass() {
        let passing: Vec<u8> = (0..=u8::MAX).filter(|kind| may_pass(&[*kind])).collect();
        assert_eq!(passing, [11, 13]);
        assert!(may_pass(&[13, 0, 0, 0, 1, b'k']));
        assert!(!may_pass(&[]));
        // The request for the list has nothing after its kind.
        assert!(!may_pass(&[11, 0]));
        // Add, remove, remove all, lock, unlock, add with constraints, extension.
        for kind in [17, 18, 19, 22, 23, 25, 27] {
            assert!(!may_pass(&[kind, 0, 0, 0, 0]), "{kind}");
        }
    }

    #[test]
    fn lengths_have_limits() {
        assert_eq!(announced([0, 0, 0, 1]), Some(1));
        assert_eq!(announced([0, 4, 0, 0]), Some(MAX_MESSAGE));
        assert_eq!(announced([0, 4, 0, 1]), None);
        assert_eq!(announced([0, 0, 0, 0]), None);
        assert_eq!(announced([255; 4]), None);
    }
}
