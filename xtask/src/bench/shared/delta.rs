//! One percent of a large layer changes: how much of it moves, and how long that takes.

use std::path::Path;

use anyhow::Result;

use super::input::{self, LAYER, PLAIN, WITH_RUN};
use super::place::{Cache, Kind, Place};
use super::relay::Relay;
use super::side::{Build, Fresh, Side};
use super::table::{Table, Unit, Work};

/// What the rows are called in the table.
pub(super) const NAME: &str = "server, 1 % of a layer of 500 MiB changed";

const UP: Work = percent("sent");
const UP_TIME: Work = Work::time("what sending adds to the build", Some(2000.0));
const DOWN: Work = percent("fetched by a machine with the version before");
const DOWN_TIME: Work = Work::time("its build, with a RUN on the layer", Some(2000.0));

const fn percent(name: &'static str) -> Work {
    Work {
        name,
        unit: Unit::Percent,
        goal: Some(3.0),
    }
}

/// Three machines of one side, with version after version of the layer.
pub(super) struct Delta<'a> {
    side: &'a dyn Side,
    context: &'a Path,
    relay: Relay,
    place: Place,
    without: Fresh,
    giver: Fresh,
    taker: Fresh,
    /// Ended last.
    _cache: Cache,
}

impl<'a> Delta<'a> {
    /// Starts everything and builds version 0 on all of the machines.
    pub(super) fn start(side: &'a dyn Side, context: &'a Path, folder: &Path) -> Result<Self> {
        let cache = Cache::new(side, Kind::Server, &folder.join("cache"))?;
        let relay = match &cache.place {
            Place::Server(address) => Relay::to(address)?,
            Place::Directory(dir) => anyhow::bail!("`{}` is no server", dir.display()),
        };
        let machine = |name: &str| Fresh::new(side, folder.join(name));
        let this = Self {
            side,
            context,
            place: Place::Server(relay.address.clone()),
            relay,
            without: machine("without")?,
            giver: machine("giver")?,
            taker: machine("taker")?,
            _cache: cache,
        };
        input::change(context, 0)?;
        this.without.time(&this.plain())?;
        this.giver.time(&this.plain().to(&this.place))?;
        this.taker.time(&this.on_top())?;
        Ok(this)
    }

    /// Makes version `n`, sends it from one machine and fetches it on another one.
    pub(super) fn round(&self, n: usize, table: &mut Table) -> Result<()> {
        input::change(self.context, n)?;
        let without = self.without.time(&self.plain())?;
        self.relay.take();
        let with = self.giver.time(&self.plain().to(&self.place))?;
        let (up, _) = self.relay.take();
        let took = self.taker.time(&self.on_top())?;
        let (_, down) = self.relay.take();
        for (work, value) in [
            (UP, share(up)),
            (UP_TIME, with - without),
            (DOWN, share(down)),
            (DOWN_TIME, took),
        ] {
            table.add(NAME, work, self.side.name(), value);
        }
        Ok(())
    }

    fn plain(&self) -> Build<'_> {
        Build::of(self.context, PLAIN)
    }

    fn on_top(&self) -> Build<'_> {
        Build::of(self.context, WITH_RUN).from(&self.place)
    }
}

/// Of the whole layer, in percent.
#[expect(
    clippy::cast_precision_loss,
    reason = "numbers of bytes are far below 2^52"
)]
fn share(bytes: u64) -> f64 {
    bytes as f64 / LAYER as f64 * 100.0
}
