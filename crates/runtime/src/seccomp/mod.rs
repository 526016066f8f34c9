//! The system call filter: Docker's default profile, for the capabilities a container has, as a program for the kernel
//! and as the part of an OCI configuration that says the same.
//!
//! ```text
//! profile table + capabilities ─ rules in force ─┬─► BPF (this crate's engine)
//!                                                └─► linux.seccomp (crun, runc)
//! ```
//!
//! Not covered: programs of a machine's 32-bit sibling. The filter ends them, where libseccomp's would filter them.

mod numbers;
mod profile;

use std::collections::BTreeMap;
use std::io;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};
use serde_json::{Value, json};

use crate::capabilities::Capabilities;

/// What the profile says of some system calls.
#[derive(Debug, Clone, Copy)]
struct Rule {
    /// Blank-separated.
    names: &'static str,
    when: When,
    argument: Argument,
    answer: Answer,
}

/// When a rule is in force.
#[derive(Debug, Clone, Copy)]
enum When {
    Always,
    Has(&'static str),
    Lacks(&'static str),
    Machine(&'static str),
}

/// What the first argument must be.
#[derive(Debug, Clone, Copy)]
enum Argument {
    Any,
    Below(u64),
    Is(u64),
    NoneOf(u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Allow,
    Errno(u32),
}

/// The profile can't be turned into a program for this machine.
#[derive(Debug, thiserror::Error)]
#[error("seccomp profile: {0}")]
pub(crate) struct CompileError(String);

/// Programs for the kernel; every one must be installed, and the strictest answer counts.
#[derive(Debug, Clone)]
pub(crate) struct Filters(Vec<BpfProgram>);

/// Docker's default profile for a container with these capabilities.
pub(crate) fn compile(capabilities: Capabilities) -> Result<Filters, CompileError> {
    let mut allowed = Rules::new();
    let mut special: BTreeMap<u32, Rules> = BTreeMap::new();
    for rule in rules_in_force(capabilities) {
        let numbers: Vec<_> = rule.names.split(' ').filter_map(numbers::number).collect();
        for number in numbers {
            add(&mut allowed, number, rule.argument)?;
            if let Answer::Errno(errno) = rule.answer {
                // A second program gives the special answer; the first one only has to let it pass.
                add(special.entry(errno).or_default(), number, rule.argument)?;
            }
        }
    }
    let mut programs =
        vec![program(allowed, SeccompAction::Errno(libc::EPERM as u32), SeccompAction::Allow)?];
    for (errno, rules) in special {
        programs.push(program(rules, SeccompAction::Allow, SeccompAction::Errno(errno))?);
    }
    // Of equal answers the kernel takes that of the program installed last.
    programs.push(unknown_to_profile());
    Ok(Filters(programs))
}

/// The same as `linux.seccomp` of an OCI configuration.
pub(crate) fn oci(capabilities: Capabilities) -> Value {
    let syscalls: Vec<_> = rules_in_force(capabilities).map(oci_rule).collect();
    let architectures = match std::env::consts::ARCH {
        "aarch64" => json!(["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]),
        _ => json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]),
    };
    json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": libc::EPERM,
        "architectures": architectures,
        "syscalls": syscalls,
    })
}

impl Filters {
    /// Puts this process under the filters, for good. Needs CAP_SYS_ADMIN or no_new_privs.
    pub(crate) fn apply(&self) -> io::Result<()> {
        self.0.iter().try_for_each(install)
    }
}

/// Whether the kernel has filters at all.
pub(crate) fn is_supported() -> bool {
    let action: u32 = libc::SECCOMP_RET_ERRNO;
    // SAFETY: asks whether an action is known; reads the four bytes that the pointer names.
    unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, &raw const action) == 0 }
}

fn install(program: &BpfProgram) -> io::Result<()> {
    let length = u16::try_from(program.len()).map_err(io::Error::other)?;
    let header = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut().cast() };
    // SAFETY: the kernel only reads the header and the instructions behind it, which live in `program`; both types of
    // instruction are the kernel's `sock_filter`.
    let answer =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const header) };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn rules_in_force(capabilities: Capabilities) -> impl Iterator<Item = &'static Rule> {
    profile::RULES.iter().filter(move |rule| match rule.when {
        When::Always => true,
        When::Has(name) => capabilities.has(name),
        When::Lacks(name) => !capabilities.has(name),
        When::Machine(machine) => machine == std::env::consts::ARCH,
    })
}

/// By number; no rule for a number means whatever the arguments are.
type Rules = BTreeMap<i64, Option<Vec<SeccompRule>>>;

fn add(rules: &mut Rules, number: i64, argument: Argument) -> Result<(), CompileError> {
    let Some(condition) = condition(argument)? else {
        rules.insert(number, None);
        return Ok(());
    };
    if let Some(alternatives) = rules.entry(number).or_insert_with(|| Some(Vec::new())) {
        alternatives
            .push(SeccompRule::new(vec![condition]).map_err(|error| CompileError(error.to_string()))?);
    }
    Ok(())
}

/// Whole registers are compared, as libseccomp does.
fn condition(argument: Argument) -> Result<Option<SeccompCondition>, CompileError> {
    let (operator, value) = match argument {
        Argument::Any => return Ok(None),
        Argument::Below(value) => (SeccompCmpOp::Lt, value),
        Argument::Is(value) => (SeccompCmpOp::Eq, value),
        Argument::NoneOf(mask) => (SeccompCmpOp::MaskedEq(mask), 0),
    };
    let condition = SeccompCondition::new(0, SeccompCmpArgLen::Qword, operator, value);
    condition.map(Some).map_err(|error| CompileError(error.to_string()))
}

fn program(
    rules: Rules,
    otherwise: SeccompAction,
    matched: SeccompAction,
) -> Result<BpfProgram, CompileError> {
    let failed = |error: seccompiler::BackendError| CompileError(error.to_string());
    let machine = TargetArch::try_from(std::env::consts::ARCH).map_err(failed)?;
    let rules =
        rules.into_iter().map(|(number, alternatives)| (number, alternatives.unwrap_or_default())).collect();
    SeccompFilter::new(rules, otherwise, matched, machine).and_then(TryInto::try_into).map_err(failed)
}

/// What is newer than the profile "does not exist", so that C libraries fall back to what they used before; a refusal
/// would be taken for an error. runc does the same.
fn unknown_to_profile() -> BpfProgram {
    let (load, compare, answer) = (
        (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16,
        (libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K) as u16,
        (libc::BPF_RET | libc::BPF_K) as u16,
    );
    let instruction = |code, jt, jf, k| seccompiler::sock_filter { code, jt, jf, k };
    vec![
        instruction(load, 0, 0, 0),
        instruction(compare, 0, 1, numbers::NEWEST),
        instruction(answer, 0, 0, libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32),
        instruction(answer, 0, 0, libc::SECCOMP_RET_ALLOW),
    ]
}

fn oci_rule(rule: &'static Rule) -> Value {
    let mut value = json!({ "names": rule.names.split(' ').collect::<Vec<_>>(), "action": "SCMP_ACT_ALLOW" });
    if let Answer::Errno(errno) = rule.answer {
        value["action"] = json!("SCMP_ACT_ERRNO");
        value["errnoRet"] = json!(errno);
    }
    let argument = match rule.argument {
        Argument::Any => return value,
        Argument::Below(limit) => json!({ "index": 0, "value": limit, "op": "SCMP_CMP_LT" }),
        Argument::Is(number) => json!({ "index": 0, "value": number, "op": "SCMP_CMP_EQ" }),
        Argument::NoneOf(mask) => {
            json!({ "index": 0, "value": mask, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ" })
        }
    };
    value["args"] = json!([argument]);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_follows_the_capabilities() {
        let names = |capabilities| -> Vec<&str> {
            rules_in_force(capabilities).flat_map(|rule| rule.names.split(' ')).collect()
        };
        let default = names(Capabilities::docker_default());
        assert!(default.contains(&"chroot") && !default.contains(&"mount"));
        assert!(names(Capabilities::all()).contains(&"mount"));
        assert!(!names(Capabilities::none()).contains(&"chroot"));
    }

    #[test]
    fn it_compiles_for_any_set_of_capabilities() {
        for capabilities in [Capabilities::docker_default(), Capabilities::all(), Capabilities::none()] {
            let filters = compile(capabilities).unwrap();
            assert!(
                filters.0.iter().all(|program| program.len() < 4096),
                "the kernel takes 4096 instructions"
            );
        }
    }
}
