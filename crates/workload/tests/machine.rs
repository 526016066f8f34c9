//! Workloads on the real machine, as root: the supervisor is a process of its own, containers are real, requests go
//! through the published port.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, clippy::print_stderr, reason = "a test")]

mod support;

use std::time::{Duration, Instant};

use minato_workload::spec::{Limits, ProbeAction};
use minato_workload::{ContainerState, Filter, RolloutStatus, Supervisor, SupervisorOptions};
use support::{Bench, Missing, assert_none_failed, get, http_probe, kill, load, run, service};

fn main() {
    run(&[
        ("a_workload_serves_and_nothing_is_left", a_workload_serves_and_nothing_is_left),
        (
            "a_new_version_takes_over_without_a_failed_request",
            a_new_version_takes_over_without_a_failed_request,
        ),
        ("a_bad_version_costs_no_request_and_says_why", a_bad_version_costs_no_request_and_says_why),
        (
            "a_killed_supervisor_is_followed_by_one_that_adopts",
            a_killed_supervisor_is_followed_by_one_that_adopts,
        ),
        ("a_killed_shim_or_container_is_replaced", a_killed_shim_or_container_is_replaced),
        ("two_clients_at_once_find_one_supervisor", two_clients_at_once_find_one_supervisor),
        ("pods_reach_services_by_name", pods_reach_services_by_name),
        ("restart_and_scale_lose_no_request", restart_and_scale_lose_no_request),
        (
            "a_supervisor_killed_at_any_moment_is_followed_well",
            a_supervisor_killed_at_any_moment_is_followed_well,
        ),
    ]);
}

fn a_workload_serves_and_nothing_is_left() -> Result<(), Missing> {
    Bench::with(|bench| {
        Box::pin(async move {
            let started = Instant::now();
            bench.healthy(&bench.web("v1", &[])).await;
            assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
            let status = bench.publish().await;
            assert_eq!(get("127.0.0.1", status.published[0].host_port, "/").unwrap(), "v1\n");
            let again = bench.publish().await;
            assert_eq!(again.published, status.published, "the port stays");
            let id = bench.supervisor.apply_workload(&bench.web("v1", &[])).await.unwrap();
            assert_eq!(id, bench.workload().await.rollout, "the same again is no new rollout");
        })
    })
}

fn a_new_version_takes_over_without_a_failed_request() -> Result<(), Missing> {
    Bench::with(|bench| {
        Box::pin(async move {
            bench.healthy(&bench.web("v1", &[])).await;
            let status = bench.publish().await;
            let load = load(&status);
            bench.healthy(&bench.web("v2", &[("START_MS", "3000")])).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
            let report = load.stop().await;
            assert_none_failed(&report);
            assert!(
                report.by_version["v1"] > 1000 && report.by_version["v2"] > 100,
                "{:?}",
                report.by_version
            );
            let (first_of_v2, _) = report.version_seen_ms["v2"];
            assert!(first_of_v2 > 3000 + 8000, "traffic before the soak was over: {first_of_v2} ms");
            let logs = bench.web_logs();
            for id in &report.post_ids {
                let line = format!("POST {id}");
                assert_eq!(logs.iter().filter(|logged| **logged == line).count(), 1, "{line}");
            }
            assert!(!report.post_ids.is_empty());
            println!("  {} requests, latency {:?}", report.sent, report.latency);
        })
    })
}

fn a_bad_version_costs_no_request_and_says_why() -> Result<(), Missing> {
    Bench::with(|bench| {
        Box::pin(async move {
            bench.healthy(&bench.web("v1", &[])).await;
            let pids = bench.pids().await;
            let status = bench.publish().await;
            let load = load(&status);

            let cause = bench.fails(&bench.web("crash", &[("CRASH_MS", "200"), ("START_MS", "5000")])).await;
            assert_eq!(cause.exit.unwrap().code, Some(3), "{cause:?}");
            assert!(cause.summary.contains("exited with code 3 3 times"), "{cause:?}");
            assert!(
                cause.last_log_lines.iter().any(|line| line == "fatal: cannot reach the database"),
                "{cause:?}"
            );

            let mut never = bench.web("never", &[("UNREADY", "1")]);
            never.progress_deadline_seconds = 9;
            let cause = bench.fails(&never).await;
            let probe = cause.probe.clone().unwrap();
            assert!(probe.probe.contains("/ready"), "{cause:?}");
            assert!(probe.answer.contains("503") && probe.answer.contains("database is down"), "{cause:?}");

            let cause = bench.fails(&bench.web("late", &[("UNREADY_AFTER_MS", "5000")])).await;
            assert!(cause.summary.contains("was ready, then did not stay so"), "{cause:?}");
            assert!(cause.probe.clone().unwrap().answer.contains("database is down"), "{cause:?}");

            let mut missing = bench.web("missing", &[]);
            missing.pod.containers[0].args = vec!["/no/such/program".to_owned()];
            let started = Instant::now();
            let cause = bench.fails(&missing).await;
            assert!(cause.summary.contains("/no/such/program"), "{cause:?}");
            assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());

            let mut hungry = bench.web("hungry", &[("EAT_MEMORY", "1")]);
            hungry.pod.containers[0].limits = Limits { memory_bytes: Some(64 << 20), ..Limits::default() };
            let cause = bench.fails(&hungry).await;
            assert!(cause.out_of_memory, "{cause:?}");
            assert!(cause.hint.clone().unwrap().contains("64 MiB"), "{cause:?}");

            tokio::time::sleep(Duration::from_secs(1)).await;
            let report = load.stop().await;
            assert_none_failed(&report);
            assert_eq!(report.by_version.keys().collect::<Vec<_>>(), ["v1"]);
            assert_eq!(bench.pids().await, pids, "the old version was never touched");
        })
    })
}

fn a_killed_supervisor_is_followed_by_one_that_adopts() -> Result<(), Missing> {
    Bench::with(|bench| {
        Box::pin(async move {
            bench.healthy(&bench.web("v1", &[])).await;
            let status = bench.publish().await;
            let port = status.published[0].host_port;
            let pids = bench.pids().await;
            assert_eq!(pids.len(), 2);
            bench.kill_supervisor();
            assert!(get("127.0.0.1", port, "/").is_err(), "nobody listens meanwhile");
            let started = Instant::now();
            Supervisor::connect_or_start(bench.data(), &SupervisorOptions::default()).await.unwrap();
            while get("127.0.0.1", port, "/").is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let took = started.elapsed();
            assert!(took < Duration::from_secs(2), "serving again after {took:?}");
            println!("  serving again after {took:?}");
            assert_eq!(bench.pids().await, pids, "containers were not restarted");
            let load = load(&status);
            bench.healthy(&bench.web("v2", &[])).await;
            assert_none_failed(&load.stop().await);
        })
    })
}

fn a_killed_shim_or_container_is_replaced() -> Result<(), Missing> {
    Bench::with(|bench| {
        Box::pin(async move {
            bench.healthy(&bench.web("v1", &[])).await;
            let status = bench.publish().await;
            for what in ["container", "shim"] {
                let pid = bench.pids().await[0];
                kill(if what == "shim" { parent_of(pid) } else { pid });
                let started = Instant::now();
                loop {
                    let workload = bench.workload().await;
                    let alive = bench.pids().await;
                    if workload.ready == 2 && !alive.contains(&pid) && workload.replicas.len() == 2 {
                        break;
                    }
                    assert!(started.elapsed() < Duration::from_secs(20), "{what}: {workload:#?}");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                assert_eq!(get("127.0.0.1", status.published[0].host_port, "/").unwrap(), "v1\n");
                assert_eq!(bench.workload().await.rollout_status, RolloutStatus::Healthy);
            }
        })
    })
}

fn parent_of(pid: u32) -> u32 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap();
    line.trim().parse().unwrap()
}

fn two_clients_at_once_find_one_supervisor() -> Result<(), Missing> {
    Bench::with(|bench| {
        Box::pin(async move {
            let folder = tempfile::tempdir().unwrap();
            let options = SupervisorOptions::default();
            let starts = (0..6).map(|_| Supervisor::connect_or_start(folder.path(), &options));
            let found = futures_util::future::join_all(starts).await;
            assert!(found.into_iter().all(|one| one.is_ok()));
            let lock = std::fs::read_to_string(folder.path().join("run/supervisor.lock")).unwrap();
            assert!(lock.trim().parse::<u32>().is_ok());
            // What lies about from a killed one is no obstacle.
            std::fs::write(folder.path().join("run/supervisor.sock.old"), "").unwrap();
            let other = Supervisor::connect_or_start(folder.path(), &options).await.unwrap();
            assert_eq!(other.status(&Filter::default()).await.unwrap().workloads.len(), 0);
            // Applied twice at once: one rollout.
            let workload = bench.web("v1", &[]);
            let (one, two) = tokio::join!(
                bench.supervisor.apply_workload(&workload),
                bench.supervisor.apply_workload(&workload)
            );
            assert_eq!(one.unwrap(), two.unwrap());
            // It ends by itself, and its folder may go.
            kill_when_idle(folder.path()).await;
        })
    })
}

async fn kill_when_idle(data: &std::path::Path) {
    let socket = data.join("run/supervisor.sock");
    for _ in 0..200 {
        if !socket.exists() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("a supervisor with nothing to do did not end");
}

fn pods_reach_services_by_name() -> Result<(), Missing> {
    Bench::with(|bench| {
        Box::pin(async move {
            bench.healthy(&bench.web("v1", &[])).await;
            let names = ["web", "web.default", "web.default.svc", "web.default.svc.cluster.local"];
            bench.supervisor.apply_service(&service("web", 80, None, false)).await.unwrap();
            // Another workload is ready when it reaches the first by name, on the service's own port.
            for name in names {
                let mut client = bench.web("client", &[("PORT", "4000")]);
                client.key.name = "client".to_owned();
                client.pod.labels.clear();
                client.replicas = 1;
                let argv = ["/server", "get", name, "80", "/"].map(str::to_owned).to_vec();
                let mut probe = http_probe("", 1);
                probe.action = ProbeAction::Exec { argv };
                probe.timeout_seconds = 5;
                client.pod.containers[0].readiness = Some(probe);
                client.soak_seconds = 1;
                bench.healthy(&client).await;
            }
            // A service that comes later is seen by a pod that runs already.
            let mut late = bench.web("late", &[("PORT", "4000")]);
            late.key.name = "late".to_owned();
            late.pod.labels.clear();
            let mut probe = http_probe("", 1);
            probe.action = ProbeAction::Exec {
                argv: ["/server", "get", "second", "8080", "/"].map(str::to_owned).to_vec(),
            };
            late.pod.containers[0].readiness = Some(probe);
            let id = bench.supervisor.apply_workload(&late).await.unwrap();
            tokio::time::sleep(Duration::from_secs(2)).await;
            assert!(matches!(
                bench.supervisor.rollout(&id).await.unwrap(),
                RolloutStatus::Progressing { .. }
            ));
            bench.supervisor.apply_service(&service("second", 8080, None, false)).await.unwrap();
            assert_eq!(bench.settled(&id).await, RolloutStatus::Healthy);
        })
    })
}

fn restart_and_scale_lose_no_request() -> Result<(), Missing> {
    Bench::with(|bench| {
        Box::pin(async move {
            let workload = bench.web("v1", &[]);
            bench.healthy(&workload).await;
            let before = bench.pids().await;
            let load = load(&bench.publish().await);
            let id = bench.supervisor.restart(&workload.key).await.unwrap();
            assert_eq!(bench.settled(&id).await, RolloutStatus::Healthy);
            let started = Instant::now();
            while bench.pids().await.iter().any(|pid| before.contains(pid)) {
                assert!(started.elapsed() < Duration::from_secs(15), "old ones drain and end");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            for count in [4, 1] {
                let id = bench.supervisor.scale(&workload.key, count).await.unwrap();
                assert_eq!(bench.settled(&id).await, RolloutStatus::Healthy);
            }
            let report = load.stop().await;
            assert_none_failed(&report);
            let running = |workload: &minato_workload::WorkloadStatus| {
                let containers = workload.replicas.iter().flat_map(|replica| &replica.containers);
                containers.filter(|one| matches!(one.state, ContainerState::Running { .. })).count()
            };
            let started = Instant::now();
            while running(&bench.workload().await) > 1 {
                assert!(started.elapsed() < Duration::from_secs(15));
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
    })
}

fn a_supervisor_killed_at_any_moment_is_followed_well() -> Result<(), Missing> {
    Bench::with(|bench| {
        Box::pin(async move {
            let mut first = bench.web("v0", &[]);
            first.soak_seconds = 1;
            bench.healthy(&first).await;
            let status = bench.publish().await;
            // The moments are the same in every run: steps of a golden ratio through a rollout's three seconds.
            for round in 1..=10u32 {
                let moment = Duration::from_secs_f64((f64::from(round) * 0.618_034).fract() * 3.0);
                let mut next = bench.web(&format!("v{round}"), &[]);
                next.soak_seconds = 1;
                let id = bench.supervisor.apply_workload(&next).await.unwrap();
                tokio::time::sleep(moment).await;
                bench.kill_supervisor();
                let followed =
                    Supervisor::connect_or_start(bench.data(), &SupervisorOptions::default()).await;
                followed.unwrap();
                assert_eq!(bench.settled(&id).await, RolloutStatus::Healthy, "killed after {moment:?}");
                let answer = get("127.0.0.1", status.published[0].host_port, "/").unwrap();
                assert_eq!(answer, format!("v{round}\n"), "killed after {moment:?}");
            }
            let started = Instant::now();
            while bench.workload().await.replicas.len() > 2 {
                assert!(
                    started.elapsed() < Duration::from_secs(15),
                    "old replicas end: {:#?}",
                    bench.workload().await
                );
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
    })
}
