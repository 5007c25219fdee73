//! A readable form of a graph, for tests and for people who look for the reason of something.

use std::fmt::{self, Write as _};

use acetate_oci::Timestamp;

use crate::{
    Archives, BuildGraph, CacheMount, CopyAction, CopyOwner, CopySource, Edge, ExecOp, FileAction,
    FileOp, GitSource, MkdirAction, MkfileAction, Mount, MountAccess, MountSource, NetworkMode, Op,
    SecretMount, SecurityMode, SourceOp, Vertex,
};

/// How many bytes of a made file are shown.
const SHOWN_BYTES: usize = 40;

/// Writes one line per vertex, `%3 = exec "make" <- %2`, and a last one for the targets.
///
/// An edge is `%vertex`, with `.output` behind it unless that is 0. What is in no key is left out,
/// but for the name and `no_cache`, which stand at the end.
pub fn dump(graph: &BuildGraph) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    _ = write_graph(&mut out, graph);
    out
}

fn write_graph(out: &mut String, graph: &BuildGraph) -> fmt::Result {
    for id in graph.ids() {
        write!(out, "%{} = ", id.0)?;
        write_vertex(out, graph.vertex(id))?;
        out.push('\n');
    }
    out.push_str("->");
    write_edges(out, graph.targets())?;
    out.push('\n');
    Ok(())
}

fn write_vertex(out: &mut String, vertex: &Vertex) -> fmt::Result {
    write_op(out, &vertex.op)?;
    if !vertex.inputs.is_empty() {
        out.push_str(" <-");
        write_edges(out, &vertex.inputs)?;
    }
    if vertex.meta.no_cache {
        out.push_str(" no-cache");
    }
    if !vertex.meta.name.is_empty() {
        write!(out, " # {}", vertex.meta.name)?;
    }
    Ok(())
}

fn write_edges(out: &mut String, edges: &[Edge]) -> fmt::Result {
    for edge in edges {
        write!(out, " %{}", edge.vertex.0)?;
        if edge.output != 0 {
            write!(out, ".{}", edge.output)?;
        }
    }
    Ok(())
}

fn write_op(out: &mut String, op: &Op) -> fmt::Result {
    match op {
        Op::Source(SourceOp::Image { manifest, platform }) => {
            write!(out, "image {manifest} {platform}")
        }
        Op::Source(SourceOp::Local { selection }) => write!(out, "local {selection}"),
        Op::Source(SourceOp::Download(file)) => {
            write!(out, "download {} {:?}", file.content, file.name)?;
            write_mtime(out, file.mtime.as_ref())
        }
        Op::Source(SourceOp::Git(git)) => write_git(out, git),
        Op::Exec(exec) => write_exec(out, exec),
        Op::File(file) => write_file(out, file),
        Op::Merge => write!(out, "merge"),
        Op::Diff => write!(out, "diff"),
    }
}

fn write_git(out: &mut String, git: &GitSource) -> fmt::Result {
    write!(out, "git {}", git.commit)?;
    if !git.subdir.is_empty() {
        write!(out, " dir={:?}", git.subdir)?;
    }
    if let Some(remote) = &git.git_dir {
        write!(out, " keep={remote:?}")?;
    }
    if !git.submodules {
        write!(out, " no-submodules")?;
    }
    if git.commit_times {
        write!(out, " commit-times")?;
    }
    Ok(())
}

fn write_exec(out: &mut String, exec: &ExecOp) -> fmt::Result {
    write!(out, "exec")?;
    write_quoted(out, &exec.argv)?;
    if !exec.env.is_empty() {
        write!(out, " env")?;
        write_quoted(out, &exec.env)?;
    }
    write!(out, " cwd={}", exec.cwd)?;
    if !exec.user.is_empty() {
        write!(out, " user={}", exec.user)?;
    }
    match exec.network {
        NetworkMode::Default => {}
        NetworkMode::None => write!(out, " network=none")?,
        NetworkMode::Host => write!(out, " network=host")?,
    }
    match exec.security {
        SecurityMode::Sandbox => {}
        SecurityMode::Insecure => write!(out, " security=insecure")?,
    }
    if let Some(hostname) = &exec.hostname {
        write!(out, " hostname={hostname}")?;
    }
    for host in &exec.extra_hosts {
        write!(out, " host={host}")?;
    }
    for ulimit in &exec.ulimits {
        write!(out, " ulimit={ulimit}")?;
    }
    if let Some(size) = exec.shm_size {
        write!(out, " shm={size}")?;
    }
    for secret in &exec.secret_env {
        write!(out, " secret={}:{}", secret.name, secret.id)?;
        write_required(out, secret.required)?;
    }
    for device in &exec.devices {
        write!(out, " device={}", device.name)?;
        write_required(out, device.required)?;
    }
    for mount in &exec.mounts {
        write_mount(out, mount)?;
    }
    write!(out, " {}", exec.platform)
}

fn write_mount(out: &mut String, mount: &Mount) -> fmt::Result {
    write!(out, " [{}", mount.target)?;
    match &mount.source {
        MountSource::Input(input) => write!(out, " in={input}")?,
        MountSource::Scratch => write!(out, " scratch")?,
        MountSource::Cache(cache) => write_cache(out, cache)?,
        MountSource::Tmpfs { size: None } => write!(out, " tmpfs")?,
        MountSource::Tmpfs { size: Some(size) } => write!(out, " tmpfs={size}")?,
        MountSource::Secret(secret) => write_secret(out, "secret", secret)?,
        MountSource::Ssh(ssh) => write_secret(out, "ssh", ssh)?,
    }
    if !mount.selector.is_empty() && mount.selector != "/" {
        write!(out, " from={}", mount.selector)?;
    }
    out.push_str(match mount.access {
        MountAccess::ReadOnly => " ro",
        MountAccess::ReadWrite => " rw",
        MountAccess::Discard => " discard",
    });
    if let Some(output) = mount.output {
        write!(out, " out={output}")?;
    }
    out.push(']');
    Ok(())
}

fn write_cache(out: &mut String, cache: &CacheMount) -> fmt::Result {
    write!(out, " cache {:o} {}:{}", cache.mode, cache.uid, cache.gid)?;
    match cache.base {
        Some(base) => write!(out, " in={base}"),
        None => Ok(()),
    }
}

fn write_secret(out: &mut String, kind: &str, secret: &SecretMount) -> fmt::Result {
    let SecretMount {
        id,
        mode,
        uid,
        gid,
        required,
    } = secret;
    write!(out, " {kind}={id} {mode:o} {uid}:{gid}")?;
    write_required(out, *required)
}

fn write_required(out: &mut String, required: bool) -> fmt::Result {
    if required {
        write!(out, " required")
    } else {
        Ok(())
    }
}

fn write_file(out: &mut String, file: &FileOp) -> fmt::Result {
    write!(out, "file")?;
    match file.base {
        Some(base) => write!(out, " base={base}")?,
        None => write!(out, " base=scratch")?,
    }
    if let Some(accounts) = file.accounts {
        write!(out, " accounts={accounts}")?;
    }
    for action in &file.actions {
        match action {
            FileAction::Copy(copy) => write_copy(out, copy)?,
            FileAction::Mkdir(mkdir) => write_mkdir(out, mkdir)?,
            FileAction::Mkfile(mkfile) => write_mkfile(out, mkfile)?,
        }
    }
    Ok(())
}

fn write_copy(out: &mut String, copy: &CopyAction) -> fmt::Result {
    let verb = match copy.archives {
        Archives::Copy => "copy",
        Archives::Unpack => "unpack",
    };
    write!(out, " ({verb} in={}", copy.input)?;
    for source in &copy.sources {
        match source {
            CopySource::Slot(slot) => write!(out, " #{slot}")?,
            CopySource::Path(path) => write!(out, " {path:?}")?,
        }
    }
    write!(out, " to {:?}", copy.dest)?;
    match &copy.owner {
        CopyOwner::Keep => write!(out, " owner=keep")?,
        CopyOwner::Root => {}
        CopyOwner::Named(name) => write!(out, " owner={name}")?,
    }
    if let Some(mode) = &copy.mode {
        write!(out, " mode={mode}")?;
    }
    if copy.parents {
        write!(out, " parents")?;
    }
    for pattern in &copy.excludes {
        write!(out, " exclude={pattern:?}")?;
    }
    out.push(')');
    Ok(())
}

fn write_mkdir(out: &mut String, mkdir: &MkdirAction) -> fmt::Result {
    write!(out, " (mkdir {:?} mode={:o}", mkdir.path, mkdir.mode)?;
    write_owner(out, &mkdir.owner)?;
    write_mtime(out, mkdir.mtime.as_ref())?;
    out.push(')');
    Ok(())
}

fn write_mkfile(out: &mut String, mkfile: &MkfileAction) -> fmt::Result {
    let shown = &mkfile.content[..mkfile.content.len().min(SHOWN_BYTES)];
    let text = String::from_utf8_lossy(shown);
    let more = if shown.len() < mkfile.content.len() {
        "..."
    } else {
        ""
    };
    write!(
        out,
        " (mkfile {:?} {text:?}{more} to {:?}",
        mkfile.name, mkfile.dest
    )?;
    write_owner(out, &mkfile.owner)?;
    if let Some(mode) = &mkfile.mode {
        write!(out, " mode={mode}")?;
    }
    write_mtime(out, mkfile.mtime.as_ref())?;
    out.push(')');
    Ok(())
}

fn write_mtime(out: &mut String, mtime: Option<&Timestamp>) -> fmt::Result {
    match mtime {
        Some(mtime) => write!(out, " mtime={mtime}"),
        None => Ok(()),
    }
}

fn write_owner(out: &mut String, owner: &str) -> fmt::Result {
    if owner.is_empty() {
        Ok(())
    } else {
        write!(out, " owner={owner}")
    }
}

fn write_quoted<T: AsRef<str>>(out: &mut String, texts: &[T]) -> fmt::Result {
    let mut texts = texts.iter().map(AsRef::as_ref);
    texts.try_for_each(|text| write!(out, " {text:?}"))
}

#[cfg(test)]
mod tests {
    use acetate_oci::{Digest, Platform, Timestamp};
    use expect_test::expect;

    use super::*;
    use crate::{GraphBuilder, VertexMeta};

    fn full_file() -> FileOp {
        FileOp {
            base: Some(0),
            accounts: None,
            actions: vec![
                FileAction::Copy(CopyAction {
                    input: 1,
                    sources: vec![CopySource::Slot(0), CopySource::Path("/a b".into())],
                    dest: "/d/".into(),
                    owner: CopyOwner::Named("bin".into()),
                    mode: Some("0755".into()),
                    archives: Archives::Unpack,
                    parents: true,
                    excludes: vec!["*.o".into()],
                }),
                FileAction::Mkdir(MkdirAction {
                    path: "/w".into(),
                    mode: 0o755,
                    owner: String::new(),
                    mtime: Some(Timestamp { secs: 0, nanos: 0 }),
                }),
                FileAction::Mkfile(MkfileAction {
                    name: "f".into(),
                    dest: "/f".into(),
                    content: b"hi\n".to_vec(),
                    mode: None,
                    owner: "0:0".into(),
                    mtime: None,
                }),
            ],
        }
    }

    fn full_exec() -> ExecOp {
        ExecOp {
            argv: vec!["make".into(), "all".into()],
            env: vec!["A=1".into()].into(),
            cwd: "/w".into(),
            user: "bin".into(),
            network: NetworkMode::None,
            security: SecurityMode::Insecure,
            hostname: Some("h".into()),
            extra_hosts: vec!["db".into()],
            ulimits: vec!["nofile=1".into()],
            shm_size: Some(64),
            secret_env: vec![crate::SecretEnv {
                name: "S".into(),
                id: "s".into(),
                required: true,
            }],
            devices: vec![crate::Device {
                name: "v/c=d".into(),
                required: false,
            }],
            mounts: vec![
                Mount {
                    target: "/".into(),
                    source: MountSource::Input(0),
                    selector: String::new(),
                    access: MountAccess::ReadWrite,
                    output: Some(0),
                },
                Mount {
                    target: "/src".into(),
                    source: MountSource::Input(1),
                    selector: "/sub".into(),
                    access: MountAccess::ReadOnly,
                    output: None,
                },
                Mount {
                    target: "/out".into(),
                    source: MountSource::Scratch,
                    selector: String::new(),
                    access: MountAccess::Discard,
                    output: Some(1),
                },
            ],
            platform: Platform::new("linux", "amd64"),
        }
    }

    #[test]
    fn every_op_is_shown() {
        let mut builder = GraphBuilder::new();
        let meta = |name: &str| VertexMeta {
            name: name.into(),
            ..VertexMeta::default()
        };
        let manifest = Digest::from_bytes([0xaa; 32]);
        let image = SourceOp::Image {
            manifest,
            platform: Platform::new("linux", "amd64"),
        };
        let base = builder.add(Op::Source(image), vec![], meta("FROM x"));
        let selection = Digest::from_bytes([0xbb; 32]);
        let local = builder.add(Op::Source(SourceOp::Local { selection }), vec![], meta(""));
        let edges = vec![Edge::first(base), Edge::first(local)];
        let copied = builder.add(Op::File(full_file()), edges, meta(""));
        let forced = VertexMeta {
            no_cache: true,
            ..meta("RUN make")
        };
        let edges = vec![Edge::first(copied), Edge::first(local)];
        let made = builder.add(Op::Exec(full_exec()), edges, forced);
        let second = Edge {
            vertex: made,
            output: 1,
        };
        let merged = builder.add(Op::Merge, vec![Edge::first(base), second], meta(""));
        let diff = builder.add(
            Op::Diff,
            vec![Edge::first(base), Edge::first(merged)],
            meta(""),
        );
        let text = dump(&builder.build(vec![Edge::first(diff), second]));
        expect![[r#"
            %0 = image sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa linux/amd64 # FROM x
            %1 = local sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb
            %2 = file base=0 (unpack in=1 #0 "/a b" to "/d/" owner=bin mode=0755 parents exclude="*.o") (mkdir "/w" mode=755 mtime=1970-01-01T00:00:00Z) (mkfile "f" "hi\n" to "/f" owner=0:0) <- %0 %1
            %3 = exec "make" "all" env "A=1" cwd=/w user=bin network=none security=insecure hostname=h host=db ulimit=nofile=1 shm=64 secret=S:s required device=v/c=d [/ in=0 rw out=0] [/src in=1 from=/sub ro] [/out scratch discard out=1] linux/amd64 <- %2 %1 no-cache # RUN make
            %4 = merge <- %0 %3.1
            %5 = diff <- %0 %4
            -> %5 %3.1
        "#]]
        .assert_eq(&text);
    }
}
