//! The filter, run by an interpreter of its own.

use libc::{ENOSYS, EPERM, SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO};

use super::*;

const X86_64: u32 = 0xc000_003e;
const I386: u32 = 0x4000_0003;
const AARCH64: u32 = 0xc000_00b7;

fn program(native: Arch, compat: Arch, abi: Abi, stdio: Stdio) -> Vec<libc::sock_filter> {
    assemble(
        [native, compat],
        Options {
            abi,
            stdio,
            unlisted: Rule::Missing,
        },
        |_| true,
    )
}

/// Runs classic BPF over one `seccomp_data`.
fn run(program: &[libc::sock_filter], arch: u32, number: u32, args: [u64; 2]) -> &'static str {
    let mut data = [0_u8; 64];
    data[0..4].copy_from_slice(&number.to_le_bytes());
    data[4..8].copy_from_slice(&arch.to_le_bytes());
    data[16..24].copy_from_slice(&args[0].to_le_bytes());
    data[24..32].copy_from_slice(&args[1].to_le_bytes());
    let (mut accumulator, mut pc) = (0_u32, 0_usize);
    loop {
        let op = program[pc];
        pc += 1;
        match op.code {
            0x20 => {
                let at = op.k as usize;
                accumulator = u32::from_le_bytes(data[at..at + 4].try_into().unwrap());
            }
            0x54 => accumulator &= op.k,
            0x05 => pc += op.k as usize,
            0x15 => pc += usize::from(if accumulator == op.k { op.jt } else { op.jf }),
            0x35 => pc += usize::from(if accumulator >= op.k { op.jt } else { op.jf }),
            0x06 => return verdict(op.k),
            code => panic!("unknown instruction {code:#x}"),
        }
    }
}

fn verdict(value: u32) -> &'static str {
    match value {
        SECCOMP_RET_ALLOW => "allow",
        v if v == SECCOMP_RET_ERRNO | EPERM.cast_unsigned() => "EPERM",
        v if v == SECCOMP_RET_ERRNO | ENOSYS.cast_unsigned() => "ENOSYS",
        v => panic!("unknown verdict {v:#x}"),
    }
}

fn number(name: &str, arch: Arch) -> u32 {
    let row = CALLS.iter().find(|row| row.0 == name).unwrap();
    row.2[arch as usize].cast_unsigned()
}

#[test]
fn every_unconditional_call_gets_its_rule_on_every_abi() {
    for (native, compat) in [(Arch::X86_64, Arch::I386), (Arch::Aarch64, Arch::Arm)] {
        let program = program(native, compat, Abi::Native, Stdio::Capture);
        assert!(program.len() < 4096, "{} instructions", program.len());
        for arch in [native, compat] {
            for (name, rule, numbers) in CALLS {
                let expected = match rule {
                    Rule::Allow | Rule::Ioctl => "allow",
                    Rule::Deny => "EPERM",
                    Rule::Missing | Rule::SocketCall => "ENOSYS",
                    _ => continue,
                };
                if numbers[arch as usize] != NO {
                    let number = numbers[arch as usize].cast_unsigned();
                    let got = run(&program, arch.audit(), number, [0; 2]);
                    assert_eq!(got, expected, "{name} on {arch:?}");
                }
            }
        }
    }
}

#[test]
fn unknown_numbers_abis_and_x32_do_not_exist() {
    let filter = program(Arch::X86_64, Arch::I386, Abi::Native, Stdio::Capture);
    for number in [470, 5000, 0x4000_0000, 0x4000_0001, u32::MAX, 387, 423] {
        assert_eq!(run(&filter, X86_64, number, [0; 2]), "ENOSYS", "{number}");
    }
    assert_eq!(run(&filter, AARCH64, 63, [0; 2]), "ENOSYS");
    // The number of i386 `write` is x86_64 `stat`... and that of `keyctl` there is `timer_getoverrun` here.
    assert_eq!(
        run(&filter, I386, number("keyctl", Arch::I386), [0; 2]),
        "EPERM"
    );
    assert_eq!(
        run(&filter, X86_64, number("keyctl", Arch::X86_64), [0; 2]),
        "EPERM"
    );
}

#[test]
fn arguments_decide() {
    let filter = program(Arch::X86_64, Arch::I386, Abi::Native, Stdio::Capture);
    let ask = |arch: Arch, name: &str, args| run(&filter, arch.audit(), number(name, arch), args);
    for arch in [Arch::X86_64, Arch::I386] {
        assert_eq!(ask(arch, "clone", [0x3d_0f00, 0]), "allow", "a thread");
        for flag in [
            0x0002_0000,
            0x0200_0000,
            0x1000_0000,
            0x2000_0000,
            0x4000_0000_u64,
        ] {
            assert_eq!(ask(arch, "clone", [flag | 0x11, 0]), "EPERM", "{flag:#x}");
        }
        assert_eq!(ask(arch, "clone3", [0; 2]), "ENOSYS");
        assert_eq!(ask(arch, "socket", [2, 0]), "allow");
        assert_eq!(ask(arch, "socket", [40, 0]), "EPERM");
        // The kernel reads an int: what stands above it must not hide the family.
        assert_eq!(ask(arch, "socket", [0x1_0000_0028, 0]), "EPERM");
        assert_eq!(ask(arch, "personality", [0xffff_ffff, 0]), "allow");
        assert_eq!(ask(arch, "personality", [0x004_0000, 0]), "EPERM");
        assert_eq!(ask(arch, "ioctl", [0, 0x5412]), "allow");
    }
    let filter = program(Arch::X86_64, Arch::I386, Abi::Compat32, Stdio::Inherit);
    let ask = |arch: Arch, name: &str, args| run(&filter, arch.audit(), number(name, arch), args);
    assert_eq!(ask(Arch::I386, "socketcall", [1, 0]), "allow");
    assert_eq!(ask(Arch::X86_64, "ioctl", [0, 0x5412]), "EPERM");
    assert_eq!(ask(Arch::X86_64, "ioctl", [0, 0x5401]), "allow");
}

#[test]
fn a_runtime_may_do_all_but_sockets() {
    let Some(filter) = socket_filter(Abi::Native, Stdio::Capture) else {
        return;
    };
    let (native, compat) = Arch::HERE.unwrap();
    let ask = |arch: Arch, name: &str, args| run(&filter, arch.audit(), number(name, arch), args);
    for call in ["mount", "clone3", "keyctl", "socket", "read", "unshare"] {
        assert_eq!(ask(native, call, [0; 2]), "allow", "{call}");
    }
    assert_eq!(ask(native, "socket", [40, 0]), "EPERM");
    assert_eq!(ask(compat, "socket", [40, 0]), "EPERM");
    assert_eq!(ask(compat, "socketcall", [1, 0]), "ENOSYS");
    assert_eq!(run(&filter, native.audit(), 999, [0; 2]), "allow");
}

#[test]
fn the_table_is_sorted_and_has_no_number_twice() {
    assert!(CALLS.is_sorted_by(|a, b| a.0 < b.0));
    for arch in [Arch::X86_64, Arch::I386, Arch::Aarch64, Arch::Arm] {
        let calls = arch.calls();
        assert!(calls.is_sorted_by(|a, b| a.0 < b.0), "{arch:?}");
        assert!(calls.len() > 300, "{arch:?}");
    }
    assert_eq!(
        i64::from(number("openat2", Arch::HERE.unwrap().0)),
        libc::SYS_openat2
    );
    assert_eq!(
        i64::from(number("read", Arch::HERE.unwrap().0)),
        libc::SYS_read
    );
}

#[test]
fn capabilities_follow_network_and_security() {
    assert_eq!(capabilities(Security::Sandbox, Network::None), 0xa804_25fb);
    assert_eq!(capabilities(Security::Sandbox, Network::Host), 0xa804_05fb);
    assert_eq!(capabilities(Security::Insecure, Network::Host), u64::MAX);
}

#[test]
fn the_oci_form_denies_the_same() {
    let filter = oci(Abi::Native, Stdio::Capture).unwrap();
    let rules = filter["syscalls"].as_array().unwrap();
    let action = |name: &str| {
        let rule = rules
            .iter()
            .find(|r| r["names"].as_array().unwrap().contains(&json!(name)));
        rule.map(|rule| rule["action"].as_str().unwrap())
    };
    for denied in ["keyctl", "mount", "io_uring_setup", "bpf"] {
        assert_eq!(action(denied), Some("SCMP_ACT_ERRNO"), "{denied}");
    }
    assert_eq!(action("mknodat"), Some("SCMP_ACT_ALLOW"));
    for missing in ["clone3", "socketcall"] {
        assert_eq!(action(missing), None);
    }
    assert_eq!(filter["defaultErrnoRet"], json!(ENOSYS));
}
