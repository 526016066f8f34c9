//! `resources`: what a container may use.

use minato_sync::field::Field;
use minato_workload::spec::Limits;
use serde_json::Value;

use super::quantity::Quantity;

/// Reads `resources`. A request that is not said is the limit, as in Kubernetes.
pub(super) fn lower(resources: &Field) -> Limits {
    let (limits, requests) = (resources.get("limits"), resources.get("requests"));
    for part in [&limits, &requests] {
        let what = "is not enforced on this machine";
        part.warn_unknown(&["cpu", "memory"], "not-enforced", what);
    }
    resources.warn_unknown(&["limits", "requests"], "not-enforced", "is not acted on");
    let cpu = quantity(&limits.get("cpu"));
    let request = quantity(&requests.get("cpu"));
    if let (Some(limit), Some(request)) = (cpu, request)
        && request > limit
    {
        requests.get("cpu").error("request-over-limit", "the CPU request is more than the limit");
    }
    let memory = quantity(&limits.get("memory"));
    if let (Some(limit), Some(request)) = (memory, quantity(&requests.get("memory")))
        && request > limit
    {
        requests.get("memory").error("request-over-limit", "the memory request is more than the limit");
    }
    Limits {
        memory_bytes: memory.map(Quantity::units),
        cpu_millis: cpu.map(Quantity::millis),
        cpu_request_millis: request.or(cpu).map(Quantity::millis),
        pids: None,
    }
}

/// A quantity, written as text or as a number.
pub(super) fn quantity(field: &Field) -> Option<Quantity> {
    let text = match field.value()? {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => {
            field.error("wrong-type", format!("`{}` must be a quantity", field.name()));
            return None;
        }
    };
    let quantity: Result<Quantity, _> = text.parse();
    quantity.map_err(|error| field.error("quantity", error.to_string())).ok()
}
