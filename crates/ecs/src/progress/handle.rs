//! What a token of this target holds.

use minato_sync::Token;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::standing::primary;

/// One change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) enum Handle {
    /// A registration, by the ARN of the revision: done when it is accepted.
    Registration(String),
    /// A deployment of a service.
    Deployment(Deployment),
}

/// A deployment of a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Deployment {
    /// Name of the service.
    pub service: String,
    /// `deployments[].id`; `None` under a controller that is not ECS.
    pub id: Option<String>,
    /// What it runs, as `family:revision`.
    pub runs: Option<String>,
    /// When ECS made it, in seconds since 1970.
    pub created: Option<f64>,
}

impl Deployment {
    /// The one that made a service what it is: its primary deployment.
    pub(crate) fn of(name: &str, service: &Value, runs: Option<&str>) -> Self {
        let primary = primary(service);
        let id = primary.and_then(|primary| primary.get("id")).and_then(Value::as_str);
        Self {
            service: name.to_owned(),
            id: id.map(str::to_owned),
            runs: runs.map(str::to_owned),
            created: primary.and_then(|primary| primary.get("createdAt")).and_then(Value::as_f64),
        }
    }
}

impl Handle {
    pub(crate) fn parse(token: &Token) -> Option<Self> {
        serde_json::from_str(token.as_str()).ok()
    }

    pub(crate) fn token(&self) -> Token {
        Token::new(
            serde_json::to_string(self).expect("texts and finite numbers can always be written as JSON"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_token_reads_back() {
        let service = json!({"deployments": [{"id": "ecs-svc/1", "status": "ACTIVE"},
            {"id": "ecs-svc/2", "status": "PRIMARY", "createdAt": 1767225600.5}]});
        for handle in [
            Handle::Deployment(Deployment::of("web", &service, Some("web:7"))),
            Handle::Deployment(Deployment::of("web", &json!({}), None)),
            Handle::Registration("arn:aws:ecs:r:1:task-definition/web:7".into()),
        ] {
            assert_eq!(Handle::parse(&handle.token()), Some(handle));
        }
        assert_eq!(Handle::parse(&Token::new("change-1")), None);
    }
}
