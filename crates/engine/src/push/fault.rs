//! What a push finds to be wrong with the store, which is made good by making the outputs again.
//!
//! The bytes of a blob are read for the HTTP client, which carries words and no errors. So what is
//! wrong is noted here, beside it.

use crate::BuildError;
use crate::images::{Assembled, FinishError, target_of};
use acetate_oci::Digest;
use acetate_store::{LayerId, StoreError};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// The first fault of a push; to be shared by all that it reads.
#[derive(Clone, Debug, Default)]
pub(super) struct Fault(Arc<Mutex<Option<Found>>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// A layer has neither a blob nor anything that one could be made of.
    Gone(LayerId),
    /// A blob has other bytes than its name says.
    Damaged(Digest),
}

impl Fault {
    /// Notes that nothing is left of a layer.
    pub(super) fn note_gone(&self, layer: LayerId) {
        self.set(Found::Gone(layer));
    }

    /// Notes damage, if an error of reading is one.
    pub(super) fn note(&self, error: &io::Error) {
        let inner = error.get_ref().and_then(|it| it.downcast_ref());
        if let Some(StoreError::Damaged { digest }) = inner {
            self.set(Found::Damaged(*digest));
        }
    }

    /// The error of a push that failed with `error`: what was found here goes before it.
    pub(super) fn or(&self, error: BuildError, assembled: &[Assembled]) -> FinishError {
        let found = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match found {
            Some(Found::Damaged(digest)) => BuildError::from(StoreError::Damaged { digest }).into(),
            Some(Found::Gone(layer)) => match target_of(assembled, layer) {
                Some(target) => FinishError::Lost(target),
                None => error.into(),
            },
            None => error.into(),
        }
    }

    fn set(&self, found: Found) {
        let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert(found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_goes_before_the_words_of_the_push() {
        let digest = Digest::of(b"x");
        let words = || BuildError::request("the push failed");
        let fault = Fault::default();
        fault.note(&io::Error::other("a cut connection"));
        assert!(matches!(
            fault.or(words(), &[]),
            FinishError::Build(BuildError::Request { .. })
        ));
        fault.note(&StoreError::Damaged { digest }.into());
        fault.note_gone(LayerId::random());
        assert!(matches!(
            fault.or(words(), &[]),
            FinishError::Build(BuildError::Store(StoreError::Damaged { .. }))
        ));
    }
}
