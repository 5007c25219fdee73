use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// One build: its files, its flags, and what is known of it beforehand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// The path below the corpus, without the ending.
    pub name: String,
    /// The numbers of the behaviours, and what it shows.
    pub title: String,
    /// The files, in the order in which they are made.
    pub files: Vec<Fixture>,
    /// Flags of the build.
    pub args: Vec<String>,
    /// Variables of the environment of the client.
    pub env: Vec<(String, String)>,
    /// What both programs must print.
    pub says: Vec<String>,
    /// The heading of `docs/compatibility.md` that tells why the outcomes differ.
    pub expected: Option<String>,
}

/// A file of a case: a head `//- PATH NAME=VALUE...`, and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fixture {
    /// Below the context; `@x/y` lies beside it, in the folder `x`.
    pub path: String,
    /// What is said of it, such as `mode=755`.
    pub attributes: BTreeMap<String, String>,
    /// Its content.
    pub text: String,
}

impl Case {
    /// Reads a case: a title, then sections that begin with `//- `.
    ///
    /// # Panics
    /// When a head has no word.
    pub fn parse(name: &str, text: &str) -> Self {
        let text = format!("\n{}", text.trim_end_matches('\n'));
        let mut sections = text.split("\n//- ");
        let title = sections.next().unwrap_or_default().trim().to_owned();
        let mut case = Self {
            name: name.to_owned(),
            title,
            files: Vec::new(),
            args: Vec::new(),
            env: Vec::new(),
            says: Vec::new(),
            expected: None,
        };
        for section in sections {
            case.section(section);
        }
        case
    }

    fn section(&mut self, section: &str) {
        let (head, text) = section.split_once('\n').unwrap_or((section, ""));
        let (word, rest) = head.split_once(' ').unwrap_or((head, ""));
        match word {
            "args" => self.args.extend(words(rest)),
            "env" => self.env.extend(words(rest).iter().map(|word| pair(word))),
            "says" => self.says.push(rest.to_owned()),
            "expected" => self.expected = Some(rest.to_owned()),
            path => {
                let attributes: BTreeMap<String, String> =
                    words(rest).iter().map(|word| pair(word)).collect();
                let ends = attributes.contains_key("unended") || !section.contains('\n');
                self.files.push(Fixture {
                    path: path.to_owned(),
                    attributes,
                    text: format!("{text}{}", if ends { "" } else { "\n" }),
                });
            }
        }
    }

    /// The group that the case is in: the first part of its name.
    pub fn group(&self) -> &str {
        self.name.split('/').next().unwrap_or_default()
    }

    /// The file of an outcome beside the case.
    pub fn beside(&self, ending: &str) -> PathBuf {
        folder().join(format!("{}.{ending}", self.name))
    }
}

/// Where the corpus is.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("differential")
}

/// All cases, by name.
///
/// # Panics
/// When the corpus cannot be read.
pub fn corpus() -> Vec<Case> {
    let mut cases = Vec::new();
    for group in std::fs::read_dir(folder()).expect("the corpus") {
        let group = group.expect("a group").path();
        if !group.is_dir() {
            continue;
        }
        for file in std::fs::read_dir(&group).expect("a group is a folder") {
            let file = file.expect("a file").path();
            if file.extension().is_none_or(|ending| ending != "case") {
                continue;
            }
            let text = std::fs::read_to_string(&file).expect("a case is text");
            let name = format!("{}/{}", last(&group), last(&file.with_extension("")));
            cases.push(Case::parse(&name, &text));
        }
    }
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    cases
}

fn last(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn pair(word: &str) -> (String, String) {
    let (name, value) = word.split_once('=').unwrap_or((word, ""));
    (name.to_owned(), value.to_owned())
}

/// Splits at blanks; double quotes keep them.
fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for letter in text.chars() {
        match letter {
            '"' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            _ => words.last_mut().expect("never empty").push(letter),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_is_a_title_and_sections() {
        let case = Case::parse(
            "copy/a",
            "S1 S2 what it shows\n//- args --target=t --label \"a=b c\"\n//- env K=V\n\
             //- says not found\n//- expected why\n//- Dockerfile\nFROM base\nCOPY a /\n\
             //- a mode=755 xattr=user.x:1\nx\n//- d dir\n//- e unended\ny\n",
        );
        assert_eq!(case.title, "S1 S2 what it shows");
        assert_eq!(case.args, ["--target=t", "--label", "a=b c"]);
        assert_eq!(case.env, [("K".to_owned(), "V".to_owned())]);
        assert_eq!(case.says, ["not found"]);
        assert_eq!(case.expected.as_deref(), Some("why"));
        assert_eq!(case.group(), "copy");
        let texts: Vec<(&str, &str)> = case
            .files
            .iter()
            .map(|file| (file.path.as_str(), file.text.as_str()))
            .collect();
        assert_eq!(
            texts,
            [
                ("Dockerfile", "FROM base\nCOPY a /\n"),
                ("a", "x\n"),
                ("d", ""),
                ("e", "y")
            ]
        );
        assert_eq!(case.files[1].attributes["mode"], "755");
        assert_eq!(case.files[1].attributes["xattr"], "user.x:1");
    }

    #[test]
    fn names_and_titles_of_the_corpus_are_used_once() {
        let cases = corpus();
        let mut titles: Vec<&str> = cases.iter().map(|case| case.title.as_str()).collect();
        titles.sort_unstable();
        let before = titles.len();
        titles.dedup();
        assert_eq!(titles.len(), before);
        assert!(titles.iter().all(|title| !title.is_empty()));
    }
}
