//! Who the step is: limits, keyring, ids and capabilities.

use rustix::fs::{Gid, Uid};
use rustix::io::Errno;
use rustix::process::{Rlimit, setrlimit};
use rustix::thread::{
    set_keep_capabilities, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

use crate::request::{Security, Ulimit, UserIds};
use crate::spec::{Doing, Failure};
use crate::{sys, userns};

/// Sets the resource limits that were asked for.
pub(super) fn set_limits(limits: &[Ulimit]) -> Result<(), Failure> {
    for limit in limits {
        let value = Rlimit {
            current: limit.soft,
            maximum: limit.hard,
        };
        setrlimit(limit.resource.kernel(), value)
            .doing(|| format!("set the limit `{}`", limit.resource.name()))?;
    }
    Ok(())
}

/// Leaves the caller's session keyring.
pub(super) fn new_keyring() -> Result<(), Failure> {
    match sys::new_session_keyring() {
        // A kernel without keyrings, or a sandbox around us that denies them to the step as well.
        Err(Errno::NOSYS | Errno::PERM) => Ok(()),
        result => result.doing(|| "start a session keyring".into()),
    }
}

/// Takes on the step's ids and capabilities. Privileges are gone afterwards, but in an insecure step,
/// which has them all whoever it runs as.
pub(super) fn become_user(user: &UserIds, keep: u64, security: Security) -> Result<(), Failure> {
    if security == Security::Insecure {
        set_keep_capabilities(true).doing(|| "keep the capabilities".into())?;
    }
    let groups: Vec<Gid> = user.groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
    match set_thread_groups(&groups) {
        // One mapped id only: the kernel forbids setgroups; the groups stay the caller's.
        Err(Errno::PERM) if userns::is_nested() => Ok(()),
        result => result.doing(|| "set the groups".into()),
    }?;
    let gid = Gid::from_raw(user.gid);
    set_thread_res_gid(gid, gid, gid).doing(|| format!("become group {}", user.gid))?;
    let uid = Uid::from_raw(user.uid);
    set_thread_res_uid(uid, uid, uid).doing(|| format!("become user {}", user.uid))?;
    match security {
        Security::Sandbox => sys::limit_capabilities(keep),
        Security::Insecure => sys::inherit_capabilities(),
    }
    .doing(|| "set the capabilities".into())
}
