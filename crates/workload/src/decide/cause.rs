//! A failure in words: what an engineer needs to see at once. The last log lines are added by whoever can read them.

use super::pod::{PodLife, Trouble, TroubleKind};
use super::rollout::Failing;
use crate::spec::{Container, Pod};
use crate::status::{Cause, Exit};

/// Why a rollout failed, seen on that replica.
pub(crate) fn of_rollout(failing: &Failing, pod: &Pod, replica: Option<(&str, &PodLife)>) -> Cause {
    let mut cause = replica.map_or_else(Cause::default, |(id, life)| of_replica(id, pod, life));
    let container = cause.container.clone().unwrap_or_default();
    match failing {
        Failing::Deadline { seconds, .. } => deadline(&mut cause, *seconds, replica.is_some()),
        Failing::LostReady(_) => {
            let how = match (&cause.exit, &cause.probe) {
                (Some(exit), _) => exit.to_string(),
                (None, Some(_)) => "its readiness probe failed".to_owned(),
                (None, None) => "it stopped being ready".to_owned(),
            };
            cause.summary =
                format!("the new version was ready, then did not stay so: container {container} {how}");
        }
        Failing::Attempts(_) if cause.summary.is_empty() => {
            cause.summary = "every attempt of the task failed".to_owned();
        }
        Failing::Hopeless(_) | Failing::Crashes(_) | Failing::Attempts(_) => {}
    }
    cause
}

/// What is wrong with a replica: its last trouble, else the probe that does not pass.
pub(crate) fn of_replica(id: &str, pod: &Pod, life: &PodLife) -> Cause {
    let mut cause = Cause { replica: Some(id.to_owned()), ..Cause::default() };
    match &life.trouble {
        Some(trouble) => trouble_in(&mut cause, trouble, pod, life),
        None => complaint_in(&mut cause, pod, life),
    }
    cause
}

fn trouble_in(cause: &mut Cause, trouble: &Trouble, pod: &Pod, life: &PodLife) {
    let name = &trouble.container;
    let position = pod.all_containers().position(|container| container.name == *name);
    let own = position.and_then(|index| life.containers.get(index));
    let times = own.map_or(1, |own| own.failures);
    cause.container = Some(name.clone());
    match &trouble.kind {
        TroubleKind::Exited(exit) => {
            cause.exit = Some(*exit);
            cause.out_of_memory = exit.out_of_memory;
            cause.summary = format!("container {name} {exit}{}", repeated(times));
            cause.hint = pod.container(name).and_then(|container| exit_hint(exit, container));
            cause.probe = own.and_then(|own| own.health.complaint().cloned());
        }
        TroubleKind::NotStarted { message, hopeless } => {
            cause.summary = format!("container {name} could not be started: {message}");
            if !hopeless {
                cause.summary.push_str(&repeated(times));
            }
        }
        TroubleKind::Probe(failure) => {
            cause.exit = own.and_then(|own| own.last_exit);
            cause.summary =
                format!("container {name} was restarted{}: its {} failed", repeated(times), failure.probe);
            cause.probe = Some(failure.clone());
            cause.hint = Some(
                "raise the probe's failureThreshold or give it a startup probe if it is only slow".into(),
            );
        }
        TroubleKind::PostStart(reason) => {
            cause.summary = format!("container {name}: its postStart hook failed: {reason}");
        }
        TroubleKind::Dependency(reason) => cause.summary = format!("container {name} can't start: {reason}"),
    }
}

fn complaint_in(cause: &mut Cause, pod: &Pod, life: &PodLife) {
    let complaining = pod.all_containers().zip(&life.containers).find_map(|(container, own)| {
        let running = own.stage.is_running() && !own.health.ready;
        running.then(|| (container, own.health.complaint()))
    });
    let Some((container, complaint)) = complaining else { return };
    cause.container = Some(container.name.clone());
    cause.probe = complaint.cloned();
    cause.summary = match complaint {
        Some(failure) => {
            format!("container {} runs but is not ready: {} failed", container.name, failure.probe)
        }
        None => format!("container {} runs but its probe has not passed yet", container.name),
    };
    cause.hint = complaint.and_then(|failure| probe_hint(&failure.answer));
}

fn deadline(cause: &mut Cause, seconds: u32, seen: bool) {
    cause.summary = match (cause.summary.is_empty(), seen) {
        (false, _) => format!("no progress for {seconds} s: {}", cause.summary),
        (true, true) => format!("no progress for {seconds} s: a container has not started yet"),
        (true, false) => format!("no progress for {seconds} s"),
    };
}

fn repeated(times: u32) -> String {
    match times {
        0 | 1 => String::new(),
        2 => " twice".to_owned(),
        more => format!(" {more} times"),
    }
}

fn exit_hint(exit: &Exit, container: &Container) -> Option<String> {
    let hint = match (exit.out_of_memory, exit.code, exit.signal) {
        (true, ..) => match container.limits.memory_bytes {
            Some(limit) => {
                return Some(format!("raise its memory limit (now {} MiB) or make it use less", limit >> 20));
            }
            None => "the machine itself ran out of memory",
        },
        (_, Some(0), _) => "the program ended by itself; a service must keep running in the foreground",
        (_, Some(126), _) => "126: the command exists but can't be executed; check its mode and #! line",
        (_, Some(127), _) => "127: a shell did not find the command; check PATH and the image",
        (_, Some(137), _) | (_, _, Some(9)) => "it was killed from outside",
        (_, Some(139), _) | (_, _, Some(11)) => "the program crashed (segmentation fault)",
        _ => return None,
    };
    Some(hint.to_owned())
}

fn probe_hint(answer: &str) -> Option<String> {
    answer.contains("refused").then(|| {
        "nothing listens there on the pod's address; check the port, and that the program binds 0.0.0.0 and not \
         only 127.0.0.1"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::health::{Answer, ProbeKind};
    use crate::decide::pod::next_step;
    use crate::decide::pod::testing::{container, pod};
    use crate::moment::Moment;
    use crate::spec::{Probe, ProbeAction};

    fn exit(code: Option<i32>, out_of_memory: bool) -> Exit {
        Exit { code, signal: code.is_none().then_some(9), out_of_memory, at: Moment(0) }
    }

    fn crashed(times: u32, with: Exit) -> Cause {
        let mut web = container("web");
        web.limits.memory_bytes = Some(64 << 20);
        let pod = pod(Vec::new(), vec![web]);
        let mut life = PodLife::new(&pod);
        for round in 0..times {
            let now = Moment(u64::from(round) * 400_000);
            next_step(&pod, &mut life, now);
            life.started(&pod, 0, 7, now);
            life.exited(&pod, 0, with, now);
        }
        of_rollout(&Failing::Crashes("web-1".into()), &pod, Some(("web-1", &life)))
    }

    #[test]
    fn a_crash_names_code_and_count() {
        let cause = crashed(3, exit(Some(3), false));
        assert_eq!(cause.summary, "container web exited with code 3 3 times");
        assert_eq!(cause.replica.as_deref(), Some("web-1"));
        assert_eq!(cause.exit.unwrap().code, Some(3));
    }

    #[test]
    fn memory_is_named_with_its_limit() {
        let cause = crashed(1, exit(None, true));
        assert!(cause.out_of_memory);
        assert_eq!(cause.summary, "container web was ended for going over its memory limit");
        assert_eq!(cause.hint.unwrap(), "raise its memory limit (now 64 MiB) or make it use less");
    }

    #[test]
    fn never_ready_shows_the_last_answer() {
        let mut web = container("web");
        web.readiness = Some(Probe { action: ProbeAction::Tcp { port: 80 }, ..Probe::default() });
        let pod = pod(Vec::new(), vec![web]);
        let mut life = PodLife::new(&pod);
        next_step(&pod, &mut life, Moment(0));
        life.started(&pod, 0, 7, Moment(0));
        let answer =
            Answer { passed: false, question: "TCP 10.0.0.1:80".into(), text: "connection refused".into() };
        life.probed(&pod, 0, ProbeKind::Readiness, &answer, Moment(10));
        let failing = Failing::Deadline { seconds: 30, replica: None };
        let cause = of_rollout(&failing, &pod, Some(("web-1", &life)));
        assert_eq!(
            cause.summary,
            "no progress for 30 s: container web runs but is not ready: readiness: TCP 10.0.0.1:80 failed"
        );
        assert_eq!(cause.probe.unwrap().answer, "connection refused");
        assert!(cause.hint.unwrap().contains("0.0.0.0"));
    }
}
