use acetate_engine::{BuildEvent, EventSink, Explanation};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// Passes events on and keeps the explanations, which are shown when all else has been.
pub(crate) struct Explained {
    next: Arc<dyn EventSink>,
    list: Mutex<Vec<Explanation>>,
}

impl Explained {
    /// Passes events on to `next`.
    pub(crate) fn new(next: Arc<dyn EventSink>) -> Self {
        Self {
            next,
            list: Mutex::default(),
        }
    }

    /// The explanations so far.
    pub(crate) fn list(&self) -> Vec<Explanation> {
        self.list
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl fmt::Debug for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Explained").finish_non_exhaustive()
    }
}

impl EventSink for Explained {
    fn event(&self, event: BuildEvent) {
        if let BuildEvent::Explained(explanation) = &event {
            self.list
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(explanation.clone());
        }
        self.next.event(event);
    }
}
