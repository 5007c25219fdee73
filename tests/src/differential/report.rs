use super::case::Case;
use super::verdict::Verdict;

/// The table of all verdicts, and the [`findings`].
pub fn table(results: &[(Case, Verdict)]) -> String {
    let mut text = String::new();
    for (case, verdict) in results {
        let pointer = match verdict {
            Verdict::Expected(reason) => format!("  docs/compatibility.md#{reason}"),
            _ => String::new(),
        };
        text += &format!(
            "{:<9} {:<44} {}{pointer}\n",
            verdict.word(),
            case.name,
            case.title
        );
    }
    text + &findings(results)
}

/// What is to be mended, and the sums.
pub fn findings(results: &[(Case, Verdict)]) -> String {
    let mut text = String::new();
    for (case, verdict) in results.iter().filter(|(_, verdict)| !verdict.is_fine()) {
        let detail = verdict.detail().trim_end().replace('\n', "\n    ");
        text += &format!(
            "\n{}: {} ({})\n    {detail}\n",
            verdict.word(),
            case.name,
            case.title
        );
    }
    let count = |word: &str| {
        results
            .iter()
            .filter(|(_, verdict)| verdict.word() == word)
            .count()
    };
    text += &format!(
        "\n{} cases: {} equal, {} expected differences, {} different, {} refused by acetate, {} stale\n",
        results.len(),
        count("equal"),
        count("expected"),
        count("different"),
        count("refused"),
        count("stale"),
    );
    text
}
