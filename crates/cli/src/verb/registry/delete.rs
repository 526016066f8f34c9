//! `minato registry delete`: tags and manifests of a registry.

use minato_oci::Reference;
use minato_registry::{DeleteError, ResolveError};

use crate::arguments::DeleteImageArguments;
use crate::exit::Failure;
use crate::machine::Machine;
use crate::print::Printer;

pub async fn run(
    machine: &Machine,
    printer: &Printer,
    arguments: &DeleteImageArguments,
) -> Result<(), Failure> {
    let references =
        arguments.references.iter().map(|text| text.parse()).collect::<Result<Vec<Reference>, _>>();
    let client = machine.registry_client()?;
    for reference in references.map_err(anyhow::Error::from)? {
        let deleted = client.delete(&reference, arguments.force, &()).await.map_err(failure)?;
        let what = if deleted.manifest {
            format!("with its manifest {}", deleted.digest)
        } else {
            "the tag".to_owned()
        };
        printer.line(&format!("deleted {} ({what})", reference.familiar()));
    }
    Ok(())
}

fn failure(error: DeleteError) -> Failure {
    match &error {
        DeleteError::Child { .. } | DeleteError::OtherTags { .. } => Failure::Refused(error.into()),
        DeleteError::Request(request) | DeleteError::Resolve(ResolveError::Request(request))
            if request.is_refusal() =>
        {
            Failure::Refused(error.into())
        }
        _ => Failure::Error(error.into()),
    }
}
