//! The image of ten steps: from nothing, from a cache, and into one.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::input::{self, PLAIN, WITH_RUN};
use super::place::{Cache, Kind};
use super::side::{Build, Fresh, Side};
use super::table::{Table, Work};
use crate::bench::samples::Samples;

const NOTHING: Work = Work::time("from nothing, no cache", None);
const EXPORT: Work = Work::time("what sharing everything adds to that", Some(300.0));
const EXPORT_AGAIN: Work = Work::time("what sharing adds when nothing is new", Some(15.0));
const FORMS: Work = Work::time("OCI archive out, its layers into the cache, too", None);
const FULL: Work = Work::time("fresh machine, full hit, OCI archive out", Some(600.0));
const LATE: Work = Work::time("fresh machine, the last COPY changed", Some(300.0));
const LATE_RUN: Work = Work::time("fresh machine, that and a RUN on it", Some(1500.0));

/// Pairs of builds of which one takes milliseconds more than the other.
const PAIRS: usize = 5;

/// One round of everything on one side with one kind of cache.
pub(super) struct Round<'a> {
    pub(super) side: &'a dyn Side,
    pub(super) kind: Kind,
    /// Tells what is built in this round from what was built in others.
    pub(super) n: usize,
    pub(super) context: &'a Path,
    /// Where machines and caches are kept.
    pub(super) folder: &'a Path,
}

impl Round<'_> {
    pub(super) fn run(&self, table: &mut Table) -> Result<()> {
        input::late(self.context, "as in the cache")?;
        let plain = Build::of(self.context, PLAIN);
        let nothing = self.machine("nothing")?.time(&plain)?;
        self.add(table, NOTHING, nothing);
        let cache = Cache::new(self.side, self.kind, &self.folder.join("cache"))?;
        self.give(table, &cache, nothing)?;
        self.take(table, &cache)
    }

    /// Builds with an empty cache, and then again with one that has everything.
    fn give(&self, table: &mut Table, cache: &Cache, nothing: f64) -> Result<()> {
        let plain = Build::of(self.context, PLAIN);
        let giving = plain.to(&cache.place);
        let machine = self.machine("giver")?;
        self.add(table, EXPORT, machine.time(&giving)? - nothing);
        let mut added = Vec::new();
        for _ in 0..PAIRS {
            let without = machine.time(&plain)?;
            added.push(machine.time(&giving)? - without);
        }
        self.add(table, EXPORT_AGAIN, Samples::of(added)?.median());
        // Caches hold compressed layers of what somebody exported.
        let archive = self.folder.join("image.tar");
        let forms = machine.time(&giving.archive(&archive))?;
        std::fs::remove_file(&archive)?;
        self.add(table, FORMS, forms);
        Ok(())
    }

    /// Builds with the full cache on machines that have nothing else.
    fn take(&self, table: &mut Table, cache: &Cache) -> Result<()> {
        let plain = Build::of(self.context, PLAIN).from(&cache.place);
        let archive = self.folder.join("image.tar");
        let full = self.machine("taker")?.time(&plain.archive(&archive))?;
        std::fs::remove_file(&archive)?;
        self.add(table, FULL, full);
        input::late(self.context, &format!("{} {}", self.side.name(), self.n))?;
        self.add(table, LATE, self.machine("late")?.time(&plain)?);
        let with_run = Build::of(self.context, WITH_RUN).from(&cache.place);
        self.add(table, LATE_RUN, self.machine("late-run")?.time(&with_run)?);
        Ok(())
    }

    fn machine(&self, name: &str) -> Result<Fresh> {
        let folder: PathBuf = self.folder.join(name);
        Fresh::new(self.side, folder)
    }

    fn add(&self, table: &mut Table, work: Work, value: f64) {
        table.add(self.kind.name(), work, self.side.name(), value);
    }
}
