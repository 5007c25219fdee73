//! What identifies the result of a vertex.
//!
//! | input | [`OpKey`] | [`DefinitionKey`] | [`ContentKey`] |
//! |---|---|---|---|
//! | kind of op, every field of the op (below) | yes | yes | yes |
//! | definition keys and output indices of the inputs | - | yes | - |
//! | diff ids of a written input, whole chain in order | - | - | yes |
//! | content of a read input: names, modes, owners, bytes; no times | - | - | yes |
//! | name, origin, instruction, `no_cache`, location, host addresses, proxies, cache directories, resources | - | - | - |
//!
//! | op | fields |
//! |---|---|
//! | Source image | manifest digest, platform (os, architecture, variant, os version, os features) |
//! | Source local | selection digest |
//! | Source download | digest of the bytes, name, mtime |
//! | Source git | commit, subdir, remote of a kept `.git`, submodules, commit times |
//! | Exec | argv, env (the digest of its lines), cwd, user, network, security, host name, extra host names, ulimits, shm size, secret variables, devices, mounts (target, source, selector, access, output), platform |
//! | File | base index, accounts index, actions in order |
//! | File copy | input index, sources (slot or path), dest, owner, mode, archives, parents, excludes |
//! | File mkdir | path, mode, owner, mtime when the frontend sets it |
//! | File mkfile | name, dest, content, mode, owner, mtime when the frontend sets it |
//! | Merge, Diff | none |
//!
//! Equal keys mean interchangeable results. The [`DefinitionKey`] is known before anything runs,
//! the [`ContentKey`] when the inputs exist, and the [`OpKey`] only hints that asking by content
//! can succeed. Each starts with a domain tag that carries a version: whoever changes what enters
//! a key, or how, raises the version in [`domain`] and the golden vectors with it.

use std::fmt;

use acetate_oci::{Digest, Platform, Timestamp};

use crate::canonical::CanonicalHasher;
use crate::{
    Archives, BuildGraph, CacheMount, CopyAction, CopyOwner, CopySource, Device, DownloadSource,
    ExecOp, FileAction, FileOp, GitSource, MkdirAction, MkfileAction, Mount, MountAccess,
    MountSource, NetworkMode, Op, SecretEnv, SecretMount, SecurityMode, SourceOp, Vertex,
};

/// The domain tags, one per key, each with the version of its format.
pub mod domain {
    /// Of [`OpKey`](super::OpKey), and so of all others, which contain it.
    pub const OP: &str = "acetate/op/v3";
    /// Of the digest of an [`Env`](crate::Env), which stands in an [`OpKey`](super::OpKey).
    pub const ENV: &str = "acetate/env/v1";
    /// Of [`DefinitionKey`](super::DefinitionKey).
    pub const DEFINITION: &str = "acetate/definition/v1";
    /// Of [`ContentKey`](super::ContentKey).
    pub const CONTENT: &str = "acetate/content/v1";
}

macro_rules! key {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Digest);

        impl $name {
            /// Takes a digest that was stored as a key of this kind.
            pub const fn from_digest(digest: Digest) -> Self {
                Self(digest)
            }

            /// The digest behind the key.
            pub const fn digest(&self) -> &Digest {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
    };
}

key! {
    /// Identifies an op alone. A record under it says that the op was once recorded at all.
    OpKey
}
key! {
    /// Identifies a vertex by its op and by how its inputs are made.
    DefinitionKey
}
key! {
    /// Identifies a vertex by its op and by what its inputs hold.
    ContentKey
}

/// How an op uses one of its inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct InputUse {
    /// The index into the vertex's inputs.
    pub input: u32,
    /// Where it is used.
    pub place: UsePlace,
    /// Whether only content is seen, or times too.
    pub role: UseRole,
}

/// The part of an op that uses an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UsePlace {
    /// The mount with this index of an Exec.
    Mount(usize),
    /// The base of a File.
    Base,
    /// Its users and groups, of a File.
    Accounts,
    /// The action with this index of a File.
    Action(usize),
    /// The input itself, of a Merge or Diff.
    Whole,
}

/// Whether an input is written onto.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UseRole {
    /// It is written onto, or becomes part of the result: its times are seen, so it is identified
    /// by its chain of layers.
    Written,
    /// It is only read: a selection of it is identified by content, without times.
    Read,
}

/// The content behind one [`InputUse`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum InputContent {
    /// The diff ids of all layers, lowest first; empty is scratch.
    Chain(Vec<Digest>),
    /// The digest over the files that the use can see.
    Selection(Digest),
}

/// Why the contents given do not fit the vertex.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContentKeyError {
    /// One content per entry of [`uses`] is needed.
    #[error("content key needs {wanted} input contents, got {given}")]
    Count {
        /// How many uses the vertex has.
        wanted: usize,
        /// How many contents came.
        given: usize,
    },
    /// A written input must be identified by its chain, since the step sees its times.
    #[error("content of written input {input} is a selection, not a chain")]
    NotAChain {
        /// The index into the vertex's inputs.
        input: u32,
    },
}

/// Computes the key of an op alone.
pub fn op_key(op: &Op) -> OpKey {
    let mut hasher = CanonicalHasher::new(domain::OP);
    write_op(&mut hasher, op);
    OpKey(hasher.finish())
}

/// Computes the definition key of an op on inputs given by key and output index.
pub fn definition_key(op: &Op, inputs: &[(DefinitionKey, u32)]) -> DefinitionKey {
    let mut hasher = CanonicalHasher::new(domain::DEFINITION);
    hasher.digest(op_key(op).digest());
    hasher.list(inputs.iter(), |h, (key, output)| {
        h.digest(key.digest()).number(u64::from(*output));
    });
    DefinitionKey(hasher.finish())
}

/// The definition keys of all vertices; the index is the vertex's.
pub fn key_all(graph: &BuildGraph) -> Vec<DefinitionKey> {
    graph.ids().map(|id| graph.key(id)).collect()
}

/// The op keys of all vertices; the index is the vertex's.
pub fn op_key_all(graph: &BuildGraph) -> Vec<OpKey> {
    graph
        .vertices()
        .iter()
        .map(|vertex| op_key(&vertex.op))
        .collect()
}

/// How a vertex uses its inputs, in the order in which [`content_key`] wants their contents.
///
/// An input that is mounted or copied from twice appears twice, since each use may see another
/// part of it. An input that no part of the op names does not appear.
pub fn uses(vertex: &Vertex) -> Vec<InputUse> {
    match &vertex.op {
        Op::Source(_) => Vec::new(),
        Op::Exec(exec) => exec
            .mounts
            .iter()
            .enumerate()
            .filter_map(mount_use)
            .collect(),
        Op::File(file) => file_uses(file),
        Op::Merge | Op::Diff => (0_u32..)
            .zip(&vertex.inputs)
            .map(|(input, _)| InputUse {
                input,
                place: UsePlace::Whole,
                role: UseRole::Written,
            })
            .collect(),
    }
}

/// Computes the content key of a vertex from the contents of its [`uses`], in that order.
///
/// A read input may be given by its chain where no selection is at hand: that is a narrower key,
/// never a wrong one.
pub fn content_key(
    vertex: &Vertex,
    contents: &[InputContent],
) -> Result<ContentKey, ContentKeyError> {
    let uses = uses(vertex);
    if uses.len() != contents.len() {
        return Err(ContentKeyError::Count {
            wanted: uses.len(),
            given: contents.len(),
        });
    }
    let wrong = |(usage, content): &(&InputUse, &InputContent)| {
        usage.role == UseRole::Written && matches!(content, InputContent::Selection(_))
    };
    if let Some((usage, _)) = uses.iter().zip(contents).find(wrong) {
        return Err(ContentKeyError::NotAChain { input: usage.input });
    }
    let mut hasher = CanonicalHasher::new(domain::CONTENT);
    hasher.digest(op_key(&vertex.op).digest());
    hasher.list(contents.iter(), |h, content| match content {
        InputContent::Chain(chain) => {
            h.tag(0)
                .list(chain.iter(), |h, diff_id| _ = h.digest(diff_id));
        }
        InputContent::Selection(digest) => _ = h.tag(1).digest(digest),
    });
    Ok(ContentKey(hasher.finish()))
}

fn mount_use((index, mount): (usize, &Mount)) -> Option<InputUse> {
    let input = mount.source.input()?;
    // What is written into a cache directory stays outside of every result.
    let is_cache = matches!(mount.source, MountSource::Cache(_));
    let is_written = mount.target == "/"
        || mount.output.is_some()
        || (matches!(mount.access, MountAccess::ReadWrite) && !is_cache);
    let role = if is_written {
        UseRole::Written
    } else {
        UseRole::Read
    };
    Some(InputUse {
        input,
        place: UsePlace::Mount(index),
        role,
    })
}

fn file_uses(file: &FileOp) -> Vec<InputUse> {
    let base = file.base.map(|input| InputUse {
        input,
        place: UsePlace::Base,
        role: UseRole::Written,
    });
    let copies = file
        .actions
        .iter()
        .enumerate()
        .filter_map(|(index, action)| match action {
            FileAction::Copy(copy) => Some(InputUse {
                input: copy.input,
                place: UsePlace::Action(index),
                role: UseRole::Read,
            }),
            FileAction::Mkdir(_) | FileAction::Mkfile(_) => None,
        });
    let accounts = file.accounts.map(|input| InputUse {
        input,
        place: UsePlace::Accounts,
        role: UseRole::Read,
    });
    base.into_iter().chain(accounts).chain(copies).collect()
}

// Below, every struct is taken apart by name without `..`, so that a new field does not compile
// until someone decides whether it enters the keys.

fn write_op(h: &mut CanonicalHasher, op: &Op) {
    match op {
        Op::Source(SourceOp::Image { manifest, platform }) => {
            write_platform(h.tag(1).digest(manifest), platform);
        }
        Op::Source(SourceOp::Local { selection }) => _ = h.tag(2).digest(selection),
        Op::Source(SourceOp::Download(download)) => write_download(h.tag(7), download),
        Op::Source(SourceOp::Git(git)) => write_git(h.tag(8), git),
        Op::Exec(exec) => write_exec(h.tag(3), exec),
        Op::File(file) => write_file(h.tag(4), file),
        Op::Merge => _ = h.tag(5),
        Op::Diff => _ = h.tag(6),
    }
}

fn write_download(h: &mut CanonicalHasher, download: &DownloadSource) {
    let DownloadSource {
        content,
        name,
        mtime,
    } = download;
    h.digest(content)
        .text(name)
        .option(mtime.as_ref(), write_time);
}

fn write_git(h: &mut CanonicalHasher, git: &GitSource) {
    let GitSource {
        commit,
        subdir,
        git_dir,
        submodules,
        commit_times,
    } = git;
    h.text(commit).text(subdir);
    write_option_text(h, git_dir.as_deref());
    h.tag(u8::from(*submodules)).tag(u8::from(*commit_times));
}

fn write_platform(h: &mut CanonicalHasher, platform: &Platform) {
    let Platform {
        architecture,
        os,
        os_version,
        os_features,
        variant,
    } = platform;
    h.text(os).text(architecture);
    write_option_text(h, variant.as_deref());
    write_option_text(h, os_version.as_deref());
    write_texts(h, os_features);
}

fn write_exec(h: &mut CanonicalHasher, exec: &ExecOp) {
    let ExecOp {
        argv,
        env,
        cwd,
        user,
        network,
        security,
        hostname,
        extra_hosts,
        ulimits,
        shm_size,
        secret_env,
        devices,
        mounts,
        platform,
    } = exec;
    write_texts(h, argv);
    h.digest(env.digest())
        .text(cwd)
        .text(user)
        .tag(network_tag(*network))
        .tag(security_tag(*security));
    write_option_text(h, hostname.as_deref());
    write_texts(h, extra_hosts);
    write_texts(h, ulimits);
    h.option(*shm_size, |h, size| _ = h.number(size));
    h.list(secret_env.iter(), |h, secret| {
        let SecretEnv { name, id, required } = secret;
        h.text(name).text(id).tag(u8::from(*required));
    });
    h.list(devices.iter(), |h, device| {
        let Device { name, required } = device;
        h.text(name).tag(u8::from(*required));
    });
    h.list(mounts.iter(), write_mount);
    write_platform(h, platform);
}

fn network_tag(network: NetworkMode) -> u8 {
    match network {
        NetworkMode::Default => 0,
        NetworkMode::None => 1,
        NetworkMode::Host => 2,
    }
}

fn security_tag(security: SecurityMode) -> u8 {
    match security {
        SecurityMode::Sandbox => 0,
        SecurityMode::Insecure => 1,
    }
}

fn write_mount(h: &mut CanonicalHasher, mount: &Mount) {
    let Mount {
        target,
        source,
        selector,
        access,
        output,
    } = mount;
    h.text(target);
    match source {
        MountSource::Input(input) => _ = h.tag(0).number(u64::from(*input)),
        MountSource::Scratch => _ = h.tag(1),
        MountSource::Cache(cache) => write_cache(h.tag(2), cache),
        MountSource::Tmpfs { size } => {
            h.tag(3).option(*size, |h, size| _ = h.number(size));
        }
        MountSource::Secret(secret) => write_secret(h.tag(4), secret),
        MountSource::Ssh(ssh) => write_secret(h.tag(5), ssh),
    }
    h.text(selector).tag(match access {
        MountAccess::ReadOnly => 0,
        MountAccess::ReadWrite => 1,
        MountAccess::Discard => 2,
    });
    h.option(*output, |h, output| _ = h.number(u64::from(output)));
}

fn write_cache(h: &mut CanonicalHasher, cache: &CacheMount) {
    let CacheMount {
        base,
        mode,
        uid,
        gid,
    } = cache;
    h.option(*base, |h, base| _ = h.number(u64::from(base)));
    h.number(u64::from(*mode))
        .number(u64::from(*uid))
        .number(u64::from(*gid));
}

fn write_secret(h: &mut CanonicalHasher, secret: &SecretMount) {
    let SecretMount {
        id,
        mode,
        uid,
        gid,
        required,
    } = secret;
    h.text(id)
        .number(u64::from(*mode))
        .number(u64::from(*uid))
        .number(u64::from(*gid))
        .tag(u8::from(*required));
}

fn write_file(h: &mut CanonicalHasher, file: &FileOp) {
    let FileOp {
        base,
        accounts,
        actions,
    } = file;
    h.option(*base, |h, base| _ = h.number(u64::from(base)));
    h.option(*accounts, |h, input| _ = h.number(u64::from(input)));
    h.list(actions.iter(), |h, action| match action {
        FileAction::Copy(copy) => write_copy(h.tag(0), copy),
        FileAction::Mkdir(mkdir) => write_mkdir(h.tag(1), mkdir),
        FileAction::Mkfile(mkfile) => write_mkfile(h.tag(2), mkfile),
    });
}

fn write_copy(h: &mut CanonicalHasher, copy: &CopyAction) {
    let CopyAction {
        input,
        sources,
        dest,
        owner,
        mode,
        archives,
        parents,
        excludes,
    } = copy;
    h.number(u64::from(*input));
    h.list(sources.iter(), |h, source| match source {
        CopySource::Slot(slot) => _ = h.tag(0).number(u64::from(*slot)),
        CopySource::Path(path) => _ = h.tag(1).text(path),
    });
    h.text(dest);
    match owner {
        CopyOwner::Keep => _ = h.tag(0),
        CopyOwner::Root => _ = h.tag(1),
        CopyOwner::Named(name) => _ = h.tag(2).text(name),
    }
    write_option_text(h, mode.as_deref());
    h.tag(match archives {
        Archives::Copy => 0,
        Archives::Unpack => 1,
    });
    h.tag(u8::from(*parents));
    write_texts(h, excludes);
}

fn write_mkdir(h: &mut CanonicalHasher, mkdir: &MkdirAction) {
    let MkdirAction {
        path,
        mode,
        owner,
        mtime,
    } = mkdir;
    h.text(path)
        .number(u64::from(*mode))
        .text(owner)
        .option(mtime.as_ref(), write_time);
}

fn write_mkfile(h: &mut CanonicalHasher, mkfile: &MkfileAction) {
    let MkfileAction {
        name,
        dest,
        content,
        mode,
        owner,
        mtime,
    } = mkfile;
    h.text(name).text(dest).bytes(content);
    write_option_text(h, mode.as_deref());
    h.text(owner).option(mtime.as_ref(), write_time);
}

fn write_time(h: &mut CanonicalHasher, time: &Timestamp) {
    let Timestamp { secs, nanos } = time;
    h.signed(*secs).number(u64::from(*nanos));
}

fn write_texts(h: &mut CanonicalHasher, texts: &[String]) {
    h.list(texts.iter(), |h, text| _ = h.text(text));
}

fn write_option_text(h: &mut CanonicalHasher, text: Option<&str>) {
    h.option(text, |h, text| _ = h.text(text));
}

#[cfg(test)]
mod tests;
