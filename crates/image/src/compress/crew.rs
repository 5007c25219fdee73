//! The threads that pack blocks.

use std::io;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;

use super::blocks::{Pack, Plan};

/// The packed form and the block, whose buffer can be used again.
type Outcome = io::Result<(Vec<u8>, Vec<u8>)>;

struct Job {
    block: Vec<u8>,
    reply: mpsc::SyncSender<Outcome>,
}

/// Threads that pack; dropping it waits for them.
///
/// They are its own: the pool's threads may wait for whoever called us.
pub(super) struct Crew {
    jobs: Option<mpsc::Sender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

/// A block that is being packed.
pub(super) struct Packed(mpsc::Receiver<Outcome>);

impl Packed {
    /// Waits for it.
    pub(super) fn wait(self) -> Outcome {
        self.0.recv().map_err(|_| ended())?
    }
}

impl Crew {
    /// Starts the threads of a plan.
    pub(super) fn start(plan: &Plan) -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel();
        let queue = Arc::new(Mutex::new(queue));
        let mut crew = Self {
            jobs: Some(jobs),
            threads: Vec::with_capacity(plan.n_threads),
        };
        for _ in 0..plan.n_threads {
            let mut packer = (plan.packer)(plan.level)?;
            let queue = Arc::clone(&queue);
            let thread = std::thread::Builder::new()
                .name("compress".to_owned())
                .spawn(move || work(&queue, packer.as_mut()))?;
            crew.threads.push(thread);
        }
        Ok(crew)
    }

    /// Hands over a block; the caller bounds how many are under way.
    pub(super) fn give(&self, block: Vec<u8>) -> io::Result<Packed> {
        let (reply, outcome) = mpsc::sync_channel(1);
        let jobs = self.jobs.as_ref().ok_or_else(ended)?;
        jobs.send(Job { block, reply }).map_err(|_| ended())?;
        Ok(Packed(outcome))
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // A panic was told as the missing outcome of its block.
            drop(thread.join());
        }
    }
}

fn work(queue: &Mutex<mpsc::Receiver<Job>>, packer: &mut dyn Pack) {
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { block, reply }) = job else {
            return;
        };
        let packed = packer.pack(&block).map(|packed| (packed, block));
        // Who does not wait any more has failed elsewhere.
        drop(reply.send(packed));
    }
}

fn ended() -> io::Error {
    io::Error::other("a thread that compresses has ended")
}
