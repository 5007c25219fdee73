//! Several platforms, and programs of other processors.

use acetate_tests::{Layout, World};
use std::path::Path;

/// A platform that no machine of ours is, and one whose programs it cannot run.
const FOREIGN: &str = if cfg!(target_arch = "s390x") {
    "linux/riscv64"
} else {
    "linux/s390x"
};

#[test]
fn a_stage_for_the_building_machine_runs_once_for_all_platforms() {
    let world = World::of(
        "
        FROM --platform=$BUILDPLATFORM base AS build
        RUN echo tools > /tools
        FROM build AS one
        ARG TARGETARCH
        RUN cp /tools /for-$TARGETARCH
        FROM scratch
        COPY --from=one /for-* /
        ",
    );
    let dest = world.fresh("layout");
    let output = format!("-otype=oci,tar=false,dest={}", dest.display());
    let platforms = format!("--platform=linux/amd64,{FOREIGN}");
    let outcome = world.build(&[&output, &platforms]).ok();
    let ran = outcome.ran();
    let count = |words: &str| ran.iter().filter(|name| name.contains(words)).count();
    assert_eq!((count("echo tools"), count("cp /tools")), (1, 2), "{ran:?}");
    let first = Layout::read_nth(&dest, 0);
    let second = Layout::read_nth(&dest, 1);
    assert_eq!(first.file("for-amd64"), "tools\n");
    let arch = FOREIGN.split_once('/').unwrap().1;
    assert_eq!(second.file(&format!("for-{arch}")), "tools\n");
    assert_eq!(second.config.architecture, arch);
}

#[test]
fn a_program_of_another_processor_fails_with_what_to_install() {
    let world = World::of(&format!(
        "FROM --platform={FOREIGN} scratch\nCOPY --chmod=755 program /program\nRUN [\"/program\"]\n"
    ));
    // The head of a program for that processor; nothing more of it is looked at.
    let machine: u8 = if FOREIGN.ends_with("s390x") { 22 } else { 243 };
    let mut program = vec![0_u8; 64];
    program[..6].copy_from_slice(b"\x7fELF\x02\x02");
    program[18..20].copy_from_slice(&[0, machine]);
    std::fs::write(world.context().join("program"), program).unwrap();
    let entry = format!("qemu-{}", FOREIGN.split_once('/').unwrap().1);
    if Path::new("/proc/sys/fs/binfmt_misc").join(entry).exists() {
        eprintln!("skipped: this machine has an emulator for {FOREIGN}");
        return;
    }
    let outcome = world.build(&[&format!("--platform={FOREIGN}")]);
    outcome.fails(&[FOREIGN, "qemu-user-static"]);
}
