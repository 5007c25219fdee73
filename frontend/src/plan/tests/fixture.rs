//! A whole build in one string.
//!
//! ```text
//! //- Dockerfile
//! FROM debian
//! //- args target=x arg:K=V label:K=V platform=linux/arm64 context:NAME=image:REF|layout|local|remote
//! //- args main=remote|empty allow=network.host|security.insecure|device[:NAME] time=SECONDS archive
//! //- image debian
//! {"config": {"Env": ["A=b"]}}
//! ```
//! Images that are not listed have one layer and an empty config. Every selection has a digest made of
//! its own text. What is fetched has the time given by `time`, and contexts are repositories unless
//! `archive` is given.

use super::shown::{edge_text, hide_digests, remote_text, run_text, selection_text, vertex_text};
use crate::lower::{Lowered, lower};
use crate::pins::{ImageNeed, ImageSource, Need, PinnedImage, PinnedRemote, Pins, RemoteNeed};
use crate::plan::{Plan, Planned, plan};
use crate::request::{Entitlement, MainContext, NamedContext, PlanRequest};
use crate::{Diagnostic, SourceFile, parse};
use acetate_graph::{DownloadSource, GitSource, NetworkMode, Op, SourceOp};
use acetate_oci::{Digest, ImageConfig, Platform};
use expect_test::Expect;
use std::collections::BTreeMap;
use std::fmt::Write;

/// A parsed fixture.
pub(crate) struct Fixture {
    source: SourceFile,
    request: PlanRequest,
    images: BTreeMap<String, String>,
    /// When all that is fetched was changed last.
    time: Option<i64>,
    /// Whether remote contexts are archives.
    archives: bool,
}

/// A build planned to its end.
pub(crate) struct Build {
    pub(crate) lowered: Lowered,
    pub(crate) plan: Plan,
    pub(crate) pins: Pins,
    /// What each round asked for.
    pub(crate) rounds: Vec<Vec<Need>>,
}

impl Fixture {
    pub(crate) fn new(text: &str) -> Self {
        let mut sections: Vec<(String, String)> = Vec::new();
        for line in text.trim_start_matches('\n').split_inclusive('\n') {
            match line.strip_prefix("//- ") {
                Some(head) => sections.push((head.trim().to_owned(), String::new())),
                None => match sections.last_mut() {
                    Some((_, body)) => body.push_str(line),
                    None => sections.push(("Dockerfile".to_owned(), line.to_owned())),
                },
            }
        }
        let mut fixture = Self {
            source: SourceFile::new("Dockerfile", ""),
            request: PlanRequest::new("linux/amd64".parse().unwrap()),
            images: BTreeMap::new(),
            time: None,
            archives: false,
        };
        for (head, body) in sections {
            match head.split_once(' ') {
                None if head == "args" => {}
                None if head == "Dockerfile" => fixture.source = SourceFile::new(head, body),
                Some(("image", name)) => {
                    fixture.images.insert(name.to_owned(), body);
                }
                Some(("args", words)) => {
                    words.split_whitespace().for_each(|word| fixture.arg(word));
                }
                _ => panic!("unknown section {head}"),
            }
        }
        fixture
    }

    fn arg(&mut self, word: &str) {
        let request = &mut self.request;
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        match key.split_once(':').unwrap_or((key, "")) {
            ("target", _) => request.target = Some(value.to_owned()),
            ("platform", _) => request.platforms.push(value.parse().unwrap()),
            ("arg", name) => {
                request.build_args.insert(name.to_owned(), value.to_owned());
            }
            ("label", name) => {
                request.labels.insert(name.to_owned(), value.to_owned());
            }
            ("context", name) => {
                let context = match value.split_once(':') {
                    Some(("image", image)) => NamedContext::Image(image.to_owned()),
                    _ if value == "layout" => NamedContext::Layout,
                    _ if value == "remote" => NamedContext::Remote,
                    _ => NamedContext::Local,
                };
                request.contexts.insert(name.to_owned(), context);
            }
            ("host", name) => request
                .extra_hosts
                .push((name.to_owned(), value.parse().unwrap())),
            ("hostname", _) => request.hostname = Some(value.to_owned()),
            ("network", _) => {
                request.network = if value == "none" {
                    NetworkMode::None
                } else {
                    NetworkMode::Host
                };
            }
            ("no-cache", _) => request.no_cache = true,
            ("filter", _) => request.no_cache_filter.push(value.to_owned()),
            ("epoch", _) => request.epoch = Some(value.to_owned()),
            ("main", _) if value == "remote" => request.context = MainContext::Remote,
            ("main", _) => request.context = MainContext::Empty,
            ("allow", _) => _ = request.allow.insert(entitlement(value)),
            ("ulimit", name) => request.ulimits.push(format!("{name}={value}")),
            ("shm", _) => request.shm_size = value.parse().ok(),
            ("memory", _) => request.resources.memory = value.parse().ok(),
            ("time", _) => self.time = value.parse().ok(),
            ("archive", _) => self.archives = true,
            other => panic!("unknown argument {other:?}"),
        }
    }

    /// Plans until nothing is missing.
    pub(crate) fn build(&self) -> Result<Build, Vec<Diagnostic>> {
        let parsed = parse(&self.source);
        if parsed.diagnostics.iter().any(Diagnostic::is_error) {
            return Err(parsed.diagnostics);
        }
        let mut pins = Pins::default();
        let mut rounds = Vec::new();
        loop {
            assert!(rounds.len() < 10, "planning does not end");
            match plan(&parsed.ast, &self.request, &pins)? {
                Planned::Needs(needs) => {
                    assert!(!needs.is_empty());
                    for need in &needs {
                        self.pin(need, &mut pins);
                    }
                    rounds.push(needs);
                }
                Planned::Plan(plan) => {
                    let lowered = lower(&plan, &pins)?;
                    return Ok(Build {
                        lowered,
                        plan,
                        pins,
                        rounds,
                    });
                }
            }
        }
    }

    fn pin(&self, need: &Need, pins: &mut Pins) {
        match need {
            Need::Selection(spec, _) => {
                pins.selections
                    .insert(spec.clone(), Digest::of(format!("{spec:?}").as_bytes()));
            }
            Need::Remote(need, _) => {
                let pinned = self.fetched(need);
                pins.remotes.insert(need.clone(), pinned);
            }
            Need::Image(need, _) => {
                let name = short_name(need);
                let text = self.images.get(&name).map_or("{}", String::as_str);
                let image = pinned(&name, text, &need.platform);
                pins.images.insert(need.clone(), image);
            }
        }
    }

    fn fetched(&self, need: &RemoteNeed) -> PinnedRemote {
        let content = Digest::of(format!("{need:?}").as_bytes());
        let download = |name: String| {
            SourceOp::Download(DownloadSource {
                content,
                name,
                mtime: None,
            })
        };
        let is_context = matches!(need, RemoteNeed::Context(_));
        let source = match need {
            RemoteNeed::Context(_) if self.archives => download("context".to_owned()),
            RemoteNeed::Http { url, .. } => download(crate::remote::file_name(url)),
            RemoteNeed::Context(_) => git(&content, String::new(), None),
            RemoteNeed::Git(need) => {
                let dir = need.keep_git_dir.then(|| need.remote.clone());
                git(&content, need.subdir.clone(), dir)
            }
        };
        PinnedRemote {
            source,
            unpack: is_context && self.archives,
            time: self.time,
        }
    }

    fn ok(&self) -> Build {
        self.build()
            .unwrap_or_else(|errors| panic!("{}", self.render(&errors)))
    }

    fn render(&self, diagnostics: &[Diagnostic]) -> String {
        let mut text = String::new();
        for found in diagnostics {
            let kind = if found.is_error() { "error" } else { "warning" };
            let line = found.span().map_or("-".to_owned(), |span| {
                format!(
                    "{} `{}`",
                    self.source.line_range(span).first,
                    self.source.slice(span)
                )
            });
            let _ = writeln!(
                text,
                "{kind}[{}] line {line}: {}",
                found.code, found.message
            );
            if let Some(hint) = &found.hint {
                let _ = writeln!(text, "    hint: {hint}");
            }
        }
        text
    }
}

fn git(content: &Digest, subdir: String, git_dir: Option<String>) -> SourceOp {
    SourceOp::Git(GitSource {
        commit: content.to_string(),
        subdir,
        git_dir,
        submodules: true,
        commit_times: false,
    })
}

fn entitlement(text: &str) -> Entitlement {
    match text {
        "network.host" => Entitlement::NetworkHost,
        "security.insecure" => Entitlement::SecurityInsecure,
        _ => Entitlement::Device(text.strip_prefix("device:").map(str::to_owned)),
    }
}

/// An image with defaults for what its fixture leaves out.
fn pinned(name: &str, text: &str, platform: &Platform) -> PinnedImage {
    let mut value: serde_json::Value = serde_json::from_str(text).unwrap();
    let map = value.as_object_mut().unwrap();
    let layer = Digest::of(name.as_bytes()).to_string();
    for (key, default) in [
        ("os", serde_json::json!(platform.os)),
        ("architecture", serde_json::json!(platform.architecture)),
        (
            "rootfs",
            serde_json::json!({"type": "layers", "diff_ids": [layer]}),
        ),
    ] {
        map.entry(key).or_insert(default);
    }
    let config: ImageConfig = serde_json::from_value(value).unwrap();
    let manifest = Digest::of(format!("{name} {platform}").as_bytes());
    let n_layers = config.rootfs.diff_ids.len();
    PinnedImage {
        manifest,
        platform: platform.clone(),
        config,
        n_layers,
    }
}

pub(super) fn short_name(need: &ImageNeed) -> String {
    match &need.source {
        ImageSource::Registry(reference) => {
            let name = reference.familiar();
            name.strip_suffix(":latest").unwrap_or(&name).to_owned()
        }
        ImageSource::Context(name) => format!("context {name}"),
    }
}

/// The graph, one vertex a line and one action a line below it.
pub(crate) fn graph(text: &str, expected: &Expect) {
    expected.assert_eq(&graph_text(&Fixture::new(text).ok()));
}

/// The display names of all vertices.
pub(crate) fn names(text: &str, expected: &Expect) {
    let build = Fixture::new(text).ok();
    let mut out = String::new();
    for vertex in build.lowered.graph.vertices() {
        let origin = vertex.meta.origin.as_ref();
        let lines = origin.map_or("-".to_owned(), |origin| {
            assert_eq!(origin.file, "Dockerfile");
            format!("{}-{}", origin.first_line, origin.last_line)
        });
        let forced = if vertex.meta.no_cache { " forced" } else { "" };
        let _ = writeln!(out, "{lines} {}{forced}", hide_digests(&vertex.meta.name));
    }
    expected.assert_eq(&out);
}

/// The processes with all that they see.
pub(crate) fn runs(text: &str, expected: &Expect) {
    let build = Fixture::new(text).ok();
    let mut out = String::new();
    for vertex in build.lowered.graph.vertices() {
        if let Op::Exec(exec) = &vertex.op {
            run_text(&mut out, exec, vertex);
        }
    }
    expected.assert_eq(&out);
}

/// The config of the first image, without its layers and history.
pub(crate) fn config(text: &str, expected: &Expect) {
    let mut config = Fixture::new(text).ok().lowered.images.remove(0).config;
    config.history.clear();
    config.rootfs.diff_ids.clear();
    let value = serde_json::to_value(&config).unwrap();
    expected.assert_eq(&(serde_json::to_string_pretty(&value).unwrap() + "\n"));
}

/// The history of the first image: the base's lines, then the new ones with their layers.
pub(crate) fn history(text: &str, expected: &Expect) {
    let build = Fixture::new(text).ok();
    let image = &build.lowered.images[0];
    let mut out = String::new();
    for entry in &image.config.history {
        let _ = writeln!(out, "base  {}", entry.created_by);
    }
    for item in &image.history {
        assert_eq!(item.entry.comment, "buildkit.dockerfile.v0");
        assert_eq!(item.entry.empty_layer, item.layer.is_none());
        let layer = item.layer.map_or("-".to_owned(), |id| format!("%{}", id.0));
        let _ = writeln!(out, "{layer:5} {}", item.entry.created_by.escape_debug());
    }
    expected.assert_eq(&out);
}

/// What each round of planning asks for.
pub(crate) fn needs(text: &str, expected: &Expect) {
    let build = Fixture::new(text).ok();
    let mut out = String::new();
    for (round, needs) in build.rounds.iter().enumerate() {
        let _ = writeln!(out, "round {}", round + 1);
        for need in needs {
            let _ = match need {
                Need::Image(need, _) => {
                    writeln!(out, "  image {} for {}", short_name(need), need.platform)
                }
                Need::Selection(spec, _) => writeln!(out, "  {}", selection_text(spec)),
                Need::Remote(need, _) => writeln!(out, "  {}", remote_text(need)),
            };
        }
    }
    expected.assert_eq(&out);
}

/// What is wrong, or found on the way.
pub(crate) fn findings(text: &str, expected: &Expect) {
    let fixture = Fixture::new(text);
    let found = match fixture.build() {
        Ok(build) => build.plan.diagnostics,
        Err(found) => found,
    };
    expected.assert_eq(&fixture.render(&found));
}

pub(crate) fn build(text: &str) -> Build {
    Fixture::new(text).ok()
}

fn graph_text(build: &Build) -> String {
    let mut out = String::new();
    for (id, vertex) in build.lowered.graph.vertices().iter().enumerate() {
        let _ = write!(out, "%{id} = ");
        vertex_text(&mut out, build, vertex);
    }
    for image in &build.lowered.images {
        let output = image.output.map_or("scratch".to_owned(), edge_text);
        let _ = writeln!(out, "{} -> {output}", image.platform);
    }
    out
}
