use acetate_oci::{Digest, Platform, Timestamp};

use crate::Env;

/// A complete description of one step, the same on every host.
///
/// It holds no path of this machine, no secret value and nothing that only changes how a step is
/// shown. What stands here enters the keys; what stands in [`crate::VertexMeta`] does not.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Op {
    /// Brings something in from outside; has no inputs.
    Source(SourceOp),
    /// Runs a process on a root file system.
    Exec(ExecOp),
    /// Writes files onto a base.
    File(FileOp),
    /// Stacks the layers of all inputs, first input lowest; has no fields.
    Merge,
    /// Keeps what the second input adds to the first; has no fields.
    Diff,
}

impl Op {
    /// How many outputs the step has. The first is the writable root or the result.
    pub fn n_outputs(&self) -> u32 {
        match self {
            Self::Exec(exec) => exec
                .mounts
                .iter()
                .filter_map(|m| m.output)
                .map(|n| n + 1)
                .max()
                .unwrap_or(1),
            _ => 1,
        }
    }
}

/// What a source brings in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SourceOp {
    /// The layers of an image.
    Image {
        /// The digest of the manifest for `platform`.
        manifest: Digest,
        /// The platform that was asked for.
        platform: Platform,
    },
    /// Selected files of a build context, one list of slots an instruction.
    Local {
        /// The digest over just the selected files, in the flavour that their use asks for.
        selection: Digest,
    },
    /// One file that was fetched, or that came through standard input.
    Download(DownloadSource),
    /// The files of a commit.
    Git(GitSource),
}

/// One file with bytes that are known.
///
/// Its mode is 0600 and root owns it (S54). Where it came from is not in it: equal files are equal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DownloadSource {
    /// The digest of its bytes.
    pub content: Digest,
    /// Its name.
    pub name: String,
    /// When it was changed last, as far as its server said.
    pub mtime: Option<Timestamp>,
}

/// The files of a commit, with the modes 0644 and 0755, owned by root.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GitSource {
    /// The full name of the commit, in hexadecimal.
    pub commit: String,
    /// The directory taken, relative to the top; empty is all of it.
    pub subdir: String,
    /// The remote that a kept `.git` names; none when `.git` is dropped.
    pub git_dir: Option<String>,
    /// Whether submodules are brought in.
    pub submodules: bool,
    /// Whether files carry the time of the commit, rather than that of the checkout.
    pub commit_times: bool,
}

/// A process to run.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ExecOp {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// `NAME=value` in order.
    pub env: Env,
    /// The working directory, absolute.
    pub cwd: String,
    /// `user[:group]` by name or number; empty is root.
    pub user: String,
    /// Which network the process sees.
    pub network: NetworkMode,
    /// What the sandbox allows.
    pub security: SecurityMode,
    /// The host name, if not the default.
    pub hostname: Option<String>,
    /// Names added to `/etc/hosts`, sorted; their addresses are in no key.
    pub extra_hosts: Vec<String>,
    /// `name=soft[:hard]`, sorted.
    pub ulimits: Vec<String>,
    /// The size of `/dev/shm` in bytes.
    pub shm_size: Option<u64>,
    /// Secrets that become variables.
    pub secret_env: Vec<SecretEnv>,
    /// Devices by their names in the container device interface.
    pub devices: Vec<Device>,
    /// What is mounted, the root first.
    pub mounts: Vec<Mount>,
    /// What the process runs on.
    pub platform: Platform,
}

/// Which network a process sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum NetworkMode {
    /// Whatever the engine is set to.
    #[default]
    Default,
    /// Loopback only.
    None,
    /// The network of the host.
    Host,
}

/// What the sandbox allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum SecurityMode {
    /// The usual restrictions.
    #[default]
    Sandbox,
    /// None; needs an entitlement.
    Insecure,
}

/// A secret that becomes a variable of a process.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SecretEnv {
    /// The variable.
    pub name: String,
    /// The secret.
    pub id: String,
    /// Whether its absence is an error.
    pub required: bool,
}

/// A device of the container device interface.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Device {
    /// `vendor/class=name`.
    pub name: String,
    /// Whether its absence is an error.
    pub required: bool,
}

/// One mount of a process. Inputs are named by index, so one input may be mounted twice.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Mount {
    /// Where, absolute.
    pub target: String,
    /// What.
    pub source: MountSource,
    /// The path within the source.
    pub selector: String,
    /// Whether it can be written, and what becomes of that.
    pub access: MountAccess,
    /// The output that the written result becomes.
    pub output: Option<u32>,
}

/// Where the files of a mount come from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum MountSource {
    /// The input with this index.
    Input(u32),
    /// An empty file system.
    Scratch,
    /// A directory that outlives the build; which one stands in the vertex's meta.
    Cache(CacheMount),
    /// Memory, discarded after the step.
    Tmpfs {
        /// Its size in bytes.
        size: Option<u64>,
    },
    /// A file that holds a secret.
    Secret(SecretMount),
    /// The socket of an SSH agent.
    Ssh(SecretMount),
}

impl MountSource {
    /// The input that is mounted, or that a new cache begins with.
    pub fn input(&self) -> Option<u32> {
        match self {
            Self::Input(input) => Some(*input),
            Self::Cache(cache) => cache.base,
            Self::Scratch | Self::Tmpfs { .. } | Self::Secret(_) | Self::Ssh(_) => None,
        }
    }
}

/// What a new directory of a cache mount begins with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CacheMount {
    /// The input that is copied into it; none is an empty directory.
    pub base: Option<u32>,
    /// The mode of an empty directory.
    pub mode: u32,
    /// The owner of an empty directory.
    pub uid: u32,
    /// The group of an empty directory.
    pub gid: u32,
}

/// A secret or a socket that a process sees as a file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SecretMount {
    /// Which one.
    pub id: String,
    /// The permission bits of the file.
    pub mode: u32,
    /// The owner of the file.
    pub uid: u32,
    /// The group of the file.
    pub gid: u32,
    /// Whether its absence is an error.
    pub required: bool,
}

/// Whether a mount can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MountAccess {
    /// No.
    ReadOnly,
    /// Yes, and it is kept when the mount has an output.
    ReadWrite,
    /// Yes, and it is thrown away.
    Discard,
}

/// Changes to files, applied in order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FileOp {
    /// The index of the input that is written onto; none is scratch.
    pub base: Option<u32>,
    /// The index of the input whose users and groups names mean, where it is not the base.
    pub accounts: Option<u32>,
    /// What is done.
    pub actions: Vec<FileAction>,
}

/// One change to files.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum FileAction {
    /// Copies or unpacks.
    Copy(CopyAction),
    /// Makes a directory and its parents.
    Mkdir(MkdirAction),
    /// Writes a small file.
    Mkfile(MkfileAction),
}

/// Copies from an input.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CopyAction {
    /// The index of the input that is read.
    pub input: u32,
    /// What is read, in order.
    pub sources: Vec<CopySource>,
    /// Where to, absolute; a trailing slash means a directory.
    pub dest: String,
    /// Who owns the result.
    pub owner: CopyOwner,
    /// The mode of the result: octal digits or a symbolic list; none keeps the source's.
    pub mode: Option<String>,
    /// What happens to archives.
    pub archives: Archives,
    /// `--parents`: the directories that lead to a source come along, from its pivot on.
    pub parents: bool,
    /// Patterns of what is left out, relative to each copied root. Empty for slots, which hold
    /// what is left.
    pub excludes: Vec<String>,
}

/// One thing that is copied.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum CopySource {
    /// The nth source of the selection of a [`SourceOp::Local`]; its path is in the selection's
    /// digest as far as it matters.
    Slot(u32),
    /// A path or wildcard below the root of the input.
    Path(String),
}

/// Who owns what is copied.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum CopyOwner {
    /// Whoever owns the source.
    Keep,
    /// Root, whoever owns the source: files of a context.
    Root,
    /// `user[:group]` by name, looked up in the base, or by number.
    Named(String),
}

/// What a copy does with archives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Archives {
    /// Copies them like any file.
    Copy,
    /// Unpacks what has the content of an archive.
    Unpack,
}

/// Makes a directory.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MkdirAction {
    /// Where, absolute.
    pub path: String,
    /// The permission bits of what is made.
    pub mode: u32,
    /// `user[:group]`, looked up in the base; empty is root.
    pub owner: String,
    /// The time of what is made; none is the time of the build.
    pub mtime: Option<Timestamp>,
}

/// Writes a small file, from a heredoc.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MkfileAction {
    /// Its name, used when `dest` is a directory.
    pub name: String,
    /// Where to, absolute; a trailing slash means a directory.
    pub dest: String,
    /// What stands in it.
    pub content: Vec<u8>,
    /// Octal digits or a symbolic list; none is 0644.
    pub mode: Option<String>,
    /// `user[:group]`, looked up in the base; empty is root.
    pub owner: String,
    /// The time of what is made; none is the time of the build.
    pub mtime: Option<Timestamp>,
}
