//! Guesses what a misspelt word was meant to be.

/// Returns the candidate closest to `word`, when it is close enough to be a likely slip.
///
/// Case is ignored. Close means an edit distance (insert, delete, replace, swap neighbours) of at most a third of
/// the longer word, and at least one edit; an exact match gives nothing. The first of equals wins.
pub fn did_you_mean<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let wanted: Vec<char> = word.to_lowercase().chars().take(MAX_LEN + 1).collect();
    if wanted.is_empty() || wanted.len() > MAX_LEN {
        return None;
    }
    let mut best: Option<(usize, &'a str)> = None;
    for candidate in candidates {
        let other: Vec<char> = candidate.to_lowercase().chars().take(MAX_LEN + 1).collect();
        let limit = limit(wanted.len().max(other.len()));
        if other.len().abs_diff(wanted.len()) > limit {
            continue;
        }
        let found = distance(&wanted, &other);
        if found == 0 && candidate == word {
            return None;
        }
        if found <= limit && best.is_none_or(|(least, _)| found < least) {
            best = Some((found, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Longer words are no names; the bound keeps the quadratic distance cheap.
const MAX_LEN: usize = 64;

fn limit(len: usize) -> usize {
    (len / 3).clamp(1, 4)
}

/// Computes the optimal string alignment distance with three rolling rows.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = vec![0; b.len() + 1];
    let mut previous: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let cost = usize::from(a[i - 1] != b[j - 1]);
            row[j] = (previous[j - 1] + cost)
                .min(previous[j] + 1)
                .min(row[j - 1] + 1);
            let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if swapped {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut previous, row);
    }
    previous[b.len()]
}

#[cfg(test)]
mod tests {
    use super::did_you_mean;

    #[test]
    fn finds_slips() {
        let names = ["build", "bind", "tmpfs", "cache", "type", "target"];
        for (word, expected) in [
            ("bulid", Some("build")),
            ("tmp", None),
            ("tmpf", Some("tmpfs")),
            ("typ", Some("type")),
            ("CACHE", Some("cache")),
            ("cahce", Some("cache")),
            ("cache", None),
            ("xyz", None),
            ("", None),
            ("trget", Some("target")),
        ] {
            assert_eq!(did_you_mean(word, names), expected, "{word}");
        }
    }

    #[test]
    fn long_words_are_ignored() {
        let long = "x".repeat(100_000);
        assert_eq!(did_you_mean(&long, [long.as_str(), "y"]), None);
    }
}
