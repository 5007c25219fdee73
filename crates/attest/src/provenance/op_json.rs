//! Operations in the words of LLB's JSON, as far as LLB has words for them.

use acetate_graph::{
    Archives, CopyAction, CopyOwner, CopySource, ExecOp, FileAction, FileOp, Mount, MountAccess,
    MountSource, NetworkMode, Op, SecurityMode, SourceOp,
};
use acetate_oci::Platform;
use serde_json::{Map, Value, json};

use crate::redact;

/// Describes an operation; `name` is what is shown, `identifier` where a source came from.
pub(super) fn op_json(op: &Op, name: &str, identifier: &str) -> Value {
    let (kind, body, platform) = match op {
        Op::Source(source) => {
            let platform = match source {
                SourceOp::Image { platform, .. } => Some(platform),
                _ => None,
            };
            let body = json!({ "identifier": redact(identifier) });
            ("source", body, platform)
        }
        Op::Exec(exec) => ("exec", exec_json(exec), Some(&exec.platform)),
        Op::File(file) => ("file", file_json(file), None),
        Op::Merge => ("merge", json!({}), None),
        Op::Diff => ("diff", json!({}), None),
    };
    let mut out = Map::from_iter([
        ("Op".to_owned(), json!({ kind: body })),
        ("constraints".to_owned(), json!({})),
    ]);
    if let Some(platform) = platform {
        out.insert("platform".to_owned(), platform_json(platform));
    }
    if !name.is_empty() {
        let description = json!({ "llb.customname": redact(name) });
        out.insert("metadata".to_owned(), json!({ "description": description }));
    }
    out.into()
}

fn platform_json(platform: &Platform) -> Value {
    let mut out = Map::new();
    out.insert(
        "Architecture".to_owned(),
        platform.architecture.clone().into(),
    );
    out.insert("OS".to_owned(), platform.os.clone().into());
    if let Some(variant) = &platform.variant {
        out.insert("Variant".to_owned(), variant.clone().into());
    }
    out.into()
}

fn exec_json(exec: &ExecOp) -> Value {
    let args: Vec<String> = exec.argv.iter().map(|arg| redact(arg)).collect();
    let env: Vec<String> = exec.env.iter().map(|line| redact(line)).collect();
    let mut meta = Map::new();
    meta.insert("args".to_owned(), args.into());
    if !env.is_empty() {
        meta.insert("env".to_owned(), env.into());
    }
    meta.insert("cwd".to_owned(), exec.cwd.clone().into());
    if !exec.user.is_empty() {
        meta.insert("user".to_owned(), exec.user.clone().into());
    }
    if let Some(hostname) = &exec.hostname {
        meta.insert("hostname".to_owned(), hostname.clone().into());
    }
    let mut out = Map::new();
    out.insert("meta".to_owned(), meta.into());
    out.insert(
        "mounts".to_owned(),
        exec.mounts.iter().map(mount_json).collect(),
    );
    match exec.network {
        NetworkMode::Default => {}
        NetworkMode::Host => drop(out.insert("network".to_owned(), 1.into())),
        NetworkMode::None => drop(out.insert("network".to_owned(), 2.into())),
    }
    if exec.security == SecurityMode::Insecure {
        out.insert("security".to_owned(), 1.into());
    }
    if !exec.secret_env.is_empty() {
        let secrets = exec.secret_env.iter();
        let secrets =
            secrets.map(|s| json!({ "ID": s.id, "name": s.name, "optional": !s.required }));
        out.insert("secretenv".to_owned(), secrets.collect());
    }
    out.into()
}

/// A mount with the numbers that LLB gives to kinds: bind 0, secret 1, ssh 2, cache 3, tmpfs 4.
fn mount_json(mount: &Mount) -> Value {
    let mut out = Map::new();
    let input = mount.source.input().map_or(-1, i64::from);
    out.insert("input".to_owned(), input.into());
    out.insert("dest".to_owned(), mount.target.clone().into());
    out.insert(
        "output".to_owned(),
        mount.output.map_or(-1, i64::from).into(),
    );
    if !mount.selector.is_empty() {
        out.insert("selector".to_owned(), mount.selector.clone().into());
    }
    if mount.access == MountAccess::ReadOnly {
        out.insert("readonly".to_owned(), true.into());
    }
    let needed = |id: &str, required: bool| json!({ "ID": id, "optional": !required });
    let (kind, option) = match &mount.source {
        MountSource::Input(_) | MountSource::Scratch => (0, None),
        MountSource::Secret(s) => (1, Some(("secretOpt", needed(&s.id, s.required)))),
        MountSource::Ssh(s) => (2, Some(("SSHOpt", needed(&s.id, s.required)))),
        MountSource::Cache(_) => (3, None),
        MountSource::Tmpfs { size } => (4, size.map(|size| ("TmpfsOpt", json!({ "size": size })))),
    };
    if kind != 0 {
        out.insert("mountType".to_owned(), kind.into());
    }
    if let Some((name, option)) = option {
        out.insert(name.to_owned(), option);
    }
    out.into()
}

/// Actions in order, each on what the one before has written; the last one's is the output.
fn file_json(file: &FileOp) -> Value {
    let bodies: Vec<(i64, Value)> = file.actions.iter().flat_map(action_json).collect();
    let n_inputs = file_inputs(file);
    let last = bodies.len().saturating_sub(1);
    let mut input = file.base.map_or(-1, i64::from);
    let mut actions = Vec::new();
    for (n, (secondary, body)) in bodies.into_iter().enumerate() {
        actions.push(json!({
            "input": input,
            "secondaryInput": secondary,
            "output": if n == last { 0 } else { -1 },
            "Action": body,
        }));
        input = n_inputs + i64::try_from(n).unwrap_or(i64::MAX);
    }
    json!({ "actions": actions })
}

/// How many inputs an op has; LLB counts what actions write after them.
fn file_inputs(file: &FileOp) -> i64 {
    let copies = file.actions.iter().filter_map(|action| match action {
        FileAction::Copy(copy) => Some(copy.input),
        _ => None,
    });
    let highest = copies.chain(file.base).chain(file.accounts).max();
    highest.map_or(0, |n| i64::from(n) + 1)
}

/// One action of ours is one of LLB's for each source.
fn action_json(action: &FileAction) -> Vec<(i64, Value)> {
    match action {
        FileAction::Copy(copy) => copy
            .sources
            .iter()
            .map(|source| {
                (
                    i64::from(copy.input),
                    json!({ "copy": copy_json(copy, source) }),
                )
            })
            .collect(),
        FileAction::Mkdir(dir) => {
            let body = json!({
                "path": dir.path, "mode": dir.mode, "makeParents": true, "timestamp": -1,
            });
            vec![(-1, json!({ "mkdir": with_owner(body, &dir.owner) }))]
        }
        FileAction::Mkfile(file) => {
            // The content stands in the Dockerfile, which is told as it is.
            let mode = file.mode.as_deref().unwrap_or("644");
            let body = json!({
                "path": file.dest, "name": file.name, "modeStr": mode, "timestamp": -1,
            });
            vec![(-1, json!({ "mkfile": with_owner(body, &file.owner) }))]
        }
    }
}

fn with_owner(mut body: Value, owner: &str) -> Value {
    if !owner.is_empty() {
        body["owner"] = owner.into();
    }
    body
}

fn copy_json(copy: &CopyAction, source: &CopySource) -> Value {
    let src = match source {
        CopySource::Slot(n) => format!("slot:{n}"),
        CopySource::Path(path) => path.clone(),
    };
    let mut out = Map::new();
    out.insert("src".to_owned(), src.into());
    out.insert("dest".to_owned(), copy.dest.clone().into());
    match &copy.owner {
        CopyOwner::Named(owner) => drop(out.insert("owner".to_owned(), owner.clone().into())),
        CopyOwner::Root => drop(out.insert("owner".to_owned(), "0:0".into())),
        CopyOwner::Keep => {}
    }
    if let Some(mode) = &copy.mode {
        out.insert("modeStr".to_owned(), mode.clone().into());
    }
    out.insert("mode".to_owned(), (-1).into());
    out.insert("timestamp".to_owned(), (-1).into());
    if copy.archives == Archives::Unpack {
        out.insert("attemptUnpackDockerCompatibility".to_owned(), true.into());
    }
    if !copy.excludes.is_empty() {
        out.insert("excludePatterns".to_owned(), copy.excludes.clone().into());
    }
    for always in [
        "allowEmptyWildcard",
        "allowWildcard",
        "createDestPath",
        "dirCopyContents",
        "followSymlink",
    ] {
        out.insert(always.to_owned(), true.into());
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use acetate_graph::MkfileAction;

    #[test]
    fn actions_build_on_each_other_and_the_last_is_the_output() {
        let copy = FileAction::Copy(CopyAction {
            input: 1,
            sources: ["/a", "/b"]
                .map(|path| CopySource::Path(path.to_owned()))
                .into(),
            dest: "/to/".to_owned(),
            owner: CopyOwner::Named("me:us".to_owned()),
            mode: Some("u=rw".to_owned()),
            archives: Archives::Unpack,
            parents: false,
            excludes: vec!["*.o".to_owned()],
        });
        let file = FileAction::Mkfile(MkfileAction {
            name: "f".to_owned(),
            dest: "/f".to_owned(),
            content: b"kept to itself".to_vec(),
            mode: None,
            owner: "1:2".to_owned(),
            mtime: None,
        });
        let op = Op::File(FileOp {
            base: Some(0),
            accounts: None,
            actions: vec![copy, file],
        });
        let json = op_json(&op, "", "");
        assert!(!json.to_string().contains("kept"));
        let actions = json["Op"]["file"]["actions"].as_array().unwrap();
        let numbers: Vec<[i64; 3]> = actions
            .iter()
            .map(|a| ["input", "secondaryInput", "output"].map(|name| a[name].as_i64().unwrap()))
            .collect();
        assert_eq!(numbers, [[0, 1, -1], [2, 1, -1], [3, -1, 0]]);
        let first = &actions[0]["Action"]["copy"];
        assert_eq!(first["owner"], "me:us");
        assert_eq!(first["modeStr"], "u=rw");
        assert_eq!(first["excludePatterns"], json!(["*.o"]));
        assert_eq!(actions[2]["Action"]["mkfile"]["owner"], "1:2");
        assert_eq!(first["attemptUnpackDockerCompatibility"], true);
    }
}
