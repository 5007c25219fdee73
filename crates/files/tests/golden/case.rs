/// A block of a case file.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) title: String,
    /// Named parts in their order.
    pub(crate) parts: Vec<(String, String)>,
}

/// What a run writes; everything else is given.
const RESULTS: [&str; 3] = ["layer", "error", "root"];

impl Case {
    /// The text of a part; nothing when it is not there.
    pub(crate) fn part(&self, name: &str) -> &str {
        let part = self.parts.iter().find(|(part, _)| part == name);
        part.map_or("", |(_, text)| text.as_str())
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.parts.iter().any(|(part, _)| part == name)
    }

    /// Prints the block with these results in the place of the old ones.
    pub(crate) fn print(&self, results: &[(String, String)]) -> String {
        let is_result = |name: &str| RESULTS.iter().any(|result| name.starts_with(result));
        let given = self.parts.iter().filter(|(name, _)| !is_result(name));
        let mut out = format!("== {}\n", self.title);
        for (name, text) in given.chain(results) {
            out += &format!("-- {name}\n{text}");
        }
        out + "\n"
    }
}

/// Reads the blocks of a file: `== TITLE`, then `-- PART` with its lines. Empty lines mean nothing.
pub(crate) fn parse(text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        if let Some(title) = line.strip_prefix("== ") {
            cases.push(Case {
                title: title.to_owned(),
                parts: Vec::new(),
            });
            continue;
        }
        let case = cases.last_mut().expect("a title comes first");
        if let Some(part) = line.strip_prefix("-- ") {
            case.parts.push((part.to_owned(), String::new()));
        } else {
            let (_, text) = case.parts.last_mut().expect("a part comes first");
            *text += &format!("{line}\n");
        }
    }
    cases
}

/// Takes the escapes out of a word: `\n`, `\t`, `\s` for a blank, `\xHH`, `\\`.
pub(crate) fn unescape(word: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut bytes = word.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        out.push(match bytes.next() {
            Some(b'n') => b'\n',
            Some(b't') => b'\t',
            Some(b's') => b' ',
            Some(b'x') => {
                let digits: String = bytes.by_ref().take(2).map(char::from).collect();
                u8::from_str_radix(&digits, 16).unwrap()
            }
            Some(byte) => byte,
            None => b'\\',
        });
    }
    out
}
