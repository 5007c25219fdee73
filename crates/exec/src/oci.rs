//! [`OciExecutor`]: runs steps through crun, runc or youki.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use acetate_snapshot::RootMount;
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use rustix::io::Errno;

use crate::cancel::CancelToken;
use crate::client;
use crate::error::ExecError;
use crate::executor::Executor;
use crate::log::{LogSink, Stream};
use crate::outcome::ExecOutcome;
use crate::request::{ExecRequest, Network};
use crate::spec::{Cgroups, RuntimeSpec, StepSpec};

/// What tells crun to leave control groups alone.
const WITHOUT_CGROUPS: &str = "--cgroup-manager=disabled";

/// An OCI runtime that was seen to work on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runtime {
    program: PathBuf,
    global_args: Vec<String>,
    cgroups: Cgroups,
}

impl Runtime {
    /// Names of runtimes in the order of preference.
    pub const NAMES: [&str; 3] = ["crun", "runc", "youki"];

    /// Starts `program` once, in an empty directory `dir` of the caller, which it removes.
    ///
    /// A runtime may be there and refuse this machine, for its control groups for example. The result
    /// holds as long as the kernel and the program stay the same; the caller remembers it.
    ///
    /// # Errors
    /// What the runtime said, or why it could not be tried.
    pub fn probe(program: &Path, dir: &Path) -> Result<Self, ExecError> {
        let is_crun = program.file_name().is_some_and(|name| name == "crun");
        let mut variants = vec![(Vec::new(), Cgroups::Shown)];
        if is_crun {
            // Control groups are of no use to a step without limits, and crun can do without. It still
            // refuses a host that has both versions, if it sees them.
            let without = vec![WITHOUT_CGROUPS.to_owned()];
            variants = vec![
                (without.clone(), Cgroups::Hidden),
                (without, Cgroups::Shown),
                (Vec::new(), Cgroups::Shown),
            ];
        }
        let mut first_error = None;
        for (global_args, cgroups) in variants {
            let runtime = Self {
                program: program.to_owned(),
                global_args,
                cgroups,
            };
            match runtime.try_once(dir) {
                Ok(()) => return Ok(runtime),
                Err(error) => {
                    first_error.get_or_insert(error);
                }
            }
        }
        Err(first_error.unwrap_or_else(|| ExecError::Invalid("no runtime was tried".into())))
    }

    /// Probes every known runtime in the directories of `path`, a `PATH` value, and returns the first that works.
    ///
    /// # Errors
    /// Each runtime that was found, with why it does not work.
    pub fn detect(path: &str, dir: &Path) -> Result<Self, Vec<(PathBuf, ExecError)>> {
        let mut failed = Vec::new();
        for name in Self::NAMES {
            let candidates = path
                .split(':')
                .filter(|d| !d.is_empty())
                .map(|d| Path::new(d).join(name));
            let Some(program) = candidates.into_iter().find(|program| program.is_file()) else {
                continue;
            };
            match Self::probe(&program, dir) {
                Ok(runtime) => return Ok(runtime),
                Err(error) => failed.push((program, error)),
            }
        }
        Err(failed)
    }

    /// The runtime's program.
    pub fn program(&self) -> &Path {
        &self.program
    }

    fn try_once(&self, dir: &Path) -> Result<(), ExecError> {
        let root = dir.join("probe");
        let made = std::fs::create_dir_all(&root).and_then(|()| {
            let program = root.join("probe");
            std::fs::write(&program, probe_program())?;
            std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755))?;
            make_node(&root)
        });
        let outcome = made.map_err(ExecError::Spawn).and_then(|()| {
            let mut request = ExecRequest::new(RootMount::Dir(root.clone()), ["/probe"]);
            request.network = Network::None;
            let cancel = CancelToken::new().map_err(ExecError::Spawn)?;
            let executor = OciExecutor::new(self.clone());
            let mut said = Vec::new();
            let mut log = |_: Stream, bytes: &[u8]| said.extend_from_slice(bytes);
            executor
                .run(&request, &mut log, &cancel)
                .map(|outcome| (outcome, said))
        });
        std::fs::remove_dir_all(&root).map_err(ExecError::Spawn)?;
        match outcome? {
            (outcome, _) if outcome.status.success() => Ok(()),
            (outcome, _) if outcome.status.code() == NODE_OPENED => Err(ExecError::Runtime {
                runtime: self.program.clone(),
                message: "it drops `nodev` from the root, so that a step could open devices".into(),
            }),
            (outcome, said) => Err(ExecError::Runtime {
                runtime: self.program.clone(),
                message: format!(
                    "{} {}",
                    outcome.status,
                    String::from_utf8_lossy(&said).trim()
                ),
            }),
        }
    }
}

/// Runs steps through an OCI runtime, with the same mounts, limits and supervisor as the native executor.
#[derive(Clone, Debug)]
pub struct OciExecutor {
    runtime: Runtime,
}

impl OciExecutor {
    /// Returns an executor for a runtime that was probed.
    pub fn new(runtime: Runtime) -> Self {
        Self { runtime }
    }
}

impl Executor for OciExecutor {
    fn run(
        &self,
        request: &ExecRequest,
        log: &mut dyn LogSink,
        cancel: &CancelToken,
    ) -> Result<ExecOutcome, ExecError> {
        let program = self.runtime.program.to_str();
        let mut runtime = RuntimeSpec {
            program: program
                .ok_or_else(|| ExecError::Path(self.runtime.program.clone()))?
                .into(),
            global_args: self.runtime.global_args.clone(),
            cgroups: self.runtime.cgroups,
        };
        if !request.limits.is_none() {
            // Now it cannot do without; what it says against this machine is then the answer.
            runtime.global_args.retain(|arg| arg != WITHOUT_CGROUPS);
            runtime.cgroups = Cgroups::Shown;
        }
        client::run(&StepSpec::new(request, Some(runtime))?, log, cancel)
    }
}

/// A null device in the probe's root, which the probe must not be able to open.
fn make_node(root: &Path) -> std::io::Result<()> {
    let (mode, rdev) = (Mode::from_raw_mode(0o666), makedev(1, 3));
    match mknodat(
        CWD,
        root.join("node"),
        FileType::CharacterDevice,
        mode,
        rdev,
    ) {
        // In a user namespace nobody can make one, and nobody could open it.
        Err(Errno::PERM) => Ok(()),
        made => Ok(made?),
    }
}

/// The exit code of the probe when it could open the device.
const NODE_OPENED: i32 = 77;

/// Returns a static program that exits with 0, or [`NODE_OPENED`] when it can open `/node`: a probe cannot
/// count on any file of the machine.
fn probe_program() -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    const HEADERS: u64 = 64 + 56;
    let (machine, mut code): (u16, Vec<u8>) = if cfg!(target_arch = "aarch64") {
        let words: [u32; 11] = [
            0x9280_0c60, // mov x0, #-100 (the working directory)
            0x1000_0141, // adr x1, path
            0xd280_0002, // mov x2, #0
            0xd280_0708, // mov x8, #56 (openat)
            0xd400_0001, // svc #0
            0xf100_001f, // cmp x0, #0
            0xd280_09a0, // mov x0, #77
            0x5400_004a, // b.ge, over the next
            0xd280_0000, // mov x0, #0
            0xd280_0bc8, // mov x8, #94 (exit_group)
            0xd400_0001, // svc #0
        ];
        (
            183,
            words.iter().flat_map(|word| word.to_le_bytes()).collect(),
        )
    } else {
        let mut code = vec![0xbf, 0x9a, 0, 0x40, 0]; // mov edi, path
        code.extend([0x31, 0xf6, 0x31, 0xd2]); // xor esi, esi; xor edx, edx
        code.extend([0xb8, 2, 0, 0, 0, 0x0f, 0x05]); // mov eax, 2 (open); syscall
        code.extend([0x31, 0xff, 0x85, 0xc0, 0x78, 5]); // xor edi, edi; test eax, eax; js, over the next
        code.extend([0xbf, 77, 0, 0, 0]); // mov edi, 77
        code.extend([0xb8, 0xe7, 0, 0, 0, 0x0f, 0x05]); // mov eax, 231 (exit_group); syscall
        (62, code)
    };
    code.extend(b"/node\0");
    let size = HEADERS + code.len() as u64;
    let mut elf = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    for half in [2_u16, machine] {
        elf.extend(half.to_le_bytes());
    }
    elf.extend(1_u32.to_le_bytes());
    for word in [BASE + HEADERS, 64, 0] {
        elf.extend(word.to_le_bytes());
    }
    elf.extend(0_u32.to_le_bytes());
    for half in [64_u16, 56, 1, 0, 0, 0] {
        elf.extend(half.to_le_bytes());
    }
    // One segment: load all of it, readable and executable.
    for word in [1_u32, 5] {
        elf.extend(word.to_le_bytes());
    }
    for word in [0, BASE, BASE, size, size, 0x1000] {
        elf.extend(word.to_le_bytes());
    }
    elf.extend(&code);
    elf
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probe_program_runs_here() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("probe");
        std::fs::write(&path, probe_program()).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert!(
            std::process::Command::new(&path)
                .status()
                .unwrap()
                .success()
        );
    }

    #[test]
    fn nothing_is_detected_in_an_empty_path() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Runtime::detect("", dir.path()).unwrap_err().is_empty());
    }
}
