//! Where a cache is kept.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::side::Side;
use crate::bench::running::Running;

/// The two kinds that are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Server,
    Directory,
}

impl Kind {
    /// What it is called in the table.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Directory => "directory",
        }
    }
}

/// How a build finds a cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// `HOST:PORT` of our server or of a registry.
    Server(String),
    Directory(PathBuf),
}

/// A cache that holds nothing at first and is gone when this is dropped.
#[derive(Debug)]
pub(super) struct Cache {
    pub(super) place: Place,
    server: Option<Running>,
    folder: PathBuf,
}

impl Cache {
    pub(super) fn new(side: &dyn Side, kind: Kind, folder: &Path) -> Result<Self> {
        let folder = folder.to_owned();
        let server = match kind {
            Kind::Server => Some(side.server(&folder)?),
            Kind::Directory => None,
        };
        let place = match &server {
            Some(server) => Place::Server(server.address.clone()),
            None => Place::Directory(folder.join("cache")),
        };
        Ok(Self {
            place,
            server,
            folder,
        })
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        drop(self.server.take());
        if let Err(error) = crate::bench::remove(&self.folder) {
            println!("bench: {error:#}");
        }
    }
}
