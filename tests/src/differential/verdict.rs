use super::case::Case;
use super::outcome::Outcome;

/// What came of comparing one case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Both did the same.
    Equal,
    /// They differ as the page says, under this heading.
    Expected(String),
    /// They differ; what and where.
    Different(String),
    /// BuildKit builds it, acetate does not; its words.
    Refused(String),
    /// BuildKit itself does not do what was kept of it.
    Stale(String),
}

impl Verdict {
    /// The word of the table.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Equal => "equal",
            Self::Expected(_) => "expected",
            Self::Different(_) => "different",
            Self::Refused(_) => "refused",
            Self::Stale(_) => "stale",
        }
    }

    /// Whether nothing is to be mended.
    pub fn is_fine(&self) -> bool {
        matches!(self, Self::Equal | Self::Expected(_))
    }

    /// What is to be mended.
    pub fn detail(&self) -> &str {
        match self {
            Self::Equal => "",
            Self::Expected(text)
            | Self::Different(text)
            | Self::Refused(text)
            | Self::Stale(text) => text,
        }
    }
}

/// Compares what acetate did with what is kept of BuildKit, or, for a case that is meant to
/// differ, with what is kept of acetate.
pub fn compare(case: &Case, buildkit: &Outcome, kept: Option<&Outcome>, own: &Outcome) -> Verdict {
    if let Some(reason) = &case.expected {
        let Some(kept) = kept else {
            return Verdict::Different("nothing is kept of acetate: bless it".to_owned());
        };
        if same(buildkit, own) {
            return Verdict::Different(format!("no difference, though `{reason}` expects one"));
        }
        return match difference(kept, own) {
            Some(text) => Verdict::Different(text),
            None => spoken(case, own).unwrap_or_else(|| Verdict::Expected(reason.clone())),
        };
    }
    if buildkit.built && !own.built {
        return Verdict::Refused(own.error.clone());
    }
    match difference(buildkit, own) {
        Some(text) => Verdict::Different(text),
        None => spoken(case, own).unwrap_or(Verdict::Equal),
    }
}

/// Words that acetate should have said.
fn spoken(case: &Case, own: &Outcome) -> Option<Verdict> {
    let silent = case.says.iter().find(|words| !own.said.contains(*words))?;
    let said = own.said.lines().rev().take(12).collect::<Vec<_>>();
    let said: Vec<&str> = said.into_iter().rev().collect();
    Some(Verdict::Different(format!(
        "it does not say `{silent}` but:\n{}",
        said.join("\n")
    )))
}

fn same(one: &Outcome, other: &Outcome) -> bool {
    one.built == other.built && one.result == other.result
}

/// The lines that are in one and not in the other, by section; nothing where all are equal.
pub(super) fn difference(expected: &Outcome, got: &Outcome) -> Option<String> {
    if expected.built != got.built {
        let word = |outcome: &Outcome| {
            if outcome.built {
                return "built".to_owned();
            }
            format!("failed: {}", outcome.error)
        };
        return Some(format!("- {}\n+ {}", word(expected), word(got)));
    }
    if expected.result == got.result {
        return None;
    }
    Some(lines(&expected.result, &got.result))
}

/// A difference of texts, by the longest run of lines that both have at the front and the back of
/// each section.
fn lines(expected: &str, got: &str) -> String {
    let (mut left, mut right) = (sections(expected), sections(got));
    let n_sections = left.len().max(right.len());
    left.resize(n_sections, "");
    right.resize(n_sections, "");
    let mut text = String::new();
    for (left, right) in left
        .iter()
        .zip(&right)
        .filter(|(left, right)| left != right)
    {
        let head = [left, right].map(|section| section.lines().next().unwrap_or_default());
        text.push_str(&format!("## {}\n", head[0].max(head[1])));
        let gone = left
            .lines()
            .filter(|line| !right.lines().any(|r| r == *line));
        text.extend(gone.map(|line| format!("- {line}\n")));
        let new = right
            .lines()
            .filter(|line| !left.lines().any(|l| l == *line));
        text.extend(new.map(|line| format!("+ {line}\n")));
    }
    text
}

fn sections(text: &str) -> Vec<&str> {
    text.split("## ").skip(1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(text: &str) -> Case {
        Case::parse("g/n", &format!("S1 t\n{text}"))
    }

    fn kept(text: &str) -> Outcome {
        Outcome::of_kept(text)
    }

    #[test]
    fn sections_are_compared_line_by_line() {
        let one = kept("built\n## image\na\n## files\nb\nc\n");
        let two = kept("built\n## image\na\n## files\nb\nd\n");
        let verdict = compare(&case(""), &one, None, &two);
        assert_eq!(
            verdict,
            Verdict::Different("## files\n- c\n+ d\n".to_owned())
        );
        assert_eq!(compare(&case(""), &one, None, &one.clone()), Verdict::Equal);
    }

    #[test]
    fn errors_are_compared_by_the_words_that_a_case_names() {
        let one = kept("failed\nerror: x\n");
        let mut two = kept("failed\nerror: y\n");
        assert_eq!(compare(&case(""), &one, None, &two), Verdict::Equal);
        let picky = case("//- says not here\n");
        assert_eq!(compare(&picky, &one, None, &two).word(), "different");
        two.said = "it is not here\n".to_owned();
        assert_eq!(compare(&picky, &one, None, &two), Verdict::Equal);
    }

    #[test]
    fn a_difference_that_is_gone_is_expected_no_longer() {
        let (one, two) = (kept("built\n## a\n"), kept("failed\nerror: y\n"));
        let case = case("//- expected why\n");
        let met = compare(&case, &one, Some(&two), &two);
        assert_eq!(met, Verdict::Expected("why".to_owned()));
        assert_eq!(compare(&case, &one, Some(&two), &one).word(), "different");
        assert_eq!(compare(&case, &one, None, &two).word(), "different");
    }
}
