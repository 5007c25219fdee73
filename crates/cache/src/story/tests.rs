use super::*;
use acetate_graph::{
    ExecOp, FileAction, FileOp, MkdirAction, Mount, MountAccess, MountSource, NetworkMode, Op,
    SecurityMode,
};
use acetate_oci::{Digest, Platform};
use acetate_store::Store;

mod finding;
mod others;
mod sentences;

/// Changes something.
type Edit<T> = fn(&mut T);

const KEY: &[u8] = b"key";

fn digest(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

fn variable(name: &str, value: &str, is_arg: bool) -> Variable {
    Variable {
        name: name.into(),
        is_arg,
        value: Value::plain(value),
    }
}

fn file(path: &str, content: &str) -> FileStory {
    FileStory {
        path: path.into(),
        kind: FileKind::File(content.len() as u64, digest(content).hex()[..32].into()),
        mode: Some(0o644),
        owner: Some((0, 0)),
        extra: None,
    }
}

fn exec() -> ExecOp {
    ExecOp {
        argv: ["/bin/sh", "-c", "make all"].map(String::from).to_vec(),
        env: vec!["UNUSED=1".into()].into(),
        cwd: "/w".into(),
        user: String::new(),
        network: NetworkMode::Default,
        security: SecurityMode::Sandbox,
        hostname: None,
        extra_hosts: vec![],
        ulimits: vec![],
        shm_size: None,
        secret_env: vec![],
        devices: vec![],
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
        ],
        platform: Platform::new("linux", "amd64"),
    }
}

fn part(usage: &str, input: Input) -> Part {
    Part {
        usage: usage.into(),
        input,
    }
}

fn image(name: &str, manifest: &str) -> Input {
    Input::Image {
        name: Value::plain(name),
        manifest: digest(manifest),
        platform: "linux/amd64".into(),
        filled: vec![],
    }
}

fn step(name: &str, key: &str) -> Input {
    Input::Step {
        name: name.into(),
        key: digest(key),
    }
}

fn files(files: Vec<FileStory>) -> Input {
    Input::Files {
        context: String::new(),
        digest: digest(&format!("{files:?}")),
        listing: Listing::Files(files),
    }
}

/// A RUN on an image, with files and a step mounted.
fn story() -> Story {
    Story {
        key: Digest::of(KEY),
        format: "op/v1".into(),
        salt: None,
        name: "[build 2/4] RUN make all".into(),
        instruction: StoryInstruction {
            stage: "build".into(),
            base: "debian:$RELEASE".into(),
            kind: "exec".into(),
            text: "RUN make all".into(),
        },
        variables: vec![
            variable("PATH", "/bin", false),
            variable("VERSION", "1.2", true),
        ],
        fields: of_op(&Op::Exec(exec())),
        inputs: vec![
            part("base", image("debian:bookworm", "one")),
            part("mount 1", files(vec![file("a.sh", "a"), file("b", "b")])),
            part("mount 2", step("[deps 2/2] RUN fetch", "deps")),
            part(
                "mount 3",
                Input::Fetched {
                    address: Value::plain("https://example.org/x.tar"),
                    content: digest("x").to_string(),
                    details: "x.tar".into(),
                },
            ),
        ],
    }
}

fn changed(change: impl FnOnce(&mut Story)) -> Story {
    let mut story = story();
    change(&mut story);
    story
}

/// All differences in words, one a line.
fn told(then: &Story, now: &Story) -> String {
    let all = differences(then, now);
    let lines: Vec<String> = all.iter().map(ToString::to_string).collect();
    lines.join("\n")
}
