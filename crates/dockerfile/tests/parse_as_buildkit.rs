//! A Dockerfile means what it means to `BuildKit`, for every case in testdata/parse (see oracle/dockerfile).

// A test may fail anywhere, not only in functions that clippy knows as tests.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::Arc;

use minato_dockerfile::{
    Add, Arg, Command, Copy, Dockerfile, Healthcheck, HealthcheckCommand, Heredoc, Instruction, MountKind,
    MountSharing, Network, Pair, PairForm, Run, Script, Security, Stage, Transfer, Word, parse,
};
use minato_resource::{Diagnostic, SourceFile};
use serde_json::{Value, json};

#[test]
fn every_case_means_the_same_as_in_buildkit() {
    let cases: Vec<Value> = include_str!("../testdata/parse/expected.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(cases.len() > 1000, "the cases are missing");
    let wrong: Vec<String> = cases.iter().filter_map(difference).collect();
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

fn difference(case: &Value) -> Option<String> {
    let (title, text) = (case["title"].as_str().unwrap(), case["text"].as_str().unwrap());
    let (dockerfile, diagnostics) = parse(&Arc::new(SourceFile::new("Dockerfile", text)));
    let refused = diagnostics.iter().find(|diagnostic| diagnostic.is_error()).map(ToString::to_string);
    let ours = if refused.is_some() { Value::Null } else { describe(&dockerfile) };
    let theirs = case.get("dockerfile").cloned().unwrap_or(Value::Null);
    if ours == theirs && refused.is_some() && !is_placed(case, &diagnostics) {
        return Some(format!("=== {title}\n{text}\n  ours   {diagnostics:?}\n  theirs {case}"));
    }
    (ours != theirs).then(|| {
        format!("=== {title}\n{text}\n  ours   {ours} {refused:?}\n  theirs {theirs} {}", case["error"])
    })
}

/// Whether one of the errors is on the lines that `BuildKit` names. It stops at its first one, and counts from zero
/// where the error is about a directive or a file without instructions.
fn is_placed(case: &Value, diagnostics: &[Diagnostic]) -> bool {
    let Some(lines) =
        case["lines"].as_array().map(|it| it[0].as_u64().unwrap()..=it[1].as_u64().unwrap() + 1)
    else {
        return true;
    };
    let errors = diagnostics.iter().filter(|diagnostic| diagnostic.is_error());
    let places =
        errors.filter_map(|error| error.location.as_ref()).map(|location| location.position().line as u64);
    places.into_iter().any(|line| lines.contains(&line))
}

/// The oracle's form of a Dockerfile.
fn describe(dockerfile: &Dockerfile) -> Value {
    json!({
        "escape": dockerfile.escape,
        "global_args": list_or_null(dockerfile.global_args.iter().map(|arg| describe_arg(&arg.value))),
        "stages": dockerfile.stages.iter().map(|stage| describe_stage(stage, dockerfile.escape)).collect::<Vec<_>>(),
    })
}

fn describe_stage(stage: &Stage, escape: char) -> Value {
    let from = &stage.from.value;
    json!({
        "image": from.image.raw,
        "name": text(from.name.as_ref()),
        "platform": text(from.platform.as_ref()),
        "instructions": stage.instructions.iter().map(|it| describe_instruction(&it.value, escape)).collect::<Vec<_>>(),
    })
}

fn describe_instruction(instruction: &Instruction, escape: char) -> Value {
    match instruction {
        Instruction::Add(add) => json!({"add": describe_add(add)}),
        Instruction::Arg(arg) => describe_arg(arg),
        Instruction::Cmd(command) => json!({"cmd": describe_command(command)}),
        Instruction::Copy(copy) => json!({"copy": describe_copy(copy)}),
        Instruction::Entrypoint(command) => json!({"entrypoint": describe_command(command)}),
        Instruction::Env(env) => json!({"env": describe_pairs(&env.pairs)}),
        Instruction::Expose(expose) => {
            let mut ports = raws(&expose.ports);
            ports.sort_unstable();
            json!({"expose": ports})
        }
        Instruction::Healthcheck(healthcheck) => json!({"healthcheck": describe_healthcheck(healthcheck)}),
        Instruction::Label(label) => json!({"label": describe_pairs(&label.pairs)}),
        Instruction::Maintainer(word) => json!({"maintainer": word.operand.raw}),
        Instruction::Onbuild(onbuild) => json!({"onbuild": onbuild.expression}),
        Instruction::Run(run) => json!({"run": describe_run(run, escape)}),
        Instruction::Shell(words) => json!({"shell": raws(words)}),
        Instruction::Stopsignal(word) => json!({"stopsignal": word.operand.raw}),
        Instruction::User(word) => json!({"user": word.operand.raw}),
        Instruction::Volume(volume) => json!({"volume": raws(&volume.paths)}),
        Instruction::Workdir(word) => json!({"workdir": word.operand.raw}),
    }
}

fn describe_arg(arg: &Arg) -> Value {
    let definition =
        |it: &minato_dockerfile::ArgDefinition| json!([it.name.raw, it.default.as_ref().map(|it| &it.raw)]);
    json!({"arg": arg.definitions.iter().map(definition).collect::<Vec<_>>()})
}

fn describe_pairs(pairs: &[Pair]) -> Value {
    pairs.iter().map(|pair| json!([pair.name.raw, pair.value.raw, pair.form == PairForm::Blank])).collect()
}

fn describe_command(command: &Command) -> Value {
    match command {
        Command::Shell(line) => json!(line.raw),
        Command::Exec(words) => json!(raws(words)),
    }
}

fn describe_healthcheck(healthcheck: &Healthcheck) -> Value {
    let test = match &healthcheck.command {
        HealthcheckCommand::None => vec!["NONE"],
        HealthcheckCommand::Cmd(Command::Shell(line)) => vec!["CMD-SHELL", &line.raw],
        HealthcheckCommand::Cmd(Command::Exec(words)) => std::iter::once("CMD").chain(raws(words)).collect(),
    };
    let options = &healthcheck.options;
    let nanoseconds = |it: Option<std::time::Duration>| it.unwrap_or_default().as_nanos() as u64;
    json!([
        test,
        nanoseconds(options.interval),
        nanoseconds(options.timeout),
        nanoseconds(options.start_period),
        nanoseconds(options.start_interval),
        options.retries.unwrap_or_default(),
    ])
}

fn describe_copy(copy: &Copy) -> Value {
    let mut out = describe_transfer(&copy.transfer);
    out["from"] = json!(text(copy.from.as_ref()));
    out["parents"] = json!(copy.parents);
    out
}

fn describe_add(add: &Add) -> Value {
    let mut out = describe_transfer(&add.transfer);
    out["checksum"] = json!(text(add.checksum.as_ref()));
    out["keep_git_dir"] = json!(add.keep_git_dir);
    out["unpack"] = json!(add.unpack);
    out
}

fn describe_transfer(transfer: &Transfer) -> Value {
    let heredoc = |it: &Heredoc| json!([it.name, it.content(), it.expand]);
    json!({
        "sources": list_or_null(transfer.sources.iter().map(|it| json!(it.raw))),
        "destination": transfer.destination.raw,
        "heredocs": list_or_null(transfer.heredocs.iter().map(heredoc)),
        "chown": text(transfer.options.chown.as_ref()),
        "chmod": text(transfer.options.chmod.as_ref()),
        "link": transfer.options.link,
        "exclude": list_or_null(transfer.options.exclude.iter().map(|it| json!(it.raw))),
    })
}

fn describe_run(run: &Run, escape: char) -> Value {
    let script = match run.script() {
        Script::Shell(line) => json!({"shell": line}),
        Script::File { name, content } => json!({"file": [name, content]}),
        Script::Exec(arguments) => json!({"exec": arguments}),
    };
    json!({
        "script": script,
        "mounts": list_or_null(run.mounts.iter().map(|mount| describe_mount(mount, escape))),
        "devices": list_or_null(run.devices.iter().map(|it| json!([it.name, it.required]))),
        "network": match run.network {
            Network::Default => "default",
            Network::None => "none",
            Network::Host => "host",
        },
        "security": if run.security == Security::Insecure { "insecure" } else { "sandbox" },
    })
}

fn describe_mount(mount: &minato_dockerfile::Mount, escape: char) -> Value {
    let environment = |name: &str| match name {
        "A" => Some("a".to_owned()),
        "DIR" => Some("/dir".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    };
    let options = match mount.resolve(escape, &environment) {
        Ok(options) => options,
        Err(error) => return json!(error.to_string()),
    };
    json!([
        match options.kind {
            MountKind::Bind => "bind",
            MountKind::Cache => "cache",
            MountKind::Tmpfs => "tmpfs",
            MountKind::Secret => "secret",
            MountKind::Ssh => "ssh",
        },
        options.from.unwrap_or_default(),
        options.source.unwrap_or_default(),
        options.target.unwrap_or_default(),
        options.read_only,
        options.size_limit.unwrap_or_default(),
        options.id.unwrap_or_default(),
        options.sharing.map_or("", |sharing| match sharing {
            MountSharing::Shared => "shared",
            MountSharing::Private => "private",
            MountSharing::Locked => "locked",
        }),
        options.required,
        options.env,
        options.mode,
        options.uid,
        options.gid,
    ])
}

fn raws(words: &[Word]) -> Vec<&str> {
    words.iter().map(|word| word.raw.as_str()).collect()
}

fn text(word: Option<&Word>) -> &str {
    word.map_or("", |word| word.raw.as_str())
}

/// Go writes a list that nothing was added to as null.
fn list_or_null(values: impl Iterator<Item = Value>) -> Value {
    let values: Vec<Value> = values.collect();
    if values.is_empty() { Value::Null } else { Value::Array(values) }
}
