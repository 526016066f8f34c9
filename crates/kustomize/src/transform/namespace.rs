//! `namespace`: of the resources, and where their fields name one.

use serde_json::{Map, Value};

use super::Operation;
use crate::field::{FieldSpec, Make, set_scalar};
use crate::identity::Gvk;
use crate::refusal::Refusal;
use crate::resource::Resource;
use crate::resources::Resources;
use crate::schema::Schema;
use crate::value;

/// Which subjects of role bindings get the namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subjects {
    NamedDefault,
    AllServiceAccounts,
    None,
}

/// Puts every resource into a namespace.
#[derive(Debug)]
pub(crate) struct SetNamespace {
    pub(crate) namespace: String,
    pub(crate) fields: Vec<FieldSpec>,
    /// Resources that say a namespace keep it.
    pub(crate) only_unset: bool,
    pub(crate) subjects: Subjects,
}

impl Operation for SetNamespace {
    fn apply(&self, resources: &mut Resources, _: &Schema) -> Result<(), Refusal> {
        if self.namespace.is_empty() {
            return Ok(());
        }
        for resource in resources.list_mut().iter_mut().filter(|resource| !resource.is_deleted()) {
            resource.remember();
            self.set(resource)?;
        }
        resources.check_unique().map_err(|refusal| Refusal {
            code: "namespace-conflict",
            message: format!("in namespace `{}`, {}", self.namespace, refusal.message),
            ..refusal
        })
    }
}

impl SetNamespace {
    /// One resource, without remembering what it was.
    pub(crate) fn set(&self, resource: &mut Resource) -> Result<(), Refusal> {
        let gvk = resource.id().gvk.clone();
        if !resource.id().cluster_scoped {
            let own = FieldSpec::new(Gvk::default(), "metadata/namespace", true);
            own.visit(&gvk, &mut resource.value, Make::Scalar, &mut |field| self.write(field))?;
        }
        let binding = matches!(gvk.kind.as_str(), "RoleBinding" | "ClusterRoleBinding");
        if binding {
            self.subjects(&mut resource.value)?;
        }
        for field in &self.fields {
            let left_alone = field.path == "metadata/namespace"
                || (field.path == "metadata/name" && gvk.api_version() != "v1")
                || (binding && field.path == "subjects/namespace" && field.gvk.kind.ends_with("RoleBinding"));
            if !left_alone {
                field.visit(&gvk, &mut resource.value, Make::Scalar, &mut |field| self.write(field))?;
            }
        }
        resource.refresh();
        Ok(())
    }

    fn write(&self, field: &mut Value) -> Result<(), Refusal> {
        if self.only_unset && !value::is_empty(field) && field.as_str() != Some("") {
            return Ok(());
        }
        set_scalar(field, Value::String(self.namespace.clone()))
    }

    fn subjects(&self, binding: &mut Value) -> Result<(), Refusal> {
        let Some(subjects) = binding.get_mut("subjects").filter(|subjects| !subjects.is_null()) else {
            return Ok(());
        };
        let Some(subjects) = subjects.as_array_mut() else {
            return Err(Refusal::new("wrong-type", "`subjects` of a role binding must be a list"));
        };
        for subject in
            subjects.iter_mut().filter_map(Value::as_object_mut).filter(|subject| self.concerns(subject))
        {
            let namespace = subject.entry("namespace").or_insert_with(|| Value::String(String::new()));
            self.write(namespace)?;
        }
        Ok(())
    }

    fn concerns(&self, subject: &Map<String, Value>) -> bool {
        let is = |field: &str, text: &str| subject.get(field).and_then(Value::as_str) == Some(text);
        match self.subjects {
            Subjects::NamedDefault => is("name", "default"),
            Subjects::AllServiceAccounts => is("kind", "ServiceAccount"),
            Subjects::None => false,
        }
    }
}
