//! `minato login` and `minato logout`.

use std::io::Read;

use anyhow::{Context, anyhow};
use minato_oci::Reference;
use minato_registry::{Client, Credential, CredentialFile, Credentials, KeptIn, RequestError, Secret};

use crate::arguments::{LoginArguments, LogoutArguments};
use crate::exit::Failure;
use crate::machine::Machine;
use crate::print::Printer;

/// No password is longer; identity tokens are some kilobytes.
const SECRET_LIMIT: u64 = 64 << 10;

pub async fn run(machine: &Machine, printer: &Printer, arguments: &LoginArguments) -> Result<(), Failure> {
    let registry = registry(&arguments.registry)?;
    let name = registry.registry();
    if !arguments.password_stdin && !arguments.token_stdin {
        if !Credentials::come_from_aws(name) {
            let say = "say how to log in: --token-stdin, or --username USER --password-stdin";
            return Err(Failure::Error(anyhow!("{name}: {say}")));
        }
        try_login(machine.registry_client()?, &registry).await?;
        printer.line(&format!("{name} takes the AWS credentials of this machine; there is nothing to keep"));
        return Ok(());
    }
    let user = arguments.username.clone().unwrap_or_else(|| "token".to_owned());
    let credential = Credential::Password { user, password: secret_from_stdin()? };
    let client = machine.registry_client_as(Credentials::only(name, &credential))?;
    try_login(client, &registry).await?;
    let file = CredentialFile::from_environment().map_err(anyhow::Error::from)?;
    let kept = match file.store(name, &credential).await.map_err(anyhow::Error::from)? {
        KeptIn::Helper(helper) => format!("kept by {helper}"),
        KeptIn::File(path) => format!("kept in {}, not encrypted", path.display()),
    };
    printer.line(&format!("logged in to {name}; {kept}"));
    Ok(())
}

pub async fn log_out(printer: &Printer, arguments: &LogoutArguments) -> Result<(), Failure> {
    let registry = registry(&arguments.registry)?;
    let name = registry.registry();
    let file = CredentialFile::from_environment().map_err(anyhow::Error::from)?;
    let said = match file.erase(name).await.map_err(anyhow::Error::from)? {
        true => format!("logged out of {name}"),
        false => format!("there was no login to {name}"),
    };
    printer.line(&said);
    Ok(())
}

/// Any repository of the registry: references are what the client takes.
pub fn registry(text: &str) -> anyhow::Result<Reference> {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or(text);
    let host = host.trim_end_matches('/');
    let host = host.strip_suffix("/v1").or_else(|| host.strip_suffix("/v2")).unwrap_or(host);
    let reference = format!("{host}/any").parse::<Reference>();
    let is_registry = |reference: &Reference| {
        reference.registry() == host || matches!(host, "docker.io" | "index.docker.io")
    };
    let reference = reference.ok().filter(|reference| is_registry(reference) && !host.contains('/'));
    reference.ok_or_else(|| {
        anyhow!("{text}: not a registry; expected a host with an optional port, ghcr.io for example")
    })
}

async fn try_login(client: Client, registry: &Reference) -> Result<(), Failure> {
    match client.check_login(registry, &()).await {
        Ok(()) => Ok(()),
        Err(RequestError::Denied { .. }) => {
            let no = anyhow!("{}: user name and password or token are not accepted", registry.registry());
            Err(Failure::Refused(no))
        }
        Err(error) => Err(Failure::Error(error.into())),
    }
}

fn secret_from_stdin() -> anyhow::Result<Secret> {
    let mut text = String::new();
    std::io::stdin().lock().take(SECRET_LIMIT).read_to_string(&mut text).context("stdin")?;
    match text.trim_end_matches(['\n', '\r']) {
        "" => Err(anyhow!("stdin: no password or token came")),
        text => Ok(Secret::new(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::registry;

    #[test]
    fn registries_are_hosts() {
        for (text, expected) in [
            ("ghcr.io", "ghcr.io"),
            ("https://ghcr.io/", "ghcr.io"),
            ("https://index.docker.io/v1/", "docker.io"),
            ("docker.io", "docker.io"),
            ("localhost:5000", "localhost:5000"),
            ("[::1]:5000", "[::1]:5000"),
        ] {
            assert_eq!(registry(text).unwrap().registry(), expected, "{text}");
        }
        for text in ["", "name", "ghcr.io/owner", "https://", "a b"] {
            registry(text).unwrap_err();
        }
    }
}
