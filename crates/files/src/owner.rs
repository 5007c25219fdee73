use crate::{FilesError, Tree};
use std::path::Path;

/// Who owns a file, or who a process is, by number.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Owner {
    /// The user.
    pub uid: u32,
    /// The primary group.
    pub gid: u32,
}

/// Who a process is, with all that follows from its name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Account {
    /// The user and the primary group.
    pub owner: Owner,
    /// All groups, the primary one first and each once.
    pub groups: Vec<u32>,
    /// The home directory, if the user has an entry.
    pub home: Option<String>,
}

const PASSWD: &str = "etc/passwd";
const GROUP: &str = "etc/group";
/// Longer files are cut: no real one comes near, and a hostile one must not fill the memory.
const MAX_FILE: u64 = 8 << 20;

impl Owner {
    /// Resolves `--chown`: `user`, `user:group`, by name in `base` or by number.
    ///
    /// A number alone is user and group; a name alone has its primary group (S37). An unknown name
    /// is an error that says which file was searched.
    pub fn resolve(spec: &str, base: &dyn Tree) -> Result<Self, FilesError> {
        let (user, group) = split(spec);
        let (uid, primary) = match number(user) {
            Some(uid) => (uid, uid),
            None if user.is_empty() => (0, 0),
            None => {
                let entry = find_user(base, |entry| entry.name == user)?;
                let entry = entry.ok_or_else(|| no_such("user", user, "/etc/passwd"))?;
                (entry.uid, entry.gid)
            }
        };
        let gid = match group.filter(|group| !group.is_empty()) {
            None => primary,
            Some(group) => resolve_group(group, base)?,
        };
        Ok(Self { uid, gid })
    }
}

impl Account {
    /// Resolves `USER`: a name or number with its supplementary groups, or `user:group` without
    /// them (S63). An unknown number is allowed and has group 0.
    pub fn resolve(spec: &str, base: &dyn Tree) -> Result<Self, FilesError> {
        let (user, group) = split(spec);
        let user = if user.is_empty() { "0" } else { user };
        let uid = number(user);
        let entry = find_user(base, |entry| match uid {
            Some(uid) => entry.uid == uid,
            None => entry.name == user,
        })?;
        let (uid, primary) = match (&entry, uid) {
            (Some(entry), _) => (entry.uid, entry.gid),
            (None, Some(uid)) => (uid, 0),
            (None, None) => return Err(no_such("user", user, "/etc/passwd")),
        };
        let home = entry.as_ref().map(|entry| entry.home.clone());
        if let Some(group) = group.filter(|group| !group.is_empty()) {
            let gid = resolve_group(group, base)?;
            return Ok(Self {
                owner: Owner { uid, gid },
                groups: vec![gid],
                home,
            });
        }
        let mut groups = vec![primary];
        if let Some(entry) = &entry {
            for line in read(base, GROUP)?.lines() {
                if let Some((gid, true)) = membership(line, &entry.name)
                    && !groups.contains(&gid)
                {
                    groups.push(gid);
                }
            }
        }
        Ok(Self {
            owner: Owner { uid, gid: primary },
            groups,
            home,
        })
    }
}

struct User {
    name: String,
    uid: u32,
    gid: u32,
    home: String,
}

fn split(spec: &str) -> (&str, Option<&str>) {
    match spec.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (spec, None),
    }
}

/// A number that can be an owner: the largest one means nobody to the kernel.
fn number(text: &str) -> Option<u32> {
    let number = text
        .bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| text.parse().ok())?;
    number.filter(|number| *number != u32::MAX)
}

fn resolve_group(group: &str, base: &dyn Tree) -> Result<u32, FilesError> {
    if let Some(gid) = number(group) {
        return Ok(gid);
    }
    let text = read(base, GROUP)?;
    let found = text.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(group)).then(|| number(fields.nth(1)?))?
    });
    found.ok_or_else(|| no_such("group", group, "/etc/group"))
}

/// The gid of a line of /etc/group, and whether `user` is one of its members.
fn membership(line: &str, user: &str) -> Option<(u32, bool)> {
    let mut fields = line.split(':').skip(2);
    let gid = number(fields.next()?)?;
    Some((
        gid,
        fields
            .next()?
            .split(',')
            .any(|member| member.trim() == user),
    ))
}

fn find_user(base: &dyn Tree, wanted: impl Fn(&User) -> bool) -> Result<Option<User>, FilesError> {
    let text = read(base, PASSWD)?;
    Ok(text.lines().filter_map(parse_user).find(wanted))
}

fn parse_user(line: &str) -> Option<User> {
    let mut fields = line.split(':');
    let name = fields.next()?.to_owned();
    let uid = number(fields.nth(1)?)?;
    let gid = number(fields.next()?)?;
    let home = fields.nth(1).unwrap_or("").to_owned();
    Some(User {
        name,
        uid,
        gid,
        home,
    })
}

/// An absent file is an empty one: `USER 1000` on scratch needs no /etc/passwd.
fn read(base: &dyn Tree, path: &str) -> Result<String, FilesError> {
    let bytes = base
        .read_small(Path::new(path), MAX_FILE)?
        .unwrap_or_default();
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn no_such(kind: &'static str, name: &str, file: &'static str) -> FilesError {
    FilesError::NoSuchName {
        kind,
        name: name.to_owned(),
        file,
    }
}
