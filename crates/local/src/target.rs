//! [`Target`] over the supervisor of this machine.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use minato_oci::Store;
use minato_resource::{Diagnostic, Object, ResourceKey};
use minato_sync::{
    ApplicationName, Applied, Cause, Change, Context, Owner, Progress, Redactor, SecretSource, Target,
    TargetError, Token, is_mark,
};
use minato_workload::spec::Volume;
use minato_workload::{Filter, Status, Supervisor, SupervisorError, SupervisorOptions, Workload};

use crate::lower::{Lowered, Options, check, lower};
use crate::normal::normal;
use crate::order::order;
use crate::prepare::{PrepareError, Prepared};
use crate::progress::{Handle, progress_of};
use crate::record::{Entry, Record, RecordError, Records, Rollout};

/// Annotation of workloads and services: the Object they came from, in normal form.
const OBJECT_NOTE: &str = "minato.dev/object";

/// This machine, as a place where Objects live.
pub struct LocalTarget {
    data: PathBuf,
    supervisor: SupervisorOptions,
    store: Arc<Store>,
    secrets: Arc<dyn SecretSource>,
    redactor: Redactor,
    options: Options,
    records: Records,
    prepared: Mutex<Option<Arc<Prepared>>>,
}

impl LocalTarget {
    /// The target of one data folder. No supervisor is started before something is to run.
    pub fn new(
        data: &Path,
        supervisor: SupervisorOptions,
        store: Arc<Store>,
        secrets: Arc<dyn SecretSource>,
        redactor: Redactor,
        options: Options,
    ) -> Self {
        let records = Records::new(data);
        let data = data.to_owned();
        Self { data, supervisor, store, secrets, redactor, options, records, prepared: Mutex::default() }
    }

    /// Everything that is wrong with, or has no effect of, the desired Objects, each at its line.
    ///
    /// # Errors
    /// The secrets or the image store can't be read.
    pub async fn check(&self, context: &Context) -> Result<Vec<Diagnostic>, TargetError> {
        let prepared = self.prepare(context).await?;
        Ok(check(&prepared.inputs(&self.options)))
    }

    async fn prepare(&self, context: &Context) -> Result<Arc<Prepared>, TargetError> {
        let cached = || self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(prepared) = cached().as_ref().filter(|prepared| prepared.is_for(context)) {
            return Ok(Arc::clone(prepared));
        }
        let prepared = Arc::new(Prepared::fetch(context, &self.store, self.secrets.as_ref()).await?);
        *cached() = Some(Arc::clone(&prepared));
        Ok(prepared)
    }

    /// The supervisor, if something runs.
    async fn running(&self) -> Result<Option<Supervisor>, TargetError> {
        Supervisor::connect(&self.data, &self.supervisor).await.map_err(failed("the supervisor"))
    }

    async fn status(&self, filter: &Filter) -> Result<Status, TargetError> {
        match self.running().await? {
            Some(supervisor) => supervisor.status(filter).await.map_err(failed("the supervisor's status")),
            None => Ok(Status::default()),
        }
    }

    /// Brings a lowered Object to the supervisor, writing down before and after what was asked.
    async fn bring(
        &self,
        desired: &Object,
        lowered: Lowered,
        object: &Object,
        context: &Context,
    ) -> Result<Handle, TargetError> {
        let name = &context.owner.application;
        let mut record = self.records.read(name)?;
        let old = record.objects.get(desired.key()).cloned();
        let note = object.value().to_string();
        let mut entry = Entry {
            object: object.value().clone(),
            workload: lowered.workload.as_ref().map(|workload| workload.key.clone()),
            service: lowered.service.as_ref().map(|service| service.key.clone()),
            rollout: Rollout::None,
        };
        if let Some(mut workload) = lowered.workload {
            workload.annotations.insert(OBJECT_NOTE.to_owned(), note.clone());
            let again = context.retry.contains(desired.key());
            let same = old.clone().filter(|old| old.object == entry.object && !again);
            entry.rollout =
                self.bring_workload(&workload, same, &mut record, &entry, (name, desired)).await?;
        }
        if let Some(mut service) = lowered.service {
            service.annotations.insert(OBJECT_NOTE.to_owned(), note);
            let supervisor = self.start().await?;
            supervisor.apply_service(&service).await.map_err(failed(&service.key.to_string()))?;
        }
        fail::fail_point!("local.object.applied");
        let handle = Handle::of(&entry);
        self.remove_replaced(old.as_ref(), &entry).await?;
        record.objects.insert(desired.key().clone(), entry);
        self.records.write(name, &record)?;
        Ok(handle)
    }

    /// The rollout that brings a workload out: the one that did so already, or a new one.
    async fn bring_workload(
        &self,
        workload: &Workload,
        same: Option<Entry>,
        record: &mut Record,
        entry: &Entry,
        (name, desired): (&ApplicationName, &Object),
    ) -> Result<Rollout, TargetError> {
        let supervisor = self.start().await?;
        let place = workload.key.to_string();
        let status = supervisor.status(&Filter::workload(&workload.key)).await.map_err(failed(&place))?;
        let current = status.workloads.first();
        let before = current.map(|status| status.rollout.clone());
        match same.map(|entry| entry.rollout) {
            // What was asked before it was known whether the supervisor took it: it did if the rollout is another one.
            Some(Rollout::Asked { before: earlier }) if before.is_some() && before != earlier => {
                return Ok(before.map_or(Rollout::None, Rollout::Known));
            }
            Some(Rollout::Known(id)) if current.is_some() => return Ok(Rollout::Known(id)),
            _ => {}
        }
        if current.is_some_and(|status| status.stopped_by_reboot) {
            supervisor.resume().await.map_err(failed(&place))?;
        }
        make_claim_folders(workload, &self.options)?;
        let asked = Entry { rollout: Rollout::Asked { before }, ..entry.clone() };
        record.objects.insert(desired.key().clone(), asked);
        self.records.write(name, record)?;
        fail::fail_point!("local.workload.asked");
        let id = supervisor.apply_workload(workload).await.map_err(failed(&place))?;
        fail::fail_point!("local.workload.applied");
        Ok(Rollout::Known(id))
    }

    async fn start(&self) -> Result<Supervisor, TargetError> {
        let started = Supervisor::connect_or_start(&self.data, &self.supervisor).await;
        started.map_err(failed("the supervisor"))
    }

    /// Removes what the Object was before under another name, or is no longer.
    async fn remove_replaced(&self, old: Option<&Entry>, new: &Entry) -> Result<(), TargetError> {
        let Some(old) = old else { return Ok(()) };
        let left = Entry {
            workload: old.workload.clone().filter(|key| new.workload.as_ref() != Some(key)),
            service: old.service.clone().filter(|key| new.service.as_ref() != Some(key)),
            ..old.clone()
        };
        self.remove_running(&left).await
    }

    async fn remove_running(&self, entry: &Entry) -> Result<(), TargetError> {
        if entry.workload.is_none() && entry.service.is_none() {
            return Ok(());
        }
        let Some(supervisor) = self.running().await? else { return Ok(()) };
        if let Some(key) = &entry.service {
            supervisor.delete_service(key).await.map_err(failed(&key.to_string()))?;
        }
        if let Some(key) = &entry.workload {
            supervisor.delete_workload(key).await.map_err(failed(&key.to_string()))?;
        }
        Ok(())
    }

    /// What is recorded and still there, and what runs although its record is lost.
    async fn entries(&self, name: &ApplicationName) -> Result<Record, TargetError> {
        let mut record = self.records.read(name)?;
        let status = self.status(&Filter::application(name.to_string())).await?;
        record.objects.retain(|_, entry| {
            let workload = entry.workload.as_ref();
            let service = entry.service.as_ref();
            workload.is_none_or(|key| status.workloads.iter().any(|status| status.key == *key))
                && service.is_none_or(|key| status.services.iter().any(|status| status.key == *key))
        });
        for workload in &status.workloads {
            if let Some(object) = noted(&workload.annotations) {
                let entry = record.objects.entry(object.key().clone());
                let entry = entry.or_insert_with(|| unrecorded(&object));
                entry.workload.get_or_insert_with(|| workload.key.clone());
            }
        }
        for service in &status.services {
            if let Some(object) = noted(&service.annotations) {
                let entry = record.objects.entry(object.key().clone());
                let entry = entry.or_insert_with(|| unrecorded(&object));
                entry.service.get_or_insert_with(|| service.key.clone());
            }
        }
        Ok(record)
    }
}

/// Takes the note out of a workload's or service's annotations that says which Object it came from: it is for this crate
/// alone, and as long as the Object itself.
pub fn take_object(annotations: &mut std::collections::BTreeMap<String, String>) -> Option<ResourceKey> {
    let object = noted(annotations);
    annotations.remove(OBJECT_NOTE);
    object.map(|object| object.key().clone())
}

fn noted(annotations: &std::collections::BTreeMap<String, String>) -> Option<Object> {
    let value = serde_json::from_str(annotations.get(OBJECT_NOTE)?).ok()?;
    Object::from_value(value).ok()
}

fn unrecorded(object: &Object) -> Entry {
    Entry { object: object.value().clone(), workload: None, service: None, rollout: Rollout::None }
}

/// Folders that stand for claims are made; other folders of the machine must be there.
fn make_claim_folders(workload: &Workload, options: &Options) -> Result<(), TargetError> {
    for volume in workload.pod.volumes.values() {
        if let Volume::Host(path) = volume
            && path.starts_with(&options.volumes)
        {
            std::fs::create_dir_all(path).map_err(|error| TargetError::Broken {
                what: path.display().to_string(),
                message: error.to_string(),
            })?;
        }
    }
    Ok(())
}

/// A remembered Secret whose values were not put back must never reach a container.
fn refuse_marks(desired: &Object, context: &Context) -> Result<(), TargetError> {
    let secrets = context.desired.iter().filter(|object| object.key().is("", "Secret"));
    for secret in secrets {
        let fields = ["/data", "/stringData"];
        if fields.iter().any(|field| secret.text_map(field).values().any(|text| is_mark(text))) {
            let message = format!("the values of {} are not at hand", secret.key());
            return Err(TargetError::Refused { key: desired.key().clone(), message });
        }
    }
    Ok(())
}

fn refused(object: &Object, diagnostics: &[Diagnostic]) -> TargetError {
    let errors = diagnostics.iter().filter(|diagnostic| diagnostic.is_error());
    let texts: Vec<String> = errors
        .map(|diagnostic| match &diagnostic.hint {
            Some(hint) => format!("{diagnostic}; {hint}"),
            None => diagnostic.to_string(),
        })
        .collect();
    TargetError::Refused { key: object.key().clone(), message: texts.join("\n") }
}

#[async_trait]
impl Target for LocalTarget {
    async fn live(&self, owner: &Owner) -> Result<Vec<Object>, TargetError> {
        let record = self.entries(&owner.application).await?;
        let objects = record.objects.into_values().map(|entry| Object::from_value(entry.object));
        objects.collect::<Result<_, _>>().map_err(|error| TargetError::Broken {
            what: "the record of what was applied".to_owned(),
            message: error.to_string(),
        })
    }

    async fn predict(
        &self,
        desired: &Object,
        live: Option<&Object>,
        context: &Context,
    ) -> Result<Object, TargetError> {
        let prepared = self.prepare(context).await?;
        let inputs = prepared.inputs(&self.options);
        let refuse = |message: String| TargetError::Refused { key: desired.key().clone(), message };
        let predicted =
            normal(desired, &inputs, &self.redactor).map_err(|error| refuse(error.to_string()))?;
        if live != Some(&predicted) {
            let (lowered, diagnostics) = lower(desired, &inputs);
            if lowered.is_none() {
                return Err(refused(desired, &diagnostics));
            }
        }
        Ok(predicted)
    }

    async fn apply(&self, desired: &Object, context: &Context) -> Result<Applied, TargetError> {
        refuse_marks(desired, context)?;
        let prepared = self.prepare(context).await?;
        let inputs = prepared.inputs(&self.options);
        let (lowered, diagnostics) = lower(desired, &inputs);
        let lowered = lowered.ok_or_else(|| refused(desired, &diagnostics))?;
        let object = normal(desired, &inputs, &self.redactor).map_err(|error| TargetError::Refused {
            key: desired.key().clone(),
            message: error.to_string(),
        })?;
        let handle = self.bring(desired, lowered, &object, context).await?;
        let identity = handle.identity();
        Ok(Applied { key: desired.key().clone(), identity, token: handle.token() })
    }

    async fn progress(&self, token: &Token) -> Result<Progress, TargetError> {
        let Some(handle) = Handle::parse(token) else {
            let cause = Cause::new(format!("{:?} is no rollout of this machine", token.as_str()));
            return Ok(Progress::Failed { cause });
        };
        if handle.is_nothing() {
            return Ok(Progress::Healthy);
        }
        match self.running().await? {
            Some(supervisor) => {
                progress_of(&handle, &supervisor).await.map_err(failed("the supervisor's status"))
            }
            None => Ok(Progress::Failed { cause: Cause::new("nothing runs: the supervisor has ended") }),
        }
    }

    async fn delete(&self, key: &ResourceKey, owner: &Owner) -> Result<(), TargetError> {
        let name = &owner.application;
        if let Some(entry) = self.entries(name).await?.objects.get(key) {
            self.remove_running(entry).await?;
        }
        fail::fail_point!("local.object.deleted");
        let mut record = self.records.read(name)?;
        record.objects.remove(key);
        self.records.write(name, &record)?;
        Ok(())
    }

    fn order(&self, key: &ResourceKey) -> i32 {
        order(key)
    }

    async fn watch(&self, owner: &Owner) -> Result<BoxStream<'static, Change>, TargetError> {
        let Some(supervisor) = self.running().await? else { return Ok(stream::empty().boxed()) };
        let filter = Filter::application(owner.application.to_string());
        let watch = supervisor.watch(&filter).await.map_err(failed("the supervisor's changes"))?;
        let changes = stream::unfold(watch, |mut watch| async move {
            let status = watch.next().await;
            matches!(status, Ok(Some(_))).then_some((Change { key: None }, watch))
        });
        Ok(changes.boxed())
    }
}

/// What a failure of the supervisor means to the caller.
fn failed(what: &str) -> impl Fn(SupervisorError) -> TargetError + use<> {
    let what = what.to_owned();
    move |error| {
        let (what, message) = (what.clone(), error.to_string());
        match error {
            SupervisorError::Wire(_) | SupervisorError::Start { .. } => {
                TargetError::Unavailable { what, message }
            }
            _ => TargetError::Broken { what, message },
        }
    }
}

impl From<RecordError> for TargetError {
    fn from(error: RecordError) -> Self {
        Self::Broken { what: "the record of what was applied".to_owned(), message: error.to_string() }
    }
}

impl From<PrepareError> for TargetError {
    fn from(error: PrepareError) -> Self {
        Self::Broken { what: "what the objects refer to".to_owned(), message: error.to_string() }
    }
}
