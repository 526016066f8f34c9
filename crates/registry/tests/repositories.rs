//! What a registry has, and taking something away without breaking what is left.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests fail by panicking")]

mod debian;
mod fake;

use debian::Registry;
use fake::{Content, Reply, client};
use minato_oci::{Descriptor, media_type};
use minato_registry::{CopyOptions, Options, Place, RequestError};

#[tokio::test]
async fn lists_have_every_page() {
    let content = Content::default();
    let registry = fake::Registry::start(&content, |seen, reply| {
        let page = |names: &[&str]| serde_json::json!({"tags": names, "repositories": names}).to_string();
        match (seen.path.as_str(), seen.query.as_str()) {
            ("/v2/app/tags/list", "") => {
                Reply::bytes(page(&["b", "a"])).header("link", "</v2/app/tags/list?last=b>; rel=\"next\"")
            }
            ("/v2/app/tags/list", "last=b") => Reply::bytes(page(&["c"])),
            ("/v2/_catalog", _) => Reply::bytes(page(&["z/y", "x"])),
            ("/v2/none/tags/list", _) => Reply::bytes(r#"{"name":"none","tags":null}"#),
            ("/v2/away/tags/list", _) => {
                Reply::bytes(page(&["a"])).header("link", "<http://127.0.0.1:1/v2/x>; rel=\"next\"")
            }
            ("/v2/endless/tags/list", _) => {
                let next = format!("</v2/endless/tags/list?n={}>; rel=\"next\"", seen.before);
                Reply::bytes(page(&["a"])).header("link", next)
            }
            _ => reply,
        }
    });
    let registry = registry.await;
    let client = client(Options::default());
    let tags = async |name: &str| client.tags(&registry.reference(name), &()).await;
    assert_eq!(tags("app").await.unwrap(), ["a", "b", "c"]);
    assert_eq!(tags("none").await.unwrap(), [""; 0]);
    assert_eq!(client.repositories(&registry.reference("any"), &()).await.unwrap(), ["x", "z/y"]);
    for (name, expected) in
        [("away", "at another place"), ("endless", "too many pages"), ("unknown", "not found")]
    {
        let error = tags(name).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn nothing_is_deleted_that_something_else_needs() {
    let place = tempfile::tempdir().unwrap();
    let test = "nothing_is_deleted_that_something_else_needs";
    let Some(registry) = Registry::start_deleting(test, place.path()) else {
        return;
    };
    let mut content = Content::default();
    let made = content.image("app", "amd64", "linux/amd64", &[("file", b"1".to_vec())]);
    let entry = Descriptor { platform: Some("linux/amd64".parse().unwrap()), ..made.manifest.clone() };
    let index = serde_json::json!({"schemaVersion": 2, "mediaType": media_type::INDEX, "manifests": [entry]});
    let inner = content.manifest("app", "inner", media_type::INDEX, index.to_string().into_bytes());
    let outer = serde_json::json!({"schemaVersion": 2, "mediaType": media_type::INDEX, "manifests": [inner]});
    content.manifest("app", "outer", media_type::INDEX, outer.to_string().into_bytes());
    let origin = fake::Registry::honest(&content).await;
    let client = client(Options::default());
    for (tag, more) in [("outer", vec![]), ("amd64", vec!["also".to_owned()])] {
        let from = Place::Registry(origin.reference(&format!("app:{tag}")));
        let options = CopyOptions { tags: more, ..CopyOptions::default() };
        client.copy(&from, &Place::Registry(registry.reference("app")), &options, &()).await.unwrap();
    }
    let delete = async |what: &str, force| {
        let reference = registry.reference(what);
        client.delete(&reference, force, &()).await.map(|deleted| deleted.digest).map_err(|e| e.to_string())
    };
    let child = format!("app@{}", made.manifest.digest);
    let error = delete(&child, false).await.unwrap_err();
    assert!(error.contains("part of the index") && error.contains("(outer)"), "{error}");
    // This registry knows no deletion by tag.
    let error = delete("app:amd64", false).await.unwrap_err();
    assert!(error.contains("another tag would go, too: also"), "{error}");
    assert!(delete("app", false).await.unwrap_err().contains("neither tag nor digest"));
    assert!(delete("app:none", false).await.unwrap_err().contains("not found"));

    delete("app:outer", false).await.unwrap();
    assert_eq!(client.tags(&registry.reference("app"), &()).await.unwrap(), ["also", "amd64"]);
    delete("app:also", true).await.unwrap();
    let gone = client.document(&registry.reference(&child), &()).await.unwrap_err().to_string();
    assert!(gone.contains("not found"), "{gone}");
}

#[tokio::test]
async fn a_login_is_tried_before_it_is_kept() {
    let content = Content::default();
    let registry = fake::Registry::start(&content, |seen, _| {
        match (seen.path.as_str(), seen.authorization.as_deref()) {
            // user:secret
            ("/v2/", Some("Basic dXNlcjpzZWNyZXQ=")) => Reply::bytes("{}"),
            _ => Reply::status(401).header("www-authenticate", "Basic realm=\"here\""),
        }
    });
    let registry = registry.await;
    let check = async |password: &str| {
        let user = "user".to_owned();
        let credential =
            minato_registry::Credential::Password { user, password: minato_registry::Secret::new(password) };
        let reference = registry.reference("any");
        let credentials = minato_registry::Credentials::only(reference.registry(), &credential);
        client(Options { credentials, ..Options::default() }).check_login(&reference, &()).await
    };
    check("secret").await.unwrap();
    assert!(matches!(check("wrong").await, Err(RequestError::Denied { .. })));
}
