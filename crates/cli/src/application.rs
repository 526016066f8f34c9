//! Which application a verb means: one that was deployed from here, by its name, its folder, or the file that declares it.

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use minato_resource::Object;
use minato_sync::{Application, ApplicationRecord, StateStore};
use minato_workload::Filter;

use crate::arguments::DeclaredArguments;
use crate::declared::Declared;
use crate::exit::Failure;
use crate::machine::Machine;
use crate::repository::Repository;

/// Annotation of a recorded Application: the folder that `up` was given.
pub const FOLDER_ANNOTATION: &str = "minato.dev/folder";
/// Annotation of a recorded Application: the file that `--app` named, relative to the folder.
pub const APP_ANNOTATION: &str = "minato.dev/app";
/// Annotation of a recorded Application: the file that `sync` was given.
pub const FILE_ANNOTATION: &str = "minato.dev/file";

/// The application that `given` means.
///
/// # Errors
/// None is called so, or none was given and there is not exactly one.
pub async fn choose(machine: &Machine, given: Option<&str>) -> anyhow::Result<ApplicationRecord> {
    let records = machine.state()?.applications().await?;
    let here = std::env::current_dir().ok();
    let chosen = find(&records, given, here.as_deref()).cloned();
    chosen.ok_or_else(|| nothing_found(&records, given))
}

/// The application that the command line means, by name or by the file that declares it.
///
/// # Errors
/// None is called so, or the file can't be read.
pub async fn meant(machine: &Machine, given: &DeclaredArguments) -> Result<ApplicationRecord, Failure> {
    match &given.file {
        Some(file) => {
            let declared = Declared::read(file)?;
            Ok(choose(machine, Some(declared.application.name.as_str())).await?)
        }
        None => Ok(choose(machine, given.name.application.as_deref()).await?),
    }
}

/// All applications.
pub async fn all(machine: &Machine) -> anyhow::Result<Vec<ApplicationRecord>> {
    Ok(machine.state()?.applications().await?)
}

/// All applications, or the one that the command line means.
pub async fn all_or_meant(
    machine: &Machine,
    given: &DeclaredArguments,
) -> Result<Vec<ApplicationRecord>, Failure> {
    if given.file.is_none() && given.name.application.is_none() {
        return Ok(all(machine).await?);
    }
    Ok(vec![meant(machine, given).await?])
}

/// Refuses to bring out an application where it is not: its history, and what runs elsewhere, would be lost from sight.
///
/// # Errors
/// It was deployed to another destination.
pub async fn refuse_other_destination(machine: &Machine, application: &Application) -> anyhow::Result<()> {
    let Some(record) = machine.state()?.application(&application.name).await? else { return Ok(()) };
    let there = parsed(&record)?.destination;
    if there == application.destination {
        return Ok(());
    }
    let name = &application.name;
    Err(anyhow!(
        "application {name} was deployed to {there}, not to {}; `minato delete {name}` removes it there first, or give this one another name",
        application.destination
    ))
}

/// The workloads and services that `given` means; all of them when nothing is given.
pub async fn filter(machine: &Machine, given: Option<&str>) -> anyhow::Result<Filter> {
    match given {
        Some(_) => Ok(Filter::application(choose(machine, given).await?.name.as_str())),
        None => Ok(Filter::default()),
    }
}

/// The remembered Application.
pub fn parsed(record: &ApplicationRecord) -> anyhow::Result<Application> {
    let object = Object::from_value(record.document.clone())?;
    let (application, findings) = Application::parse(&object);
    let problem = || findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    application
        .ok_or_else(|| anyhow!("the remembered Application {} can't be read: {}", record.name, problem()))
}

/// The repository that an application came from, as its files are now; `None` when they are gone or broken.
pub fn repository(record: &ApplicationRecord) -> Option<Repository> {
    let folder = folder(record)?;
    let app = annotation(record, APP_ANNOTATION).map(|path| folder.join(path));
    Repository::read(&folder, app.as_deref()).ok()
}

fn find<'a>(
    records: &'a [ApplicationRecord],
    given: Option<&str>,
    here: Option<&Path>,
) -> Option<&'a ApplicationRecord> {
    let Some(given) = given else {
        let of_this_folder =
            records.iter().find(|record| here.is_some() && folder(record).as_deref() == here);
        return of_this_folder.or(if let [only] = records { Some(only) } else { None });
    };
    let named = records.iter().find(|record| record.name.as_str() == given);
    named.or_else(|| {
        let wanted = Path::new(given).canonicalize().ok()?;
        records.iter().find(|record| folder(record).as_ref() == Some(&wanted))
    })
}

fn folder(record: &ApplicationRecord) -> Option<PathBuf> {
    annotation(record, FOLDER_ANNOTATION).map(PathBuf::from)
}

/// The file that declared an application; `None` for one that `up` deployed.
pub fn file(record: &ApplicationRecord) -> Option<PathBuf> {
    annotation(record, FILE_ANNOTATION).map(PathBuf::from)
}

fn annotation<'a>(record: &'a ApplicationRecord, name: &str) -> Option<&'a str> {
    record.document.pointer("/metadata/annotations")?.get(name)?.as_str()
}

fn nothing_found(records: &[ApplicationRecord], given: Option<&str>) -> anyhow::Error {
    let names: Vec<&str> = records.iter().map(|record| record.name.as_str()).collect();
    let there = match names.as_slice() {
        [] => "nothing is deployed yet; `minato up DIR` or `minato sync -f FILE` deploys".to_owned(),
        names => format!("there are: {}", names.join(", ")),
    };
    match given {
        Some(name) => anyhow!("no application is called {name} or was deployed from there; {there}"),
        None if names.is_empty() => anyhow!("{there}"),
        None => anyhow!("which application? {there}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record(name: &str, folder: &str) -> ApplicationRecord {
        let document = json!({"metadata": {"annotations": {FOLDER_ANNOTATION: folder}}});
        ApplicationRecord { version: 1, name: name.parse().unwrap(), document, operation: None }
    }

    fn check(names: &[(&str, &str)], given: Option<&str>, here: &str, expected: Option<&str>) {
        let records: Vec<_> = names.iter().map(|(name, folder)| record(name, folder)).collect();
        let found = find(&records, given, Some(Path::new(here)));
        assert_eq!(found.map(|record| record.name.as_str()), expected);
    }

    #[test]
    fn name_folder_this_folder_or_the_only_one() {
        let two = [("shop", "/"), ("blog", "/srv/blog")];
        check(&two, Some("blog"), "/", Some("blog"));
        check(&two, Some("/"), "/srv", Some("shop"));
        check(&two, None, "/srv/blog", Some("blog"));
        check(&two, None, "/elsewhere", None);
        check(&two[..1], None, "/elsewhere", Some("shop"));
        check(&[], None, "/", None);
        check(&two, Some("shopp"), "/", None);
    }
}
