//! Patterns with `**`, run as a set of states, so that no pattern costs more than its length times the path's.

use crate::class::Class;
use crate::error::PatternError;
use crate::go::GoPattern;
use crate::text::first_char;

/// A compiled pattern of an ignore file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Glob {
    tokens: Vec<Token>,
    /// The whole pattern, when it is a plain path.
    literal: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Char(char),
    /// `?`: anything but `/`.
    Any,
    /// `*`: any number of anything but `/`.
    Star,
    Class(Class),
    /// `**` at the end, or in front of a plain suffix: anything.
    Rest,
    /// `**` in front of more: nothing, or anything that ends with `/`. Always followed by `DirsInner`.
    Dirs,
    /// Inside what `Dirs` matches.
    DirsInner,
}

impl Glob {
    /// Compiles a pattern; what Go's matcher refuses is refused here, too.
    pub(crate) fn new(pattern: &str) -> Result<Self, PatternError> {
        GoPattern::new(pattern)?;
        let tokens = compile(pattern).ok_or_else(|| PatternError::new(pattern))?;
        let is_literal = tokens.iter().all(|token| matches!(token, Token::Char(_)));
        let literal = is_literal.then(|| {
            tokens
                .iter()
                .filter_map(|token| {
                    if let Token::Char(ch) = token {
                        Some(*ch)
                    } else {
                        None
                    }
                })
                .collect()
        });
        Ok(Self { tokens, literal })
    }

    /// Says whether the whole path matches.
    pub(crate) fn matches(&self, path: &[u8]) -> bool {
        if let Some(literal) = &self.literal {
            return literal.as_bytes() == path;
        }
        let mut run = Run::new(&self.tokens);
        run.feed(path);
        run.is_accepted()
    }

    /// Says whether the path or one of its parents matches.
    pub(crate) fn matches_or_parent(&self, path: &[u8]) -> bool {
        if let Some(literal) = &self.literal {
            let behind = path.strip_prefix(literal.as_bytes());
            return behind.is_some_and(|behind| matches!(behind.first(), None | Some(b'/')));
        }
        let mut run = Run::new(&self.tokens);
        let mut rest = path;
        while let Some((ch, behind)) = first_char(rest) {
            if ch == '/' && run.is_accepted() {
                return true;
            }
            run.step(ch);
            if run.is_dead() {
                return false;
            }
            rest = behind;
        }
        run.is_accepted()
    }

    /// Says whether a path below `dir` could match; `""` is the root.
    pub(crate) fn may_match_below(&self, dir: &[u8]) -> bool {
        if dir.is_empty() {
            return true;
        }
        let mut run = Run::new(&self.tokens);
        run.feed(dir);
        run.step('/');
        run.can_go_on()
    }
}

fn compile(pattern: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = pattern;
    while let Some(ch) = rest.chars().next() {
        let is_start = rest.len() == pattern.len();
        rest = &rest[ch.len_utf8()..];
        match ch {
            '*' => match rest.strip_prefix('*') {
                Some(behind) => rest = double_star(behind, is_start, &mut tokens),
                None => tokens.push(Token::Star),
            },
            '?' => tokens.push(Token::Any),
            '[' => {
                let (class, behind) = Class::read(rest)?;
                rest = behind;
                tokens.push(Token::Class(class));
            }
            '\\' => {
                let escaped = rest.chars().next()?;
                rest = &rest[escaped.len_utf8()..];
                tokens.push(Token::Char(escaped));
            }
            _ => tokens.push(Token::Char(ch)),
        }
    }
    Some(tokens)
}

/// Adds the tokens for `**` and returns what follows, the slash behind it included in the match.
fn double_star<'p>(behind: &'p str, is_start: bool, tokens: &mut Vec<Token>) -> &'p str {
    let (rest, has_slash) = match behind.strip_prefix('/') {
        Some(rest) => (rest, true),
        None => (behind, false),
    };
    // Other builders take `**.log`, being plain behind the stars, as a suffix of the path and not of a name's start.
    let is_suffix = is_start && !has_slash && !rest.contains(['*', '?', '[', ']', '\\']);
    if rest.is_empty() || is_suffix {
        tokens.push(Token::Rest);
    } else {
        tokens.extend([Token::Dirs, Token::DirsInner]);
    }
    rest
}

/// The set of token positions that the text read so far can have led to.
struct Run<'t> {
    tokens: &'t [Token],
    active: Vec<usize>,
    next: Vec<usize>,
    /// The step in which a position was added last.
    added: Vec<u32>,
    step: u32,
}

impl<'t> Run<'t> {
    fn new(tokens: &'t [Token]) -> Self {
        let mut run = Self {
            tokens,
            active: Vec::new(),
            next: Vec::new(),
            added: vec![0; tokens.len() + 1],
            step: 1,
        };
        run.add(0);
        std::mem::swap(&mut run.active, &mut run.next);
        run
    }

    /// Adds a position and all that can be reached from it without a character.
    fn add(&mut self, position: usize) {
        let mut at = position;
        while self.insert(at) {
            match self.tokens.get(at) {
                Some(Token::Star | Token::Rest) => at += 1,
                Some(Token::Dirs) => {
                    self.insert(at + 1);
                    at += 2;
                }
                _ => return,
            }
        }
    }

    /// Adds one position; `false` when it was there already.
    fn insert(&mut self, at: usize) -> bool {
        if self.added[at] == self.step {
            return false;
        }
        self.added[at] = self.step;
        self.next.push(at);
        true
    }

    fn feed(&mut self, text: &[u8]) {
        let mut rest = text;
        while let Some((ch, behind)) = first_char(rest) {
            self.step(ch);
            if self.is_dead() {
                return;
            }
            rest = behind;
        }
    }

    fn step(&mut self, ch: char) {
        self.step += 1;
        let active = std::mem::take(&mut self.active);
        for at in &active {
            let at = *at;
            match self.tokens.get(at) {
                Some(Token::Char(expected)) if ch == *expected => self.add(at + 1),
                Some(Token::Any) if ch != '/' => self.add(at + 1),
                Some(Token::Class(class)) if class.contains(ch) => self.add(at + 1),
                Some(Token::Star) if ch != '/' => self.add(at),
                Some(Token::Rest) => self.add(at),
                Some(Token::DirsInner) => {
                    self.add(at);
                    if ch == '/' {
                        self.add(at + 1);
                    }
                }
                _ => {}
            }
        }
        self.active = std::mem::replace(&mut self.next, active);
        self.next.clear();
    }

    fn is_dead(&self) -> bool {
        self.active.is_empty()
    }

    fn is_accepted(&self) -> bool {
        self.active.contains(&self.tokens.len())
    }

    /// Says whether one more character can be matched.
    fn can_go_on(&self) -> bool {
        self.active.iter().any(|at| *at < self.tokens.len())
    }
}
