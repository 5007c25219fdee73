use crate::FilesError;

/// A parsed `--chmod`: octal digits or a symbolic list such as `u=rwX,go=rX`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModeSpec(Form);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    Octal(u32),
    Symbolic(Vec<Clause>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Clause {
    who: u32,
    operations: Vec<(Operator, Vec<Permission>)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Add,
    Remove,
    Set,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Permission {
    Bits(u32),
    ExecuteIfAny,
    SetId,
    Sticky,
    CopyOf(u32),
}

const USER: u32 = 0o4700;
const GROUP: u32 = 0o2070;
const OTHER: u32 = 0o0007;
const STICKY: u32 = 0o1000;

impl ModeSpec {
    /// Parses what the user wrote.
    pub fn parse(text: &str) -> Result<Self, FilesError> {
        let error = || FilesError::Mode(text.to_owned());
        if text.is_empty() {
            return Err(error());
        }
        if text.starts_with(|c: char| c.is_ascii_digit()) {
            let mode = u32::from_str_radix(text, 8).map_err(|_| error())?;
            return if mode <= 0o7777 {
                Ok(Self(Form::Octal(mode)))
            } else {
                Err(error())
            };
        }
        let clauses: Option<Vec<Clause>> = text.split(',').map(clause).collect();
        Ok(Self(Form::Symbolic(clauses.ok_or_else(error)?)))
    }

    /// The mode, when it does not depend on what it is applied to.
    pub fn octal(&self) -> Option<u32> {
        match self.0 {
            Form::Octal(mode) => Some(mode),
            Form::Symbolic(_) => None,
        }
    }

    /// The mode of directories that are made on the way: octal digits without the special bits,
    /// and 0755 otherwise (S35).
    pub(crate) fn of_made_dirs(&self) -> u32 {
        self.octal().map_or(0o755, |mode| mode & 0o777)
    }

    /// The mode of a file or directory that had `mode`.
    pub fn apply(&self, mode: u32, is_dir: bool) -> u32 {
        match &self.0 {
            Form::Octal(mode) => *mode,
            Form::Symbolic(clauses) => clauses
                .iter()
                .fold(mode, |mode, clause| clause.apply(mode, is_dir)),
        }
    }
}

impl Clause {
    fn apply(&self, mode: u32, is_dir: bool) -> u32 {
        self.operations
            .iter()
            .fold(mode, |mode, (operator, permissions)| {
                let bits = permissions.iter().fold(0, |bits, permission| {
                    bits | permission.bits(mode, self.who, is_dir)
                });
                match operator {
                    Operator::Add => mode | bits,
                    Operator::Remove => mode & !bits,
                    Operator::Set => {
                        mode & !(self.who & 0o777) & !(self.who & special(self.who)) | bits
                    }
                }
            })
    }
}

/// The special bits that `=` clears for these classes.
fn special(who: u32) -> u32 {
    who & 0o7000
}

impl Permission {
    fn bits(self, mode: u32, who: u32, is_dir: bool) -> u32 {
        match self {
            Self::Bits(bits) => bits & who,
            Self::ExecuteIfAny if is_dir || mode & 0o111 != 0 => 0o111 & who,
            Self::ExecuteIfAny => 0,
            Self::SetId => 0o6000 & who,
            Self::Sticky => STICKY & (who | if who == all() { STICKY } else { 0 }),
            Self::CopyOf(class) => {
                let three = mode & class & 0o777;
                let one = three >> 6 | three >> 3 & 7 | three & 7;
                (one << 6 | one << 3 | one) & who & 0o777
            }
        }
    }
}

fn all() -> u32 {
    USER | GROUP | OTHER | STICKY
}

fn clause(text: &str) -> Option<Clause> {
    let start = text.find(['+', '-', '='])?;
    let mut who = 0;
    for class in text[..start].chars() {
        who |= match class {
            'u' => USER,
            'g' => GROUP,
            'o' => OTHER,
            'a' => all(),
            _ => return None,
        };
    }
    let mut clause = Clause {
        who: if who == 0 { all() } else { who },
        operations: Vec::new(),
    };
    let mut rest = &text[start..];
    while let Some(first) = rest.chars().next() {
        let operator = match first {
            '+' => Operator::Add,
            '-' => Operator::Remove,
            '=' => Operator::Set,
            _ => return None,
        };
        rest = &rest[1..];
        let end = rest.find(['+', '-', '=']).unwrap_or(rest.len());
        let permissions: Option<Vec<Permission>> = rest[..end].chars().map(permission).collect();
        clause.operations.push((operator, permissions?));
        rest = &rest[end..];
    }
    Some(clause)
}

fn permission(letter: char) -> Option<Permission> {
    Some(match letter {
        'r' => Permission::Bits(0o444),
        'w' => Permission::Bits(0o222),
        'x' => Permission::Bits(0o111),
        'X' => Permission::ExecuteIfAny,
        's' => Permission::SetId,
        't' => Permission::Sticky,
        'u' => Permission::CopyOf(USER),
        'g' => Permission::CopyOf(GROUP),
        'o' => Permission::CopyOf(OTHER),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn applies_modes() {
        for (spec, from, is_dir, to) in [
            ("755", 0o600, false, 0o755),
            ("4755", 0o600, false, 0o4755),
            ("0", 0o777, false, 0),
            ("u=rwX,go=rX", 0o644, false, 0o644),
            ("u=rwX,go=rX", 0o700, false, 0o755),
            ("u=rwX,go=rX", 0o600, true, 0o755),
            ("+x", 0o644, false, 0o755),
            ("a-w", 0o666, false, 0o444),
            ("u+s", 0o755, false, 0o4755),
            ("g+s,o-rx", 0o755, false, 0o2750),
            ("+t", 0o777, true, 0o1777),
            ("go=u", 0o640, false, 0o666),
            ("u=", 0o4755, false, 0o055),
            ("u+r-w", 0o300, false, 0o500),
        ] {
            let spec_parsed = ModeSpec::parse(spec).unwrap();
            assert_eq!(spec_parsed.apply(from, is_dir), to, "{spec} on {from:o}");
        }
    }

    #[test]
    fn refuses_garbage() {
        for text in ["", "64a", "10000", "8", "u", "z+x", "u+q", "u=rwx,"] {
            let error = ModeSpec::parse(text).unwrap_err().to_string();
            assert!(
                error.starts_with("invalid chmod parameter: '"),
                "{text}: {error}"
            );
        }
    }
}
