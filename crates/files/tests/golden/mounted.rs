use acetate_snapshot::RootMount;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_string, fsmount,
    fsopen,
};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;

/// A prepared root that can be read through `path`; an overlay lives as long as this.
pub(crate) struct Mounted {
    pub(crate) path: PathBuf,
    _root: Option<OwnedFd>,
}

impl Mounted {
    pub(crate) fn new(root: &RootMount) -> Self {
        let (lower, upper, work) = match root {
            RootMount::Dir(path) => {
                return Self {
                    path: path.clone(),
                    _root: None,
                };
            }
            RootMount::Overlay { lower, upper, work } => (lower, upper, work),
        };
        let fs = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC).unwrap();
        for (key, value) in RootMount::OVERLAY_OPTIONS {
            fsconfig_set_string(fs.as_fd(), key, value).unwrap();
        }
        for dir in lower {
            fsconfig_set_string(fs.as_fd(), "lowerdir+", dir).unwrap();
        }
        fsconfig_set_string(fs.as_fd(), "upperdir", upper).unwrap();
        fsconfig_set_string(fs.as_fd(), "workdir", work).unwrap();
        fsconfig_create(fs.as_fd()).unwrap();
        let flags = FsMountFlags::FSMOUNT_CLOEXEC;
        let root = fsmount(fs.as_fd(), flags, MountAttrFlags::empty()).unwrap();
        Self {
            path: format!("/proc/self/fd/{}/", root.as_raw_fd()).into(),
            _root: Some(root),
        }
    }
}
