//! The commands of a RUN, as far as they can be told without a shell.

use crate::ast::{Instruction, InstructionKind, RunCommand};

/// The words of one command, quotes removed.
pub(super) type Words = Vec<String>;

/// The commands of a RUN in order; none for other instructions.
pub(super) fn commands(item: &Instruction) -> Vec<Words> {
    let InstructionKind::Run(run) = &item.kind else {
        return Vec::new();
    };
    match &run.command {
        RunCommand::Shell(text) => of_script(text.as_str()),
        RunCommand::ShellWithHeredocs { line, .. } => of_script(line.as_str()),
        RunCommand::Heredoc { .. } => item
            .heredocs
            .first()
            .map(|heredoc| of_script(&heredoc.content))
            .unwrap_or_default(),
        RunCommand::Exec(words) => {
            let words: Words = words.iter().map(|word| word.value.clone()).collect();
            match words.as_slice() {
                [shell, flag, script, ..] if shell.ends_with("sh") && flag.ends_with('c') => {
                    of_script(script)
                }
                _ => vec![words],
            }
        }
    }
}

/// Cuts a script at what separates commands, outside of quotes.
fn of_script(text: &str) -> Vec<Words> {
    let mut reader = Reader::default();
    let mut chars = text.chars().peekable();
    while let Some(ch) = chars.next() {
        match (reader.quote, ch) {
            (None | Some('"'), '\\') => match chars.next() {
                Some('\n') | None => {}
                Some(escaped) => reader.push(escaped),
            },
            (None, '\'' | '"') => {
                reader.quote = Some(ch);
                reader.is_word = true;
            }
            (Some(quote), _) if ch == quote => reader.quote = None,
            (Some(_), _) => reader.push(ch),
            (None, '#') if !reader.is_word => {
                while chars.peek().is_some_and(|next| *next != '\n') {
                    chars.next();
                }
            }
            (None, ';' | '|' | '&' | '\n' | '(' | ')') => reader.end_command(),
            (None, ch) if ch.is_whitespace() => reader.end_word(),
            (None, ch) => reader.push(ch),
        }
    }
    reader.end_command();
    reader.commands
}

#[derive(Default)]
struct Reader {
    commands: Vec<Words>,
    words: Words,
    word: String,
    /// Whether a word has begun; it may be empty.
    is_word: bool,
    quote: Option<char>,
}

impl Reader {
    fn push(&mut self, ch: char) {
        self.is_word = true;
        self.word.push(ch);
    }

    fn end_word(&mut self) {
        let word = std::mem::take(&mut self.word);
        if std::mem::take(&mut self.is_word) && !(self.words.is_empty() && is_prefix(&word)) {
            self.words.push(word);
        }
    }

    fn end_command(&mut self) {
        self.end_word();
        let words = std::mem::take(&mut self.words);
        if !words.is_empty() {
            self.commands.push(words);
        }
    }
}

/// What may stand in front of a program: assignments, words of the shell, and programs that run another.
fn is_prefix(word: &str) -> bool {
    const WORDS: [&str; 13] = [
        "!", "{", "}", "do", "else", "env", "exec", "fi", "done", "if", "sudo", "then", "time",
    ];
    let is_assignment = word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    });
    is_assignment || WORDS.contains(&word)
}

/// The program of a command without its directory, and the words behind it that are no flags.
pub(super) fn program(words: &[String]) -> (&str, Vec<&str>) {
    let Some((first, rest)) = words.split_first() else {
        return ("", Vec::new());
    };
    let name = first.rsplit('/').next().unwrap_or(first);
    let mut rest: Vec<&str> = rest.iter().map(String::as_str).collect();
    // `python -m pip install` is pip.
    if name.starts_with("python") && rest.len() > 1 && rest[0] == "-m" {
        let module = rest[1];
        rest.drain(..2);
        return (module, plain(rest));
    }
    (name, plain(rest))
}

fn plain(mut words: Vec<&str>) -> Vec<&str> {
    words.retain(|word| !word.starts_with('-'));
    words
}

#[cfg(test)]
mod tests {
    use super::{of_script, program};

    #[test]
    fn scripts_are_cut_into_commands() {
        for (text, commands) in [
            ("a b && c|d; e", "[a b] [c] [d] [e]"),
            ("a 'b && c' \"d\" e\\ f", "[a b && c d e f]"),
            ("X=1 sudo -E a", "[-E a]"),
            (
                "set -e\n# no\napt-get update # no\nx '#'",
                "[set -e] [apt-get update] [x #]",
            ),
            ("if a; then b; fi", "[a] [b]"),
            ("(cd /x && y)", "[cd /x] [y]"),
            ("a \\\n b", "[a b]"),
            ("", ""),
        ] {
            let found: Vec<String> = of_script(text)
                .iter()
                .map(|words| format!("[{}]", words.join(" ")))
                .collect();
            assert_eq!(found.join(" "), commands, "{text}");
        }
    }

    #[test]
    fn programs_are_named_without_directory_and_flags() {
        for (text, name, rest) in [
            ("/usr/bin/apt-get -y install x", "apt-get", "install x"),
            ("python3 -m pip install -r f", "pip", "install f"),
            ("ls", "ls", ""),
        ] {
            let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
            let (found, plain) = program(&words);
            assert_eq!((found, plain.join(" ").as_str()), (name, rest));
        }
    }
}
