//! `build-image DATA CONTEXT [--layout FOLDER] [--tag NAME] [-f DOCKERFILE] [--no-cache] [--build-arg A=B] [--target T]`:
//! builds a context with base images from the store, for benches and for trying things.
//!
//! Prints the image's identity on standard output and the steps on standard error.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use minato_build::{
    BuildError, Builder, Cancelled, ContainerExecutor, Offline, Progress, Request, StepError, StepName,
    StepOutcome, Stream,
};
use minato_oci::Store;
use minato_resource::SourceFile;

struct Lines;

#[allow(clippy::print_stderr)]
impl Progress for Lines {
    fn started(&self, _: &StepName) {}
    fn output(&self, step: &StepName, _: Stream, line: &str) {
        eprintln!("[{} {}/{}] | {line}", step.stage, step.number, step.total);
    }
    fn finished(&self, step: &StepName, outcome: StepOutcome, took: Duration) {
        eprintln!("{step}: {outcome:?} in {} ms", took.as_millis());
    }
    fn warning(&self, message: &str) {
        eprintln!("warning: {message}");
    }
}

#[allow(clippy::print_stdout, clippy::print_stderr)]
fn main() -> ExitCode {
    minato_runtime::reexec();
    match run() {
        Ok(id) => {
            println!("{id}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            if let Some(BuildError::Step { cause, .. }) = error.downcast_ref()
                && let StepError::Failed(failure) = &**cause
            {
                failure.last_lines.iter().for_each(|line| eprintln!("  {line}"));
            }
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<String, Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let data = PathBuf::from(words.next().ok_or("which data folder?")?);
    let context = PathBuf::from(words.next().ok_or("which context?")?);
    let mut dockerfile = context.join("Dockerfile");
    let mut request = Request::new(context.clone(), Arc::new(SourceFile::new("Dockerfile", "")));
    let mut tag = None;
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} what?"));
        match word.as_str() {
            "-f" => dockerfile = value()?.into(),
            "--tag" => tag = Some(value()?),
            "--target" => request.target = Some(value()?),
            "--no-cache" => request.no_cache = true,
            "--build-arg" => {
                let argument = value()?;
                let (name, value) = argument.split_once('=').ok_or("--build-arg NAME=VALUE")?;
                request.arguments.insert(name.to_owned(), value.to_owned());
            }
            other => return Err(format!("unknown word {other}").into()),
        }
    }
    request.dockerfile = Arc::new(SourceFile::new(dockerfile.clone(), std::fs::read_to_string(&dockerfile)?));
    let own = PathBuf::from(format!("{}.dockerignore", dockerfile.display()));
    let ignore = if own.exists() { own } else { context.join(".dockerignore") };
    if ignore.exists() {
        request.ignore = Some(Arc::new(SourceFile::new(ignore.clone(), std::fs::read_to_string(ignore)?)));
    }
    let store = Store::open(&data.join("store"))?;
    let executor = ContainerExecutor::new(&data.join("run"), minato_runtime::Engine::Embedded)?;
    let cache = data.join("cache");
    let builder = Builder {
        store: &store,
        cache: &cache,
        executor: &executor,
        bases: &Offline::default(),
        progress: &Lines,
        cancelled: Cancelled::default(),
    };
    let built = builder.build(&request)?;
    if let Some(tag) = tag {
        store.tag(&tag.parse()?, &built.image.id)?;
    }
    Ok(built.image.id.to_string())
}
