#![expect(
    clippy::doc_markdown,
    rustdoc::bare_urls,
    reason = "these comments are the help that users read"
)]

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// What `acetate cache` does. PLACE is what --cache-from takes: https://HOST/NAMESPACE, or
/// type=http|local|registry|s3|gcs|azblob with attributes; tokens are found in the same way.
#[derive(Debug, Subcommand)]
pub(crate) enum CacheCommand {
    /// List records and cache mounts
    #[command(visible_alias = "list")]
    Ls(CacheLsFlags),
    /// Show one record with its layers, or one cache mount
    Inspect(CacheInspectFlags),
    /// Give records of this machine to a shared cache, or write a cache mount to a tar
    Export(CacheExportFlags),
    /// Take records of a shared cache to this machine, or make a cache mount of a tar
    Import(CacheImportFlags),
    /// Remove records, so that their steps run again, or cache mounts
    Rm(CacheRmFlags),
    /// Remove records and the layers that no image needs
    Prune(CachePruneFlags),
    /// Count what is cached
    Stats(CacheStatsFlags),
    /// Check that everything is there and unchanged; exit code 1 when something is wrong
    Verify(CacheVerifyFlags),
    /// Make a key that signs records of shared caches
    Keygen(CacheKeygenFlags),
}

#[derive(Debug, Args)]
pub(crate) struct CacheLsFlags {
    /// List the records that a server keeps
    #[arg(long, value_name = "PLACE")]
    pub(crate) remote: Option<String>,

    /// List cache mounts only
    #[arg(long, conflicts_with = "remote")]
    pub(crate) mounts: bool,

    /// Print one object of JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CacheInspectFlags {
    /// The beginning of a key, or the id of a cache mount
    #[arg(value_name = "KEY|ID")]
    pub(crate) name: String,

    /// Look at a record of a shared cache, without trusting it
    #[arg(long, value_name = "PLACE")]
    pub(crate) remote: Option<String>,

    /// Print one object of JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CacheExportFlags {
    /// The beginnings of the keys of records
    #[arg(
        value_name = "KEY",
        required_unless_present_any = ["all", "mount"],
        conflicts_with_all = ["all", "mount"]
    )]
    pub(crate) keys: Vec<String>,

    /// Where they go: https://HOST/NAMESPACE, or what --cache-to takes
    #[arg(
        long,
        value_name = "PLACE",
        required_unless_present = "mount",
        conflicts_with = "mount"
    )]
    pub(crate) to: Option<String>,

    /// Write a cache mount to a tar instead: its id, or the beginning of its key. Where several have
    /// the id, mode=, uid= and gid= tell them apart as in the Dockerfile: --mount npm,uid=1000
    #[arg(long, value_name = "ID", requires = "output", conflicts_with_all = ["all", "json"])]
    pub(crate) mount: Option<String>,

    /// Where the tar goes; `-` is standard output
    #[arg(short, long, value_name = "FILE", requires = "mount")]
    pub(crate) output: Option<PathBuf>,

    /// How the tar is packed; by default as the name says: with zstd where it ends in `.zst`
    #[arg(long, value_name = "none|zstd", requires = "mount", value_parser = ["none", "zstd"])]
    pub(crate) compression: Option<String>,

    /// Give all records whose layers are here
    #[arg(short, long)]
    pub(crate) all: bool,

    /// Print one object of JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CacheImportFlags {
    /// Whole keys, as `acetate cache ls --json` gives them on a machine that has the records
    #[arg(
        value_name = "KEY",
        required_unless_present = "mount",
        conflicts_with = "mount"
    )]
    pub(crate) keys: Vec<String>,

    /// Where they come from: https://HOST/NAMESPACE, or what --cache-from takes
    #[arg(
        long,
        value_name = "PLACE",
        required_unless_present = "mount",
        conflicts_with = "mount"
    )]
    pub(crate) from: Option<String>,

    /// Make a cache mount of a tar instead: its id, with mode=, uid= and gid= where the Dockerfile
    /// has them, as in --mount npm,uid=1000, and the tar; `-` is standard input
    #[arg(long, value_names = ["ID", "FILE"], num_args = 2, conflicts_with = "json")]
    pub(crate) mount: Option<Vec<String>>,

    /// Let what is in the tar enter steps whose results are signed, or must be
    #[arg(long, requires = "mount")]
    pub(crate) vouch: bool,

    /// Print one object of JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CacheRmFlags {
    /// The beginnings of the keys of records
    #[arg(value_name = "KEY", required_unless_present = "mount")]
    pub(crate) keys: Vec<String>,

    /// Remove a cache mount, by its id or the beginning of its key; may be repeated
    #[arg(long, value_name = "ID", conflicts_with = "remote")]
    pub(crate) mount: Vec<String>,

    /// Remove records that a server keeps
    #[arg(long, value_name = "PLACE")]
    pub(crate) remote: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct CachePruneFlags {
    /// Only what was not used for so long, such as 12h; known to the hour
    #[arg(long, value_name = "DURATION", conflicts_with = "remote")]
    pub(crate) unused_for: Option<String>,

    /// Remove cache mounts that no step uses, too
    #[arg(long, conflicts_with = "remote")]
    pub(crate) mounts: bool,

    /// Let a server make room, where it has to
    #[arg(long, value_name = "PLACE")]
    pub(crate) remote: Option<String>,

    /// Do not ask
    #[arg(short, long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CacheStatsFlags {
    /// What a server keeps and did
    #[arg(long, value_name = "PLACE")]
    pub(crate) remote: Option<String>,

    /// Print one object of JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CacheVerifyFlags {
    /// Look at all records that a server lists
    #[arg(long, value_name = "PLACE")]
    pub(crate) remote: Option<String>,

    /// Trusted keys: signatures of others are told apart, and wrong ones are an error
    #[arg(long, value_name = "FILE", requires = "remote")]
    pub(crate) keys: Option<String>,

    /// Fetch and hash all layers, too
    #[arg(long, requires = "remote")]
    pub(crate) bytes: bool,

    /// Let the server hash its own content instead
    #[arg(long, requires = "remote", conflicts_with_all = ["keys", "bytes"])]
    pub(crate) server: bool,

    /// Print one object of JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CacheKeygenFlags {
    /// Where the private key goes; `-` is standard output, and then the public one goes to standard
    /// error. A file that exists is never overwritten
    #[arg(short, long, value_name = "FILE", default_value = "cache-key.pem")]
    pub(crate) output: String,

    /// The name that stands in the public line
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
}
