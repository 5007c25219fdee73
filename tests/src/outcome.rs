use serde_json::Value;
use std::collections::BTreeMap;
use std::process::{Command, Output};

/// How a run of the program ended, and what it told about its steps.
#[derive(Debug)]
pub struct Outcome {
    /// The exit code; -1 after a signal.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error without the progress objects.
    pub stderr: String,
    /// The steps that ended, in the order of their ends.
    pub steps: Vec<Step>,
    /// What was explained: the line, the name of a step without its number, and the reason.
    pub explained: Vec<String>,
    /// What the steps wrote, by name.
    pub logs: BTreeMap<String, String>,
}

/// A step that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its name.
    pub name: String,
    /// Whether a record was used.
    pub cached: bool,
    /// Its error.
    pub error: Option<String>,
}

impl Outcome {
    /// Reads what a run of the program left.
    pub fn read(output: &Output) -> Self {
        Self::new(output)
    }

    pub(crate) fn new(output: &Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            ..Self::of_progress(&String::from_utf8_lossy(&output.stderr))
        }
    }

    /// Reads what a program has told on standard error so far.
    pub(crate) fn of_progress(stderr: &str) -> Self {
        let mut out = Self {
            code: -1,
            stdout: String::new(),
            stderr: String::new(),
            steps: Vec::new(),
            explained: Vec::new(),
            logs: BTreeMap::new(),
        };
        let mut names = BTreeMap::new();
        for line in stderr.lines() {
            match serde_json::from_str::<Value>(line) {
                Ok(object) if object.is_object() => out.object(&object, &mut names),
                _ => out.stderr += &format!("{line}\n"),
            }
        }
        out
    }

    fn object(&mut self, object: &Value, names: &mut BTreeMap<String, String>) {
        for vertex in list(object, "vertexes") {
            let name = text(vertex, "name");
            names.insert(text(vertex, "digest"), name.clone());
            if vertex.get("completed").is_some() {
                let cached = vertex["cached"].as_bool().unwrap_or(false);
                let error = vertex["error"].as_str().map(str::to_owned);
                self.steps.push(Step {
                    name,
                    cached,
                    error,
                });
            }
        }
        for it in list(object, "explanations") {
            let (name, words) = (bare(&text(it, "name")), text(it, "words"));
            let line = &it["origin"]["first_line"];
            self.explained.push(format!("{line} {name}: {words}"));
        }
        for log in list(object, "logs") {
            let name = names.get(&text(log, "vertex")).cloned().unwrap_or_default();
            let data = decode(&text(log, "data"));
            self.logs
                .entry(name)
                .or_default()
                .push_str(&String::from_utf8_lossy(&data));
        }
    }

    /// Runs a command to its end.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn of(mut command: Command) -> Self {
        Self::new(&command.output().expect("the program starts"))
    }

    /// The same, having checked that it ended well.
    ///
    /// # Panics
    /// When it did not.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(
            self.code,
            0,
            "stderr: {}\nlog: {}\nsteps: {:#?}",
            self.stderr,
            self.log(),
            self.steps
        );
        self
    }

    /// The same, having checked that it failed and said all of `words`.
    ///
    /// # Panics
    /// When it did not.
    #[track_caller]
    pub fn fails(self, words: &[&str]) -> Self {
        assert_eq!(self.code, 1, "expected failure; stderr: {}", self.stderr);
        for word in words {
            assert!(
                self.stderr.contains(word),
                "no `{word}` in: {}",
                self.stderr
            );
        }
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self
    }

    /// The same, having checked that the command line was refused, saying all of `words`.
    ///
    /// # Panics
    /// When it was not.
    #[track_caller]
    pub fn refused(self, words: &[&str]) -> Self {
        assert_eq!(self.code, 2, "expected a refusal; stderr: {}", self.stderr);
        for word in words {
            assert!(
                self.stderr.contains(word),
                "no `{word}` in: {}",
                self.stderr
            );
        }
        self
    }

    /// Names of the Dockerfile's steps that were carried out, sorted, without their numbers.
    pub fn ran(&self) -> Vec<String> {
        self.names(false)
    }

    /// Names of the Dockerfile's steps that came out of the cache, sorted, without their numbers.
    pub fn cached(&self) -> Vec<String> {
        self.names(true)
    }

    fn names(&self, cached: bool) -> Vec<String> {
        let steps = self.steps.iter().filter(|step| {
            step.cached == cached && step.error.is_none() && is_instruction(&step.name)
        });
        let mut names: Vec<String> = steps.map(|step| bare(&step.name)).collect();
        names.sort();
        names
    }

    /// All that the steps wrote.
    pub fn log(&self) -> String {
        self.logs.values().cloned().collect()
    }
}

/// Steps of the engine itself, and sources, are no instructions that run.
fn is_instruction(name: &str) -> bool {
    let text = bare(name);
    let text = text.strip_prefix("ONBUILD ").unwrap_or(&text);
    ["RUN", "COPY", "ADD", "WORKDIR"]
        .iter()
        .any(|keyword| text.starts_with(keyword))
}

/// `[build 2/5] RUN make` without what is in brackets.
fn bare(name: &str) -> String {
    match name
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("] "))
    {
        Some((_, text)) => text.to_owned(),
        None => name.to_owned(),
    }
}

fn list<'a>(object: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    object
        .get(key)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn text(object: &Value, key: &str) -> String {
    object[key].as_str().unwrap_or_default().to_owned()
}

/// Decodes base64 (RFC 4648), which the logs are in.
fn decode(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut out, mut bits, mut n) = (Vec::new(), 0_u32, 0);
    for digit in text
        .bytes()
        .filter_map(|b| ALPHABET.iter().position(|a| *a == b))
    {
        bits = bits << 6 | u32::try_from(digit).unwrap_or(0);
        n += 6;
        if n >= 8 {
            n -= 8;
            out.push(u8::try_from(bits >> n & 0xff).unwrap_or(0));
        }
    }
    out
}
