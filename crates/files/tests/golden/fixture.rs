use crate::case::{Case, unescape};
use crate::world::{BASE_TIME, CONTEXT_TIME, NOW, STAGE_TIME, World};
use acetate_files::{
    CopyInput, FilesError, HostTree, Selection, SelectionOptions, Staging, ViewTree, copy, mkdir,
    mkfile,
};
use acetate_graph::{Archives, CopyAction, CopyOwner, CopySource, MkdirAction, MkfileAction};
use acetate_oci::Timestamp;
use acetate_pattern::IgnoreMatcher;
use acetate_snapshot::Snapshot;

/// What a case begins with.
struct Given {
    context: HostTree,
    stage: ViewTree,
    _dir: tempfile::TempDir,
}

/// Runs a case and prints it with what came out.
///
/// Parts: `context`, `ignore`, `stage`, `base`, `base over` for a second layer, and `do`, whose lines
/// make a layer each; a line that begins with `+` works on the layer of the line before it.
pub(crate) fn run(world: &World, case: &Case) -> String {
    let scratch = Snapshot::scratch();
    let dir = world.host_dir();
    crate::tree::make(dir.path(), case.part("context"), CONTEXT_TIME);
    let ignore = IgnoreMatcher::parse(case.part("ignore")).unwrap();
    let stage = world.layer(&scratch, case.part("stage"), STAGE_TIME);
    let given = Given {
        context: HostTree::open(dir.path(), Some(ignore)).unwrap(),
        stage: ViewTree::new(world.snapshots.view(&stage).unwrap()),
        _dir: dir,
    };
    let mut state = scratch;
    for part in ["base", "base over"] {
        if case.has(part) {
            state = world.layer(&state, case.part(part), BASE_TIME);
        }
    }
    let mut layers = Vec::new();
    let lines: Vec<&str> = case.part("do").lines().collect();
    let mut n = 0;
    while n < lines.len() {
        let end = lines[n + 1..]
            .iter()
            .take_while(|line| line.starts_with('+'))
            .count()
            + n
            + 1;
        match act(world, &given, &state, &lines[n..end]) {
            Ok(next) => state = next,
            Err(error) => return case.print(&[("error".to_owned(), format!("{error}\n"))]),
        }
        layers.push(world.tar(&state));
        n = end;
    }
    let mut results: Vec<(String, String)> = match layers.as_slice() {
        [layer] => vec![("layer".to_owned(), layer.clone())],
        layers => layers
            .iter()
            .enumerate()
            .map(|(n, layer)| (format!("layer {}", n + 1), layer.clone()))
            .collect(),
    };
    let root = world.root(&state);
    if case.has("root") {
        results.push(("root".to_owned(), root));
    }
    case.print(&results)
}

/// Makes one layer.
fn act(
    world: &World,
    given: &Given,
    state: &Snapshot,
    lines: &[&str],
) -> Result<Snapshot, FilesError> {
    let steps: Vec<Step> = lines.iter().map(|line| Step::parse(line)).collect();
    let is_link = steps.iter().any(|step| step.has("--link"));
    let base = if is_link {
        Snapshot::scratch()
    } else {
        state.clone()
    };
    let view = ViewTree::new(world.snapshots.view(&base).unwrap());
    let accounts = ViewTree::new(world.snapshots.view(state).unwrap());
    let layer = world.snapshots.prepare_layer(&base).unwrap();
    let now = Timestamp::from_secs(NOW);
    let mut staging = Staging::new(&view, layer.path(), now)?;
    if is_link {
        staging = staging.with_accounts(&accounts);
    }
    for step in &steps {
        step.apply(&mut staging, given)?;
    }
    staging.finish()?;
    let made = layer.commit().unwrap();
    Ok(if is_link {
        world.snapshots.stack(state, &made).unwrap()
    } else {
        made
    })
}

/// One line of `do`: a keyword, flags and words.
struct Step {
    keyword: String,
    flags: Vec<String>,
    words: Vec<String>,
}

impl Step {
    fn parse(line: &str) -> Self {
        let mut words = line.trim_start_matches(['+', ' ']).split_whitespace();
        let keyword = words.next().unwrap().to_owned();
        let text = |word: &str| {
            let word = if word == "\"\"" { "" } else { word };
            String::from_utf8(unescape(word)).unwrap()
        };
        let (flags, words) = words.map(text).partition(|word| word.starts_with("--"));
        Self {
            keyword,
            flags,
            words,
        }
    }

    fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|found| found == flag)
    }

    fn values<'s>(&'s self, flag: &'s str) -> impl Iterator<Item = &'s str> {
        let flags = self.flags.iter();
        flags.filter_map(move |found| found.strip_prefix(flag)?.strip_prefix('='))
    }

    fn value(&self, flag: &str) -> Option<String> {
        self.values(flag).next().map(str::to_owned)
    }

    fn apply(&self, staging: &mut Staging<'_>, given: &Given) -> Result<(), FilesError> {
        match self.keyword.as_str() {
            "COPY" | "ADD" => self.copy(staging, given),
            "WORKDIR" => {
                let action = MkdirAction {
                    path: self.words[0].clone(),
                    mode: 0o755,
                    owner: self.value("--chown").unwrap_or_default(),
                    mtime: None,
                };
                mkdir(staging, &action)
            }
            "HEREDOC" => {
                let action = MkfileAction {
                    name: self.words[0].clone(),
                    dest: self.words[1].clone(),
                    content: self.words[2].clone().into_bytes(),
                    mode: self.value("--chmod"),
                    owner: self.value("--chown").unwrap_or_default(),
                    mtime: None,
                };
                mkfile(staging, &action)
            }
            other => panic!("unknown action {other}"),
        }
    }

    fn copy(&self, staging: &mut Staging<'_>, given: &Given) -> Result<(), FilesError> {
        let (dest, sources) = self.words.split_last().unwrap();
        let from_stage = self.value("--from").is_some();
        let excludes: Vec<String> = self.values("--exclude").map(str::to_owned).collect();
        let mut action = CopyAction {
            input: 0,
            sources: sources.iter().cloned().map(CopySource::Path).collect(),
            dest: dest.clone(),
            owner: match self.value("--chown") {
                Some(spec) => CopyOwner::Named(spec),
                None if from_stage => CopyOwner::Keep,
                None => CopyOwner::Root,
            },
            mode: self.value("--chmod"),
            archives: if self.keyword == "ADD" {
                Archives::Unpack
            } else {
                Archives::Copy
            },
            parents: self.has("--parents"),
            excludes: Vec::new(),
        };
        if from_stage {
            action.excludes = excludes;
            let input = CopyInput {
                tree: &given.stage,
                pinned: None,
            };
            return copy(staging, &action, input);
        }
        let options = SelectionOptions {
            sources,
            excludes: &excludes,
            parents: action.parents,
        };
        let mut selection = Selection::find(&given.context, &options)?;
        selection.read(&given.context)?;
        action.sources = (0..u32::try_from(sources.len()).unwrap())
            .map(CopySource::Slot)
            .collect();
        let input = CopyInput {
            tree: &given.context,
            pinned: Some(&selection),
        };
        copy(staging, &action, input)
    }
}
