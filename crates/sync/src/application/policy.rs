//! `spec.syncPolicy`: when to sync by itself, how often to try again, and options.

use std::time::Duration;

use crate::field::Field;

/// `spec.syncPolicy`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SyncPolicy {
    /// `automated`; `None` when it is absent or `enabled: false`.
    pub automated: Option<Automated>,
    /// `retry`.
    pub retry: Option<Retry>,
    /// Option `CreateNamespace=true`.
    pub create_namespace: bool,
}

/// `syncPolicy.automated`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Automated {
    /// Remove what is no longer desired.
    pub prune: bool,
    /// Undo changes that others made.
    pub self_heal: bool,
    /// Let a revision without any Object remove everything.
    pub allow_empty: bool,
}

/// `syncPolicy.retry`: how often and when a failed request to the target is made again.
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    /// `limit`; `None` is unlimited (written −1).
    pub limit: Option<u32>,
    /// `backoff.duration`: the first pause.
    pub pause: Duration,
    /// `backoff.factor`: each pause is this many times the one before.
    pub factor: u32,
    /// `backoff.maxDuration`: no pause is longer.
    pub longest_pause: Duration,
}

impl Default for Retry {
    /// Argo CD's defaults: 5 times, 5 s, doubled up to 3 minutes.
    fn default() -> Self {
        Self {
            limit: Some(5),
            pause: Duration::from_secs(5),
            factor: 2,
            longest_pause: Duration::from_secs(180),
        }
    }
}

impl Retry {
    /// The pause before try number `attempt` (1 is the first repetition); `None` when no more are left.
    pub fn pause_before(&self, attempt: u32) -> Option<Duration> {
        if self.limit.is_some_and(|limit| attempt > limit) {
            return None;
        }
        let factor = self.factor.saturating_pow(attempt.saturating_sub(1));
        Some(self.pause.saturating_mul(factor).min(self.longest_pause))
    }
}

pub(super) fn read(policy: &Field) -> SyncPolicy {
    const KNOWN: &[&str] = &["automated", "retry", "syncOptions"];
    policy.warn_unknown(KNOWN, "application-field", "is not acted on yet");
    let mut read = SyncPolicy {
        automated: read_automated(&policy.get("automated")),
        retry: read_retry(&policy.get("retry")),
        create_namespace: false,
    };
    for option in policy.get("syncOptions").items() {
        read_option(&option, &mut read);
    }
    read
}

fn read_automated(automated: &Field) -> Option<Automated> {
    if !automated.is_present() {
        return None;
    }
    automated.warn_unknown(
        &["enabled", "prune", "selfHeal", "allowEmpty"],
        "application-field",
        "is not acted on",
    );
    let flag = |name: &str| automated.get(name).boolean().unwrap_or(false);
    let read =
        Automated { prune: flag("prune"), self_heal: flag("selfHeal"), allow_empty: flag("allowEmpty") };
    let enabled = automated.get("enabled").boolean().unwrap_or(true);
    if enabled && read.self_heal {
        let message = "changes that others make are not undone by themselves yet; `minato sync` undoes them";
        automated.get("selfHeal").warning("application-field", message);
    }
    enabled.then_some(read)
}

fn read_retry(retry: &Field) -> Option<Retry> {
    if !retry.is_present() {
        return None;
    }
    retry.warn_unknown(&["limit", "backoff"], "application-field", "is not acted on yet");
    let backoff = retry.get("backoff");
    let default = Retry::default();
    let limit = match retry.get("limit").integer() {
        Some(number) if number < 0 => None,
        Some(number) => Some(u32::try_from(number).unwrap_or(u32::MAX)),
        None => default.limit,
    };
    Some(Retry {
        limit,
        pause: read_duration(&backoff.get("duration")).unwrap_or(default.pause),
        factor: backoff.get("factor").count().unwrap_or(default.factor),
        longest_pause: read_duration(&backoff.get("maxDuration")).unwrap_or(default.longest_pause),
    })
}

/// What happens with each sync option that Argo CD has.
fn read_option(option: &Field, policy: &mut SyncPolicy) {
    let Some(text) = option.text() else { return };
    match text {
        "CreateNamespace=true" => policy.create_namespace = true,
        // Always so here: what is live and equal is not applied; pruning comes last; desired Objects are checked; a server
        // that can merge is asked to.
        "ApplyOutOfSyncOnly=true" | "PruneLast=true" | "Validate=true" | "ServerSideApply=true" => {}
        "RespectIgnoreDifferences=false" | "Replace=false" | "Force=false" | "CreateNamespace=false" => {}
        _ => option.warning("sync-option", format!("sync option {text:?} is not acted on yet")),
    }
}

fn read_duration(field: &Field) -> Option<Duration> {
    let text = field.text()?;
    let duration = parse_duration(text);
    if duration.is_none() {
        field.error("wrong-value", format!("{text:?} is not a duration; write 5s, 3m or 1h"));
    }
    duration
}

/// Go's durations without signs (`1h30m`, `1.5s`), or a number of seconds, as Argo CD reads back-offs.
fn parse_duration(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(Duration::from_secs(u64::from(seconds)));
    }
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|character: char| !character.is_ascii_digit() && character != '.')?;
        let number: f64 = rest.get(..digits)?.parse().ok()?;
        let unit_end =
            rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |end| digits + end);
        total += number * unit_seconds(&rest[digits..unit_end])?;
        rest = &rest[unit_end..];
    }
    if text.is_empty() { None } else { Duration::try_from_secs_f64(total).ok() }
}

fn unit_seconds(unit: &str) -> Option<f64> {
    match unit {
        "ms" => Some(0.001),
        "s" => Some(1.0),
        "m" => Some(60.0),
        "h" => Some(3600.0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_gos() {
        let check = |text: &str, milliseconds: Option<u64>| {
            assert_eq!(parse_duration(text), milliseconds.map(Duration::from_millis), "{text}");
        };
        check("5s", Some(5_000));
        check("1h30m", Some(5_400_000));
        check("1.5s", Some(1_500));
        check("200ms", Some(200));
        check("7", Some(7_000));
        for wrong in ["", "s", "-5s", "5 s", "5d", "..s", "1e999h"] {
            check(wrong, None);
        }
    }

    #[test]
    fn pauses_grow_up_to_the_longest_and_end_at_the_limit() {
        let retry = Retry { limit: Some(8), ..Retry::default() };
        let seconds: Vec<u64> = (1..20).map_while(|n| retry.pause_before(n)).map(|p| p.as_secs()).collect();
        assert_eq!(seconds, [5, 10, 20, 40, 80, 160, 180, 180]);
        assert!(Retry { limit: None, ..retry }.pause_before(u32::MAX).is_some());
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_a_duration_or_is_not(text in "[0-9.a-z]{0,12}") {
            let _ = parse_duration(&text);
        }
    }
}
