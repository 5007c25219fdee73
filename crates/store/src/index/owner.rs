//! The one thread of this process that writes to the index.
//!
//! Callers leave changes in memory and go on. The owner collects what comes within a moment and
//! writes it in one transaction. Until a change is in the database, reads find it in memory: first in
//! `queued`, then in `in_flight`, which the owner is writing just now.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;

use super::batch::Batch;
use super::schema::{self, Db};
use super::write;
use crate::StoreError;
use crate::root::Root;

/// How long the owner collects changes before it writes them.
const MOMENT: Duration = Duration::from_millis(4);

/// How long it waits before it tries a failed batch again on its own.
const RETRY: Duration = Duration::from_secs(1);

/// How many changes may wait; more make the callers wait.
const N_MAX: usize = 50_000;

/// A log of more bytes is folded into the database at the end, for the sake of the next opener.
const N_LOG: u64 = 512 << 10;

/// The queue between the callers and the owner.
#[derive(Debug)]
pub(super) struct Queue {
    root: Arc<Root>,
    state: Mutex<State>,
    /// Signals the owner: changes, a flush, the end.
    work: Condvar,
    /// Signals the callers: a batch is done.
    done: Condvar,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) queued: Batch,
    pub(super) in_flight: Option<Arc<Batch>>,
    owner: Option<JoinHandle<()>>,
    n_submitted: u64,
    n_written: u64,
    n_failures: u64,
    last_error: Option<StoreError>,
    n_flushing: u32,
    is_closing: bool,
}

impl Queue {
    pub(super) fn new(root: Arc<Root>) -> Arc<Self> {
        Arc::new(Self {
            root,
            state: Mutex::default(),
            work: Condvar::new(),
            done: Condvar::new(),
        })
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves changes for the owner.
    pub(super) fn submit(self: &Arc<Self>, change: impl FnOnce(&mut Batch)) {
        let mut state = self.state();
        while state.queued.len() >= N_MAX && state.last_error.is_none() {
            state = self
                .done
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if state.queued.len() >= N_MAX {
            // The index cannot be written, and memory is not for ever: forget, which is a miss later.
            state.queued = Batch::default();
        }
        change(&mut state.queued);
        state.n_submitted += 1;
        if state.owner.is_none() {
            let queue = Arc::clone(self);
            state.owner = Some(std::thread::spawn(move || queue.run()));
        }
        self.work.notify_one();
    }

    /// Waits until everything submitted before is in the database.
    pub(super) fn flush(&self) -> Result<(), StoreError> {
        let mut state = self.state();
        let (target, n_failures) = (state.n_submitted, state.n_failures);
        state.n_flushing += 1;
        self.work.notify_one();
        while state.n_written < target && state.n_failures == n_failures {
            state = self
                .done
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state.n_flushing -= 1;
        match &state.last_error {
            Some(error) if state.n_written < target => Err(error.again()),
            _ => Ok(()),
        }
    }

    /// Writes what is left and ends the owner.
    pub(super) fn close(&self) {
        let owner = {
            let mut state = self.state();
            state.is_closing = true;
            self.work.notify_one();
            state.owner.take()
        };
        if let Some(owner) = owner
            && owner.join().is_err()
        {
            tracing::warn!("the index of the store was not written to the end");
        }
    }

    fn run(&self) {
        let mut db = None;
        while let Some(target) = self.take() {
            let outcome = self.write(&mut db);
            self.settle(target, outcome);
        }
        if let Some(db) = db {
            self.fold_log(&db.conn);
        }
    }

    /// Waits for changes and puts them in flight; `None` at the end.
    fn take(&self) -> Option<u64> {
        let mut state = self.state();
        while state.queued.is_empty() && !state.is_closing {
            state = self
                .work
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if state.queued.is_empty() {
            return None;
        }
        let pause = if state.last_error.is_some() {
            RETRY
        } else {
            MOMENT
        };
        let is_calm = |state: &mut State| !state.is_closing && state.n_flushing == 0;
        let waited = self.work.wait_timeout_while(state, pause, is_calm);
        state = waited.unwrap_or_else(PoisonError::into_inner).0;
        let batch = std::mem::take(&mut state.queued);
        state.in_flight = Some(Arc::new(batch));
        Some(state.n_submitted)
    }

    fn write(&self, db: &mut Option<Db>) -> Result<(), StoreError> {
        let Some(batch) = self.state().in_flight.clone() else {
            return Ok(());
        };
        match self.try_write(db, &batch) {
            Err(StoreError::Index(error)) if schema::is_corrupt(&error) => {
                tracing::warn!(%error, "the index of the store is damaged and made anew");
                if let Some(db) = db.take() {
                    schema::discard_corrupt(&self.root, &db)?;
                }
                self.try_write(db, &batch)
            }
            outcome => outcome,
        }
    }

    fn try_write(&self, slot: &mut Option<Db>, batch: &Batch) -> Result<(), StoreError> {
        let path = self.root.index();
        let db = match slot.take().filter(|db| db.is_current(&path)) {
            Some(db) => slot.insert(db),
            None => slot.insert(open(&self.root)?),
        };
        write::apply(&mut db.conn, batch, self.root.now())
            .map_err(|error| StoreError::index(error, &path))
    }

    fn settle(&self, target: u64, outcome: Result<(), StoreError>) {
        let mut state = self.state();
        let batch = state.in_flight.take();
        match outcome {
            Ok(()) => {
                state.n_written = target;
                state.last_error = None;
            }
            Err(error) => {
                tracing::warn!(%error, "the index of the store was not written");
                // Kept for the next attempt, and for reads; at the end there is none.
                if let Some(batch) = batch.and_then(Arc::into_inner)
                    && !state.is_closing
                {
                    state.queued.put_below(batch);
                }
                state.n_failures += 1;
                state.last_error = Some(error);
            }
        }
        self.done.notify_all();
    }

    /// Empties a long log, which every first opener would have to read.
    fn fold_log(&self, conn: &Connection) {
        let mut log = self.root.index().into_os_string();
        log.push("-wal");
        let is_long = std::fs::metadata(&log).is_ok_and(|log| log.len() > N_LOG);
        if is_long {
            // Best effort: beside other processes' readers it stays, which is only slower.
            let folded = conn
                .busy_timeout(Duration::ZERO)
                .and_then(|()| conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())));
            if let Err(error) = folded {
                tracing::debug!(%error, "the log of the index was not folded");
            }
        }
    }
}

fn open(root: &Root) -> Result<Db, StoreError> {
    let db = Db::open_or_create(root)?;
    schema::tune_writer(&db.conn).map_err(|error| StoreError::index(error, &root.index()))?;
    Ok(db)
}
