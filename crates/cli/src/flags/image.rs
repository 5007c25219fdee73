#![expect(
    clippy::doc_markdown,
    reason = "these comments are the help that users read"
)]

use clap::{ArgAction, Args, Subcommand};
use std::path::PathBuf;

/// What `acetate image` does. IMAGE is a name, or the beginning of an id.
#[derive(Debug, Subcommand)]
pub(crate) enum ImageCommand {
    /// List the images of this machine
    #[command(visible_alias = "list")]
    Ls(ImageLsFlags),
    /// Fetch images of registries and keep them; nothing is unpacked
    Pull(ImagePullFlags),
    /// Give images of this machine to the registries of their names
    Push(ImagePushFlags),
    /// Give an image one more name
    Tag(ImageTagFlags),
    /// Take names away; `acetate prune` frees the layers
    #[command(visible_alias = "remove")]
    Rm(ImageRmFlags),
    /// Write images to an archive
    Save(ImageSaveFlags),
    /// Keep the images of an archive, or of a directory with an OCI layout
    Load(ImageLoadFlags),
    /// Show everything about images, as JSON
    Inspect(ImageInspectFlags),
    /// Show what made an image, the newest first
    History(ImageHistoryFlags),
    /// Copy an image with all platforms from one place to another, byte for byte
    #[command(visible_alias = "copy")]
    Cp(ImageCpFlags),
    /// Copy images to a registry with all platforms and all that speaks about them
    Mirror(ImageMirrorFlags),
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(crate) struct ImageLsFlags {
    /// Only names like this: a repository or NAME:TAG, in which * stands for anything
    #[arg(value_name = "PATTERN")]
    pub(crate) pattern: Option<String>,

    /// Print ids only
    #[arg(short, long)]
    pub(crate) quiet: bool,

    /// Show the digests of manifests
    #[arg(long)]
    pub(crate) digests: bool,

    /// Do not shorten ids
    #[arg(long)]
    pub(crate) no_trunc: bool,

    /// Print one object of JSON
    #[arg(long, conflicts_with = "quiet")]
    pub(crate) json: bool,

    #[arg(short, long, hide = true)]
    pub(crate) all: bool,
}

/// How work that takes its time is shown.
#[derive(Debug, Args)]
pub(crate) struct ShownFlags {
    /// How progress is shown: auto, plain, tty, quiet or rawjson; auto is tty on a terminal, and
    /// elsewhere a line for each blob that went to or came from a registry
    #[arg(long, value_name = "MODE")]
    pub(crate) progress: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ImagePullFlags {
    /// The images
    #[arg(value_name = "NAME[:TAG|@DIGEST]", required = true)]
    pub(crate) names: Vec<String>,

    /// The platform [default: that of this machine]
    #[arg(
        long,
        value_name = "OS/ARCH[/VARIANT]",
        conflicts_with = "all_platforms"
    )]
    pub(crate) platform: Option<String>,

    /// Fetch all platforms
    #[arg(long)]
    pub(crate) all_platforms: bool,

    /// Take a registry without TLS, or with any certificate
    #[arg(long)]
    pub(crate) insecure: bool,

    /// Print the digests only
    #[arg(short, long)]
    pub(crate) quiet: bool,

    #[command(flatten)]
    pub(crate) shown: ShownFlags,
}

#[derive(Debug, Args)]
pub(crate) struct ImagePushFlags {
    /// The images, each to the registry of its name
    #[arg(value_name = "NAME[:TAG]", required = true)]
    pub(crate) names: Vec<String>,

    /// How layers are compressed that are not: gzip, zstd or uncompressed
    #[arg(long, value_name = "KIND", default_value = "gzip")]
    pub(crate) compression: String,

    /// Give it to a registry without TLS, or with any certificate
    #[arg(long)]
    pub(crate) insecure: bool,

    /// Print the digests only
    #[arg(short, long)]
    pub(crate) quiet: bool,

    #[command(flatten)]
    pub(crate) shown: ShownFlags,
}

#[derive(Debug, Args)]
pub(crate) struct ImageTagFlags {
    /// The image
    #[arg(value_name = "IMAGE")]
    pub(crate) source: String,

    /// Its new name
    #[arg(value_name = "NAME[:TAG]")]
    pub(crate) target: String,
}

#[derive(Debug, Args)]
pub(crate) struct ImageRmFlags {
    /// The images
    #[arg(value_name = "IMAGE", required = true)]
    pub(crate) images: Vec<String>,

    /// Remove all names of an id
    #[arg(short, long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ImageSaveFlags {
    /// The images
    #[arg(value_name = "IMAGE", required = true)]
    pub(crate) images: Vec<String>,

    /// The file; `-` is standard output
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub(crate) output: PathBuf,

    /// The kind of file: docker for `docker load` and OCI readers, oci, or dir for an OCI layout as
    /// a directory
    #[arg(long, value_name = "FORMAT", default_value = "docker")]
    pub(crate) format: String,

    /// Compress layers that are not: gzip or zstd [default: as they are]
    #[arg(long, value_name = "KIND")]
    pub(crate) compression: Option<String>,

    /// One platform of an image of several
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    pub(crate) platform: Option<String>,

    /// Show no progress
    #[arg(short, long)]
    pub(crate) quiet: bool,

    #[command(flatten)]
    pub(crate) shown: ShownFlags,
}

#[derive(Debug, Args)]
pub(crate) struct ImageLoadFlags {
    /// An archive, compressed or not, or a directory; `-` is standard input
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub(crate) input: PathBuf,

    /// The name of an image that has none
    #[arg(short, long, value_name = "NAME[:TAG]")]
    pub(crate) tag: Option<String>,

    /// Print nothing
    #[arg(short, long)]
    pub(crate) quiet: bool,

    #[command(flatten)]
    pub(crate) shown: ShownFlags,
}

#[derive(Debug, Args)]
pub(crate) struct ImageInspectFlags {
    /// The images
    #[arg(value_name = "IMAGE", required = true)]
    pub(crate) images: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ImageHistoryFlags {
    /// The image
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,

    /// Shorten nothing
    #[arg(long)]
    pub(crate) no_trunc: bool,

    /// Print one object of JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ImageCpFlags {
    /// From where: HOST/NAME:TAG, oci-layout://DIR[:TAG], oci-archive:FILE, docker-archive:FILE, or
    /// local://NAME for an image of this machine
    #[arg(value_name = "SRC")]
    pub(crate) source: String,

    /// To where, in the same words
    #[arg(value_name = "DST")]
    pub(crate) target: String,

    /// Take registries without TLS, or with any certificate
    #[arg(long)]
    pub(crate) insecure: bool,

    /// Print the digest only
    #[arg(short, long)]
    pub(crate) quiet: bool,

    #[command(flatten)]
    pub(crate) shown: ShownFlags,
}

#[derive(Debug, Args)]
pub(crate) struct ImageMirrorFlags {
    /// The images, and the registry that they are copied to: HOST[:PORT][/PATH]
    #[arg(value_name = "SRC... DST", num_args = 2.., required = true, action = ArgAction::Append)]
    pub(crate) places: Vec<String>,

    /// Take registries without TLS, or with any certificate
    #[arg(long)]
    pub(crate) insecure: bool,

    /// Print the new names only
    #[arg(short, long)]
    pub(crate) quiet: bool,

    #[command(flatten)]
    pub(crate) shown: ShownFlags,
}
