//! Who holds a lock, and whether they still live.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use minato_sync::Holder;

/// This process as a holder. `nonce` differs on each call.
pub(crate) fn current(command: &str) -> Holder {
    static NONCE: AtomicU64 = AtomicU64::new(1);
    let pid = std::process::id();
    Holder {
        pid,
        start_time: start_time(pid).unwrap_or(0),
        boot_id: boot_id(),
        command: command.to_owned(),
        since: Timestamp::now(),
        nonce: NONCE.fetch_add(1, Ordering::Relaxed),
    }
}

/// Whether the process that took the lock is still the one with its pid.
pub(crate) fn is_alive(holder: &Holder) -> bool {
    holder.boot_id == boot_id() && start_time(holder.pid) == Some(holder.start_time)
}

fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// Field 22 of `/proc/PID/stat` (proc(5)), in clock ticks since boot; `None` when the process is gone or only
/// waits to be collected by its parent.
fn start_time(pid: u32) -> Option<u64> {
    parse_start_time(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The command's name stands in parentheses and may itself hold spaces and parentheses.
fn parse_start_time(stat: &str) -> Option<u64> {
    let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    // `state` is field 3, so field 22 is the 19th after it.
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_lives_and_others_of_its_pid_do_not() {
        let holder = current("test");
        assert!(is_alive(&holder));
        assert!(!is_alive(&Holder { start_time: holder.start_time + 1, ..holder.clone() }));
        assert!(!is_alive(&Holder { boot_id: "another".into(), ..holder.clone() }));
        assert!(!is_alive(&Holder { pid: u32::MAX, ..holder }));
    }

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let after: Vec<String> = (4..=30).map(|number| number.to_string()).collect();
        let stat = |name: &str, state: &str| format!("7 ({name}) {state} {}", after.join(" "));
        assert_eq!(parse_start_time(&stat("minato", "S")), Some(22));
        assert_eq!(parse_start_time(&stat("a) R (b c", "S")), Some(22));
        assert_eq!(parse_start_time(&stat("gone", "Z")), None);
        assert_eq!(parse_start_time(""), None);
    }
}
