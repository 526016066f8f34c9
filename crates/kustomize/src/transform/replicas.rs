//! `replicas`.

use serde_json::Value;

use super::Operation;
use crate::field::{FieldSpec, Make, set_scalar};
use crate::identity::Gvk;
use crate::kustomization::Replica;
use crate::refusal::Refusal;
use crate::resource::Resource;
use crate::resources::Resources;
use crate::schema::Schema;

/// Sets how many replicas a workload has.
#[derive(Debug)]
pub(crate) struct SetReplicas {
    pub(crate) replica: Replica,
    pub(crate) fields: Vec<FieldSpec>,
}

impl Operation for SetReplicas {
    fn apply(&self, resources: &mut Resources, _: &Schema) -> Result<(), Refusal> {
        let mut found = false;
        for field in &self.fields {
            for resource in resources.list_mut().iter_mut().filter(|resource| self.concerns(resource, field))
            {
                found = true;
                let gvk = resource.id().gvk.clone();
                let count = Value::from(self.replica.count);
                field.visit(&gvk, &mut resource.value, Make::Scalar, &mut |field| {
                    set_scalar(field, count.clone())
                })?;
            }
        }
        if found { Ok(()) } else { Err(self.not_found(resources)) }
    }
}

impl SetReplicas {
    fn concerns(&self, resource: &Resource, field: &FieldSpec) -> bool {
        let id = resource.id();
        let kind = |kind: &str| Gvk { kind: kind.to_owned(), ..id.gvk.clone() }.is_selected_by(&field.gvk);
        (id.name == self.replica.name && id.gvk.is_selected_by(&field.gvk))
            || resource
                .previous
                .iter()
                .any(|previous| previous.name == self.replica.name && kind(&previous.kind))
    }

    fn not_found(&self, resources: &Resources) -> Refusal {
        let kinds: Vec<&str> = self.fields.iter().map(|field| field.gvk.kind.as_str()).collect();
        let message = format!("there is no {} `{}` to set replicas of", kinds.join(", "), self.replica.name);
        let names = resources.as_slice().iter().map(|resource| resource.id().name.as_str());
        Refusal::new("missing-target", message).suggesting(&self.replica.name, names)
    }
}
