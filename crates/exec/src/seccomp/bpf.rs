//! Classic BPF: a binary search over system call numbers, with checks of arguments at its leaves.

use libc::sock_filter;

use super::{AF_VSOCK, NAMESPACE_FLAGS, Options, PERSONALITIES, Rule, TERMINAL_INPUT};
use crate::request::{Abi, Stdio};

const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const AND: u16 = 0x54; // BPF_ALU | BPF_AND | BPF_K
const JUMP: u16 = 0x05; // BPF_JMP | BPF_JA
const JUMP_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const JUMP_AT_LEAST: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
const RETURN: u16 = 0x06; // BPF_RET | BPF_K

/// Offsets in the kernel's `seccomp_data`.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;

/// The offset of the low half of an argument. Both supported machines are little-endian.
const fn argument(index: u32) -> u32 {
    16 + 8 * index
}

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const EPERM: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM.cast_unsigned();
const ENOSYS: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS.cast_unsigned();

fn op(code: u16, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

fn ret(value: u32) -> sock_filter {
    op(RETURN, value, 0, 0)
}

/// A whole filter while it grows.
#[derive(Debug, Default)]
pub(super) struct Program(Vec<sock_filter>);

impl Program {
    pub(super) fn load_arch(&mut self) {
        self.0.push(op(LOAD, ARCH, 0, 0));
    }

    /// Runs `body`, which always returns, for programs of one ABI.
    pub(super) fn when_arch(&mut self, arch: u32, body: &[sock_filter]) {
        self.0.push(op(JUMP_EQUAL, arch, 1, 0));
        self.0.push(op(JUMP, length(body), 0, 0));
        self.0.extend_from_slice(body);
    }

    /// No call of any other ABI exists.
    pub(super) fn refuse_arch(&mut self) {
        self.0.push(ret(ENOSYS));
    }

    pub(super) fn finish(self) -> Vec<sock_filter> {
        self.0
    }
}

fn length(body: &[sock_filter]) -> u32 {
    // The kernel takes at most 4096 instructions, which the tests compare with.
    u32::try_from(body.len()).unwrap_or(u32::MAX)
}

/// What the filter does from one number up to the next range's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    start: u32,
    /// `None`: nobody knows these numbers.
    rule: Option<Rule>,
}

/// Returns the code that decides on the calls of one ABI.
///
/// x32 needs no case of its own: its numbers have bit 30 set, and are therefore unknown.
pub(super) fn calls(calls: &[(u32, Rule)], options: Options) -> Vec<sock_filter> {
    let mut body = vec![op(LOAD, NUMBER, 0, 0)];
    body.extend(search(&ranges(calls), options));
    body
}

fn ranges(calls: &[(u32, Rule)]) -> Vec<Range> {
    let mut ranges: Vec<Range> = Vec::new();
    let mut push = |start: u32, rule: Option<Rule>| match ranges.last() {
        Some(last) if last.rule == rule => {}
        _ => ranges.push(Range { start, rule }),
    };
    let mut next = 0;
    for (number, rule) in calls {
        if *number > next {
            push(next, None);
        }
        push(*number, Some(*rule));
        next = number + 1;
    }
    push(next, None);
    ranges
}

fn search(ranges: &[Range], options: Options) -> Vec<sock_filter> {
    if let [range] = ranges {
        return leaf(range.rule, options);
    }
    let (low, high) = ranges.split_at(ranges.len() / 2);
    let (pivot, low, high) = (high[0].start, search(low, options), search(high, options));
    // A conditional jump reaches 255 instructions only, so it hops over an unconditional one.
    let mut code = vec![op(JUMP_AT_LEAST, pivot, 0, 1), op(JUMP, length(&low), 0, 0)];
    code.extend(low);
    code.extend(high);
    code
}

fn leaf(rule: Option<Rule>, options: Options) -> Vec<sock_filter> {
    match rule {
        Some(Rule::Allow) => vec![ret(ALLOW)],
        Some(Rule::Deny) => vec![ret(EPERM)],
        None => leaf(Some(options.unlisted), options),
        Some(Rule::Missing) => vec![ret(ENOSYS)],
        Some(Rule::Clone) => vec![
            op(LOAD, argument(0), 0, 0),
            op(AND, NAMESPACE_FLAGS, 0, 0),
            op(JUMP_EQUAL, 0, 0, 1),
            ret(ALLOW),
            ret(EPERM),
        ],
        Some(Rule::Personality) => one_of(0, &PERSONALITIES, ALLOW, EPERM),
        Some(Rule::Socket) => one_of(0, &[AF_VSOCK], EPERM, ALLOW),
        Some(Rule::SocketCall) => vec![ret(match options.abi {
            Abi::Native => ENOSYS,
            Abi::Compat32 => ALLOW,
        })],
        Some(Rule::Ioctl) => match options.stdio {
            Stdio::Capture => vec![ret(ALLOW)],
            Stdio::Inherit => one_of(1, &TERMINAL_INPUT, EPERM, ALLOW),
        },
    }
}

/// Returns `found` when the low half of the argument is one of `values`, and `otherwise` when not.
fn one_of(index: u32, values: &[u32], found: u32, otherwise: u32) -> Vec<sock_filter> {
    let mut code = vec![op(LOAD, argument(index), 0, 0)];
    for value in values {
        code.extend([op(JUMP_EQUAL, *value, 0, 1), ret(found)]);
    }
    code.push(ret(otherwise));
    code
}
