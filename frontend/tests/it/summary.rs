//! A parsed file in few lines, for expectations that people can read.

use acetate_frontend::ast::{
    Add, Command, Copy, CopySource, Dockerfile, HealthcheckTest, Instruction, InstructionKind,
    KeyValue, RunCommand,
};
use acetate_frontend::{Parsed, SourceFile, Spanned};

/// All directives, instructions, heredocs and errors, one line each. Warnings are the checks'.
pub(crate) fn summary(source: &SourceFile, parsed: &Parsed) -> String {
    let mut lines = file(&parsed.ast);
    let errors = parsed.diagnostics.iter().filter(|it| it.is_error());
    for finding in errors {
        let place = finding.span().map_or(String::new(), |span| {
            let lines = source.line_range(span);
            if lines.first == lines.last {
                format!(" in {}", lines.first)
            } else {
                format!(" in {}-{}", lines.first, lines.last)
            }
        });
        lines.push(format!("error{place}: {}", finding.message));
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn file(ast: &Dockerfile) -> Vec<String> {
    let mut lines = Vec::new();
    for directive in &ast.directives {
        lines.push(format!(
            "# {:?} {:?}",
            directive.kind, directive.value.value
        ));
    }
    for item in &ast.items {
        if item.kind == InstructionKind::Invalid {
            continue;
        }
        let at = if item.lines.first == item.lines.last {
            item.lines.first.to_string()
        } else {
            format!("{}-{}", item.lines.first, item.lines.last)
        };
        lines.push(format!("{at} {}", instruction(item)));
        for heredoc in &item.heredocs {
            let expand = if heredoc.expand { "" } else { " literal" };
            let tabs = if heredoc.strip_tabs { " tabs" } else { "" };
            let (fd, name, content) = (heredoc.fd, &heredoc.name, &heredoc.content);
            lines.push(format!("  {fd}<<{name}{expand}{tabs} {content:?}"));
        }
    }
    lines
}

fn instruction(item: &Instruction) -> String {
    let mut text = item.kind.name().to_owned();
    for flag in &item.flags {
        let value = flag
            .value
            .as_ref()
            .map_or(String::new(), |value| format!("={}", value.value));
        text += &format!(" --{}{value}", flag.name.value);
    }
    let rest = arguments(&item.kind);
    if rest.is_empty() {
        text
    } else {
        format!("{text} {rest}")
    }
}

fn arguments(kind: &InstructionKind) -> String {
    match kind {
        InstructionKind::Add(Add { sources, dest, .. })
        | InstructionKind::Copy(Copy { sources, dest, .. }) => {
            let mut words: Vec<String> = sources.iter().map(source).collect();
            words.push(format!("-> {}", dest.value));
            words.join(" ")
        }
        InstructionKind::Arg(declared) => list(declared, |it| match &it.default {
            Some(default) => format!("{}={}", it.name.value, default.value),
            None => it.name.value.clone(),
        }),
        InstructionKind::Cmd(it) | InstructionKind::Entrypoint(it) => command(it),
        InstructionKind::Env(pairs) | InstructionKind::Label(pairs) => list(pairs, pair),
        InstructionKind::Expose(it) => words(&it.ports),
        InstructionKind::From(it) => match &it.name {
            Some(name) => format!("{} as {}", it.image.value, name.value),
            None => it.image.value.clone(),
        },
        InstructionKind::Healthcheck(it) => match &it.test {
            HealthcheckTest::None => "NONE".to_owned(),
            HealthcheckTest::Cmd(it) => command(it),
        },
        InstructionKind::Onbuild(it) => format!("{:?} = {}", it.text, instruction(&it.inner)),
        InstructionKind::Run(it) => run(&it.command),
        InstructionKind::Shell(it) => exec(it),
        InstructionKind::Maintainer(it)
        | InstructionKind::Stopsignal(it)
        | InstructionKind::User(it)
        | InstructionKind::Workdir(it) => format!("{:?}", it.value),
        InstructionKind::Volume(it) => words(&it.paths),
        InstructionKind::Invalid => String::new(),
    }
}

fn list<T>(items: &[T], show: impl Fn(&T) -> String) -> String {
    items.iter().map(show).collect::<Vec<_>>().join(" ")
}

fn pair(it: &KeyValue) -> String {
    let legacy = if it.legacy { " (legacy)" } else { "" };
    format!("{}=>{}{legacy}", it.key.value, it.value.value)
}

fn source(it: &CopySource) -> String {
    match it {
        CopySource::Path(path) => path.value.clone(),
        CopySource::Heredoc(idx) => format!("heredoc:{idx}"),
    }
}

fn words(items: &[Spanned<String>]) -> String {
    list(items, |it| format!("{:?}", it.value))
}

fn exec(items: &[Spanned<String>]) -> String {
    format!("[{}]", words(items))
}

fn command(it: &Command) -> String {
    match it {
        Command::Shell(text) => format!("shell {:?}", text.value),
        Command::Exec(items) => format!("exec {}", exec(items)),
    }
}

fn run(it: &RunCommand) -> String {
    match it {
        RunCommand::Shell(text) => format!("shell {:?}", text.value),
        RunCommand::Exec(items) => format!("exec {}", exec(items)),
        RunCommand::Heredoc { word } => format!("heredoc {}", word.value),
        RunCommand::ShellWithHeredocs { script, .. } => format!("script {script:?}"),
    }
}
