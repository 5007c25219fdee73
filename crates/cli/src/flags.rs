#![expect(
    clippy::doc_markdown,
    rustdoc::bare_urls,
    reason = "these comments are the help that users read"
)]

mod cache;
mod image;

pub(crate) use cache::{
    CacheCommand, CacheExportFlags, CacheImportFlags, CacheInspectFlags, CacheKeygenFlags,
    CacheLsFlags, CachePruneFlags, CacheRmFlags, CacheStatsFlags, CacheVerifyFlags,
};

pub(crate) use image::{
    ImageCommand, ImageCpFlags, ImageHistoryFlags, ImageInspectFlags, ImageLoadFlags, ImageLsFlags,
    ImageMirrorFlags, ImagePullFlags, ImagePushFlags, ImageRmFlags, ImageSaveFlags, ImageTagFlags,
    ShownFlags,
};

use clap::{ArgAction, Args, Parser, Subcommand};
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
    /// Say what a build would run and why, and run nothing
    Explain(Box<ExplainFlags>),
    /// Build twice, the second time without the cache, and say what differs
    Verify(Box<VerifyFlags>),
    /// Run a command in a throw-away container of an image
    Run(RunFlags),
    /// Show what the state directory holds
    Du(DuFlags),
    /// Remove what no image needs
    Prune(PruneFlags),
    /// Look at, move, remove and check what is cached, here and in shared caches
    #[command(subcommand)]
    Cache(CacheCommand),
    /// Look at, fetch, send, save and copy images
    #[command(subcommand)]
    Image(ImageCommand),
    /// List the images of this machine; the same as `image ls`
    Images(ImageLsFlags),
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(crate) struct BuildFlags {
    /// The build context: a directory, `-` for standard input, or the URL of an archive or a
    /// repository
    pub(crate) context: PathBuf,

    /// The Dockerfile: a path, a URL, or `-` for standard input [default: CONTEXT/Dockerfile]
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

    /// An additional context: a directory, a URL, oci-layout://DIR or docker-image://NAME
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) build_context: Vec<String>,

    /// Where the result goes, may be repeated: a directory, `-` for a tar on standard output, or
    /// type=image|registry|oci|docker|tar|local|cacheonly[,name=NAME][,push=true][,dest=PATH]
    /// [,tar=false][,compression=gzip|zstd|estargz|uncompressed][,compression-level=N]
    /// [,mode=copy|delete][,platform-split=BOOL][,attestation-prefix=TEXT][,oci-artifact=BOOL]
    /// [,annotation.KEY=VALUE]
    #[arg(short, long, value_name = "OUTPUT")]
    pub(crate) output: Vec<String>,

    /// Push the image to the registries of its names
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, value_name = "BOOL",
          default_missing_value = "true", default_value = "false", hide_default_value = true,
          value_parser = boolean)]
    pub(crate) push: bool,

    /// Load the image into docker or podman, at the socket of DOCKER_HOST or at their usual ones
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, value_name = "BOOL",
          default_missing_value = "true", default_value = "false", hide_default_value = true,
          value_parser = boolean)]
    pub(crate) load: bool,

    /// Annotate the image: KEY=VALUE for its manifest, or with a TYPE of manifest, index,
    /// manifest-descriptor or index-descriptor, each with [OS/ARCH] where wanted
    #[arg(long, value_name = "[TYPE[,TYPE]:]KEY=VALUE")]
    pub(crate) annotation: Vec<String>,

    /// Take results from a cache, may be repeated: https://HOST/NAMESPACE, an image, or
    /// type=http|local|registry|s3|gcs|azblob[,url=URL][,src=DIR][,ref=IMAGE][,bucket=NAME]
    /// [,token-env=NAME][,trust=FILE][,lease=on|off|10m]
    #[arg(long, value_name = "CACHE")]
    pub(crate) cache_from: Vec<String>,

    /// Give results to a cache, may be repeated: https://HOST/NAMESPACE, or
    /// type=http|local|inline|s3|gcs|azblob[,url=URL][,dest=DIR][,bucket=NAME][,mode=min|max]
    /// [,stages=A;B][,min-cost=5s][,mounts=A;B][,sign=FILE|env:NAME][,wait=60s][,ignore-error=BOOL]
    #[arg(long, value_name = "CACHE")]
    pub(crate) cache_to: Vec<String>,

    /// Run every step again
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, value_name = "BOOL",
          default_missing_value = "true", default_value = "false", hide_default_value = true,
          value_parser = boolean)]
    pub(crate) no_cache: bool,

    /// Run the steps of these stages again
    #[arg(long, value_name = "STAGE", value_delimiter = ',')]
    pub(crate) no_cache_filter: Vec<String>,

    /// Ask registries for every base image, also for those that are kept on this machine
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, value_name = "BOOL",
          default_missing_value = "true", default_value = "false", hide_default_value = true,
          value_parser = boolean)]
    pub(crate) pull: bool,

    /// Which permissions files of local contexts have: exact, or git for those that git knows
    /// (0755 and 0644), so that the umask of a checkout makes no difference
    #[arg(long, value_name = "MODES", default_value = "exact")]
    pub(crate) context_modes: String,

    /// The platforms of the image, such as linux/amd64
    #[arg(long, value_name = "OS/ARCH[/VARIANT]", value_delimiter = ',')]
    pub(crate) platform: Vec<String>,

    /// Set a label of the image
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub(crate) label: Vec<String>,

    /// The network of RUN steps: default, none or host
    #[arg(long, value_name = "MODE", default_value = "default")]
    pub(crate) network: String,

    /// Add a line to /etc/hosts of RUN steps; host-gateway is the address of this machine
    #[arg(long, value_name = "HOST:IP")]
    pub(crate) add_host: Vec<String>,

    /// A secret for RUN steps: id=NAME[,src=FILE|,env=VARIABLE]; without src and env it is the
    /// variable of that name, or else the file
    #[arg(long, value_name = "SECRET")]
    pub(crate) secret: Vec<String>,

    /// An SSH agent for RUN steps: default for that of SSH_AUTH_SOCK, or
    /// ID=SOCKET[,raw=true] or ID=KEY[,KEY]
    #[arg(long, value_name = "SSH")]
    pub(crate) ssh: Vec<String>,

    /// What the Dockerfile may ask for: network.host, security.insecure or device[=NAME]
    #[arg(long, value_name = "ENTITLEMENT")]
    pub(crate) allow: Vec<String>,

    /// A limit of each process of RUN steps, such as nofile=1024:4096
    #[arg(long, value_name = "NAME=SOFT[:HARD]")]
    pub(crate) ulimit: Vec<String>,

    /// The size of /dev/shm in RUN steps, such as 128m [default: 64m]
    #[arg(long, value_name = "SIZE")]
    pub(crate) shm_size: Option<String>,

    #[command(flatten)]
    pub(crate) limits: LimitFlags,

    /// How many RUN steps run at the same time; those that wait for other builds do not count
    /// [default: 4 for each processor, at least 16]
    #[arg(long, value_name = "N")]
    pub(crate) max_parallel: Option<std::num::NonZeroUsize>,

    /// Say something of the image that travels with it, may be repeated:
    /// type=provenance[,mode=min|max][,version=v1|v0.2] or type=sbom[,generator=IMAGE]
    #[arg(long, value_name = "ATTRIBUTES")]
    pub(crate) attest: Vec<String>,

    /// Say how the image was built and of what: true, false, or attributes such as mode=min
    #[arg(long, value_name = "BOOL|ATTRIBUTES")]
    pub(crate) provenance: Option<String>,

    /// Say which packages are in the image: true, false, or generator=IMAGE for another scanner
    #[arg(long, value_name = "BOOL|ATTRIBUTES")]
    pub(crate) sbom: Option<String>,

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
    #[arg(short, long, action = ArgAction::Set, num_args = 0..=1, require_equals = true,
          value_name = "BOOL", default_missing_value = "true", default_value = "false",
          hide_default_value = true, value_parser = boolean)]
    pub(crate) quiet: bool,

    /// Show warnings with their lines
    #[arg(short = 'D', long, action = ArgAction::Set, num_args = 0..=1, require_equals = true,
          value_name = "BOOL", default_missing_value = "true", default_value = "false",
          hide_default_value = true, value_parser = boolean)]
    pub(crate) debug: bool,

    /// Say at the end why each step that ran was not cached
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true,
          value_name = "BOOL", default_missing_value = "true", default_value = "false",
          hide_default_value = true, value_parser = boolean)]
    pub(crate) explain: bool,

    /// Check the Dockerfile and build nothing; the same as --call=check
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true,
          value_name = "BOOL", default_missing_value = "true", default_value = "false",
          hide_default_value = true, value_parser = boolean)]
    pub(crate) check: bool,

    /// Answer a question and build nothing: check, outline, targets or subrequests.describe,
    /// with `,format=json` for programs
    #[arg(long, alias = "print", value_name = "QUESTION")]
    pub(crate) call: Option<String>,

    /// Make these experimental checks, too; `all` stands for every one
    #[arg(long, value_name = "CHECK", value_delimiter = ',')]
    pub(crate) checks: Vec<String>,

    /// What runs the steps: native or oci
    #[arg(long, value_name = "WAY", default_value = "native")]
    pub(crate) isolation: String,

    #[command(flatten)]
    pub(crate) ignored: IgnoredFlags,
}

/// The flags of a build that is only talked about.
#[derive(Debug, Args)]
pub(crate) struct ExplainFlags {
    #[command(flatten)]
    pub(crate) build: BuildFlags,

    /// Print one object of JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// The flags of a build that is made twice.
#[derive(Debug, Args)]
pub(crate) struct VerifyFlags {
    #[command(flatten)]
    pub(crate) build: BuildFlags,

    /// Print one object of JSON, with all paths
    #[arg(long)]
    pub(crate) json: bool,
}

/// Limits of what RUN steps may use up.
#[derive(Debug, Default, Args)]
pub(crate) struct LimitFlags {
    /// What each RUN step may use up: memory, memory-swap, cpu-shares, cpu-period, cpu-quota,
    /// cpuset-cpus and cpuset-mems
    #[arg(long, value_name = "KEY=VALUE[,...]")]
    pub(crate) resource: Vec<String>,

    /// The control group that those of RUN steps are made in
    #[arg(long, value_name = "PATH")]
    pub(crate) cgroup_parent: Option<String>,

    #[arg(short, long, hide = true)]
    pub(crate) memory: Option<String>,

    #[arg(long, hide = true, allow_hyphen_values = true)]
    pub(crate) memory_swap: Option<String>,

    #[arg(short, long, hide = true)]
    pub(crate) cpu_shares: Option<String>,

    #[arg(long, hide = true)]
    pub(crate) cpu_period: Option<String>,

    #[arg(long, hide = true, allow_hyphen_values = true)]
    pub(crate) cpu_quota: Option<String>,

    #[arg(long, hide = true)]
    pub(crate) cpuset_cpus: Option<String>,

    #[arg(long, hide = true)]
    pub(crate) cpuset_mems: Option<String>,
}

/// Flags of older or other builders that mean nothing here and stand in many scripts. Those whose
/// absence somebody could miss are told of, see [`notes`](crate::notes).
#[derive(Debug, Default, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(crate) struct IgnoredFlags {
    #[arg(long, hide = true)]
    pub(crate) builder: Option<String>,

    #[arg(long, hide = true)]
    pub(crate) security_opt: Vec<String>,

    #[arg(long, hide = true, action = ArgAction::Set, num_args = 0..=1, require_equals = true,
          default_missing_value = "true", default_value = "false", value_parser = boolean)]
    pub(crate) squash: bool,

    #[arg(long, hide = true, action = ArgAction::Set, num_args = 0..=1, require_equals = true,
          default_missing_value = "true", default_value = "false", value_parser = boolean)]
    pub(crate) compress: bool,

    #[arg(long, hide = true, action = ArgAction::Set, num_args = 0..=1, require_equals = true,
          default_missing_value = "true", default_value = "true", value_parser = boolean)]
    pub(crate) rm: bool,

    #[arg(long, hide = true, action = ArgAction::Set, num_args = 0..=1, require_equals = true,
          default_missing_value = "true", default_value = "false", value_parser = boolean)]
    pub(crate) force_rm: bool,
}

/// Reads a boolean in the spellings that Go programs take.
pub(crate) fn boolean(text: &str) -> Result<bool, &'static str> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("expected true or false"),
    }
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

/// Flags that builders elsewhere have and this one does not yet, and what to do instead. They fail
/// by name.
const UNFINISHED: &[(&str, &str)] = &[("--policy", "build without it")];

/// Says which known but unfinished flag a command line holds, and what to do instead.
pub(crate) fn unfinished(args: &[String]) -> Option<(&'static str, &'static str)> {
    let before_dashes = args.iter().take_while(|arg| *arg != "--");
    before_dashes
        .map(|arg| arg.split_once('=').map_or(arg.as_str(), |(name, _)| name))
        .find_map(|name| UNFINISHED.iter().find(|(flag, _)| *flag == name).copied())
}
