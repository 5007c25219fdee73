use crate::{Layout, Outcome, acetate, busybox_layout, files_below};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A context, a base image and a state directory, gone with this value.
#[derive(Debug)]
pub struct World {
    dir: TempDir,
    layout: PathBuf,
}

impl World {
    /// Makes a world from one string that holds all files of the context, each behind a line
    /// `//- PATH [mode=755]`.
    ///
    /// # Panics
    /// When files cannot be written.
    pub fn new(fixture: &str) -> Self {
        // Some tools take no path with a capital letter, so the name is made of a UUID.
        let id = std::fs::read_to_string("/proc/sys/kernel/random/uuid").expect("a UUID");
        let mut dir = tempfile::Builder::new();
        let dir = dir
            .prefix("acetate-")
            .suffix(id.trim())
            .rand_bytes(0)
            .tempdir()
            .expect("a directory");
        std::fs::create_dir(dir.path().join("context")).expect("the context is made");
        let layout = busybox_layout(dir.path());
        let world = Self { dir, layout };
        world.add(fixture);
        world
    }

    /// Makes a world with nothing but a Dockerfile in the context.
    pub fn of(dockerfile: &str) -> Self {
        Self::new(&format!("//- Dockerfile\n{}", dedent(dockerfile)))
    }

    /// Writes another Dockerfile.
    pub fn dockerfile(&self, text: &str) {
        self.write("Dockerfile", &dedent(text));
    }

    /// Adds the files of another fixture to the context.
    pub fn add(&self, fixture: &str) {
        let fixture = dedent(fixture);
        for file in fixture.split("//- ").skip(1) {
            let (head, text) = file.split_once('\n').unwrap_or((file, ""));
            let mut words = head.split_whitespace();
            let path = words.next().expect("a path");
            self.write(path, text);
            if let Some(mode) = words.find_map(|word| word.strip_prefix("mode=")) {
                self.chmod(path, u32::from_str_radix(mode, 8).expect("an octal mode"));
            }
        }
    }

    /// Writes a file of the context, with mode 0644.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.context().join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("directories are made");
        std::fs::write(&path, text).expect("a file is written");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).expect("a mode is set");
    }

    /// Sets the mode of a file of the context.
    ///
    /// # Panics
    /// When it cannot be set.
    pub fn chmod(&self, path: &str, mode: u32) {
        let permissions = PermissionsExt::from_mode(mode);
        std::fs::set_permissions(self.context().join(path), permissions).expect("a mode is set");
    }

    /// The directory that everything is in.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A word that is in the path of this world and in nothing else.
    pub fn marker(&self) -> String {
        self.dir()
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    }

    /// The context.
    pub fn context(&self) -> PathBuf {
        self.dir.path().join("context")
    }

    /// The state directory.
    pub fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    /// The layout of the base image.
    pub fn base(&self) -> &Path {
        &self.layout
    }

    /// A build command with the state directory, the base image as `base`, and the context.
    pub fn command(&self, args: &[&str]) -> Command {
        self.command_in(&self.root(), args)
    }

    /// The same with another state directory.
    pub fn command_in(&self, root: &Path, args: &[&str]) -> Command {
        let mut command = self.flags(root, args);
        command.arg(self.context());
        command
    }

    /// The same with another context: a URL, or `-`.
    pub fn command_on(&self, context: &str, args: &[&str]) -> Command {
        let mut command = self.flags(&self.root(), args);
        command.arg(context);
        command
    }

    fn flags(&self, root: &Path, args: &[&str]) -> Command {
        self.verb("build", root, args)
    }

    /// A command that takes the flags of a build.
    fn verb(&self, verb: &str, root: &Path, args: &[&str]) -> Command {
        let mut command = acetate();
        command
            .arg("--root")
            .arg(root)
            .args([verb, "--progress=rawjson"]);
        command.arg(format!(
            "--build-context=base=oci-layout://{}",
            self.layout.display()
        ));
        command.args(args);
        command
    }

    /// Builds.
    ///
    /// # Panics
    /// When the program cannot be started.
    pub fn build(&self, args: &[&str]) -> Outcome {
        Outcome::new(&self.command(args).output().expect("acetate starts"))
    }

    /// Builds twice and compares.
    ///
    /// # Panics
    /// When the program cannot be started.
    pub fn verify(&self, args: &[&str]) -> Outcome {
        let mut command = self.verb("verify", &self.root(), args);
        command.arg(self.context());
        Outcome::new(&command.output().expect("acetate starts"))
    }

    /// Asks what a build would run, and why.
    ///
    /// # Panics
    /// When the program cannot be started.
    pub fn explain(&self, args: &[&str]) -> Outcome {
        let mut command = self.verb("explain", &self.root(), args);
        command.arg(self.context());
        Outcome::new(&command.output().expect("acetate starts"))
    }

    /// Builds into a layout and reads it.
    #[track_caller]
    pub fn image(&self, args: &[&str]) -> Layout {
        self.image_in(&self.root(), args)
    }

    /// The same with another state directory.
    ///
    /// # Panics
    /// When the build fails.
    #[track_caller]
    pub fn image_in(&self, root: &Path, args: &[&str]) -> Layout {
        let dest = self.fresh("layout");
        let output = format!("--output=type=oci,tar=false,dest={}", dest.display());
        let mut all = vec![output.as_str()];
        all.extend(args);
        let output = self
            .command_in(root, &all)
            .output()
            .expect("acetate starts");
        Outcome::new(&output).ok();
        Layout::read(&dest)
    }

    /// Builds into a layout and gives both the image and how it went.
    #[track_caller]
    pub fn image_and_outcome(&self, args: &[&str]) -> (Layout, Outcome) {
        let dest = self.fresh("layout");
        let output = format!("--output=type=oci,tar=false,dest={}", dest.display());
        let mut all = vec![output.as_str()];
        all.extend(args);
        let outcome = self.build(&all).ok();
        (Layout::read(&dest), outcome)
    }

    /// Runs another command of the program on the state directory.
    ///
    /// # Panics
    /// When the program cannot be started.
    pub fn acetate(&self, args: &[&str]) -> Outcome {
        let mut command = acetate();
        command.arg("--root").arg(self.root()).args(args);
        Outcome::new(&command.output().expect("acetate starts"))
    }

    /// Everything that the state directory holds but its index, locks and version.
    pub fn stored(&self) -> Vec<PathBuf> {
        let is_object = |path: &PathBuf| {
            let top = path
                .components()
                .next()
                .map(|part| part.as_os_str().to_owned());
            ["blobs", "layers", "tmp", "trash", "live", "names"]
                .iter()
                .any(|name| top.as_deref() == Some(name.as_ref()))
        };
        files_below(&self.root())
            .into_iter()
            .filter(is_object)
            .collect()
    }

    /// A path in the world that nothing is at.
    pub fn fresh(&self, name: &str) -> PathBuf {
        let mut n = 0;
        loop {
            let path = self.dir.path().join(format!("{name}-{n}"));
            if !path.exists() {
                return path;
            }
            n += 1;
        }
    }
}

/// Takes away the blanks that all lines begin with, so that fixtures can be indented like code.
fn dedent(text: &str) -> String {
    let text = text.strip_prefix('\n').unwrap_or(text);
    let indents = text.lines().filter(|line| !line.trim().is_empty());
    let indent = indents
        .map(|line| line.len() - line.trim_start_matches(' ').len())
        .min()
        .unwrap_or(0);
    let lines = text
        .lines()
        .map(|line| line.get(indent..).unwrap_or("").to_owned() + "\n");
    let text: String = lines.collect();
    // The last line is that of the closing quote.
    text.strip_suffix("\n\n")
        .map_or(text.clone(), |text| format!("{text}\n"))
}
