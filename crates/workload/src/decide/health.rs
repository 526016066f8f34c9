//! A container's health, from its probes' answers: Kubernetes' rules of thresholds, and the startup probe before all.
//!
//! One thing differs: until a probe has passed once it is asked every second, however long its period, so that a
//! container is found ready when it is. Failures count at the pace of the period all the same.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::moment::Moment;
use crate::spec::{Container, Probe};
use crate::status::ProbeFailure;

const EAGER: Duration = Duration::from_secs(1);

/// Which of a container's probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum ProbeKind {
    Startup,
    Readiness,
    Liveness,
}

impl ProbeKind {
    pub(crate) const ALL: [ProbeKind; 3] = [ProbeKind::Startup, ProbeKind::Readiness, ProbeKind::Liveness];

    pub(crate) fn name(self) -> &'static str {
        match self {
            ProbeKind::Startup => "startup",
            ProbeKind::Readiness => "readiness",
            ProbeKind::Liveness => "liveness",
        }
    }

    pub(crate) fn of(self, container: &Container) -> Option<&Probe> {
        match self {
            ProbeKind::Startup => container.startup.as_ref(),
            ProbeKind::Readiness => container.readiness.as_ref(),
            ProbeKind::Liveness => container.liveness.as_ref(),
        }
    }
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) passed: bool,
    /// The question with its address, e.g. "GET http://10.88.0.2:3000/ready".
    pub(crate) question: String,
    /// In words, e.g. "503 Service Unavailable: database is down".
    pub(crate) text: String,
}

/// The health of one running container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Health {
    /// The startup probe passed, or there is none.
    pub(crate) started: bool,
    /// Takes traffic.
    pub(crate) ready: bool,
    /// Begun anew by a supervisor that takes over.
    #[serde(skip)]
    counts: Counts,
}

/// One count for each kind of probe. All are equal: what was counted so far is no change that must be remembered, or the
/// record file would be written anew with each answer.
#[derive(Debug, Clone, Default)]
struct Counts([Count; 3]);

impl PartialEq for Counts {
    fn eq(&self, _: &Counts) -> bool {
        true
    }
}

impl Eq for Counts {}

#[derive(Debug, Clone, Default)]
struct Count {
    due: Moment,
    asked: bool,
    passed_before: bool,
    successes: u32,
    failures: u32,
    failure_counted: Option<Moment>,
    last_failure: Option<ProbeFailure>,
}

impl Health {
    /// Of a container that just began to run.
    pub(crate) fn new(container: &Container, now: Moment) -> Health {
        let started = container.startup.is_none();
        let mut health = Health { started, ..Health::default() };
        health.ready = started && container.readiness.is_none();
        for kind in ProbeKind::ALL {
            if let Some(probe) = kind.of(container) {
                health.counts.0[kind as usize].due = now.plus_seconds(probe.initial_delay_seconds);
            }
        }
        health
    }

    /// After the supervisor was replaced: probes of a container that runs since `since` are asked soon.
    pub(crate) fn ask_anew(&mut self, container: &Container, since: Moment, now: Moment) {
        self.counts = Counts::default();
        for kind in ProbeKind::ALL {
            if let Some(probe) = kind.of(container) {
                self.counts.0[kind as usize].due = since.plus_seconds(probe.initial_delay_seconds).max(now);
            }
        }
    }

    /// Probes to ask now; they count as asked until [`Health::record`].
    pub(crate) fn take_due(&mut self, container: &Container, now: Moment) -> Vec<ProbeKind> {
        let due: Vec<ProbeKind> =
            self.wanted(container).filter(|kind| self.counts.0[*kind as usize].due <= now).collect();
        for kind in &due {
            self.counts.0[*kind as usize].asked = true;
        }
        due
    }

    /// When the next probe is due.
    pub(crate) fn next_due(&self, container: &Container) -> Option<Moment> {
        self.wanted(container).map(|kind| self.counts.0[kind as usize].due).min()
    }

    /// Takes an answer in. `true` when the container must be restarted because of it.
    pub(crate) fn record(
        &mut self,
        container: &Container,
        kind: ProbeKind,
        answer: &Answer,
        now: Moment,
    ) -> bool {
        let Some(probe) = kind.of(container) else { return false };
        let count = &mut self.counts.0[kind as usize];
        count.asked = false;
        count.take(probe, answer, kind, now);
        let passes = count.successes >= probe.success_threshold.max(1);
        let fails = count.failures >= probe.failure_threshold.max(1);
        match kind {
            ProbeKind::Startup if passes => self.began(container, now),
            ProbeKind::Startup | ProbeKind::Liveness => return fails,
            ProbeKind::Readiness if passes => self.ready = true,
            ProbeKind::Readiness if fails => self.ready = false,
            ProbeKind::Readiness => {}
        }
        false
    }

    /// The last thing a probe had to complain about: the readiness probe's, else the startup probe's.
    pub(crate) fn complaint(&self) -> Option<&ProbeFailure> {
        let of = |kind: ProbeKind| self.counts.0[kind as usize].last_failure.as_ref();
        if self.started { of(ProbeKind::Readiness) } else { of(ProbeKind::Startup) }
    }

    /// That probe's last failure.
    pub(crate) fn last_failure(&self, kind: ProbeKind) -> Option<&ProbeFailure> {
        self.counts.0[kind as usize].last_failure.as_ref()
    }

    fn began(&mut self, container: &Container, now: Moment) {
        self.started = true;
        self.ready = container.readiness.is_none();
        for kind in [ProbeKind::Readiness, ProbeKind::Liveness] {
            let count = &mut self.counts.0[kind as usize];
            count.due = count.due.max(now);
        }
    }

    fn wanted<'a>(&'a self, container: &'a Container) -> impl Iterator<Item = ProbeKind> + 'a {
        ProbeKind::ALL.into_iter().filter(move |kind| {
            let gate = (*kind == ProbeKind::Startup) != self.started;
            kind.of(container).is_some() && gate && !self.counts.0[*kind as usize].asked
        })
    }
}

impl Count {
    fn take(&mut self, probe: &Probe, answer: &Answer, kind: ProbeKind, now: Moment) {
        let period = Duration::from_secs(probe.period_seconds.max(1).into());
        if answer.passed {
            self.passed_before = true;
            self.successes = self.successes.saturating_add(1);
            self.failures = 0;
            self.failure_counted = None;
            self.last_failure = None;
        } else {
            self.successes = 0;
            let counts = self.failure_counted.is_none_or(|before| now.since(before) >= period);
            if counts {
                self.failures = self.failures.saturating_add(1);
                self.failure_counted = Some(now);
            }
            let probe = format!("{}: {}", kind.name(), answer.question);
            self.last_failure = Some(ProbeFailure { probe, answer: answer.text.clone() });
        }
        let eager = !self.passed_before && probe.success_threshold <= 1 && kind != ProbeKind::Liveness;
        self.due = now.plus(if eager { period.min(EAGER) } else { period });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::pod::testing::container;
    use crate::spec::ProbeAction;

    fn probe(period: u32, failures: u32, successes: u32) -> Option<Probe> {
        Some(Probe {
            action: ProbeAction::Tcp { port: 1 },
            period_seconds: period,
            failure_threshold: failures,
            success_threshold: successes,
            ..Probe::default()
        })
    }

    /// Plays answers (`+` and `-`) of one probe, each when it is due; tells ready (`r`), restart (`x`) or neither (`.`).
    fn play(container: &Container, kind: ProbeKind, answers: &str) -> String {
        let mut health = Health::new(container, Moment(0));
        let mut told = String::new();
        for answer in answers.chars() {
            let now = health.next_due(container).unwrap();
            assert!(health.take_due(container, now).contains(&kind));
            let answer = Answer { passed: answer == '+', question: String::new(), text: String::new() };
            let restart = health.record(container, kind, &answer, now);
            told.push(if restart {
                'x'
            } else if health.ready {
                'r'
            } else {
                '.'
            });
        }
        told
    }

    #[test]
    fn readiness_follows_its_thresholds() {
        let mut one = container("a");
        one.readiness = probe(1, 3, 1);
        assert_eq!(play(&one, ProbeKind::Readiness, "-+--+---+"), ".rrrrrr.r");
        one.readiness = probe(1, 1, 2);
        assert_eq!(play(&one, ProbeKind::Readiness, "++-++"), ".r..r");
    }

    #[test]
    fn liveness_restarts_after_failures_in_a_row() {
        let mut one = container("a");
        one.liveness = probe(5, 3, 1);
        assert_eq!(play(&one, ProbeKind::Liveness, "+--+---"), "rrrrrrx");
    }

    #[test]
    fn the_startup_probe_comes_before_all_others() {
        let mut one = container("a");
        one.startup = probe(10, 2, 1);
        one.liveness = probe(1, 1, 1);
        one.readiness = probe(1, 1, 1);
        let mut health = Health::new(&one, Moment(0));
        assert_eq!(health.take_due(&one, Moment(0)), [ProbeKind::Startup]);
        assert_eq!(health.take_due(&one, Moment(60_000)), [], "asked already");
        let yes = Answer { passed: true, question: String::new(), text: String::new() };
        assert!(!health.record(&one, ProbeKind::Startup, &yes, Moment(1000)));
        assert!(health.started && !health.ready);
        assert_eq!(health.take_due(&one, Moment(1000)), [ProbeKind::Readiness, ProbeKind::Liveness]);
    }

    #[test]
    fn an_eager_question_does_not_shorten_a_slow_start() {
        let mut one = container("a");
        one.startup = probe(10, 3, 1);
        let mut health = Health::new(&one, Moment(0));
        let no = Answer { passed: false, question: "q".to_owned(), text: "refused".to_owned() };
        let mut asked = 0;
        let failed_at = loop {
            let now = health.next_due(&one).unwrap();
            health.take_due(&one, now);
            asked += 1;
            if health.record(&one, ProbeKind::Startup, &no, now) {
                break now;
            }
        };
        assert_eq!((failed_at, asked), (Moment(20_000), 21));
        assert_eq!(health.complaint().unwrap().answer, "refused");
    }
}
