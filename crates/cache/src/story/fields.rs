//! What an op says beside its variables and inputs.
//!
//! Structs are taken apart by name without `..`, as in the keys: whatever enters a key is told here.

use super::{Field, Rank, Value};
use acetate_graph::{
    Archives, CacheMount, CopyAction, CopyOwner, CopySource, Device, ExecOp, FileAction, FileOp,
    MkdirAction, MkfileAction, Mount, MountAccess, MountSource, NetworkMode, Op, SecretEnv,
    SecretMount, SecurityMode,
};
use acetate_oci::{Digest, Timestamp};

/// Everything of an op that is neither a variable nor an input, in order.
pub fn of_op(op: &Op) -> Vec<Field> {
    match op {
        Op::Exec(exec) => of_exec(exec),
        Op::File(file) => of_file(file),
        Op::Source(_) | Op::Merge | Op::Diff => Vec::new(),
    }
}

fn of_exec(exec: &ExecOp) -> Vec<Field> {
    let ExecOp {
        argv,
        env: _,
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
    let secrets = secret_env.iter().map(|secret| {
        let SecretEnv { name, id, required } = secret;
        format!("{name}={id}{}", required_word(*required))
    });
    let devices = devices.iter().map(|device| {
        let Device { name, required } = device;
        format!("{name}{}", required_word(*required))
    });
    let network = match network {
        NetworkMode::Default => "default",
        NetworkMode::None => "none",
        NetworkMode::Host => "host",
    };
    let security = match security {
        SecurityMode::Sandbox => "sandbox",
        SecurityMode::Insecure => "insecure",
    };
    let mut fields = Fields::default();
    fields.put(Rank::Setting, "command", &command(argv));
    fields.put(Rank::Setting, "user", user);
    fields.put(Rank::Setting, "working directory", cwd);
    fields.put(Rank::Platform, "platform", &platform.to_string());
    fields.put(Rank::Network, "network", network);
    fields.put(Rank::Network, "security", security);
    fields.put(
        Rank::Network,
        "host name",
        hostname.as_deref().unwrap_or(""),
    );
    fields.put(Rank::Network, "added hosts", &extra_hosts.join(" "));
    fields.put(Rank::Network, "ulimits", &ulimits.join(" "));
    let shm_size = shm_size.map(|size| size.to_string());
    fields.put(Rank::Network, "shm size", &shm_size.unwrap_or_default());
    fields.put(Rank::Mount, "secret variables", &joined(secrets));
    fields.put(Rank::Mount, "devices", &joined(devices));
    for (n, mount) in mounts.iter().enumerate().skip(1) {
        fields.put(Rank::Mount, &format!("mount {n}"), &of_mount(mount));
    }
    fields.0
}

/// The fields so far. What is empty is absent, so that it reads as new or gone.
#[derive(Default)]
struct Fields(Vec<Field>);

impl Fields {
    fn put(&mut self, rank: Rank, name: &str, text: &str) {
        if !text.is_empty() {
            self.push(rank, name, Value::plain(text));
        }
    }

    fn push(&mut self, rank: Rank, name: &str, value: Value) {
        self.0.push(Field {
            rank,
            name: name.to_owned(),
            value,
        });
    }
}

fn required_word(required: bool) -> &'static str {
    if required { " (required)" } else { "" }
}

fn joined(texts: impl Iterator<Item = String>) -> String {
    texts.collect::<Vec<_>>().join(", ")
}

/// A command as people write it; an argument of several words is quoted.
fn command(argv: &[String]) -> String {
    let quoted = argv.iter().map(|word| {
        let is_plain = !word.is_empty() && !word.contains(|c: char| c.is_whitespace() || c == '"');
        if is_plain {
            word.clone()
        } else {
            format!("{word:?}")
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

fn of_mount(mount: &Mount) -> String {
    let Mount {
        target,
        source,
        selector,
        access,
        output,
    } = mount;
    let source = match source {
        MountSource::Input(_) => "files".to_owned(),
        MountSource::Scratch => "nothing".to_owned(),
        MountSource::Cache(CacheMount {
            base: _,
            mode,
            uid,
            gid,
        }) => format!("cache, mode {mode:04o}, owner {uid}:{gid}"),
        MountSource::Tmpfs { size: None } => "tmpfs".to_owned(),
        MountSource::Tmpfs { size: Some(size) } => format!("tmpfs of {size} bytes"),
        MountSource::Secret(secret) => format!("secret {}", of_secret(secret)),
        MountSource::Ssh(agent) => format!("ssh {}", of_secret(agent)),
    };
    let selector = match selector.as_str() {
        "" => String::new(),
        path => format!(" from {path}"),
    };
    let access = match access {
        MountAccess::ReadOnly => "read-only",
        MountAccess::ReadWrite => "writable",
        MountAccess::Discard => "writable, thrown away",
    };
    let output = output.map(|n| format!(", output {n}")).unwrap_or_default();
    format!("{target}: {source}{selector}, {access}{output}")
}

fn of_secret(secret: &SecretMount) -> String {
    let SecretMount {
        id,
        mode,
        uid,
        gid,
        required,
    } = secret;
    let required = required_word(*required);
    format!("{id}, mode {mode:04o}, owner {uid}:{gid}{required}")
}

fn of_file(file: &FileOp) -> Vec<Field> {
    let FileOp {
        base: _,
        accounts: _,
        actions,
    } = file;
    let mut fields = Fields::default();
    for (n, action) in actions.iter().enumerate() {
        let part = if actions.len() == 1 {
            String::new()
        } else {
            format!(" of part {}", n + 1)
        };
        match action {
            FileAction::Copy(copy) => of_copy(&mut fields, &part, copy),
            FileAction::Mkdir(mkdir) => of_mkdir(&mut fields, &part, mkdir),
            FileAction::Mkfile(mkfile) => of_mkfile(&mut fields, &part, mkfile),
        }
    }
    fields.0
}

fn of_copy(fields: &mut Fields, part: &str, copy: &CopyAction) {
    let CopyAction {
        input: _,
        sources,
        dest,
        owner,
        mode,
        archives,
        parents,
        excludes,
    } = copy;
    let sources = sources.iter().map(|source| match source {
        CopySource::Slot(slot) => format!("#{slot}"),
        CopySource::Path(path) => path.clone(),
    });
    let owner = match owner {
        CopyOwner::Keep => "that of the source",
        CopyOwner::Root => "",
        CopyOwner::Named(name) => name,
    };
    let archives = match archives {
        Archives::Copy => "",
        Archives::Unpack => "unpacked",
    };
    let parents = if *parents { "kept" } else { "" };
    let mut put =
        |name: &str, text: &str| fields.put(Rank::Setting, &format!("{name}{part}"), text);
    put("sources", &joined(sources));
    put("destination", dest);
    put("owner", owner);
    put("mode", mode.as_deref().unwrap_or(""));
    put("archives", archives);
    put("parents", parents);
    put("excludes", &excludes.join(" "));
}

fn of_mkdir(fields: &mut Fields, part: &str, mkdir: &MkdirAction) {
    let MkdirAction {
        path,
        mode,
        owner,
        mtime,
    } = mkdir;
    let mut put =
        |name: &str, text: &str| fields.put(Rank::Setting, &format!("{name}{part}"), text);
    put("directory", path);
    put("mode", &format!("{mode:04o}"));
    put("owner", owner);
    put("time", &time(mtime.as_ref()));
}

fn of_mkfile(fields: &mut Fields, part: &str, mkfile: &MkfileAction) {
    let MkfileAction {
        name,
        dest,
        content,
        mode,
        owner,
        mtime,
    } = mkfile;
    // A heredoc may be long, and variables are filled in.
    let content = Value::hidden(&Digest::of(content).hex());
    fields.push(
        Rank::Setting,
        &format!("content of the heredoc{part}"),
        content,
    );
    let mut put =
        |name: &str, text: &str| fields.put(Rank::Setting, &format!("{name}{part}"), text);
    put("name of the heredoc", name);
    put("destination", dest);
    put("mode", mode.as_deref().unwrap_or(""));
    put("owner", owner);
    put("time", &time(mtime.as_ref()));
}

fn time(mtime: Option<&Timestamp>) -> String {
    mtime.map(ToString::to_string).unwrap_or_default()
}
