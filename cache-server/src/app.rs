use crate::Config;
use crate::complete::Complete;
use crate::flow::Flow;
use crate::leases::Leases;
use crate::metrics::Metrics;
use crate::storage::Disk;
use crate::uploads::Uploads;
use std::sync::Arc;

/// All that requests are answered from.
#[derive(Debug)]
pub struct App {
    pub(crate) config: Config,
    pub(crate) disk: Arc<Disk>,
    pub(crate) leases: Leases,
    pub(crate) metrics: Metrics,
    pub(crate) complete: Complete,
    pub(crate) uploads: Uploads,
    pub(crate) down: Flow,
    pub(crate) up: Flow,
}

impl App {
    pub(crate) fn new(config: Config, disk: Arc<Disk>) -> Self {
        Self {
            config,
            disk,
            leases: Leases::default(),
            metrics: Metrics::default(),
            complete: Complete::default(),
            uploads: Uploads::default(),
            down: Flow::default(),
            up: Flow::default(),
        }
    }

    /// The objects, for collecting and verifying.
    pub fn disk(&self) -> &Arc<Disk> {
        &self.disk
    }
}
