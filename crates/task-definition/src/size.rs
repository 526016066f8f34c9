//! CPU and memory of a task: the texts ECS takes, and the pairs that Fargate sells.

use std::fmt;

/// ECS counts a processor as this many units.
pub(crate) const UNITS_PER_CPU: u64 = 1024;

/// CPU units in `256`, `1024`, `1 vCPU`, `.5 vcpu`.
pub(crate) fn cpu_units(text: &str) -> Option<u64> {
    let lower = text.trim().to_ascii_lowercase();
    match lower.strip_suffix("vcpu") {
        Some(count) => scaled(count, UNITS_PER_CPU),
        None => lower.parse().ok(),
    }
}

/// MiB in `512`, `1GB`, `0.5 GB`.
pub(crate) fn memory_mib(text: &str) -> Option<u64> {
    let lower = text.trim().to_ascii_lowercase();
    match lower.strip_suffix("gb") {
        Some(count) => scaled(count, 1024),
        None => lower.parse().ok(),
    }
}

/// A decimal number times a unit, when the product is whole.
fn scaled(count: &str, unit: u64) -> Option<u64> {
    let count: f64 = count.trim().parse().ok()?;
    let product = count * unit as f64;
    let fits = product.is_finite() && (0.0..1e12).contains(&product) && product.fract() == 0.0;
    fits.then_some(product as u64)
}

/// The memory that Fargate gives to one CPU size: from, to, and in which steps, in MiB.
struct Memory {
    cpu: u64,
    from: u64,
    to: u64,
    step: u64,
}

const GB: u64 = 1024;

/// "Task CPU and memory" in the Fargate developer guide. 256 units also take 512 MiB.
const FARGATE: [Memory; 7] = [
    Memory { cpu: 256, from: GB, to: 2 * GB, step: GB },
    Memory { cpu: 512, from: GB, to: 4 * GB, step: GB },
    Memory { cpu: 1024, from: 2 * GB, to: 8 * GB, step: GB },
    Memory { cpu: 2048, from: 4 * GB, to: 16 * GB, step: GB },
    Memory { cpu: 4096, from: 8 * GB, to: 30 * GB, step: GB },
    Memory { cpu: 8192, from: 16 * GB, to: 60 * GB, step: 4 * GB },
    Memory { cpu: 16384, from: 32 * GB, to: 120 * GB, step: 8 * GB },
];

/// What is wrong with a pair on Fargate.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum SizeError {
    Cpu,
    /// The memory sizes that the CPU size takes.
    Memory(String),
}

/// Checks a pair against the table.
pub(crate) fn check_fargate(cpu: u64, memory: u64) -> Result<(), SizeError> {
    let row = FARGATE.iter().find(|row| row.cpu == cpu).ok_or(SizeError::Cpu)?;
    let small = cpu == 256 && memory == 512;
    let in_steps = (row.from..=row.to).contains(&memory) && (memory - row.from).is_multiple_of(row.step);
    if small || in_steps { Ok(()) } else { Err(SizeError::Memory(row.to_string())) }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to, step) = (self.from / GB, self.to / GB, self.step / GB);
        if self.cpu == 256 {
            f.write_str("512, 1024 or 2048 MiB")
        } else {
            write!(f, "{from} to {to} GB in steps of {step} GB")
        }
    }
}

/// The CPU sizes of Fargate, for messages.
pub(crate) fn fargate_cpu_sizes() -> String {
    FARGATE.iter().map(|row| row.cpu.to_string()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_in_units_and_in_words() {
        let check = |text: &str, cpu: Option<u64>, memory: Option<u64>| {
            assert_eq!((cpu_units(text), memory_mib(text)), (cpu, memory), "{text:?}");
        };
        check("256", Some(256), Some(256));
        check("1 vCPU", Some(1024), None);
        check(".25 vcpu", Some(256), None);
        check("1GB", None, Some(1024));
        check("0.5 GB", None, Some(512));
        check("0.3 vCPU", None, None);
        check("-1", None, None);
        check("1e99GB", None, None);
        check("infgb", None, None);
        check("", None, None);
    }

    #[test]
    fn fargate_takes_the_pairs_of_its_table() {
        let check = |cpu: u64, memory: u64, fits: bool| {
            assert_eq!(check_fargate(cpu, memory).is_ok(), fits, "{cpu} {memory}");
        };
        for (cpu, lowest, highest) in [
            (256, 512, 2048),
            (512, 1024, 4096),
            (1024, 2048, 8192),
            (2048, 4096, 16384),
            (4096, 8192, 30720),
        ] {
            check(cpu, lowest, true);
            check(cpu, highest, true);
            check(cpu, lowest - 512, false);
            check(cpu, highest + 1024, false);
            check(cpu, lowest + 1, false);
        }
        check(256, 1024, true);
        check(256, 1536, false);
        check(8192, 20480, true);
        check(8192, 18432, false);
        check(16384, 122_880, true);
        check(16384, 36864, false);
        check(300, 512, false);
    }
}
