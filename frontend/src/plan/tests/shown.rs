//! Steps and what they read as text.

use super::fixture::{Build, short_name};
use crate::pins::{RemoteNeed, SelectionSpec};
use acetate_graph::{
    Archives, CopyOwner, CopySource, ExecOp, FileAction, FileOp, Mount, MountSource, NetworkMode,
    Op, SecretMount, SecurityMode, SourceOp, Vertex,
};
use std::fmt::Write;

pub(super) fn edge_text(edge: acetate_graph::Edge) -> String {
    assert_eq!(edge.output, 0);
    format!("%{}", edge.vertex.0)
}

pub(super) fn vertex_text(out: &mut String, build: &Build, vertex: &Vertex) {
    let inputs: Vec<String> = vertex.inputs.iter().copied().map(edge_text).collect();
    let inputs = inputs.join(" ");
    let location = vertex.meta.location.map(|location| location.0 as usize);
    let forced = if vertex.meta.no_cache { " forced" } else { "" };
    let _ = match &vertex.op {
        Op::Source(SourceOp::Image { manifest, platform }) => {
            let need = &build.lowered.images_used[location.unwrap()];
            assert_eq!(build.pins.images[need].manifest, *manifest);
            writeln!(out, "image {} {platform}", short_name(need))
        }
        Op::Source(SourceOp::Local { selection }) => {
            let spec = &build.lowered.selections[location.unwrap()];
            assert_eq!(build.pins.selections[spec], *selection);
            writeln!(out, "{}", selection_text(spec))
        }
        Op::Source(source @ (SourceOp::Download(_) | SourceOp::Git(_))) => {
            let need = &build.lowered.remotes[location.unwrap()];
            assert_eq!(build.pins.remotes[need].source, *source);
            writeln!(out, "{}", remote_text(need))
        }
        Op::Exec(exec) => writeln!(out, "exec{forced} {:?} <- {inputs}", exec.argv),
        Op::File(file) => {
            assert!(file.base.is_none_or(|base| base == 0));
            let base = if file.base.is_some() {
                "base %in0"
            } else {
                "scratch"
            };
            let accounts = accounts_text(file);
            let line = format!("file{forced} {base}{accounts} <- {inputs}");
            let _ = writeln!(out, "{}", line.trim_end());
            for action in &file.actions {
                let _ = writeln!(out, "     {}", action_text(action));
            }
            Ok(())
        }
        Op::Merge => writeln!(out, "merge{forced} <- {inputs}"),
        Op::Diff => panic!("Dockerfiles need no diff"),
    };
}

fn accounts_text(file: &FileOp) -> String {
    file.accounts
        .map_or(String::new(), |input| format!(" accounts %in{input}"))
}

/// A need with all that differs from the default.
pub(super) fn remote_text(need: &RemoteNeed) -> String {
    let git = match need {
        RemoteNeed::Context(name) => return format!("fetched context {name:?}"),
        RemoteNeed::Http { url, checksum } => {
            let checksum = checksum.map_or("", |_| " checked");
            return format!("http {url}{checksum}");
        }
        RemoteNeed::Git(git) => git,
    };
    let mut text = format!("git {}", git.remote);
    for (mark, value) in [
        (" @", git.reference.clone()),
        (" :", Some(git.subdir.clone()).filter(|dir| !dir.is_empty())),
        (" =", git.checksum.clone()),
        (" ", git.keep_git_dir.then(|| "keep".to_owned())),
        (" ", (!git.submodules).then(|| "alone".to_owned())),
        (" ", git.commit_times.then(|| "commit-times".to_owned())),
        (" ", git.fetch_by_commit.then(|| "by-commit".to_owned())),
    ] {
        if let Some(value) = value {
            text.push_str(mark);
            text.push_str(&value);
        }
    }
    text
}

fn action_text(action: &FileAction) -> String {
    match action {
        FileAction::Mkdir(mkdir) => {
            let mtime = mkdir
                .mtime
                .map_or(String::new(), |time| format!(" at {}", time.secs));
            format!(
                "mkdir {} {:04o} owner={:?}{mtime}",
                mkdir.path, mkdir.mode, mkdir.owner
            )
        }
        FileAction::Mkfile(file) => {
            let mode = file.mode.as_deref().unwrap_or("-");
            let mtime = file
                .mtime
                .map_or(String::new(), |time| format!(" at {}", time.secs));
            let content = String::from_utf8_lossy(&file.content);
            let (name, dest, owner) = (&file.name, &file.dest, &file.owner);
            format!("mkfile {name} to {dest} {mode} owner={owner:?}{mtime} {content:?}")
        }
        FileAction::Copy(copy) => {
            let sources: Vec<String> = copy.sources.iter().map(source_text).collect();
            let owner = match &copy.owner {
                CopyOwner::Keep => "keep".to_owned(),
                CopyOwner::Root => "root".to_owned(),
                CopyOwner::Named(name) => format!("{name:?}"),
            };
            let mode = copy
                .mode
                .as_ref()
                .map_or(String::new(), |mode| format!(" mode={mode}"));
            let unpack = if copy.archives == Archives::Unpack {
                " unpack"
            } else {
                ""
            };
            let (input, sources, dest) = (copy.input, sources.join(" "), &copy.dest);
            let parents = if copy.parents { " parents" } else { "" };
            let excludes = excludes_text(&copy.excludes);
            format!(
                "copy %in{input}[{sources}] to {dest} owner={owner}{mode}{unpack}{parents}{excludes}"
            )
        }
    }
}

fn source_text(source: &CopySource) -> String {
    match source {
        CopySource::Slot(slot) => format!("#{slot}"),
        CopySource::Path(path) => path.clone(),
    }
}

pub(super) fn selection_text(spec: &SelectionSpec) -> String {
    let mut text = format!("files {:?} {:?}", spec.context, spec.sources);
    if !spec.flavour.keep_owner {
        text.push_str(" -owner");
    }
    if !spec.flavour.keep_mode {
        text.push_str(" -mode");
    }
    if spec.parents {
        text.push_str(" parents");
    }
    text.push_str(&excludes_text(&spec.excludes));
    text
}

fn excludes_text(excludes: &[String]) -> String {
    if excludes.is_empty() {
        return String::new();
    }
    format!(" without {excludes:?}")
}

pub(super) fn run_text(out: &mut String, exec: &ExecOp, vertex: &Vertex) {
    let _ = writeln!(out, "{:?}", exec.argv);
    let env: Vec<&str> = exec
        .env
        .iter()
        .map(|line| &**line)
        .filter(|entry| *entry != format!("PATH={}", crate::plan::env::DEFAULT_PATH))
        .collect();
    let _ = writeln!(out, "  env {env:?} in {} as {:?}", exec.cwd, exec.user);
    if exec.network != NetworkMode::Default {
        let _ = writeln!(out, "  network {:?}", exec.network);
    }
    if exec.hostname.is_some() || !exec.extra_hosts.is_empty() {
        let _ = writeln!(
            out,
            "  host {:?} knows {:?}, beside the key {:?}",
            exec.hostname, exec.extra_hosts, vertex.meta.extra_hosts
        );
    }
    if !vertex.meta.proxy_env.is_empty() {
        let _ = writeln!(out, "  beside the key {:?}", vertex.meta.proxy_env);
    }
    if exec.security != SecurityMode::Sandbox {
        let _ = writeln!(out, "  security {:?}", exec.security);
    }
    for limit in &exec.ulimits {
        let _ = writeln!(out, "  ulimit {limit}");
    }
    if let Some(size) = exec.shm_size {
        let _ = writeln!(out, "  shm {size}");
    }
    if let Some(memory) = vertex.meta.resources.memory {
        let _ = writeln!(out, "  beside the key memory {memory}");
    }
    for secret in &exec.secret_env {
        let required = if secret.required { " required" } else { "" };
        let _ = writeln!(
            out,
            "  {} holds secret {}{required}",
            secret.name, secret.id
        );
    }
    for device in &exec.devices {
        let required = if device.required { " required" } else { "" };
        let _ = writeln!(out, "  device {}{required}", device.name);
    }
    for (idx, mount) in exec.mounts.iter().enumerate().skip(1) {
        let _ = writeln!(out, "  mount {}", mount_text(mount));
        for cache in vertex
            .meta
            .caches
            .iter()
            .filter(|it| it.mount as usize == idx)
        {
            let _ = writeln!(out, "    is {:?} {:?}", cache.id, cache.sharing);
        }
    }
}

/// `/target = %in1/selector ReadOnly`.
fn mount_text(mount: &Mount) -> String {
    let secret = |kind: &str, secret: &SecretMount| {
        let SecretMount {
            id,
            mode,
            uid,
            gid,
            required,
        } = secret;
        let required = if *required { " required" } else { "" };
        format!("{kind} {id} {mode:04o} {uid}:{gid}{required}")
    };
    let source = match &mount.source {
        MountSource::Input(input) => format!("%in{input}"),
        MountSource::Scratch => "scratch".to_owned(),
        MountSource::Cache(cache) => {
            let base = cache
                .base
                .map_or(String::new(), |base| format!(" from %in{base}"));
            format!("cache {:04o} {}:{}{base}", cache.mode, cache.uid, cache.gid)
        }
        MountSource::Tmpfs { size: None } => "tmpfs".to_owned(),
        MountSource::Tmpfs { size: Some(size) } => format!("tmpfs {size}"),
        MountSource::Secret(it) => secret("secret", it),
        MountSource::Ssh(it) => secret("ssh", it),
    };
    let selector = match mount.selector.as_str() {
        "" => String::new(),
        selector => format!("/{selector}"),
    };
    assert_eq!(mount.output, None);
    format!("{} = {source}{selector} {:?}", mount.target, mount.access)
}

pub(super) fn hide_digests(text: &str) -> String {
    match text.split_once("@sha256:") {
        Some((head, tail)) => format!("{head}@D{}", &tail[64..]),
        None => text.to_owned(),
    }
}
