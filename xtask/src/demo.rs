//! The demo: `examples/demo` is built, built again, changed, built once more, and run.
//!
//! It checks what it claims: a second build that runs any step, or a change that runs more than
//! what depends on it, is a failure.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::bases::{self, Bases};
use crate::layout;
use crate::process::{self, Stream};
use crate::progress::Log;
use crate::project::{Profile, Project};

const NAME: &str = "sift:demo";

/// The line that is changed for the third build, and what it becomes. The change shows in what
/// the image prints: its bars are drawn with another sign.
const CHANGED_FILE: &str = "src/functions.c";
const BEFORE: &str = "text_byte(&text, '#');";
const AFTER: &str = "text_byte(&text, '=');";

struct Demo {
    acetate: PathBuf,
    bases: Bases,
    /// Everything that the demo writes.
    folder: PathBuf,
}

struct Build {
    time: Duration,
    log: Log,
}

pub(crate) fn run(project: &Project, words: &[String]) -> Result<()> {
    let profile = match words {
        [] => Profile::Release,
        [word] if word == "--dev" => Profile::Dev,
        _ => bail!("`demo` takes nothing but `--dev`"),
    };
    let bases = bases::make_all(project)?;
    let acetate = project.build_acetate(profile)?;
    let demo = Demo {
        acetate,
        bases,
        folder: project.target("demo"),
    };
    demo.start_afresh(&project.path("examples/demo"))?;

    let cold = demo.step("1. a cold build", "final")?;
    check_cold(&cold.log)?;
    let cached = demo.step("2. the same build again", "final")?;
    check_cached(&cached.log)?;
    demo.change()?;
    let changed = demo.step(&format!("3. {CHANGED_FILE} has changed"), "final")?;
    check_changed(&changed.log)?;

    heading("4. the image");
    demo.print_sizes()?;
    heading("5. what the image's command prints");
    demo.run_image()?;
    heading("times");
    for (what, build) in [
        ("cold", &cold),
        ("cached", &cached),
        ("one file changed", &changed),
    ] {
        let (ran, kept) = (build.log.ran().len(), build.log.n_cached());
        let seconds = build.time.as_secs_f64();
        println!("{what:<17} {seconds:>8.3} s   {ran:>2} steps ran, {kept:>2} cached");
    }
    Ok(())
}

impl Demo {
    /// An empty store, and a copy of the example that may be changed.
    fn start_afresh(&self, example: &Path) -> Result<()> {
        if self.folder.exists() {
            fs::remove_dir_all(&self.folder)
                .with_context(|| format!("cannot remove {}", self.folder.display()))?;
        }
        fs::create_dir_all(&self.folder)?;
        process::run(
            Command::new("cp")
                .arg("-r")
                .arg(example)
                .arg(self.context()),
        )
    }

    fn context(&self) -> PathBuf {
        self.folder.join("context")
    }

    fn store(&self) -> PathBuf {
        self.folder.join("root")
    }

    fn image(&self, name: &str) -> PathBuf {
        self.folder.join("images").join(name)
    }

    /// The command line of the main job, with one OCI layout as its output.
    fn build_command(&self, image: &str) -> Command {
        let mut output = std::ffi::OsString::from("type=oci,tar=false,dest=");
        output.push(self.image(image));
        let mut command = Command::new(&self.acetate);
        command.arg("build").arg("--root").arg(self.store());
        for (name, layout) in [
            ("debian", &self.bases.debian),
            ("busybox", &self.bases.busybox),
        ] {
            let mut context = std::ffi::OsString::from(format!("{name}=oci-layout://"));
            context.push(layout);
            command.arg("--build-context").arg(context);
        }
        command.arg("--progress=plain").arg("-o").arg(output);
        command
    }

    fn step(&self, title: &str, image: &str) -> Result<Build> {
        heading(title);
        self.clear_image(image)?;
        let mut command = self.build_command(image);
        command.args(["-t", NAME]).arg(self.context());
        let start = Instant::now();
        let (status, text) = process::tee(&mut command, Stream::Stderr)?;
        let time = start.elapsed();
        ensure!(status.success(), "`acetate build` ended with {status}");
        println!("took {:.3} s", time.as_secs_f64());
        Ok(Build {
            time,
            log: Log::parse(&text),
        })
    }

    fn clear_image(&self, image: &str) -> Result<()> {
        let layout = self.image(image);
        if layout.exists() {
            fs::remove_dir_all(&layout)?;
        }
        fs::create_dir_all(layout.parent().context("images lie in a folder")?)?;
        Ok(())
    }

    fn change(&self) -> Result<()> {
        let file = self.context().join(CHANGED_FILE);
        let text = fs::read_to_string(&file)?;
        ensure!(
            text.contains(BEFORE),
            "{CHANGED_FILE} no longer holds `{BEFORE}`"
        );
        fs::write(&file, text.replace(BEFORE, AFTER))?;
        Ok(())
    }

    /// The final image beside one that would carry the build stage too.
    fn print_sizes(&self) -> Result<()> {
        let sizes = layout::layer_sizes(&self.image("final"))?;
        for (place, size) in sizes.iter().enumerate() {
            println!("layer {}          {:>12}", place + 1, mebibytes(*size));
        }
        let total: u64 = sizes.iter().sum();
        println!(
            "the image        {:>12}   in {} layers",
            mebibytes(total),
            sizes.len()
        );

        self.clear_image("build")?;
        let mut command = self.build_command("build");
        process::quiet(command.args(["--target", "build"]).arg(self.context()))?;
        let stage: u64 = layout::layer_sizes(&self.image("build"))?.iter().sum();
        let both = total + stage;
        println!("with its compiler{:>12}", mebibytes(both));
        ensure!(
            total * 4 < both,
            "the final image is not much smaller than with its build stage"
        );
        Ok(())
    }

    fn run_image(&self) -> Result<()> {
        let mut command = Command::new(&self.acetate);
        command.arg("run").arg("--root").arg(self.store()).arg(NAME);
        let (status, text) = process::tee(&mut command, Stream::Stdout)?;
        ensure!(status.success(), "`acetate run` ended with {status}");
        ensure!(
            text.contains("Norway") && text.contains("====="),
            "the answer is not the new one"
        );
        Ok(())
    }
}

fn check_cold(log: &Log) -> Result<()> {
    for step in [
        "make -j2 check",
        "groff -man",
        "orders.awk",
        "COPY --from=docs",
    ] {
        ensure!(log.ran_like(step), "the cold build did not run `{step}`");
    }
    ensure!(
        log.overlapped("build", "docs"),
        "the two stages did not run at the same time"
    );
    Ok(())
}

fn check_cached(log: &Log) -> Result<()> {
    let ran: Vec<&str> = log.ran().iter().map(|step| step.name.as_str()).collect();
    ensure!(ran.is_empty(), "the second build ran {}", ran.join(", "));
    ensure!(log.n_cached() > 0, "the second build named no cached step");
    Ok(())
}

fn check_changed(log: &Log) -> Result<()> {
    for step in ["make -j2 check", "COPY --from=build"] {
        ensure!(log.ran_like(step), "the change did not reach `{step}`");
    }
    for step in ["apt-get", "[docs "] {
        ensure!(
            !log.ran_like(step),
            "the change made `{step}` run, which does not depend on it"
        );
    }
    Ok(())
}

fn heading(title: &str) {
    println!("\n== {title}");
}

fn mebibytes(bytes: u64) -> String {
    // Tenths in whole numbers: enough for people, and exact.
    let tenths = bytes * 10 / (1 << 20);
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_build_that_runs_a_step_is_refused() {
        let cached = Log::parse("#1 [build 2/3] RUN make\n#1 CACHED\n");
        assert!(check_cached(&cached).is_ok());
        let ran = Log::parse("#1 [build 2/3] RUN make\n#1 DONE 0.1s\n");
        assert!(
            check_cached(&ran)
                .unwrap_err()
                .to_string()
                .contains("RUN make")
        );
        assert!(check_cached(&Log::parse("")).is_err());
    }

    #[test]
    fn a_change_must_not_reach_the_other_stage() {
        let good = "#1 [build 5/6] RUN make -j2 check\n#1 DONE 1s\n\
                    #2 [stage-2 2/3] COPY --from=build /out/ /\n#2 DONE 0s\n";
        assert!(check_changed(&Log::parse(good)).is_ok());
        let bad = format!("{good}#3 [docs 5/6] RUN groff\n#3 DONE 0s\n");
        assert!(check_changed(&Log::parse(&bad)).is_err());
    }

    #[test]
    fn the_changed_line_stands_in_the_example() {
        let project = Project::locate().unwrap();
        let file = project.path("examples/demo").join(CHANGED_FILE);
        let text = fs::read_to_string(file).unwrap();
        assert_eq!(text.matches(BEFORE).count(), 1);
    }

    #[test]
    fn sizes_are_rounded_down_to_tenths() {
        assert_eq!(mebibytes(0), "0.0 MiB");
        assert_eq!(mebibytes((1 << 20) * 3 / 2), "1.5 MiB");
    }
}
