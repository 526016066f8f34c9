//! Whether a registry takes a credential.

use minato_oci::Reference;
use reqwest::Method;

use crate::client::Client;
use crate::endpoint::Endpoint;
use crate::failure::RequestError;
use crate::progress::Progress;
use crate::transport::{Body, Call};

impl Client {
    /// Asks the registry that `registry` is in whether it takes the client's credentials (`GET /v2/`).
    ///
    /// # Errors
    /// When it can't be asked, or says no.
    pub async fn check_login(
        &self,
        registry: &Reference,
        progress: &dyn Progress,
    ) -> Result<(), RequestError> {
        let endpoint: Endpoint = self.origin(registry);
        let call = Call {
            endpoint: &endpoint,
            method: Method::GET,
            url: endpoint.registry_url(""),
            scope: "",
            headers: Vec::new(),
            body: Body::Nothing,
        };
        self.transport.insist(&call, progress).await.map(drop)
    }
}
