//! Amazon ECR: a password for its registries, from AWS' own API (`GetAuthorizationToken`), private and public.
//!
//! The credentials are those of AWS' standard chain: environment, profiles, SSO, web identity, container and instance
//! roles. A token is good for hours; it is asked for once in a process.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials as AwsCredentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use reqwest::Url;
use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::{Credential, CredentialError, config_file};
use crate::endpoint::is_loopback;
use crate::failure::{broken, read_body};

const PUBLIC_REGISTRY: &str = "public.ecr.aws";
/// The public registry's API is in this region only.
const PUBLIC_REGION: &str = "us-east-1";
const ANSWER_LIMIT: u64 = 1 << 20;
const CONNECT: Duration = Duration::from_secs(5);
const WHOLE: Duration = Duration::from_secs(30);

/// A registry of Amazon ECR.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Ecr {
    /// An account's own, in a region.
    Private {
        /// `eu-central-1`.
        region: String,
        /// `amazonaws.com`, or that of the region's partition.
        domain: String,
    },
    /// Everybody's.
    Public,
}

/// Tokens that AWS gave.
#[derive(Debug, Default)]
pub(super) struct EcrTokens(Mutex<HashMap<String, Option<Credential>>>);

impl Ecr {
    /// What `registry` is, by its name: `ACCOUNT.dkr.ecr.REGION.amazonaws.com`, also with `-fips` and in other
    /// partitions, or `public.ecr.aws`.
    pub(super) fn of_registry(registry: &str) -> Option<Self> {
        if registry == PUBLIC_REGISTRY {
            return Some(Self::Public);
        }
        let (account, rest) =
            registry.split_once(".dkr.ecr.").or_else(|| registry.split_once(".dkr.ecr-fips."))?;
        let (region, domain) = rest.split_once('.')?;
        let is_account = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
        let is_region = !region.is_empty()
            && region.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        let is_amazons = AWS_DOMAINS.contains(&domain);
        (is_account && is_region && is_amazons)
            .then(|| Self::Private { region: region.to_owned(), domain: domain.to_owned() })
    }

    fn region(&self) -> &str {
        match self {
            Self::Private { region, .. } => region,
            Self::Public => PUBLIC_REGION,
        }
    }

    /// (address, name that requests are signed for, `X-Amz-Target`, variable that replaces the address).
    fn api(&self) -> (String, &'static str, &'static str, &'static str) {
        match self {
            Self::Private { region, domain } => (
                format!("https://api.ecr.{region}.{domain}"),
                "ecr",
                "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken",
                "AWS_ENDPOINT_URL_ECR",
            ),
            Self::Public => (
                format!("https://api.ecr-public.{PUBLIC_REGION}.amazonaws.com"),
                "ecr-public",
                "SpencerFrontendService.GetAuthorizationToken",
                "AWS_ENDPOINT_URL_ECR_PUBLIC",
            ),
        }
    }
}

/// The domains of AWS' partitions: a token is for nobody else.
const AWS_DOMAINS: [&str; 7] = [
    "amazonaws.com",
    "amazonaws.com.cn",
    "sc2s.sgov.gov",
    "csp.hci.ic.gov",
    "c2s.ic.gov",
    "cloud.adc-e.uk",
    "amazonaws.eu",
];

impl EcrTokens {
    /// The user and password for `registry`; `None` where nobody is logged in to AWS.
    pub(super) async fn get(&self, ecr: &Ecr, registry: &str) -> Result<Option<Credential>, CredentialError> {
        let mut known = self.0.lock().await;
        if let Some(known) = known.get(registry) {
            return Ok(known.clone());
        }
        let failed = |reason| CredentialError::Aws { registry: registry.to_owned(), reason };
        let found = match credentials(ecr).await {
            None => None,
            Some(credentials) => Some(token(ecr, &credentials).await.map_err(failed)?),
        };
        known.insert(registry.to_owned(), found.clone());
        Ok(found)
    }
}

async fn credentials(ecr: &Ecr) -> Option<AwsCredentials> {
    // Anybody may read the public registry: the search for a role on a machine that has none would take seconds.
    if *ecr == Ecr::Public && !is_configured() {
        return None;
    }
    let ring = aws_smithy_http_client::tls::Provider::Rustls(
        aws_smithy_http_client::tls::rustls_provider::CryptoMode::Ring,
    );
    let config = aws_config::defaults(aws_config::BehaviorVersion::latest())
        .region(aws_config::Region::new(ecr.region().to_owned()))
        .http_client(aws_smithy_http_client::Builder::new().tls_provider(ring).build_https())
        .load()
        .await;
    config.credentials_provider()?.provide_credentials().await.ok()
}

fn is_configured() -> bool {
    let variables = [
        "AWS_ACCESS_KEY_ID",
        "AWS_PROFILE",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    ];
    let home = std::env::home_dir();
    let file = |name: &str| home.as_ref().is_some_and(|home| home.join(".aws").join(name).is_file());
    variables.iter().any(|name| std::env::var_os(name).is_some()) || file("credentials") || file("config")
}

/// One signed POST of AWS' JSON protocol.
async fn token(ecr: &Ecr, credentials: &AwsCredentials) -> Result<Credential, String> {
    let (address, service, target, variable) = ecr.api();
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let address = set(variable).or_else(|| set("AWS_ENDPOINT_URL")).unwrap_or(address);
    let url = Url::parse(&address).map_err(|error| format!("{address}: {error}"))?;
    let builder = reqwest::Client::builder().connect_timeout(CONNECT).timeout(WHOLE);
    let builder = builder.redirect(reqwest::redirect::Policy::none());
    let builder = if is_loopback(&url) { builder.no_proxy() } else { builder };
    let told = |error: reqwest::Error| broken(&url, &error).to_string();
    let client = builder.build().map_err(told)?;
    let mut request = client
        .post(url.clone())
        .header(CONTENT_TYPE, "application/x-amz-json-1.1")
        .header("x-amz-target", target)
        .body(json!({}).to_string())
        .build()
        .map_err(told)?;
    authorize(&mut request, ecr.region(), service, credentials)?;
    let response = client.execute(request).await.map_err(told)?;
    let status = response.status();
    let body = read_body(&url, response, ANSWER_LIMIT).await.map_err(|error| error.to_string())?;
    let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
    if !status.is_success() {
        return Err(refusal(status.as_u16(), &answer));
    }
    read_token(&answer).ok_or_else(|| "its answer has no token".to_owned())
}

/// The private API answers with a list of one, the public one without the list.
fn read_token(answer: &Value) -> Option<Credential> {
    let data = answer.get("authorizationData")?;
    let data = data.get(0).unwrap_or(data);
    config_file::decode(data.get("authorizationToken")?.as_str()?)
}

fn refusal(status: u16, answer: &Value) -> String {
    let text = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default();
    let kind = text("__type").rsplit('#').next().unwrap_or_default();
    let message = if text("message").is_empty() { text("Message") } else { text("message") };
    let words = format!("{kind} {message}");
    let words: String = words.trim().chars().filter(|c| !c.is_control()).take(300).collect();
    format!("HTTP {status} {words}").trim_end().to_owned()
}

/// Adds the signature (AWS Signature Version 4).
fn authorize(
    request: &mut reqwest::Request,
    region: &str,
    service: &str,
    credentials: &AwsCredentials,
) -> Result<(), String> {
    let identity = credentials.clone().into();
    let parameters = SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(service)
        .time(SystemTime::now())
        .settings(SigningSettings::default())
        .build()
        .map_err(|error| error.to_string())?;
    let headers = request.headers().iter();
    let headers = headers.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let body = SignableBody::Bytes(request.body().and_then(reqwest::Body::as_bytes).unwrap_or_default());
    let signable = SignableRequest::new(request.method().as_str(), request.url().as_str(), headers, body);
    let signed = sign(signable.map_err(|error| error.to_string())?, &parameters.into());
    let (instructions, _) = signed.map_err(|error| error.to_string())?.into_parts();
    for (name, value) in instructions.headers() {
        let mut value = HeaderValue::from_str(value).map_err(|error| error.to_string())?;
        value.set_sensitive(true);
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| error.to_string())?;
        request.headers_mut().insert(name, value);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_of_ecr_are_known_by_name() {
        let private = |region: &str, domain: &str| {
            Some(Ecr::Private { region: region.to_owned(), domain: domain.to_owned() })
        };
        for (registry, expected) in [
            ("123456789012.dkr.ecr.eu-central-1.amazonaws.com", private("eu-central-1", "amazonaws.com")),
            (
                "123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com",
                private("us-gov-west-1", "amazonaws.com"),
            ),
            ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", private("cn-north-1", "amazonaws.com.cn")),
            ("public.ecr.aws", Some(Ecr::Public)),
            ("ghcr.io", None),
            ("12345.dkr.ecr.eu-central-1.amazonaws.com", None),
            ("123456789012.dkr.ecr.eu-central-1.amazonaws.com.evil.example", None),
            ("123456789012.dkr.ecr.evil.example", None),
            ("123456789012.dkr.ecr.a/b.amazonaws.com", None),
        ] {
            assert_eq!(Ecr::of_registry(registry), expected, "{registry}");
        }
    }

    #[test]
    fn tokens_come_in_both_forms() {
        // AWS:secret
        let data = json!({"authorizationToken": "QVdTOnNlY3JldA==", "expiresAt": 1.0});
        let password = super::super::Secret::new("secret");
        let expected = Some(Credential::Password { user: "AWS".to_owned(), password });
        assert_eq!(read_token(&json!({"authorizationData": [data]})), expected);
        assert_eq!(read_token(&json!({"authorizationData": data})), expected);
        assert_eq!(read_token(&json!({"authorizationData": []})), None);
        assert_eq!(read_token(&json!({})), None);
    }

    #[test]
    fn a_refusal_is_told_in_awss_words() {
        let answer = json!({"__type": "com.amazonaws#AccessDeniedException", "Message": "not you\u{1b}"});
        assert_eq!(refusal(400, &answer), "HTTP 400 AccessDeniedException not you");
        assert_eq!(refusal(503, &Value::Null), "HTTP 503");
    }
}
