/// One case of a file of cases: a title, the files of a world, and sections behind `== NAME ...`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// What it shows, behind the numbers of the behaviours.
    pub title: String,
    /// The files, each behind a line `//- PATH`.
    pub files: String,
    /// The sections in order.
    pub sections: Vec<Section>,
}

/// A section of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// The first word of its head.
    pub name: String,
    /// The other words.
    pub args: Vec<String>,
    /// The lines below its head.
    pub body: String,
}

impl Case {
    /// Reads all cases of a file; what stands before the first is for people.
    ///
    /// ```text
    /// === S76 touching a file is no change
    /// //- Dockerfile
    /// FROM base
    /// == touch f
    /// == runs
    /// ```
    pub fn all(text: &str) -> Vec<Self> {
        text.split("\n=== ").skip(1).map(Self::read).collect()
    }

    fn read(text: &str) -> Self {
        let (title, rest) = text.split_once('\n').unwrap_or((text, ""));
        let rest = format!("\n{}\n", rest.trim_end());
        let mut parts = rest.split("\n== ");
        let files = parts.next().unwrap_or_default().trim_start_matches('\n');
        Self {
            title: title.to_owned(),
            files: format!("{}\n", files.trim_end()),
            sections: parts.map(Section::read).collect(),
        }
    }

    /// The body of a section; empty when the case has none of that name.
    pub fn body(&self, name: &str) -> &str {
        let found = self.sections.iter().find(|section| section.name == name);
        found.map_or("", |section| section.body.as_str())
    }

    /// The arguments of all sections of a name.
    pub fn args(&self, name: &str) -> Vec<String> {
        let found = self.sections.iter().filter(|section| section.name == name);
        found.flat_map(|section| section.args.clone()).collect()
    }
}

impl Section {
    fn read(text: &str) -> Self {
        let (head, body) = text.split_once('\n').unwrap_or((text, ""));
        let mut words = head.split_whitespace().map(str::to_owned);
        Self {
            name: words.next().unwrap_or_default(),
            args: words.collect(),
            body: body.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_sections_are_told_apart() {
        let cases = Case::all(
            "For people.\n\n=== S1 one\n//- f\nx\n== args a b\n== runs\nRUN 1\nRUN 2\n\n=== two\n//- g\n",
        );
        assert_eq!(cases.len(), 2);
        assert_eq!(cases[0].title, "S1 one");
        assert_eq!(cases[0].files, "//- f\nx\n");
        assert_eq!(cases[0].args("args"), ["a", "b"]);
        assert_eq!(cases[0].body("runs"), "RUN 1\nRUN 2\n");
        assert_eq!(
            (cases[1].files.as_str(), cases[1].body("runs")),
            ("//- g\n", "")
        );
    }
}
