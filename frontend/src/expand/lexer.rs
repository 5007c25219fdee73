//! The scanner that substitutes variables and handles quotes and escapes.

use std::borrow::Cow;

use super::mode::{Escapes, Mode, Quotes, Unset};
use super::pattern::{Pattern, Reach};
use super::{ExpandError, Expanded, ExpandedWords};

/// Answers what a variable is set to.
type Get<'a> = &'a dyn Fn(&str) -> Option<Cow<'a, str>>;

/// Expands a text as one word.
pub(super) fn expand<'a>(text: &'a str, mode: Mode, get: Get<'a>) -> Result<Expanded, ExpandError> {
    let mut lexer = Lexer::new(text, mode, get);
    let mut out = Out::default();
    lexer.until(None, mode.escapes, &mut out)?;
    Ok(Expanded {
        text: out.text,
        unset: lexer.unset,
    })
}

/// Expands a text and splits the result.
pub(super) fn expand_words<'a>(
    text: &'a str,
    mode: Mode,
    get: Get<'a>,
) -> Result<ExpandedWords, ExpandError> {
    let mut lexer = Lexer::new(text, mode, get);
    let mut out = Out {
        splits: true,
        ..Out::default()
    };
    lexer.until(None, mode.escapes, &mut out)?;
    out.end_word();
    Ok(ExpandedWords {
        words: out.words,
        unset: lexer.unset,
    })
}

/// Deeper substitutions are refused, so that no input exhausts the stack.
const MAX_DEPTH: usize = 100;

struct Lexer<'a> {
    text: &'a str,
    /// Byte offset of the next character.
    pos: usize,
    mode: Mode,
    get: Get<'a>,
    unset: Vec<String>,
    /// How escapes are treated right now: patterns keep them, whatever the mode says.
    escapes: Escapes,
    depth: usize,
}

/// Collects the result: the text, or the words of it.
#[derive(Default)]
struct Out {
    text: String,
    words: Vec<String>,
    splits: bool,
}

impl Out {
    /// Adds a character that ends the word when it is a blank.
    fn push(&mut self, ch: char) {
        if self.splits && ch.is_whitespace() {
            self.end_word();
        } else {
            self.text.push(ch);
        }
    }

    fn end_word(&mut self) {
        if !self.text.is_empty() {
            self.words.push(std::mem::take(&mut self.text));
        }
    }
}

impl<'a> Lexer<'a> {
    fn new(text: &'a str, mode: Mode, get: Get<'a>) -> Self {
        Self {
            text,
            pos: 0,
            mode,
            get,
            unset: Vec::new(),
            escapes: mode.escapes,
            depth: 0,
        }
    }

    fn peek(&self) -> Option<char> {
        self.text[self.pos..].chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let ch = self.peek()?;
        self.pos += ch.len_utf8();
        Some(ch)
    }

    fn error(&self, message: impl Into<String>) -> ExpandError {
        ExpandError {
            message: message.into(),
            offset: self.pos,
        }
    }

    /// Reads up to an unquoted `stop`, which is consumed, or to the end when there is none.
    fn until(
        &mut self,
        stop: Option<char>,
        escapes: Escapes,
        out: &mut Out,
    ) -> Result<(), ExpandError> {
        let outer = std::mem::replace(&mut self.escapes, escapes);
        let result = self.until_inner(stop, out);
        self.escapes = outer;
        result
    }

    fn until_inner(&mut self, stop: Option<char>, out: &mut Out) -> Result<(), ExpandError> {
        let knows_quotes = self.mode.quotes != Quotes::Ignore;
        while let Some(ch) = self.peek() {
            if stop == Some(ch) {
                self.bump();
                return Ok(());
            }
            match ch {
                '$' => self.dollar()?.chars().for_each(|ch| out.push(ch)),
                '\'' if knows_quotes => self.single_quoted(out)?,
                '"' if knows_quotes => self.double_quoted(out)?,
                _ if ch == self.mode.escape => self.escaped(out),
                _ => {
                    self.bump();
                    out.push(ch);
                }
            }
        }
        match stop {
            Some(stop) => Err(self.error(format!("{UNFINISHED} {stop}"))),
            None => Ok(()),
        }
    }

    /// Outside double quotes the escape character escapes anything; a lone one at the end vanishes.
    fn escaped(&mut self, out: &mut Out) {
        let escape = self.bump();
        if self.escapes == Escapes::Keep {
            out.text.extend(escape);
        }
        out.text.extend(self.bump());
    }

    fn single_quoted(&mut self, out: &mut Out) -> Result<(), ExpandError> {
        let keep = self.mode.quotes == Quotes::Keep;
        let opening = self.pos;
        let inside = opening + 1;
        let Some(len) = self.text[inside..].find('\'') else {
            self.pos = self.text.len();
            return Err(self.error(format!("{UNFINISHED} single-quote")));
        };
        self.pos = inside + len + 1;
        let range = if keep {
            opening..self.pos
        } else {
            inside..inside + len
        };
        out.text.push_str(&self.text[range]);
        Ok(())
    }

    fn double_quoted(&mut self, out: &mut Out) -> Result<(), ExpandError> {
        let keep = self.mode.quotes == Quotes::Keep;
        let quote = self.bump();
        if keep {
            out.text.extend(quote);
        }
        loop {
            match self.peek() {
                None => return Err(self.error(format!("{UNFINISHED} double-quote"))),
                Some('"') => {
                    self.bump();
                    if keep {
                        out.text.push('"');
                    }
                    return Ok(());
                }
                Some('$') => out.text.push_str(&self.dollar()?),
                Some(ch) if ch == self.mode.escape => self.escaped_in_quotes(out),
                Some(ch) => {
                    self.bump();
                    out.text.push(ch);
                }
            }
        }
    }

    /// Inside double quotes only `"`, `$` and the escape character can be escaped.
    fn escaped_in_quotes(&mut self, out: &mut Out) {
        let escape = self.mode.escape;
        self.bump();
        match self.peek() {
            Some(ch) if ch == '"' || ch == '$' || ch == escape => {
                if self.escapes == Escapes::Keep {
                    out.text.push(escape);
                }
                self.bump();
                out.text.push(ch);
            }
            _ => out.text.push(escape),
        }
    }

    /// Reads what starts with `$` and returns its value.
    fn dollar(&mut self) -> Result<String, ExpandError> {
        let start = self.pos;
        self.bump();
        if self.peek() != Some('{') {
            let name = self.name();
            return Ok(match name {
                "" => "$".to_owned(),
                _ => self.plain(name, start),
            });
        }
        self.bump();
        if self.depth == MAX_DEPTH {
            return Err(self.error("syntax error: substitutions are nested too deeply"));
        }
        self.depth += 1;
        let value = self.braced(start);
        self.depth -= 1;
        value
    }

    /// Reads the rest of `${...}`.
    fn braced(&mut self, start: usize) -> Result<String, ExpandError> {
        match self.peek() {
            None => return Err(self.error(MISSING_BRACE)),
            Some('{' | '}' | ':') => return Err(self.error("syntax error: bad substitution")),
            Some(_) => {}
        }
        let name = self.name();
        let modifier_at = self.pos;
        match self.bump() {
            None => Err(self.error(MISSING_BRACE)),
            Some('}') => Ok(self.plain(name, start)),
            Some('/') => self.replacement(name, start),
            Some(':') => match self.bump() {
                Some(ch @ ('#' | '%')) => Err(self.unsupported(&format!(":{ch}"), modifier_at)),
                modifier => self.modified(name, start, modifier_at, modifier),
            },
            Some(ch @ ('+' | '-' | '?' | '#' | '%')) => {
                self.modified(name, start, modifier_at, Some(ch))
            }
            Some(ch) => Err(self.unsupported(&ch.to_string(), modifier_at)),
        }
    }

    fn unsupported(&self, modifier: &str, offset: usize) -> ExpandError {
        let message = format!("unsupported modifier ({modifier}) in substitution");
        ExpandError {
            offset,
            ..self.error(message)
        }
    }

    /// The value of `$name` and `${name}`.
    fn plain(&mut self, name: &str, start: usize) -> String {
        match self.lookup(name) {
            Some(value) => value.into_owned(),
            None => self.missing(name, start),
        }
    }

    fn lookup(&self, name: &str) -> Option<Cow<'a, str>> {
        (self.get)(name)
    }

    /// The value of an unset variable whose text starts at `start` and ends here.
    fn missing(&mut self, name: &str, start: usize) -> String {
        // Positional and special parameters are nobody's forgotten ARG.
        let is_name = name.starts_with(|ch: char| ch.is_alphabetic() || ch == '_');
        if is_name && !self.unset.iter().any(|known| known == name) {
            self.unset.push(name.to_owned());
        }
        self.literal_or_empty(start)
    }

    fn literal_or_empty(&self, start: usize) -> String {
        match self.mode.unset {
            Unset::Empty => String::new(),
            Unset::Literal => self.text[start..self.pos].to_owned(),
        }
    }

    /// Reads the word of `${name-word}` and its relatives, the modifier being consumed.
    fn modified(
        &mut self,
        name: &str,
        start: usize,
        modifier_at: usize,
        modifier: Option<char>,
    ) -> Result<String, ExpandError> {
        let is_pattern = matches!(modifier, Some('#' | '%'));
        let word_at = self.pos;
        let word = self.nested(
            '}',
            if is_pattern {
                Escapes::Keep
            } else {
                Escapes::Remove
            },
        )?;
        let value = self.lookup(name);
        if value.is_none() && self.mode.unset == Unset::Literal {
            return Ok(self.literal_or_empty(start));
        }
        let with_colon = self.text[modifier_at..].starts_with(':');
        let usable = value
            .as_ref()
            .is_some_and(|value| !with_colon || !value.is_empty());
        match modifier {
            Some('-') => Ok(if usable {
                value.unwrap_or_default().into_owned()
            } else {
                word
            }),
            Some('+') => Ok(if usable { word } else { String::new() }),
            Some('?') if usable => Ok(value.unwrap_or_default().into_owned()),
            Some('?') => {
                let reason = refusal(&word, value.is_some());
                Err(ExpandError {
                    offset: start,
                    ..self.error(format!("{name}: {reason}"))
                })
            }
            Some(side @ ('#' | '%')) => {
                // Of a variable that is not set the pattern is looked at all the same.
                let value = value.unwrap_or_else(|| self.missing(name, start).into());
                trim(side, &word, &value).map_err(|message| ExpandError {
                    message,
                    offset: word_at,
                })
            }
            _ => {
                let len = modifier.map_or(0, char::len_utf8);
                let shown = &self.text[modifier_at..=modifier_at + len];
                Err(self.unsupported(shown, modifier_at))
            }
        }
    }

    /// Reads `pattern/replacement}` behind the first slash.
    fn replacement(&mut self, name: &str, start: usize) -> Result<String, ExpandError> {
        let all = self.peek() == Some('/');
        if all {
            self.bump();
        }
        let pattern_at = self.pos;
        let pattern = self.part('/', Escapes::Keep, "syntax error: missing '/' in ${}")?;
        let replacement = self.nested('}', Escapes::Keep)?;
        let value = match self.lookup(name) {
            Some(value) => value,
            None if self.mode.unset == Unset::Literal => return Ok(self.missing(name, start)),
            // A pattern may match nothing at all, as in an empty value.
            None => self.missing(name, start).into(),
        };
        let compiled = compile(&pattern).map_err(|message| ExpandError {
            message,
            offset: pattern_at,
        })?;
        Ok(if all {
            compiled.replace_all(&value, &replacement)
        } else {
            compiled.replace_first(&value, &replacement)
        })
    }

    fn nested(&mut self, stop: char, escapes: Escapes) -> Result<String, ExpandError> {
        self.part(stop, escapes, MISSING_BRACE)
    }

    /// Reads up to `stop`; running out of text is reported as `missing`.
    fn part(&mut self, stop: char, escapes: Escapes, missing: &str) -> Result<String, ExpandError> {
        let mut out = Out::default();
        match self.until(Some(stop), escapes, &mut out) {
            Ok(()) => Ok(out.text),
            Err(_) if self.peek().is_none() => Err(self.error(missing)),
            Err(error) => Err(error),
        }
    }

    /// Reads a variable's name, a run of digits, or one special parameter; may be empty.
    fn name(&mut self) -> &'a str {
        let text: &'a str = self.text;
        let rest = &text[self.pos..];
        let len = match rest.chars().next() {
            Some(ch) if ch.is_numeric() => prefix_len(rest, char::is_numeric),
            Some('@' | '*' | '#' | '?' | '-' | '$' | '!') => 1,
            _ => prefix_len(rest, |ch| ch.is_alphanumeric() || ch == '_'),
        };
        self.pos += len;
        &rest[..len]
    }
}

const UNFINISHED: &str = "unexpected end of statement while looking for matching";
const MISSING_BRACE: &str = "syntax error: missing '}'";

fn prefix_len(text: &str, accepts: impl Fn(char) -> bool) -> usize {
    text.find(|ch| !accepts(ch)).unwrap_or(text.len())
}

/// The message of `${v?word}`.
fn refusal(word: &str, is_set: bool) -> &str {
    match (word, is_set) {
        ("", false) => "is not allowed to be unset",
        ("", true) => "is not allowed to be empty",
        _ => word,
    }
}

fn compile(pattern: &str) -> Result<Pattern, String> {
    Pattern::new(pattern)
        .map_err(|reason| format!("invalid pattern ({pattern}) in substitution: {reason}"))
}

/// Trims by `#`, `##`, `%` or `%%`; a doubled sign is the first character of `word`.
fn trim(side: char, word: &str, value: &str) -> Result<String, String> {
    let (pattern, reach) = match word.strip_prefix(side) {
        Some(rest) => (rest, Reach::Longest),
        None => (word, Reach::Shortest),
    };
    let pattern = compile(pattern)?;
    Ok(match side {
        '#' => pattern.trim_prefix(value, reach),
        _ => pattern.trim_suffix(value, reach),
    })
}
