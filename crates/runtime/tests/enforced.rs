//! What is enforced, seen from inside: every row of a table, from this crate's engine and from runc with the same
//! configuration (Docker's defaults), must be equal. Differences are listed here with their reason.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)] // A test without libtest.

mod support;

use std::collections::BTreeMap;

use minato_runtime::{ContainerSpec, Engine, Limits, Mount, Rlimit, Rootfs};
use support::{Bench, Missing, busybox_layer, need_program, run};

fn main() {
    // The probe, inside a container.
    if std::env::args().nth(1).as_deref() == Some("probe-system-calls") {
        return probe_system_calls();
    }
    run(&[
        ("dockers_defaults", || compare("defaults", |_| {})),
        ("an_ordinary_user_without_new_privileges", || {
            compare("user", |spec| {
                spec.user = "app".to_owned();
                spec.extra_groups = vec![42];
                spec.security.no_new_privileges = true;
                spec.cwd = "/home/app".into();
            })
        }),
        ("limits_read_only_root_and_fewer_capabilities", || compare("limits", limited)),
        ("more_capabilities", || {
            compare("capabilities", |spec| {
                spec.security.capabilities_add =
                    ["SYS_ADMIN", "NET_ADMIN", "SYS_PTRACE"].map(str::to_owned).to_vec();
            })
        }),
        ("privileged", || compare("privileged", |spec| spec.security.privileged = true)),
        ("the_same_with_crun", || same_as("crun", "defaults", |_| {})),
        ("programs_run_by_exec_are_under_the_same_rules", programs_run_by_exec_are_under_the_same_rules),
    ]);
}

fn limited(spec: &mut ContainerSpec) {
    spec.limits = Limits {
        memory_bytes: Some(64 << 20),
        cpu_millis: Some(500),
        cpu_request_millis: Some(250),
        pids: Some(99),
    };
    spec.rootfs = Rootfs::Layers { layers: vec![busybox_layer().to_owned()], read_only: true };
    spec.security.capabilities_drop = vec!["ALL".to_owned()];
    spec.security.capabilities_add = vec!["CHOWN".to_owned()];
    spec.rlimits = vec![Rlimit { name: "RLIMIT_NOFILE".to_owned(), soft: 100, hard: 200 }];
    spec.sysctls.insert("kernel.shm_rmid_forced".to_owned(), "1".to_owned());
    spec.mounts.push(Mount::Tmpfs { target: "/scratch".into(), size: Some(1 << 20), mode: Some(0o700) });
    spec.shm_bytes = 1 << 20;
    spec.hosts = Some(Vec::new());
    spec.oom_score_adj = Some(300);
}

/// Rows that differ from an engine (empty: any), and why. A key that ends with '/' or '4' stands for all that start so.
const DIFFERENCES: &[(&str, &str, &str)] = &[
    ("", "status Seccomp_filters", "an answer of its own takes a program of its own; the kernel asks all"),
    (
        "",
        "status SigIgn",
        "a Go program leaves signals as it found them; ours start as the kernel makes them",
    ),
    ("", "mount /sys", "read-only by the mount; the engine has it in the file system's options, too"),
    ("", "mount /sys/fs/cgroup", "ours is read-only, and not mounted twice over"),
    ("", "write /sys/fs/cgroup", "ours is read-only"),
    ("", "limit devices", "Docker's list, with the console; runc's own list has tun instead"),
    ("", "call 4", "newer than this machine's libseccomp (2.5), which does not ask the profile"),
    ("crun", "mount /proc/", "crun mounts the host's /dev/null, and leaves out nosuid, nodev, noexec"),
    ("crun", "mount /sys/firmware", "crun gives its empty folder a size"),
    ("crun", "device /dev/core", "a link to /proc/kcore, which this kernel has not"),
];

fn explanation(engine: &str, key: &str) -> Option<&'static str> {
    let is_meant = |known: &str| key == known || known.ends_with(['/', '4']) && key.starts_with(known);
    let found =
        DIFFERENCES.iter().find(|(only, known, _)| (only.is_empty() || *only == engine) && is_meant(known));
    // The first system call that this machine's libseccomp does not know.
    let number = key.strip_prefix("call ").and_then(|number| number.parse::<u32>().ok());
    found.filter(|_| number.is_none_or(|number| number >= 457)).map(|(_, _, reason)| *reason)
}

fn compare(name: &str, change: fn(&mut ContainerSpec)) -> Result<(), Missing> {
    same_as("runc", name, change)
}

fn same_as(engine: &str, name: &str, change: fn(&mut ContainerSpec)) -> Result<(), Missing> {
    let theirs = Bench::with(Engine::Command(need_program(engine)?))?;
    let ours = table(&Bench::new()?, change);
    let theirs = table(&theirs, change);
    assert!(ours.len() > 500, "only {} rows", ours.len());
    let keys: std::collections::BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
    let (mut equal, mut unexplained) = (0, Vec::new());
    let mut explained: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for key in keys {
        let (left, right) = (ours.get(key), theirs.get(key));
        if left == right {
            equal += 1;
        } else if let Some(reason) = explanation(engine, key) {
            explained.entry(reason).or_default().push(key);
        } else {
            unexplained.push(format!("{key}: ours {left:?}, {engine} {right:?}"));
        }
    }
    println!("  {name}: {equal} rows equal to {engine}'s");
    for (reason, keys) in explained {
        println!("    differs: {}: {reason}", keys.join(", "));
    }
    if name == "defaults" {
        show(&ours);
    }
    assert!(unexplained.is_empty(), "{name}:\n{}", unexplained.join("\n"));
    Ok(())
}

/// The part of the table that is worth reading.
fn show(rows: &BTreeMap<String, String>) {
    let interesting =
        ["status Cap", "status NoNew", "status Seccomp", "masked", "read-only", "device", "limit"];
    for (key, value) in rows.iter().filter(|(key, _)| interesting.iter().any(|start| key.starts_with(start)))
    {
        println!("    {key:<44} {value}");
    }
}

fn table(bench: &Bench, change: fn(&mut ContainerSpec)) -> BTreeMap<String, String> {
    let mut spec = bench.shell(SCRIPT);
    spec.hostname = "table".to_owned();
    change(&mut spec);
    mount_probe(&mut spec);
    let (exit, text) = bench.run(&spec);
    assert!(exit.success(), "{exit:?}: {text}");
    rows(&text)
}

fn rows(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .filter_map(|line| line.split_once('\t'))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// This test program, with the machine's libraries.
fn mount_probe(spec: &mut ContainerSpec) {
    let bind = |source: std::path::PathBuf, target: &str| Mount::Bind {
        source,
        target: target.into(),
        read_only: true,
    };
    spec.mounts.push(bind(std::env::current_exe().unwrap(), "/probe"));
    for folder in ["/lib", "/lib64"] {
        spec.mounts.push(bind(std::fs::canonicalize(folder).unwrap(), folder));
    }
}

/// Rows `key TAB value`, about everything that a container can see of its own limits.
const SCRIPT: &str = r#"
row() { printf '%s\t%s\n' "$1" "$2"; }
try() { key=$1; shift; if out=$("$@" 2>&1); then row "$key" "allowed"; else row "$key" "refused: ${out##*: }"; fi; }
while IFS=: read key value; do
  case $key in Uid|Gid|Groups|Cap*|NoNewPrivs|Seccomp*|Umask) row "status $key" "$(echo $value)";; esac
done < /proc/self/status
for signal in SigBlk SigIgn; do row "status $signal" "$(grep $signal /proc/self/status | cut -f2)"; done
for path in /proc/asound /proc/acpi /proc/interrupts /proc/kcore /proc/keys /proc/latency_stats /proc/timer_list \
  /proc/timer_stats /proc/sched_debug /proc/scsi /sys/firmware /sys/devices/virtual/powercap; do
  if [ -d $path ]; then row "masked $path" "folder with $(ls $path | wc -l)"
  elif [ -e $path ]; then row "masked $path" "$(head -c 64 $path 2>&1 | wc -c) bytes, $(stat -c %F $path)"
  else row "masked $path" absent; fi
done
for path in /proc/bus /proc/fs /proc/irq /proc/sys; do try "read-only $path" touch $path/x; done
try "read-only /proc/sysrq-trigger" sh -c 'echo h > /proc/sysrq-trigger'
try "read-only /proc/sys/kernel/hostname" sh -c 'echo x > /proc/sys/kernel/hostname'
for path in / /etc /tmp /sys /sys/fs/cgroup /dev /dev/shm /scratch /root /home/app; do
  try "write $path" touch $path/written
done
for path in null zero full random urandom tty ptmx shm mqueue pts stdin stdout stderr fd kcore console core; do
  row "device /dev/$path" "$(stat -c '%F %a %t:%T' /dev/$path 2>&1 | sed 's/.*: //')"
done
try "device make disk" mknod /tmp/disk b 8 0
try "device read disk" head -c 1 /tmp/disk
try "device make fuse" mknod /tmp/fuse c 10 229
try "device read fuse" head -c 1 /tmp/fuse
try "device make null" mknod /tmp/null c 1 3
try "device read null" head -c 1 /tmp/null
try "do mount" mount -t tmpfs x /tmp
try "do chown" chown 1000 /tmp
try "do chroot" chroot / true
try "do hostname" hostname other
try "do unshare user" unshare -U true
try "do unshare net" unshare -n true
try "do setuid" su app -c true
try "do renice" renice -n -5 $$
try "do ping" ping -c 1 -W 1 127.0.0.1
for limit in c d e f i l m n p q r s t u v x; do
  row "rlimit $limit" "$(ulimit -S -$limit 2>&1) $(ulimit -H -$limit 2>&1)"
done
row hostname "$(hostname)"
row cwd "$(pwd)"
row user "$(id)"
row oom "$(cat /proc/self/oom_score_adj)"
row "environment" "$(env | grep -v '^_=' | sort | tr '\n' ' ')"
for key in kernel/shm_rmid_forced net/ipv4/ip_unprivileged_port_start net/ipv4/ping_group_range kernel/domainname; do
  row "sysctl $key" "$(cat /proc/sys/$key | tr '\t' ' ')"
done
for file in memory/memory.limit_in_bytes memory/memory.memsw.limit_in_bytes cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us \
  cpu/cpu.shares pids/pids.max memory.max memory.swap.max cpu.max cpu.weight pids.max; do
  row "limit $file" "$(cat /sys/fs/cgroup/$file 2>&1 | sed 's/.*: //')"
done
row "limit devices" "$(cat /sys/fs/cgroup/devices/devices.list 2>&1 | sort | tr '\n' ';')"
row "shm size" "$(df -k /dev/shm | tail -1 | awk '{print $2}')"
while read id parent device root point options rest; do
  row "mount $point" "$options $(echo "$rest" | sed 's/^.*- //' | sed 's/\(lowerdir\|upperdir\|workdir\)=[^,]*//g; s/inode64//; s/,volatile//' | cut -d' ' -f1,3 | sed 's/,,*/,/g; s/,$//')"
done < /proc/self/mountinfo
row "links" "$(ls /sys/class/net | tr '\n' ' ')"
row "namespaces" "$(for n in pid ipc uts mnt net user; do readlink /proc/self/ns/$n | cut -d: -f1; done | tr '\n' ' ')"
row "open files" "$(ls /proc/self/fd | tr '\n' ' ')"
/probe probe-system-calls
"#;

/// Makes every system call with arguments that can't work, each in a process of its own, and tells the answer.
fn probe_system_calls() {
    for number in 0..470 {
        if !is_harmless(number) {
            continue;
        }
        println!("call {number}\t{}", answer(number, [-1; 6]));
    }
    for family in 0..46 {
        println!("call socket({family})\t{}", answer(libc::SYS_socket, [family, -1, -1, 0, 0, 0]));
    }
    for persona in [0, 1, 8, 0x2_0000, 0x2_0008, 0xffff_ffff] {
        println!("call personality({persona})\t{}", answer(libc::SYS_personality, [persona, 0, 0, 0, 0, 0]));
    }
    for flag in
        [libc::CLONE_NEWUSER, libc::CLONE_NEWNS, libc::CLONE_NEWNET, libc::CLONE_NEWPID, libc::CLONE_NEWIPC]
    {
        // With CLONE_SIGHAND alone the kernel refuses what the filter lets pass.
        let flags = i64::from(flag | libc::CLONE_SIGHAND);
        println!("call clone({flag})\t{}", answer(libc::SYS_clone, [flags, 0, 0, 0, 0, 0]));
        println!("call unshare({flag})\t{}", answer(libc::SYS_unshare, [i64::from(flag) | 1, 0, 0, 0, 0, 0]));
    }
}

/// Not those that end the process, wait for ever, or signal everybody.
fn is_harmless(number: i64) -> bool {
    let skipped = [
        libc::SYS_exit,
        libc::SYS_exit_group,
        libc::SYS_rt_sigreturn,
        libc::SYS_pause,
        libc::SYS_fork,
        libc::SYS_vfork,
        libc::SYS_kill,
        libc::SYS_sync,
        libc::SYS_rt_sigsuspend,
        libc::SYS_restart_syscall,
    ];
    !skipped.contains(&number)
}

/// `-errno`, or `done` where it worked, or the signal that ended it.
fn answer(number: i64, arguments: [i64; 6]) -> String {
    // SAFETY: this program has one thread; the child only makes one call and leaves.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let [a, b, c, d, e, f] = arguments;
        // SAFETY: whatever the call does to this process, it ends next.
        let answer = unsafe { libc::syscall(number, a, b, c, d, e, f) };
        let code = if answer < 0 { std::io::Error::last_os_error().raw_os_error().unwrap_or(0) } else { 0 };
        // SAFETY: ends the process at once.
        unsafe { libc::_exit(code.min(255)) };
    }
    let mut status = 0;
    // SAFETY: writes the status that the pointer names.
    unsafe { libc::waitpid(child, &raw mut status, 0) };
    match (libc::WIFEXITED(status), libc::WEXITSTATUS(status)) {
        (true, 0) => "done".to_owned(),
        (true, errno) => format!("-{errno}"),
        (false, _) => format!("signal {}", libc::WTERMSIG(status)),
    }
}

fn programs_run_by_exec_are_under_the_same_rules() -> Result<(), Missing> {
    let bench = Bench::new()?;
    let mut spec = bench.shell("trap 'exit 0' TERM; while :; do sleep 0.02; done");
    spec.hostname = "table".to_owned();
    limited(&mut spec);
    mount_probe(&mut spec);
    let shim = bench.runtime.start(&spec).unwrap();
    let (exit, text) = support::exec(&shim, &support::shell(SCRIPT));
    assert!(exit.success(), "{exit:?}: {text}");
    let by_exec = rows(&text);
    let first = table(&bench, limited);
    let varies = |key: &str| key == "open files";
    let different: Vec<_> = first
        .iter()
        .filter(|(key, value)| !varies(key) && by_exec.get(*key) != Some(value))
        .map(|(key, value)| format!("{key}: first {value:?}, exec {:?}", by_exec.get(key)))
        .collect();
    assert!(different.is_empty(), "{}", different.join("\n"));
    Ok(())
}
