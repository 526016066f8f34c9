//! Service deployments (API of October 2024): each deployment has a record of its own, with its end.

use serde_json::Value;

use super::standing::Standing;
use crate::field::{number, text};

/// A service deployment is made within moments of the deployment that it is about.
const APART: f64 = 30.0;

/// ARN of the service deployment, among the briefs of `ListServiceDeployments`, that is about deployment `id`. The
/// number of `ecs-svc/NUMBER` is that of the target service revision; where it is not, the time tells.
pub(crate) fn matching<'a>(briefs: &'a [Value], id: &str, created: Option<f64>) -> Option<&'a str> {
    let number_of_id = id.rsplit('/').next().unwrap_or(id);
    let revision =
        |brief: &Value| text(brief, "targetServiceRevisionArn").rsplit('/').next() == Some(number_of_id);
    let apart = |brief: &Value| Some((brief.get("createdAt")?.as_f64()? - created?).abs());
    let by_time = || {
        let near = briefs.iter().filter_map(|brief| Some((brief, apart(brief)?)));
        let near = near.filter(|(_, apart)| *apart <= APART);
        near.min_by(|(_, left), (_, right)| left.total_cmp(right)).map(|(brief, _)| brief)
    };
    let brief = briefs.iter().find(|brief| revision(brief)).or_else(by_time)?;
    brief.get("serviceDeploymentArn").and_then(Value::as_str)
}

/// How a service deployment stands; `None` when it says nothing that is known here.
pub(crate) fn standing_of_own(deployment: &Value) -> Option<Standing> {
    let rollback = deployment.pointer("/rollback/reason").and_then(Value::as_str).unwrap_or_default();
    let reason = [rollback, text(deployment, "statusReason")].into_iter().find(|reason| !reason.is_empty());
    let reason = || reason.unwrap_or("ECS gave it up").trim_end_matches('.').to_owned();
    Some(match text(deployment, "status") {
        "SUCCESSFUL" => Standing::Completed,
        "PENDING" | "IN_PROGRESS" | "STOP_REQUESTED" => Standing::Underway(stage(deployment)),
        "STOPPED" => Standing::Failed(reason()),
        "ROLLBACK_REQUESTED" | "ROLLBACK_IN_PROGRESS" | "ROLLBACK_SUCCESSFUL" => {
            Standing::RolledBack(reason())
        }
        "ROLLBACK_FAILED" => Standing::RolledBack(format!("{}; the rollback failed as well", reason())),
        _ => return None,
    })
}

/// "1 of 3 tasks running, post production traffic shift".
fn stage(deployment: &Value) -> String {
    let target = deployment.get("targetServiceRevision").unwrap_or(&Value::Null);
    let mut told = format!(
        "{} of {} tasks running",
        number(target, "runningTaskCount"),
        number(target, "requestedTaskCount")
    );
    let stage = text(deployment, "lifecycleStage");
    if !stage.is_empty() {
        told.push_str(&format!(", {}", stage.to_ascii_lowercase().replace('_', " ")));
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_deployments_own_record_is_found() {
        let brief = |arn: &str, revision: &str, created: f64| {
            json!({"serviceDeploymentArn": arn, "createdAt": created,
                "targetServiceRevisionArn": format!("arn:aws:ecs:r:1:service-revision/main/web/{revision}")})
        };
        let briefs = [brief("new", "22", 1100.0), brief("ours", "11", 1000.5), brief("old", "5", 900.0)];
        let check = |id: &str, created: Option<f64>, expected: Option<&str>| {
            assert_eq!(matching(&briefs, id, created), expected, "{id} {created:?}");
        };
        check("ecs-svc/11", Some(1000.0), Some("ours"));
        check("ecs-svc/11", None, Some("ours"));
        check("ecs-svc/77", Some(1000.0), Some("ours"));
        check("ecs-svc/77", Some(500.0), None);
        check("ecs-svc/77", None, None);
        assert_eq!(matching(&[], "ecs-svc/1", Some(1.0)), None);
    }

    #[test]
    fn every_status_means_something() {
        let check = |status: &str, expected: Option<Standing>| {
            let deployment = json!({"status": status, "statusReason": "told.", "lifecycleStage": "BAKE_TIME",
                "targetServiceRevision": {"requestedTaskCount": 2, "runningTaskCount": 1}});
            assert_eq!(standing_of_own(&deployment), expected, "{status}");
        };
        let underway = Some(Standing::Underway("1 of 2 tasks running, bake time".into()));
        let back = Some(Standing::RolledBack("told".into()));
        check("PENDING", underway.clone());
        check("IN_PROGRESS", underway.clone());
        check("STOP_REQUESTED", underway);
        check("SUCCESSFUL", Some(Standing::Completed));
        check("STOPPED", Some(Standing::Failed("told".into())));
        check("ROLLBACK_REQUESTED", back.clone());
        check("ROLLBACK_IN_PROGRESS", back.clone());
        check("ROLLBACK_SUCCESSFUL", back);
        check("ROLLBACK_FAILED", Some(Standing::RolledBack("told; the rollback failed as well".into())));
        check("BRAND_NEW", None);
    }
}
