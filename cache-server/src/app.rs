use crate::Config;
use crate::auth::{Gate, Policy};
use crate::complete::Complete;
use crate::flow::Flow;
use crate::leases::Leases;
use crate::logs::Logs;
use crate::metrics::Metrics;
use crate::misses::Misses;
use crate::storage::{Disk, Storage};
use crate::uploads::Uploads;
use crate::verify::Verify;
use acetate_stdx::clock::Clock;
use std::sync::Arc;

/// All that requests are answered from.
#[derive(Debug)]
pub struct App {
    pub(crate) config: Config,
    pub(crate) gate: Gate,
    /// The directory: all objects, or copies of some.
    pub(crate) disk: Arc<Disk>,
    /// What requests for objects are answered from.
    pub(crate) storage: Storage,
    pub(crate) leases: Leases,
    pub(crate) logs: Logs,
    pub(crate) misses: Misses,
    pub(crate) verify: Verify,
    pub(crate) metrics: Metrics,
    pub(crate) complete: Complete,
    pub(crate) uploads: Uploads,
    /// Bodies in memory.
    pub(crate) bodies: Uploads,
    pub(crate) down: Flow,
    pub(crate) up: Flow,
}

impl App {
    pub(crate) fn new(
        config: Config,
        disk: Arc<Disk>,
        storage: Storage,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            gate: Gate::new(&config.policy, config.trust.clone(), clock),
            config,
            disk,
            storage,
            leases: Leases::default(),
            metrics: Metrics::default(),
            complete: Complete::default(),
            uploads: Uploads::default(),
            bodies: Uploads::default(),
            logs: Logs::default(),
            misses: Misses::default(),
            verify: Verify::default(),
            down: Flow::default(),
            up: Flow::default(),
        }
    }

    /// Takes other tokens from now on; what is being answered goes on.
    pub fn replace_policy(&self, policy: &Policy) {
        self.gate.replace(policy);
    }

    /// The objects, for collecting and verifying.
    pub fn disk(&self) -> &Arc<Disk> {
        &self.disk
    }
}
