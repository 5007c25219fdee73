//! The steps that take images, which go on while layers of these are fetched.

use crate::VertexOutcome;
use crate::progress::Progress;
use crate::transfer::Transfer;
use acetate_oci::{Descriptor, Digest};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The steps that take images, by the digests of their manifests.
///
/// Layers come when something needs them, which may be long after the step ended. It is begun anew
/// then, since it is what users watch for its bytes.
#[derive(Default)]
pub(crate) struct Pulls {
    steps: BTreeMap<Digest, Arc<Step>>,
}

struct Step {
    progress: Progress,
    vertex: Digest,
    open: Mutex<Open>,
}

/// The layers of a step that are coming now.
#[derive(Default)]
struct Open {
    n: usize,
    /// Why one of them did not come.
    fault: Option<String>,
}

/// One layer that may have to come.
pub(crate) struct Pull {
    step: Arc<Step>,
    transfer: Transfer,
    /// Set with the first byte: of what is here already nothing is told.
    has_begun: AtomicBool,
}

impl Pulls {
    /// Notes that `vertex` takes the image of this manifest; the first one is told of its layers.
    pub(crate) fn add(&mut self, manifest: Digest, progress: &Progress, vertex: Digest) {
        self.steps.entry(manifest).or_insert_with(|| {
            Arc::new(Step {
                progress: progress.clone(),
                vertex,
                open: Mutex::default(),
            })
        });
    }

    /// Hears of one layer of an image; none where no step takes it.
    pub(crate) fn layer(&self, manifest: &Digest) -> Option<Arc<Pull>> {
        let step = self.steps.get(manifest)?;
        Some(Arc::new(Pull {
            transfer: Transfer::new(&step.progress, step.vertex, "downloading"),
            step: Arc::clone(step),
            has_begun: AtomicBool::new(false),
        }))
    }
}

impl Step {
    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self) {
        let mut open = self.open();
        open.n += 1;
        if open.n == 1 {
            self.progress.started(self.vertex);
        }
    }

    fn end(&self, outcome: VertexOutcome) {
        let mut open = self.open();
        open.n = open.n.saturating_sub(1);
        if let VertexOutcome::Failed(fault) = &outcome {
            open.fault.get_or_insert_with(|| fault.clone());
        }
        if open.n == 0 {
            let fault = open.fault.take().map(VertexOutcome::Failed);
            self.progress
                .finished(self.vertex, fault.unwrap_or(outcome));
        }
    }
}

impl Pull {
    /// The layer came, or did not.
    pub(crate) fn end(&self, outcome: VertexOutcome) {
        if self.has_begun.swap(false, Ordering::Relaxed) {
            self.step.end(outcome);
        }
    }
}

impl Drop for Pull {
    fn drop(&mut self) {
        // Nobody waits for it any more.
        self.end(VertexOutcome::Cancelled);
    }
}

impl acetate_registry::Progress for Pull {
    fn moved(&self, blob: &Descriptor, n_done: u64) {
        // Looked at before it is written to: this is done for every piece.
        if !self.has_begun.load(Ordering::Relaxed) && !self.has_begun.swap(true, Ordering::Relaxed)
        {
            self.step.begin();
        }
        acetate_registry::Progress::moved(&self.transfer, blob, n_done);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BuildEvent, EventSink};
    use acetate_oci::MediaType;
    use acetate_registry::Progress as _;
    use acetate_stdx::clock::FixedClock;

    #[derive(Default)]
    struct Kept(Mutex<Vec<String>>);

    impl EventSink for Kept {
        fn event(&self, event: BuildEvent) {
            let text = match event {
                BuildEvent::Started { .. } => "started".to_owned(),
                BuildEvent::Finished { outcome, .. } => format!("{outcome:?}"),
                BuildEvent::Status(status) => format!("{} bytes", status.current),
                other => format!("{other:?}"),
            };
            self.0.lock().unwrap().push(text);
        }
    }

    fn pulls() -> (Pulls, Arc<Kept>) {
        let kept = Arc::new(Kept::default());
        let sink = Arc::<Kept>::clone(&kept);
        let progress = Progress::new(sink, Arc::new(FixedClock::at(1)));
        let mut pulls = Pulls::default();
        pulls.add(Digest::of(b"m"), &progress, Digest::of(b"v"));
        (pulls, kept)
    }

    fn blob(size: u64) -> Descriptor {
        let digest = Digest::of(&size.to_le_bytes());
        Descriptor::new(MediaType::OCI_LAYER, digest, size)
    }

    #[test]
    fn a_step_goes_on_from_its_first_byte_to_the_end_of_its_last_layer() {
        let (pulls, kept) = pulls();
        let layer = || pulls.layer(&Digest::of(b"m")).unwrap();
        let (one, two, here) = (layer(), layer(), layer());
        one.moved(&blob(9), 9);
        two.moved(&blob(8), 8);
        for it in [&one, &here, &two] {
            it.end(VertexOutcome::Done);
        }
        let told = kept.0.lock().unwrap();
        assert_eq!(*told, ["started", "9 bytes", "8 bytes", "Done"]);
        assert!(pulls.layer(&Digest::of(b"other")).is_none());
    }

    #[test]
    fn a_step_fails_with_any_layer_and_is_cancelled_with_whoever_waited() {
        let (pulls, kept) = pulls();
        let layer = || pulls.layer(&Digest::of(b"m")).unwrap();
        let (one, two) = (layer(), layer());
        one.moved(&blob(9), 9);
        two.moved(&blob(8), 8);
        one.end(VertexOutcome::Failed("torn".to_owned()));
        two.end(VertexOutcome::Done);
        let three = layer();
        three.moved(&blob(7), 7);
        drop(three);
        let told = kept.0.lock().unwrap();
        let failed = "Failed(\"torn\")";
        assert_eq!(
            told[3..],
            [failed, "started", "7 bytes", "Cancelled"].map(str::to_owned)
        );
    }
}
