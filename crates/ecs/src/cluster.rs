//! The calls that Minato makes about one cluster, page by page and in the portions that the API takes.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};

use crate::api::{Api, ApiError, Call, Service};
use crate::field::{items, taken, text};
use crate::revision::Revision;
use crate::tags::Tags;

/// Most services of one `DescribeServices`.
const DESCRIBED: usize = 10;
/// Calls that are under way at once.
const AT_ONCE: usize = 4;
/// Pages of one list: a server that never ends a list is not followed. A cluster has at most 5000 services.
const PAGES: usize = 100;
const PAGE: usize = 100;

/// One cluster in one region.
pub(crate) struct Cluster {
    pub(crate) api: Api,
    pub(crate) region: String,
    pub(crate) name: String,
}

impl Cluster {
    /// Every active service, with its tags.
    pub(crate) async fn services(&self) -> Result<Vec<Value>, ApiError> {
        let arns = self.list("ListServices", json!({}), "serviceArns").await?;
        let portions: Vec<Vec<String>> = arns.chunks(DESCRIBED).map(<[String]>::to_vec).collect();
        let described = stream::iter(portions.into_iter().map(|names| self.describe_services(names)));
        let found: Vec<Vec<Value>> = described.buffered(AT_ONCE).try_collect().await?;
        let active = |service: &Value| text(service, "status") == "ACTIVE";
        Ok(found.into_iter().flatten().filter(active).collect())
    }

    /// A service in whatever state, with its tags; `None` when there is none of the name.
    pub(crate) async fn service(&self, name: &str) -> Result<Option<Value>, ApiError> {
        let services = match self.describe_services(vec![name.to_owned()]).await {
            Err(error) if error.code() == Some("ServiceNotFoundException") => return Ok(None),
            services => services?,
        };
        Ok(services.into_iter().find(|service| text(service, "serviceName") == name))
    }

    async fn describe_services(&self, names: Vec<String>) -> Result<Vec<Value>, ApiError> {
        let body = json!({"cluster": self.name, "services": names, "include": ["TAGS"]});
        Ok(taken(self.ecs("DescribeServices", &body).await?, "services"))
    }

    /// A revision; of a family alone, the newest active one. `None` when there is none.
    pub(crate) async fn revision(&self, reference: &str) -> Result<Option<Revision>, ApiError> {
        let body = json!({"taskDefinition": reference, "include": ["TAGS"]});
        match self.ecs("DescribeTaskDefinition", &body).await {
            Ok(answer) => Ok(Revision::read(&answer)),
            // ECS says `ClientException: Unable to describe task definition.`
            Err(error) if error.code() == Some("ClientException") => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// ARNs of the newest active revisions of a family, newest first.
    pub(crate) async fn newest_revisions(&self, family: &str, limit: usize) -> Result<Vec<String>, ApiError> {
        let body = json!({"familyPrefix": family, "status": "ACTIVE", "sort": "DESC", "maxResults": PAGE});
        let answer = self.ecs("ListTaskDefinitions", &body).await?;
        let arns = texts(&answer, "taskDefinitionArns");
        let of_family = |arn: &String| {
            arn.parse::<minato_task_definition::TaskDefinitionReference>()
                .is_ok_and(|read| read.family == family)
        };
        Ok(arns.into_iter().filter(of_family).take(limit).collect())
    }

    pub(crate) async fn register(&self, body: &Value) -> Result<Option<Revision>, ApiError> {
        Ok(Revision::read(&self.ecs("RegisterTaskDefinition", body).await?))
    }

    /// The service as it is after it.
    pub(crate) async fn create_service(&self, body: &Value) -> Result<Value, ApiError> {
        Ok(self.ecs("CreateService", body).await?.get("service").cloned().unwrap_or_default())
    }

    /// The service as it is after it.
    pub(crate) async fn update_service(&self, body: &Value) -> Result<Value, ApiError> {
        Ok(self.ecs("UpdateService", body).await?.get("service").cloned().unwrap_or_default())
    }

    /// Stops its tasks and removes it, however many it has. Gone already is success.
    pub(crate) async fn delete_service(&self, name: &str) -> Result<(), ApiError> {
        let body = json!({"cluster": self.name, "service": name, "force": true});
        match self.ecs("DeleteService", &body).await {
            Err(error)
                if matches!(error.code(), Some("ServiceNotFoundException" | "ServiceNotActiveException")) =>
            {
                Ok(())
            }
            answer => answer.map(|_| ()),
        }
    }

    pub(crate) async fn tag(&self, arn: &str, tags: &Tags) -> Result<(), ApiError> {
        let body = json!({"resourceArn": arn, "tags": tags.to_value()});
        self.ecs("TagResource", &body).await.map(|_| ())
    }

    pub(crate) async fn untag(&self, arn: &str, keys: &[&str]) -> Result<(), ApiError> {
        self.ecs("UntagResource", &json!({"resourceArn": arn, "tagKeys": keys})).await.map(|_| ())
    }

    /// Whether Application Auto Scaling decides how many tasks a service has. An API that has no such thing does not.
    pub(crate) async fn is_autoscaled(&self, service: &str) -> Result<bool, ApiError> {
        let body = json!({"ServiceNamespace": "ecs", "ScalableDimension": "ecs:service:DesiredCount",
            "ResourceIds": [format!("service/{}/{service}", self.name)]});
        let call = Call {
            service: Service::AutoScaling,
            operation: "DescribeScalableTargets",
            region: &self.region,
        };
        match self.api.call(call, &body).await {
            Err(error) if error.is_not_offered() && !error.is_denied() => Ok(false),
            answer => Ok(items(&answer?, "ScalableTargets").next().is_some()),
        }
    }

    /// Tasks of a service that have stopped (ECS tells them for an hour), at most one page.
    pub(crate) async fn stopped_tasks(&self, service: &str) -> Result<Vec<Value>, ApiError> {
        let body = json!({"cluster": self.name, "serviceName": service, "desiredStatus": "STOPPED", "maxResults": PAGE});
        let arns = texts(&self.ecs("ListTasks", &body).await?, "taskArns");
        if arns.is_empty() {
            return Ok(Vec::new());
        }
        let body = json!({"cluster": self.name, "tasks": arns});
        Ok(taken(self.ecs("DescribeTasks", &body).await?, "tasks"))
    }

    /// The newest service deployments of a service, briefly; `None` when this API does not offer them.
    pub(crate) async fn service_deployments(&self, service: &str) -> Result<Option<Vec<Value>>, ApiError> {
        let body = json!({"cluster": self.name, "service": service, "maxResults": PAGE});
        match self.ecs("ListServiceDeployments", &body).await {
            Err(error) if error.is_not_offered() => Ok(None),
            answer => Ok(Some(taken(answer?, "serviceDeployments"))),
        }
    }

    pub(crate) async fn service_deployment(&self, arn: &str) -> Result<Option<Value>, ApiError> {
        match self.ecs("DescribeServiceDeployments", &json!({"serviceDeploymentArns": [arn]})).await {
            Err(error) if error.is_not_offered() => Ok(None),
            answer => Ok(taken(answer?, "serviceDeployments").into_iter().next()),
        }
    }

    /// The newest lines of a log stream of CloudWatch, oldest first.
    pub(crate) async fn log_tail(
        &self,
        region: &str,
        group: &str,
        stream: &str,
        lines: usize,
    ) -> Result<Vec<String>, ApiError> {
        let body =
            json!({"logGroupName": group, "logStreamName": stream, "limit": lines, "startFromHead": false});
        let call = Call { service: Service::Logs, operation: "GetLogEvents", region };
        let answer = self.api.call(call, &body).await?;
        Ok(items(&answer, "events").map(|event| text(event, "message").to_owned()).collect())
    }

    /// Every text of a list in this cluster.
    async fn list(&self, operation: &'static str, body: Value, field: &str) -> Result<Vec<String>, ApiError> {
        let mut body = body;
        body["cluster"] = Value::from(self.name.as_str());
        body["maxResults"] = Value::from(PAGE);
        let mut found = Vec::new();
        for _ in 0..PAGES {
            let answer = self.ecs(operation, &body).await?;
            found.extend(texts(&answer, field));
            match text(&answer, "nextToken") {
                "" => return Ok(found),
                token => body["nextToken"] = Value::from(token),
            }
        }
        let message = format!("the list has more than {PAGES} pages; it is refused");
        Err(ApiError::Unreadable { operation, message })
    }

    async fn ecs(&self, operation: &'static str, body: &Value) -> Result<Value, ApiError> {
        self.api.call(Call { service: Service::Ecs, operation, region: &self.region }, body).await
    }
}

fn texts(value: &Value, name: &str) -> Vec<String> {
    items(value, name).filter_map(Value::as_str).map(str::to_owned).collect()
}
