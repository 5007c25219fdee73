#![expect(
    clippy::doc_markdown,
    rustdoc::bare_urls,
    reason = "these comments are the help that users read"
)]

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Builds container images from Dockerfiles, in parallel and without a daemon.
#[derive(Debug, Parser)]
#[command(
    name = "acetate",
    version,
    about,
    disable_help_subcommand = true,
    args_override_self = true
)]
pub(crate) struct Flags {
    /// Where the state lives [default: $ACETATE_HOME, else /var/lib/acetate for root, else the
    /// user's data directory]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Build an image from a Dockerfile
    #[command(visible_alias = "b")]
    Build(Box<BuildFlags>),
    /// Run a command in a throw-away container of an image
    Run(RunFlags),
    /// Show what the state directory holds
    Du(DuFlags),
    /// Remove what no image needs
    Prune(PruneFlags),
}

#[derive(Debug, Args)]
pub(crate) struct BuildFlags {
    /// The directory of the build context
    pub(crate) context: PathBuf,

    /// Name of the Dockerfile, `-` for standard input [default: CONTEXT/Dockerfile]
    #[arg(short, long, value_name = "PATH")]
    pub(crate) file: Option<PathBuf>,

    /// Name of the image, may be repeated
    #[arg(short, long, value_name = "NAME[:TAG]")]
    pub(crate) tag: Vec<String>,

    /// The stage to build
    #[arg(long, value_name = "STAGE")]
    pub(crate) target: Option<String>,

    /// Set a build argument; without a value it is taken from the environment
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub(crate) build_arg: Vec<String>,

    /// An additional context: a directory, oci-layout://DIR or docker-image://NAME
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) build_context: Vec<String>,

    /// Where the result goes: a directory, `-` for a tar on standard output, or
    /// type=oci|docker|tar|local|cacheonly[,dest=PATH][,tar=false][,compression=gzip|zstd|uncompressed]
    #[arg(short, long, value_name = "OUTPUT")]
    pub(crate) output: Vec<String>,

    /// Run every step again
    #[arg(long)]
    pub(crate) no_cache: bool,

    /// Run the steps of these stages again
    #[arg(long, value_name = "STAGE", value_delimiter = ',')]
    pub(crate) no_cache_filter: Vec<String>,

    /// The platforms of the image, such as linux/amd64
    #[arg(long, value_name = "OS/ARCH[/VARIANT]", value_delimiter = ',')]
    pub(crate) platform: Vec<String>,

    /// Set a label of the image
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub(crate) label: Vec<String>,

    /// The network of RUN steps: default, none or host
    #[arg(long, value_name = "MODE", default_value = "default")]
    pub(crate) network: String,

    /// Add a line to /etc/hosts of RUN steps
    #[arg(long, value_name = "HOST:IP")]
    pub(crate) add_host: Vec<String>,

    /// Write the image id to a file
    #[arg(long, value_name = "PATH")]
    pub(crate) iidfile: Option<PathBuf>,

    /// Write what was built to a file, as JSON
    #[arg(long, value_name = "PATH")]
    pub(crate) metadata_file: Option<PathBuf>,

    /// How progress is shown: auto, plain, tty, quiet or rawjson
    #[arg(long, value_name = "MODE")]
    pub(crate) progress: Option<String>,

    /// Print nothing but the image id
    #[arg(short, long)]
    pub(crate) quiet: bool,

    /// What runs the steps: native or oci
    #[arg(long, value_name = "WAY", default_value = "native")]
    pub(crate) isolation: String,
}

#[derive(Debug, Args)]
pub(crate) struct RunFlags {
    /// A name given with `build -t`, or oci-layout://DIR[:TAG]
    pub(crate) image: String,

    /// The command, instead of the image's own
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) command: Vec<String>,

    /// The network: default, none or host
    #[arg(long, value_name = "MODE", default_value = "default")]
    pub(crate) network: String,

    /// What runs the container: native or oci
    #[arg(long, value_name = "WAY", default_value = "native")]
    pub(crate) isolation: String,
}

#[derive(Debug, Args)]
pub(crate) struct DuFlags {
    /// Print one object of JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PruneFlags {
    /// Remove images and everything else that is not in use
    #[arg(short, long)]
    pub(crate) all: bool,

    /// Do not ask
    #[arg(short, long)]
    pub(crate) force: bool,
}

/// Flags that builders elsewhere have and this one does not yet; they fail by name.
const UNFINISHED: &[&str] = &[
    "--allow",
    "--annotation",
    "--attest",
    "--builder",
    "--cache-from",
    "--cache-to",
    "--call",
    "--cgroup-parent",
    "--check",
    "--compress",
    "--cpu-period",
    "--cpu-quota",
    "--cpu-shares",
    "--cpuset-cpus",
    "--cpuset-mems",
    "--debug",
    "--force-rm",
    "--load",
    "--memory",
    "--memory-swap",
    "--policy",
    "--print",
    "--provenance",
    "--pull",
    "--push",
    "--resource",
    "--rm",
    "--sbom",
    "--secret",
    "--security-opt",
    "--shm-size",
    "--squash",
    "--ssh",
    "--ulimit",
];

/// Says which known but unfinished flag a command line holds.
pub(crate) fn unfinished(args: &[String]) -> Option<&'static str> {
    let before_dashes = args.iter().take_while(|arg| *arg != "--");
    before_dashes
        .map(|arg| arg.split_once('=').map_or(arg.as_str(), |(name, _)| name))
        .find_map(|name| UNFINISHED.iter().find(|flag| **flag == name).copied())
}
