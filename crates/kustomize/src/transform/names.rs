//! `namePrefix` and `nameSuffix`.

use serde_json::Value;

use super::Operation;
use crate::field::{FieldSpec, Make, set_scalar};
use crate::identity::Gvk;
use crate::refusal::Refusal;
use crate::resource::Resource;
use crate::resources::Resources;
use crate::schema::Schema;
use crate::value;

/// Where the text goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Affix {
    Prefix,
    Suffix,
}

/// Puts a text before or behind names.
#[derive(Debug)]
pub(crate) struct AffixNames {
    pub(crate) affix: Affix,
    pub(crate) text: String,
    pub(crate) fields: Vec<FieldSpec>,
}

impl Operation for AffixNames {
    fn apply(&self, resources: &mut Resources, _: &Schema) -> Result<(), Refusal> {
        resources
            .list_mut()
            .iter_mut()
            .filter(|resource| !keeps_its_name(resource))
            .try_for_each(|resource| self.rename(resource))
    }
}

impl AffixNames {
    fn rename(&self, resource: &mut Resource) -> Result<(), Refusal> {
        let original = Gvk { kind: resource.original_kind().to_owned(), ..resource.id().gvk.clone() };
        for field in self.fields.iter().filter(|field| original.is_selected_by(&field.gvk)) {
            if field.path == "metadata/name" && !self.text.is_empty() {
                let affixes = match self.affix {
                    Affix::Prefix => &mut resource.prefixes,
                    Affix::Suffix => &mut resource.suffixes,
                };
                affixes.push(self.text.clone());
                resource.remember();
            }
            let gvk = resource.id().gvk.clone();
            field.visit(&gvk, &mut resource.value, Make::Scalar, &mut |name| {
                let new = match self.affix {
                    Affix::Prefix => format!("{}{}", self.text, value::text(name)),
                    Affix::Suffix => format!("{}{}", value::text(name), self.text),
                };
                set_scalar(name, Value::String(new))
            })?;
            resource.refresh();
        }
        Ok(())
    }
}

/// Kinds whose names mean something elsewhere.
fn keeps_its_name(resource: &Resource) -> bool {
    match resource.original_kind() {
        "CustomResourceDefinition" | "Namespace" => true,
        "APIService" => resource.id().gvk.group == "apiregistration.k8s.io",
        _ => false,
    }
}
