//! Tells what is not done although a flag asks for it.

use crate::flags::BuildFlags;

/// One line for each flag that has no effect and whose effect somebody could miss.
pub(crate) fn of(flags: &BuildFlags) -> Vec<String> {
    let ignored = &flags.ignored;
    let mut notes = Vec::new();
    if let Some(name) = ignored.builder.as_deref().filter(|name| !name.is_empty()) {
        notes.push(format!(
            "--builder {name} has no effect: every build runs in the program itself"
        ));
    }
    if ignored.squash {
        let instead = "copy what matters into a last stage to have fewer layers";
        notes.push(format!("--squash has no effect: {instead}"));
    }
    if !ignored.security_opt.is_empty() {
        let instead = "use `RUN --security=insecure` with --allow security.insecure";
        notes.push(format!("--security-opt has no effect: {instead}"));
    }
    if let other @ ("process" | "hyperv") = flags.isolation.as_str() {
        notes.push(format!(
            "--isolation {other} is for containers of another system: native is used"
        ));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::of;
    use crate::flags::{BuildFlags, Command, Flags};
    use clap::Parser;

    fn flags(args: &[&str]) -> Box<BuildFlags> {
        let all = ["acetate", "build", "."].iter().chain(args);
        match Flags::try_parse_from(all).unwrap().command {
            Command::Build(flags) => flags,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn flags_without_an_effect_say_so_where_it_could_be_missed() {
        let of = |args: &[&str]| of(&flags(args));
        assert_eq!(
            of(&[
                "--builder=ci",
                "--squash",
                "--security-opt",
                "seccomp=unconfined",
                "--isolation=hyperv",
            ]),
            [
                "--builder ci has no effect: every build runs in the program itself",
                "--squash has no effect: copy what matters into a last stage to have fewer layers",
                "--security-opt has no effect: use `RUN --security=insecure` with --allow \
                 security.insecure",
                "--isolation hyperv is for containers of another system: native is used",
            ]
        );
        let silent = [
            "--compress",
            "--rm",
            "--rm=false",
            "--force-rm=true",
            "--squash=false",
            "--builder=",
            "--isolation=default",
        ];
        assert_eq!(of(&silent), [""; 0]);
    }

    #[test]
    fn booleans_take_a_value_behind_an_equals_sign_only() {
        for (args, expected) in [
            (&[][..], false),
            (&["--pull"], true),
            (&["--pull=true"], true),
            (&["--pull=1"], true),
            (&["--pull=False"], false),
            (&["--pull", "--pull=false"], false),
        ] {
            assert_eq!(flags(args).pull, expected, "{args:?}");
        }
        let short = flags(&["-qDt", "x"]);
        assert!(short.quiet && short.debug && short.tag == ["x"]);
        let legacy = flags(&[
            "-m",
            "1g",
            "-c",
            "5",
            "--cpu-quota",
            "-1",
            "--memory-swap",
            "-1",
        ]);
        let limits = &legacy.limits;
        assert_eq!(limits.memory.as_deref(), Some("1g"));
        assert_eq!(limits.cpu_shares.as_deref(), Some("5"));
        assert_eq!(limits.cpu_quota.as_deref(), Some("-1"));
        assert_eq!(limits.memory_swap.as_deref(), Some("-1"));
        for args in [["--pull=maybe"], ["--rm=2"]] {
            let all = ["acetate", "build", "."].iter().chain(&args);
            assert!(Flags::try_parse_from(all).is_err(), "{args:?}");
        }
    }
}
