//! `labels`, `commonLabels` and `commonAnnotations`.

use super::Operation;
use crate::configuration::{Configuration, add_all};
use crate::field::{FieldSpec, Make, set_entry};
use crate::identity::Gvk;
use crate::kustomization::Labels;
use crate::refusal::Refusal;
use crate::resources::Resources;
use crate::schema::Schema;

/// Writes labels into every field that holds some.
#[derive(Debug)]
pub(crate) struct SetLabels {
    pub(crate) pairs: Vec<(String, String)>,
    pub(crate) fields: Vec<FieldSpec>,
}

/// Writes annotations.
#[derive(Debug)]
pub(crate) struct SetAnnotations {
    pub(crate) pairs: Vec<(String, String)>,
    pub(crate) fields: Vec<FieldSpec>,
}

/// The fields of an entry of `labels`: its own, then those that it includes.
pub(crate) fn label_fields(
    labels: &Labels,
    configuration: &Configuration,
) -> Result<Vec<FieldSpec>, Refusal> {
    let mut fields = labels.fields.clone();
    add_all(&mut fields, &configuration.labels)?;
    if labels.include_selectors {
        add_all(&mut fields, &configuration.common_labels)?;
        return Ok(fields);
    }
    if labels.include_templates {
        add_all(&mut fields, &configuration.template_labels)?;
    }
    add_all(&mut fields, &[FieldSpec::new(Gvk::default(), "metadata/labels", true)])?;
    Ok(fields)
}

impl Operation for SetLabels {
    fn apply(&self, resources: &mut Resources, _: &Schema) -> Result<(), Refusal> {
        set(resources, &self.pairs, &self.fields)
    }
}

impl Operation for SetAnnotations {
    fn apply(&self, resources: &mut Resources, _: &Schema) -> Result<(), Refusal> {
        set(resources, &self.pairs, &self.fields)
    }
}

fn set(resources: &mut Resources, pairs: &[(String, String)], fields: &[FieldSpec]) -> Result<(), Refusal> {
    if pairs.is_empty() {
        return Ok(());
    }
    for resource in resources.list_mut() {
        let gvk = resource.id().gvk.clone();
        for field in fields {
            field.visit(&gvk, &mut resource.value, Make::Mapping, &mut |target| {
                pairs.iter().try_for_each(|(key, text)| set_entry(target, key, text))
            })?;
        }
    }
    Ok(())
}
