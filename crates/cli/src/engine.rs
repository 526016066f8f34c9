//! Everything that an operation on an application works with, opened once: the engine that its destination names, the
//! state, the secrets.

use std::sync::Arc;

use anyhow::anyhow;
use minato_local::LocalTarget;
use minato_oci::Store;
use minato_resource::{Diagnostic, Object, ResourceKey};
use minato_source::LocalSecrets;
use minato_state::State;
use minato_sync::{Application, Context, Destination, Events, Owner, Pins, Redactor, Seams, Target, Tempo};

use crate::images::Deployable;
use crate::machine::Machine;
use crate::repository::Repository;

/// Where an application runs, and what is remembered of it.
pub struct Engine {
    place: Place,
    state: State,
    secrets: LocalSecrets,
    redactor: Redactor,
}

/// The engines.
enum Place {
    /// This machine, with its images.
    Local(Box<LocalTarget>, Arc<Store>),
}

impl Engine {
    /// The engine that an Application's destination names. `_desired` are the Objects that are to go there, as far as they
    /// are known.
    ///
    /// # Errors
    /// It can't be reached with what is configured here.
    pub async fn of(
        machine: &Machine,
        application: &Application,
        secrets: LocalSecrets,
        _desired: &[Object],
    ) -> anyhow::Result<Engine> {
        match &application.destination {
            Destination::Local => Engine::of_this_machine(machine, secrets),
            elsewhere => {
                Err(anyhow!("application {}: nothing is deployed to {elsewhere} yet", application.name))
            }
        }
    }

    /// This machine.
    pub fn of_this_machine(machine: &Machine, secrets: LocalSecrets) -> anyhow::Result<Engine> {
        let state = machine.state()?;
        let store = Arc::new(machine.store()?);
        let redactor = state.redactor()?;
        let target = LocalTarget::new(
            machine.data(),
            machine.supervisor_options(),
            Arc::clone(&store),
            Arc::new(secrets.clone()),
            redactor.clone(),
            machine.target_options(),
        );
        Ok(Engine { place: Place::Local(Box::new(target), store), state, secrets, redactor })
    }

    /// The seams of one operation.
    pub fn seams<'a>(&'a self, events: &'a dyn Events, tempo: Tempo) -> Seams<'a> {
        Seams {
            target: self.target(),
            store: &self.state,
            secrets: &self.secrets,
            pins: self.pins(),
            redactor: &self.redactor,
            events,
            tempo,
        }
    }

    /// The Objects under the names that they will have there, with the namespace of those that say none, and what is wrong
    /// with them.
    ///
    /// # Errors
    /// The engine can't be asked.
    pub async fn resolve(&self, objects: Vec<Object>) -> anyhow::Result<(Vec<Object>, Vec<Diagnostic>)> {
        match &self.place {
            Place::Local(..) => Ok((objects, Vec::new())),
        }
    }

    /// How long to wait for what there.
    pub fn tempo(&self) -> Tempo {
        Tempo::default()
    }

    /// Whether images must be on this machine before anything is applied.
    pub fn runs_images_here(&self) -> bool {
        matches!(self.place, Place::Local(..))
    }

    /// What can't run there, or not as written, with its place. Other engines say so themselves before they write.
    pub async fn check(&self, context: &Context) -> anyhow::Result<Vec<Diagnostic>> {
        match &self.place {
            Place::Local(target, _) => Ok(target.check(context).await?),
        }
    }

    fn target(&self) -> &dyn Target {
        match &self.place {
            Place::Local(target, _) => target.as_ref(),
        }
    }

    fn pins(&self) -> &dyn Pins {
        match &self.place {
            Place::Local(_, store) => store.as_ref(),
        }
    }
}

/// Parts Objects into those that a destination's engine takes and those that are for another engine.
pub fn part(destination: &Destination, objects: Vec<Object>) -> (Vec<Object>, Vec<Object>) {
    match destination {
        Destination::Local => minato_local::part(objects),
        Destination::Kubernetes(_) | Destination::Ecs { .. } => (objects, Vec::new()),
    }
}

/// Why [`part`] leaves an Object out.
pub fn why_not(destination: &Destination, key: &ResourceKey) -> &'static str {
    match destination {
        Destination::Local => minato_local::why_not(key),
        Destination::Kubernetes(_) => "a Kubernetes cluster runs no ECS documents",
        Destination::Ecs { .. } => "ECS runs task definitions and services only",
    }
}

/// What is known of a revision of a work tree before anything is applied.
pub fn context(repository: &Repository, deployable: &Deployable) -> Context {
    Context {
        owner: Owner::new(repository.application.name.clone()),
        revision: deployable.revision.clone(),
        desired: deployable.objects.clone().into(),
        images: Arc::new(deployable.images.clone()),
        applied: Vec::new(),
        retry: Vec::new(),
    }
}
