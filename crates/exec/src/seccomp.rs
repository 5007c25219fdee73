//! What a step may ask of the kernel: capabilities and the system call filter.
//!
//! The filter is the usual allow list of container runtimes: ENOSYS for numbers that nobody knew when it was
//! written and for `clone3` (its flags are behind a pointer), EPERM for known calls outside of the list.

mod bpf;
mod table;

use serde_json::{Value, json};

use self::bpf::Program;
use self::table::{CALLS, NO};
use crate::request::{Abi, Network, Security, Stdio};

/// What happens to one system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// Always allowed.
    Allow,
    /// EPERM.
    Deny,
    /// ENOSYS, although it exists.
    Missing,
    /// Allowed without new namespaces.
    Clone,
    /// Allowed for the harmless personalities.
    Personality,
    /// Allowed for every family but vsock.
    Socket,
    /// The i386 multiplexer of socket calls.
    SocketCall,
    /// Allowed, but not pushing input into an inherited terminal.
    Ioctl,
}

/// One ABI that a kernel runs programs of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arch {
    X86_64,
    I386,
    Aarch64,
    Arm,
}

impl Arch {
    /// The machine's own ABI and its 32-bit one; none on other machines.
    const HERE: Option<(Self, Self)> = if cfg!(target_arch = "x86_64") {
        Some((Self::X86_64, Self::I386))
    } else if cfg!(target_arch = "aarch64") {
        Some((Self::Aarch64, Self::Arm))
    } else {
        None
    };

    /// The kernel's name (`AUDIT_ARCH_*`).
    fn audit(self) -> u32 {
        match self {
            Self::X86_64 => 0xc000_003e,
            Self::I386 => 0x4000_0003,
            Self::Aarch64 => 0xc000_00b7,
            Self::Arm => 0x4000_0028,
        }
    }

    /// The name in an OCI configuration.
    fn oci(self) -> &'static str {
        match self {
            Self::X86_64 => "SCMP_ARCH_X86_64",
            Self::I386 => "SCMP_ARCH_X86",
            Self::Aarch64 => "SCMP_ARCH_AARCH64",
            Self::Arm => "SCMP_ARCH_ARM",
        }
    }

    /// Its calls as (number, rule), sorted.
    fn calls(self) -> Vec<(u32, Rule)> {
        let numbers = CALLS
            .iter()
            .filter(|(.., numbers)| numbers[self as usize] != NO);
        let mut calls: Vec<(u32, Rule)> = numbers
            .map(|(_, rule, numbers)| (numbers[self as usize].cast_unsigned(), *rule))
            .collect();
        calls.sort_by_key(|(number, _)| *number);
        calls
    }
}

/// Capabilities of the sandbox (S61).
const SANDBOX_CAPABILITIES: u64 = 0xa804_25fb;
const CAP_NET_RAW: u64 = 1 << 13;

/// Returns the capabilities that a step may have.
///
/// Under the host's network a raw socket would read and forge the host's own traffic.
pub(crate) fn capabilities(security: Security, network: Network) -> u64 {
    match (security, network) {
        (Security::Insecure, _) => u64::MAX,
        (Security::Sandbox, Network::Host) => SANDBOX_CAPABILITIES & !CAP_NET_RAW,
        (Security::Sandbox, Network::None) => SANDBOX_CAPABILITIES,
    }
}

/// What differs between the filters of two steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Options {
    abi: Abi,
    stdio: Stdio,
    /// The rule of every number that is not listed.
    unlisted: Rule,
}

/// Returns the filter's program for this machine; none where its architecture has no table.
pub(crate) fn filter(abi: Abi, stdio: Stdio) -> Option<Vec<libc::sock_filter>> {
    let (native, compat) = Arch::HERE?;
    let options = Options {
        abi,
        stdio,
        unlisted: Rule::Missing,
    };
    Some(assemble([native, compat], options, |_| true))
}

/// Returns what an OCI runtime starts under: its own filter cannot say this about sockets.
///
/// libseccomp allows the i386 multiplexer whole where one socket call is allowed, and has one answer for
/// all refused arguments. Whatever the runtime itself needs passes.
pub(crate) fn socket_filter(abi: Abi, stdio: Stdio) -> Option<Vec<libc::sock_filter>> {
    let (native, compat) = Arch::HERE?;
    let options = Options {
        abi,
        stdio,
        unlisted: Rule::Allow,
    };
    let sockets = |rule: Rule| matches!(rule, Rule::Socket | Rule::SocketCall);
    Some(assemble([native, compat], options, sockets))
}

fn assemble(
    arches: [Arch; 2],
    options: Options,
    listed: impl Fn(Rule) -> bool,
) -> Vec<libc::sock_filter> {
    let mut program = Program::default();
    program.load_arch();
    for arch in arches {
        let calls: Vec<_> = arch
            .calls()
            .into_iter()
            .filter(|(_, rule)| listed(*rule))
            .collect();
        program.when_arch(arch.audit(), &bpf::calls(&calls, options));
    }
    program.refuse_arch();
    program.finish()
}

/// Flags of clone that make a namespace.
const NAMESPACE_FLAGS: u32 = 0x7e02_0000;
/// Linux, with 32-bit `uname`, with the 2.6 version number, with both, and the query.
const PERSONALITIES: [u32; 5] = [0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];
const AF_VSOCK: u32 = 40;
/// Requests that put input into a terminal, which is the caller's shell's for an inherited one.
const TERMINAL_INPUT: [u32; 2] = [0x5412, 0x541c];

/// Returns the same filter as the `linux.seccomp` object of an OCI configuration.
pub(crate) fn oci(abi: Abi, stdio: Stdio) -> Option<Value> {
    let (native, compat) = Arch::HERE?;
    let known = |row: &&table::Row| {
        [native, compat]
            .into_iter()
            .any(|arch| row.2[arch as usize] != NO)
    };
    let with = |wanted: Rule| -> Vec<&str> {
        CALLS
            .iter()
            .filter(known)
            .filter(|row| row.1 == wanted)
            .map(|row| row.0)
            .collect()
    };
    let mut allowed = with(Rule::Allow);
    if abi == Abi::Compat32 {
        allowed.extend(with(Rule::SocketCall));
    }
    let allow = |names: &[&str], index: u32, value: u32, two: u32, op: &str| {
        json!({"names": names, "action": "SCMP_ACT_ALLOW",
               "args": [{"index": index, "value": value, "valueTwo": two, "op": op}]})
    };
    let deny = |names: &[&str]| json!({"names": names, "action": "SCMP_ACT_ERRNO", "errnoRet": libc::EPERM});
    let deny_bits = |bit: u32| {
        json!({"names": ["clone"], "action": "SCMP_ACT_ERRNO", "errnoRet": libc::EPERM,
               "args": [{"index": 0, "value": bit, "valueTwo": bit, "op": "SCMP_CMP_MASKED_EQ"}]})
    };
    let mut rules = vec![
        deny(&with(Rule::Deny)),
        allow(&["clone"], 0, NAMESPACE_FLAGS, 0, "SCMP_CMP_MASKED_EQ"),
        // The opposite, with EPERM, would be a conflict in the i386 multiplexer; the default refuses it.
        allow(&["socket"], 0, AF_VSOCK, 0, "SCMP_CMP_NE"),
    ];
    let bits = (0..32)
        .map(|bit| 1 << bit)
        .filter(|bit| NAMESPACE_FLAGS & bit != 0);
    rules.extend(bits.map(deny_bits));
    for value in PERSONALITIES {
        rules.push(allow(&["personality"], 0, value, 0, "SCMP_CMP_EQ"));
    }
    if stdio == Stdio::Inherit {
        let args: Vec<Value> = TERMINAL_INPUT
            .iter()
            .map(|value| json!({"index": 1, "value": value, "op": "SCMP_CMP_NE"}))
            .collect();
        // Several conditions on one argument must be one rule: all have to hold.
        rules.push(json!({"names": ["ioctl"], "action": "SCMP_ACT_ALLOW", "args": args}));
    } else {
        allowed.push("ioctl");
    }
    rules.push(json!({"names": allowed, "action": "SCMP_ACT_ALLOW"}));
    Some(json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": libc::ENOSYS,
        "architectures": [native.oci(), compat.oci()],
        "syscalls": rules,
    }))
}

#[cfg(test)]
mod tests;
