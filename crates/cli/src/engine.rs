//! Everything that an operation on an application works with, opened once.

use std::sync::Arc;

use minato_local::LocalTarget;
use minato_oci::Store;
use minato_resource::Diagnostic;
use minato_source::LocalSecrets;
use minato_state::State;
use minato_sync::{Context, Events, Owner, Redactor, Seams, Tempo};

use crate::images::Deployable;
use crate::machine::Machine;
use crate::repository::Repository;

/// This machine's target, state and images.
pub struct Engine {
    pub target: LocalTarget,
    state: State,
    store: Arc<Store>,
    secrets: LocalSecrets,
    redactor: Redactor,
}

impl Engine {
    pub fn open(machine: &Machine, secrets: LocalSecrets) -> anyhow::Result<Engine> {
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
        Ok(Engine { target, state, store, secrets, redactor })
    }

    /// The seams of one operation.
    pub fn seams<'a>(&'a self, events: &'a dyn Events, tempo: Tempo) -> Seams<'a> {
        Seams {
            target: &self.target,
            store: &self.state,
            secrets: &self.secrets,
            pins: &*self.store,
            redactor: &self.redactor,
            events,
            tempo,
        }
    }

    /// What can't run here, or not as written, with its place.
    pub async fn check(&self, context: &Context) -> anyhow::Result<Vec<Diagnostic>> {
        Ok(self.target.check(context).await?)
    }
}

/// What is known of a revision before anything is applied.
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
