//! System calls that have no safe wrapper. Everything unsafe in this crate is here.
#![expect(
    unsafe_code,
    reason = "clone, wait4, signals, mount_setattr, seccomp, landlock and keyctl are raw system calls"
)]

use std::ffi::{CString, c_int, c_long, c_void};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use rustix::io::{Errno, Result};
use rustix::mount::MountAttrFlags;

use crate::outcome::{ExitStatus, Usage};

/// Namespaces that a child starts in; a set of the kernel's `CLONE_NEW*` bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Namespaces(pub(crate) c_int);

impl Namespaces {
    pub(crate) const PID: Self = Self(libc::CLONE_NEWPID);
    pub(crate) const MOUNT: Self = Self(libc::CLONE_NEWNS);
    pub(crate) const UTS: Self = Self(libc::CLONE_NEWUTS);
    pub(crate) const IPC: Self = Self(libc::CLONE_NEWIPC);
    pub(crate) const CGROUP: Self = Self(libc::CLONE_NEWCGROUP);
    pub(crate) const NET: Self = Self(libc::CLONE_NEWNET);
    pub(crate) const USER: Self = Self(libc::CLONE_NEWUSER);

    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

/// Who returned from [`fork_into`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forked {
    Parent { child: i32 },
    Child,
}

fn check(result: c_long) -> Result<c_long> {
    if result < 0 {
        Err(last_errno())
    } else {
        Ok(result)
    }
}

fn last_errno() -> Errno {
    Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::INVAL)
}

/// Forks into new namespaces.
///
/// Must be called while the process has one thread: the child is a copy of it, and a lock that another
/// thread holds would stay held. The launcher has only one.
pub(crate) fn fork_into(namespaces: Namespaces) -> Result<Forked> {
    let flags = c_long::from(namespaces.0 | libc::SIGCHLD);
    // SAFETY: without CLONE_VM this is fork; null stack and null id pointers are what fork passes.
    // The argument order differs per architecture only in arguments that are all null here.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) };
    match check(pid)? {
        0 => Ok(Forked::Child),
        pid => Ok(Forked::Parent {
            child: i32::try_from(pid).map_err(|_| Errno::OVERFLOW)?,
        }),
    }
}

/// Moves this single-threaded process into new namespaces.
pub(crate) fn unshare(namespaces: Namespaces) -> Result<()> {
    // SAFETY: takes no pointers. CLONE_FILES and the like are not among the flags.
    check(c_long::from(unsafe { libc::unshare(namespaces.0) })).map(drop)
}

/// Ends the process at once, running no destructors: the launcher shares open files with its parent.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: never returns and touches no memory of ours.
    unsafe { libc::_exit(code) }
}

/// Waits for `child`, or any child for -1. `None` when `flags` has WNOHANG and nobody ended.
pub(crate) fn wait(child: i32, flags: c_int) -> Result<Option<(i32, ExitStatus, Usage)>> {
    let mut status = 0;
    // SAFETY: `rusage` is plain old data for which zero is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    let pid = loop {
        // SAFETY: both pointers are to live local variables.
        match check(c_long::from(unsafe {
            libc::wait4(child, &raw mut status, flags, &raw mut usage)
        })) {
            Err(Errno::INTR) => {}
            other => break other?,
        }
    };
    if pid == 0 {
        return Ok(None);
    }
    let ended = if libc::WIFSIGNALED(status) {
        ExitStatus::Signaled(libc::WTERMSIG(status))
    } else {
        ExitStatus::Exited(libc::WEXITSTATUS(status))
    };
    let usage = Usage {
        user: duration(usage.ru_utime),
        system: duration(usage.ru_stime),
        max_rss: u64::try_from(usage.ru_maxrss).unwrap_or(0) * 1024,
    };
    Ok(Some((i32::try_from(pid).unwrap_or(child), ended, usage)))
}

fn duration(time: libc::timeval) -> Duration {
    let micros = u64::try_from(time.tv_usec).unwrap_or(0);
    Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or(0)) + Duration::from_micros(micros)
}

/// Blocks SIGCHLD and returns a descriptor that is readable when a child ended.
pub(crate) fn child_events() -> Result<OwnedFd> {
    // SAFETY: the set is initialised by sigemptyset before any other use; all pointers are local.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGCHLD);
        check(c_long::from(libc::sigprocmask(
            libc::SIG_BLOCK,
            &raw const set,
            std::ptr::null_mut(),
        )))?;
        let fd = check(c_long::from(libc::signalfd(
            -1,
            &raw const set,
            libc::SFD_CLOEXEC | libc::SFD_NONBLOCK,
        )))?;
        Ok(OwnedFd::from_raw_fd(
            RawFd::try_from(fd).map_err(|_| Errno::BADF)?,
        ))
    }
}

/// Ignores the signals that a terminal sends to a whole process group.
pub(crate) fn ignore_terminal_signals() {
    for signal in [
        libc::SIGINT,
        libc::SIGQUIT,
        libc::SIGTERM,
        libc::SIGHUP,
        libc::SIGTSTP,
    ] {
        // SAFETY: SIG_IGN is a valid disposition and no handler of ours is replaced.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

/// Gives every signal its default action and unblocks all.
///
/// By raw calls: the C library refuses to touch the two signals that it keeps for itself.
pub(crate) fn reset_signals() {
    // The kernel's `struct sigaction` is at most four words, all zero for the default; a set is one.
    let (default, none) = ([0_u64; 4], 0_u64);
    let old: *const c_void = std::ptr::null();
    for signal in 1..=64 {
        // SAFETY: the kernel reads one of its structures and an old one is not asked for. SIGKILL and
        // SIGSTOP give an error, which is of no interest.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), old, 8) };
    }
    // SAFETY: the kernel reads one set of eight bytes.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &raw const none,
            old,
            8,
        );
    }
}

/// Kills every process in this pid namespace but its first, the caller.
pub(crate) fn kill_all() {
    // SAFETY: kill takes no pointers.
    unsafe { libc::kill(-1, libc::SIGKILL) };
}

/// Marks every descriptor from `first` on as closed on exec, or closes it now.
pub(crate) fn close_from(first: RawFd, how: CloseHow) -> Result<()> {
    let flags = match how {
        CloseHow::Now => 0,
        CloseHow::OnExec => libc::CLOSE_RANGE_CLOEXEC,
    };
    let first = u32::try_from(first).map_err(|_| Errno::BADF)?;
    // SAFETY: takes no pointers. `Now` is used only before anything owns a descriptor in that range.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, flags) }).map(drop)
}

/// When [`close_from`] closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CloseHow {
    Now,
    OnExec,
}

/// Makes `fd` the standard stream number `number`.
pub(crate) fn replace_stream(fd: impl AsFd, number: RawFd) -> Result<()> {
    // SAFETY: dup2 onto 0, 1 or 2, which no owned descriptor of ours names.
    check(c_long::from(unsafe {
        libc::dup2(fd.as_fd().as_raw_fd(), number)
    }))
    .map(drop)
}

/// Closes a standard stream.
pub(crate) fn close_stream(number: RawFd) {
    // SAFETY: 0, 1 and 2 are not held as owned descriptors anywhere in the launcher.
    unsafe { libc::close(number) };
}

#[repr(C)]
struct MountAttr {
    attr_set: u64,
    attr_clr: u64,
    propagation: u64,
    userns_fd: u64,
}

/// Whether submounts are meant too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    One,
    Recursive,
}

/// Adds attributes to the mount that `mount` is the root of (Linux 5.12).
pub(crate) fn mount_setattr(
    mount: BorrowedFd<'_>,
    set: MountAttrFlags,
    depth: Depth,
) -> Result<()> {
    let attr = MountAttr {
        attr_set: u64::from(set.bits()),
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    let recursive = if depth == Depth::Recursive {
        libc::AT_RECURSIVE
    } else {
        0
    };
    // SAFETY: the path is a NUL-terminated constant, `attr` outlives the call and its size is given.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | recursive,
            &raw const attr,
            size_of::<MountAttr>(),
        )
    })
    .map(drop)
}

/// Installs a seccomp filter, without asking for no-new-privileges.
pub(crate) fn install_seccomp(program: &[libc::sock_filter]) -> Result<()> {
    let length = u16::try_from(program.len()).map_err(|_| Errno::OVERFLOW)?;
    let header = libc::sock_fprog {
        len: length,
        filter: program.as_ptr().cast_mut(),
    };
    // SAFETY: the kernel only reads `len` instructions, which live as long as `program`.
    check(unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            0,
            &raw const header,
        )
    })
    .map(drop)
}

/// Gives this process a new, empty session keyring.
pub(crate) fn new_session_keyring() -> Result<()> {
    const KEYCTL_JOIN_SESSION_KEYRING: c_long = 1;
    let unnamed: *const c_void = std::ptr::null();
    // SAFETY: a null name asks for an anonymous keyring.
    check(unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, unnamed) })
        .map(drop)
}

#[repr(C)]
struct LandlockRuleset {
    handled_fs: u64,
    handled_net: u64,
    scoped: u64,
}

/// Puts abstract sockets of processes outside of this one's descendants out of reach.
///
/// Returns false where the kernel has no Landlock with that scope (Linux 6.12).
pub(crate) fn scope_abstract_sockets() -> Result<bool> {
    const CREATE_RULESET: c_long = 444;
    const RESTRICT_SELF: c_long = 446;
    const VERSION_FLAG: c_int = 1;
    const FIRST_VERSION_WITH_SCOPES: c_long = 6;
    const SCOPE_ABSTRACT_UNIX_SOCKET: u64 = 1;
    let none: *const c_void = std::ptr::null();
    // SAFETY: with the version flag the pointer must be null and the size 0.
    let version = unsafe { libc::syscall(CREATE_RULESET, none, 0_usize, VERSION_FLAG) };
    if version < FIRST_VERSION_WITH_SCOPES {
        return Ok(false);
    }
    let attr = LandlockRuleset {
        handled_fs: 0,
        handled_net: 0,
        scoped: SCOPE_ABSTRACT_UNIX_SOCKET,
    };
    // SAFETY: `attr` outlives the call and its size is given; the result is a new descriptor.
    let ruleset = unsafe {
        let fd = check(libc::syscall(
            CREATE_RULESET,
            &raw const attr,
            size_of::<LandlockRuleset>(),
            0,
        ))?;
        OwnedFd::from_raw_fd(RawFd::try_from(fd).map_err(|_| Errno::BADF)?)
    };
    // SAFETY: takes no pointers.
    check(unsafe { libc::syscall(RESTRICT_SELF, ruleset.as_raw_fd(), 0) })?;
    Ok(true)
}

/// Sets the loopback device of this network namespace up.
pub(crate) fn loopback_up() -> Result<()> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
    let socket = socket_with(
        AddressFamily::INET,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    // SAFETY: `ifreq` is plain old data; the name fits and is NUL-terminated by the zeroing; the kernel
    // reads and writes one `ifreq`.
    unsafe {
        let mut request: libc::ifreq = std::mem::zeroed();
        for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
            *to = from.cast_signed();
        }
        let flags = libc::c_short::try_from(libc::IFF_UP).map_err(|_| Errno::INVAL)?;
        request.ifr_ifru.ifru_flags = flags;
        check(c_long::from(libc::ioctl(
            socket.as_raw_fd(),
            libc::SIOCSIFFLAGS,
            &raw const request,
        )))
        .map(drop)
    }
}

/// Replaces the program. Returns only when that failed.
pub(crate) fn exec(program: &CString, argv: &[CString], env: &[CString]) -> Errno {
    let pointers = |words: &[CString]| -> Vec<*const libc::c_char> {
        words
            .iter()
            .map(|word| word.as_ptr())
            .chain([std::ptr::null()])
            .collect()
    };
    let (argv, env) = (pointers(argv), pointers(env));
    // SAFETY: all strings are NUL-terminated and the arrays end with a null pointer; all live until the call.
    unsafe { libc::execve(program.as_ptr(), argv.as_ptr(), env.as_ptr()) };
    last_errno()
}

/// Drops every capability outside of `keep` from the bounding set.
pub(crate) fn limit_bounding_set(keep: u64) -> Result<()> {
    for capability in 0..64_u64 {
        if keep & (1 << capability) != 0 {
            continue;
        }
        // SAFETY: takes no pointers.
        match check(c_long::from(unsafe {
            libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0)
        })) {
            Ok(_) => {}
            // The first number that this kernel does not know.
            Err(Errno::INVAL) => break,
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Sets the effective and permitted sets to `keep`, and clears the inheritable and ambient ones.
pub(crate) fn limit_capabilities(keep: u64) -> Result<()> {
    use rustix::thread::{
        CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set, set_capabilities,
    };
    clear_ambient_capability_set()?;
    let permitted = capabilities(None)?.permitted & CapabilitySet::from_bits_retain(keep);
    let sets = CapabilitySets {
        effective: permitted,
        permitted,
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, sets)
}

/// Makes every permitted capability effective, inheritable and ambient: programs keep them.
pub(crate) fn inherit_capabilities() -> Result<()> {
    use rustix::thread::{
        CapabilitySets, capabilities, configure_capability_in_ambient_set, set_capabilities,
    };
    let permitted = capabilities(None)?.permitted;
    let sets = CapabilitySets {
        effective: permitted,
        permitted,
        inheritable: permitted,
    };
    set_capabilities(None, sets)?;
    for capability in permitted.iter() {
        configure_capability_in_ambient_set(capability, true)?;
    }
    Ok(())
}

/// Returns the number of a loop device that nobody uses; the kernel makes its node where that is missing.
pub(crate) fn free_loop_device() -> Result<u32> {
    const LOOP_CTL_GET_FREE: libc::Ioctl = 0x4c82;
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::CLOEXEC;
    let control = rustix::fs::open("/dev/loop-control", flags, rustix::fs::Mode::empty())?;
    // SAFETY: this request takes no argument.
    let number = check(c_long::from(unsafe {
        libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE)
    }))?;
    u32::try_from(number).map_err(|_| Errno::OVERFLOW)
}
