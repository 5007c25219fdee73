//! Which cache mount people mean.

use super::find::{bare, mount_line, one};
use crate::BuildError;
use crate::cache_mounts::{begins_empty, identity};
use crate::engine::Engine;
use acetate_oci::Digest;
use acetate_store::{CacheMountItem, CacheMountName};

/// So many digits of a key are what lists show; less of one may as well be an id.
const SHOWN: usize = 12;

/// A cache mount by its id, and by what a new directory begins with where that is said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MountName {
    /// The id in the Dockerfile; for one that is here, the beginning of its key is as good.
    pub id: String,
    /// The mode of an empty directory.
    pub mode: Option<u32>,
    /// Its owner.
    pub uid: Option<u32>,
    /// Its group.
    pub gid: Option<u32>,
}

/// A cache mount that is here or can be made.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) identity: Digest,
    pub(super) name: CacheMountName,
}

impl MountName {
    /// The mode, owner and group of the directory, as a Dockerfile without them has them.
    fn attributes(&self) -> (u32, u32, u32) {
        let (uid, gid) = (self.uid.unwrap_or(0), self.gid.unwrap_or(0));
        (self.mode.unwrap_or(0o755), uid, gid)
    }

    fn begins(&self) -> String {
        let (mode, uid, gid) = self.attributes();
        begins_empty(mode, uid, gid)
    }

    fn has_attributes(&self) -> bool {
        self.mode.is_some() || self.uid.is_some() || self.gid.is_some()
    }

    fn fits(&self, mount: &CacheMountItem) -> bool {
        if let Some(name) = mount.name.as_ref().filter(|name| name.id == self.id) {
            return !self.has_attributes() || name.begins == self.begins();
        }
        let key = bare(&self.id);
        key.len() >= SHOWN && !self.has_attributes() && mount.identity.hex().starts_with(key)
    }
}

impl Engine {
    /// The one cache mount that is called so.
    ///
    /// # Errors
    /// When there is none, or there are several.
    pub fn named_mount(&self, name: &MountName) -> Result<CacheMountItem, BuildError> {
        let mounts = self.cache_mounts()?;
        let fitting = mounts.into_iter().filter(|mount| name.fits(mount));
        one(fitting.collect(), &name.id, "cache mount", mount_line)
    }

    /// The one cache mount that is called so, or the one that a step with such a mount would make.
    pub(super) fn target(&self, name: &MountName) -> Result<Target, BuildError> {
        let mounts = self.cache_mounts()?;
        let fitting: Vec<_> = mounts.into_iter().filter(|it| name.fits(it)).collect();
        if fitting.is_empty() {
            let begins = name.begins();
            return Ok(Target {
                identity: identity(&name.id, &begins),
                name: CacheMountName {
                    id: name.id.clone(),
                    begins,
                },
            });
        }
        let mount = one(fitting, &name.id, "cache mount", mount_line)?;
        let nameless = || {
            BuildError::request_with(
                format!("the cache mount {} has no name yet", mount.identity.hex()),
                "let a step use it once, so that its id is known",
            )
        };
        Ok(Target {
            identity: mount.identity,
            name: mount.name.clone().ok_or_else(nameless)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(id: &str, begins: &str) -> CacheMountItem {
        CacheMountItem {
            identity: identity(id, begins),
            name: Some(CacheMountName {
                id: id.to_owned(),
                begins: begins.to_owned(),
            }),
            dirs: Vec::new(),
        }
    }

    #[test]
    fn a_name_fits_by_id_and_attributes_or_by_what_lists_show_of_its_key() {
        let name = |id: &str, uid| MountName {
            id: id.to_owned(),
            uid,
            ..MountName::default()
        };
        let (plain, owned) = (mount("npm", "empty 493 0 0"), mount("npm", "empty 493 7 0"));
        assert!(name("npm", None).fits(&plain) && name("npm", None).fits(&owned));
        assert!(name("npm", Some(7)).fits(&owned) && !name("npm", Some(7)).fits(&plain));
        assert!(name("npm", Some(0)).fits(&plain) && !name("np", None).fits(&plain));
        let key = plain.identity.hex();
        assert!(name(&key[..12], None).fits(&plain) && !name(&key[..12], None).fits(&owned));
        // An id that no mount has yet may look like the beginning of a key.
        assert!(!name(&key[..4], None).fits(&plain));
    }
}
