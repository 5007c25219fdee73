//! [`MountSpec`]: a [`StepMount`] as it travels to the launcher.

use acetate_stdx::Redacted;
use serde::{Deserialize, Serialize};

use crate::error::ExecError;
use crate::request::{ExecRequest, MountKind, StepMount};
use crate::spec::{RootSpec, text};

/// [`StepMount`] with paths that can be sent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct MountSpec {
    pub(crate) target: String,
    pub(crate) source: SourceSpec,
    pub(crate) read_only: bool,
}

/// [`MountKind`] with paths that can be sent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum SourceSpec {
    Snapshot {
        root: RootSpec,
        path: String,
    },
    Directory {
        dir: String,
        path: String,
    },
    Tmpfs {
        size: Option<u64>,
    },
    File {
        #[serde(with = "secret")]
        bytes: Redacted<Vec<u8>>,
        owner: Owner,
    },
    Socket {
        path: String,
        owner: Owner,
    },
}

/// Who may use a file, as the step sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Owner {
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// A variable whose value is a secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SecretVariable {
    pub(crate) name: String,
    #[serde(with = "secret")]
    pub(crate) value: Redacted<String>,
}

/// The control socket is the only place that a secret is written to.
mod secret {
    use super::{Deserialize, Redacted, Serialize};

    pub(super) fn serialize<T: Serialize, S: serde::Serializer>(
        secret: &Redacted<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        secret.expose().serialize(serializer)
    }

    pub(super) fn deserialize<'de, T: Deserialize<'de>, D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Redacted<T>, D::Error> {
        T::deserialize(deserializer).map(Redacted::new)
    }
}

impl MountSpec {
    /// Checks `mount` and returns what the launcher is told.
    pub(crate) fn new(mount: &StepMount) -> Result<Self, ExecError> {
        check_target(&mount.target)?;
        let path_inside = |path: &str| {
            if path.contains('\0') {
                return Err(invalid(mount, "its source holds a NUL byte"));
            }
            Ok(path.to_owned())
        };
        let source = match &mount.source {
            MountKind::Snapshot { root, path } => SourceSpec::Snapshot {
                root: RootSpec::try_from(root)?,
                path: path_inside(path)?,
            },
            MountKind::Directory { dir, path } => SourceSpec::Directory {
                dir: text(dir)?,
                path: path_inside(path)?,
            },
            MountKind::Tmpfs { size: Some(0) } => {
                return Err(invalid(mount, "a size of 0 holds nothing"));
            }
            MountKind::Tmpfs { size } => SourceSpec::Tmpfs { size: *size },
            MountKind::File {
                bytes,
                mode,
                uid,
                gid,
            } => SourceSpec::File {
                bytes: bytes.clone(),
                owner: Owner::new(*mode, *uid, *gid),
            },
            MountKind::Socket {
                path,
                mode,
                uid,
                gid,
            } => SourceSpec::Socket {
                path: text(path)?,
                owner: Owner::new(*mode, *uid, *gid),
            },
        };
        Ok(Self {
            target: mount.target.clone(),
            source,
            read_only: mount.read_only,
        })
    }

    /// Whose it is, where that is for the mount to say.
    pub(crate) fn owner(&self) -> Option<Owner> {
        match &self.source {
            SourceSpec::File { owner, .. } | SourceSpec::Socket { owner, .. } => Some(*owner),
            _ => None,
        }
    }
}

impl Owner {
    /// Nothing mounted is ever set-id, so those bits would say something untrue.
    fn new(mode: u32, uid: u32, gid: u32) -> Self {
        Self {
            mode: mode & 0o777,
            uid,
            gid,
        }
    }
}

/// Returns the secret variables of a request.
pub(crate) fn variables(request: &ExecRequest) -> Result<Vec<SecretVariable>, ExecError> {
    let variable = |(name, value): &(String, Redacted<String>)| {
        if name.is_empty() || name.contains(['=', '\0']) {
            let why = format!("`{}` is no name of a variable", name.escape_default());
            return Err(ExecError::Invalid(why));
        }
        if value.expose().contains('\0') {
            let why = format!("the secret for the variable `{name}` holds a NUL byte");
            return Err(ExecError::Invalid(why));
        }
        Ok(SecretVariable {
            name: name.clone(),
            value: value.clone(),
        })
    };
    request.secret_env.iter().map(variable).collect()
}

fn invalid(mount: &StepMount, why: &str) -> ExecError {
    ExecError::Mount {
        target: mount.target.clone(),
        reason: why.into(),
    }
}

/// Links are for the launcher; what no link can make valid fails here.
fn check_target(target: &str) -> Result<(), ExecError> {
    let refuse = |reason: &str| {
        Err(ExecError::Mount {
            target: target.escape_default().to_string(),
            reason: reason.into(),
        })
    };
    if target.contains('\0') {
        return refuse("it holds a NUL byte");
    }
    if !target.starts_with('/') {
        return refuse("the target is not an absolute path");
    }
    let mut depth = 0_usize;
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => depth = depth.saturating_sub(1),
            _ => depth += 1,
        }
    }
    if depth == 0 {
        return refuse("the root itself cannot be a mount target");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(target: &str) -> StepMount {
        StepMount {
            target: target.into(),
            source: MountKind::Tmpfs { size: None },
            read_only: false,
        }
    }

    #[test]
    fn targets_that_cannot_be_are_refused() {
        let root = "the root itself cannot be a mount target";
        let relative = "the target is not an absolute path";
        for (target, reason) in [
            ("", relative),
            ("a", relative),
            ("/", root),
            ("//./", root),
            ("/a/..", root),
            ("/a\0", "it holds a NUL byte"),
        ] {
            let error = MountSpec::new(&mount(target)).unwrap_err();
            let ExecError::Mount { reason: got, .. } = error else {
                panic!("{error:?}");
            };
            assert_eq!(got, reason, "{target:?}");
        }
        assert_eq!(MountSpec::new(&mount("/a/./b/")).unwrap().target, "/a/./b/");
    }

    #[test]
    fn secrets_survive_the_wire_and_are_not_shown() {
        let file = StepMount {
            target: "/s".into(),
            source: MountKind::File {
                bytes: Redacted::new(b"hunter2\xff".to_vec()),
                mode: 0o4400,
                uid: 1,
                gid: 2,
            },
            read_only: true,
        };
        let spec = MountSpec::new(&file).unwrap();
        assert!(!format!("{spec:?}{file:?}").contains("hunter2"));
        assert!(!format!("{spec:?}{file:?}").contains("104, 117"));
        let bytes = serde_json::to_vec(&spec).unwrap();
        let back: MountSpec = serde_json::from_slice(&bytes).unwrap();
        let SourceSpec::File { bytes, owner } = back.source else {
            panic!("{back:?}");
        };
        assert_eq!(bytes.expose(), b"hunter2\xff");
        assert_eq!((owner.mode, owner.uid, owner.gid), (0o400, 1, 2));
    }
}
