//! What each endpoint needs: pure.

use crate::server::access::{Action, Need};
use crate::server::route::{BlobAction, ManifestAction, Route};

/// What the caller must be allowed.
pub(super) fn needs(route: &Route) -> Vec<Need> {
    let need =
        |name: &crate::server::name::RepositoryName, action| vec![Need::Repository(name.clone(), action)];
    match route {
        // Clients learn here whether, and how, they must say who they are.
        Route::Base => vec![Need::Identity],
        // It asks for the password itself.
        Route::Token => Vec::new(),
        Route::Catalog(_) => vec![Need::Catalog],
        Route::Tags(name, _) | Route::Referrers(name, ..) => need(name, Action::Pull),
        Route::Manifest(name, _, action) => match action {
            ManifestAction::Get | ManifestAction::Head => need(name, Action::Pull),
            ManifestAction::Put(_) => need(name, Action::Push),
            ManifestAction::Delete => need(name, Action::Delete),
        },
        Route::Blob(name, _, action) => match action {
            BlobAction::Get | BlobAction::Head => need(name, Action::Pull),
            BlobAction::Delete => need(name, Action::Delete),
        },
        Route::StartUpload(name, _) | Route::Upload(name, ..) => need(name, Action::Push),
    }
}
