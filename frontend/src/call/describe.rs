use serde::Serialize;

/// A question that can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Subrequest {
    /// Its name, `frontend.` included.
    pub name: &'static str,
    /// The version of its answer.
    pub version: &'static str,
    /// How it is asked.
    #[serde(rename = "Type")]
    pub kind: &'static str,
    /// What it answers.
    pub description: &'static str,
    /// What it can be given.
    pub opts: &'static [Named],
    /// The parts of its answer.
    pub metadata: &'static [Named],
}

/// A name with an explanation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Named {
    /// The name.
    pub name: &'static str,
    /// What it is; may be empty.
    pub description: &'static str,
}

const JSON: Named = named("result.json", "");
const TEXT: Named = named("result.txt", "");
const STATUS: Named = named("result.statuscode", "");
const TARGET: Named = named("target", "Target build stage");

/// Lists the questions.
pub fn describe() -> Vec<Subrequest> {
    vec![
        question(
            "frontend.lint",
            "Lint a Dockerfile",
            &[],
            &[JSON, TEXT, STATUS],
        ),
        question(
            "frontend.outline",
            "List all parameters current build target supports",
            &[TARGET],
            &[JSON, TEXT],
        ),
        question(
            "frontend.targets",
            "List all targets current build supports",
            &[],
            &[JSON, TEXT],
        ),
        question(
            "frontend.subrequests.describe",
            "List available subrequest types",
            &[],
            &[JSON, TEXT],
        ),
    ]
}

const fn named(name: &'static str, description: &'static str) -> Named {
    Named { name, description }
}

const fn question(
    name: &'static str,
    description: &'static str,
    opts: &'static [Named],
    metadata: &'static [Named],
) -> Subrequest {
    Subrequest {
        name,
        version: "1.0.0",
        kind: "rpc",
        description,
        opts,
        metadata,
    }
}
