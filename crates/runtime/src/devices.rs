//! Which device nodes a container may use: Docker's list. Version 1 of control groups takes it as text; version 2 as a
//! program that the kernel asks at every use (`BPF_PROG_TYPE_CGROUP_DEVICE`), made here instruction by instruction.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};

/// Character devices: major and, unless any, minor number. All may be read, written and made. Others may only be made.
const ALLOWED: &[(u32, Option<u32>)] = &[
    (1, Some(3)), // null
    (1, Some(5)), // zero
    (1, Some(7)), // full
    (1, Some(8)), // random
    (1, Some(9)), // urandom
    (5, Some(0)), // tty
    (5, Some(1)), // console
    (5, Some(2)), // ptmx
    (136, None),  // pts
];

/// Restricts the version 1 group in `folder` (of the controller `devices`).
pub(crate) fn restrict_legacy(folder: &Path) -> io::Result<()> {
    fs::write(folder.join("devices.deny"), "a")?;
    let allow = |entry: &str| fs::write(folder.join("devices.allow"), entry);
    allow("c *:* m")?;
    allow("b *:* m")?;
    ALLOWED.iter().try_for_each(|(major, minor)| {
        let minor = minor.map_or("*".to_owned(), |minor| minor.to_string());
        allow(&format!("c {major}:{minor} rwm"))
    })
}

/// Restricts the version 2 group in `folder`. The program stays with the group and goes with it.
pub(crate) fn restrict_unified(folder: &Path) -> io::Result<()> {
    let group =
        rustix::fs::open(folder, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let program = load(&program())?;
    let attach = Attach {
        target: group.as_raw_fd(),
        program: program.as_raw_fd(),
        kind: CGROUP_DEVICE,
        flags: ALLOW_OTHERS,
    };
    // SAFETY: the kernel reads the structure, whose size is passed.
    let answer =
        unsafe { libc::syscall(libc::SYS_bpf, PROGRAM_ATTACH, &raw const attach, size_of::<Attach>()) };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

const PROGRAM_LOAD: libc::c_int = 5;
const PROGRAM_ATTACH: libc::c_int = 8;
const PROGRAM_OF_DEVICES: u32 = 15;
const CGROUP_DEVICE: u32 = 6;
/// Programs of the groups above are asked, too.
const ALLOW_OTHERS: u32 = 2;

/// The part of `union bpf_attr` that loading uses.
#[repr(C)]
struct Load {
    kind: u32,
    count: u32,
    instructions: *const Instruction,
    license: *const libc::c_char,
    log: [u64; 2],
    version_and_flags: [u32; 2],
}

/// The part of `union bpf_attr` that attaching uses.
#[repr(C)]
struct Attach {
    target: i32,
    program: i32,
    kind: u32,
    flags: u32,
}

/// `struct bpf_insn`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Instruction {
    code: u8,
    /// Destination in the lower half, source in the upper.
    registers: u8,
    offset: i16,
    value: i32,
}

fn load(instructions: &[Instruction]) -> io::Result<OwnedFd> {
    let count = u32::try_from(instructions.len()).map_err(io::Error::other)?;
    let load = Load {
        kind: PROGRAM_OF_DEVICES,
        count,
        instructions: instructions.as_ptr(),
        license: c"Apache-2.0".as_ptr(),
        log: [0; 2],
        version_and_flags: [0; 2],
    };
    // SAFETY: the kernel reads the structure, the instructions and the text that it names; all live until the end of the
    // call.
    let answer = unsafe { libc::syscall(libc::SYS_bpf, PROGRAM_LOAD, &raw const load, size_of::<Load>()) };
    match i32::try_from(answer) {
        // SAFETY: the call made this descriptor for us.
        Ok(descriptor) if descriptor >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(descriptor) }),
        _ => Err(io::Error::last_os_error()),
    }
}

// Registers: 1 holds the question, 2 the kind of device, 3 the access, 4 and 5 major and minor.
const LOAD_WORD: u8 = 0x61;
const COPY: u8 = 0xbf;
const AND: u8 = 0x57;
const SHIFT_RIGHT: u8 = 0x77;
const SET: u8 = 0xb7;
const JUMP_UNLESS: u8 = 0x55;
const EXIT: u8 = 0x95;

const CHARACTER_DEVICE: i32 = 2;
const MAKE_ONLY: i32 = 1;

/// Kinds and accesses: `struct bpf_cgroup_dev_ctx`.
fn program() -> Vec<Instruction> {
    let instruction = |code, registers, offset, value| Instruction { code, registers, offset, value };
    let allow = [instruction(SET, 0, 0, 1), instruction(EXIT, 0, 0, 0)];
    let mut program = vec![
        instruction(LOAD_WORD, 0x12, 0, 0),
        instruction(COPY, 0x23, 0, 0),
        instruction(AND, 0x02, 0, 0xffff),
        instruction(SHIFT_RIGHT, 0x03, 0, 16),
        instruction(LOAD_WORD, 0x14, 4, 0),
        instruction(LOAD_WORD, 0x15, 8, 0),
        instruction(JUMP_UNLESS, 0x03, 2, MAKE_ONLY),
    ];
    program.extend(allow);
    program.push(instruction(JUMP_UNLESS, 0x02, 0, CHARACTER_DEVICE));
    let not_a_character_device = program.len() - 1;
    for (major, minor) in ALLOWED {
        let steps_left = if minor.is_some() { 3 } else { 2 };
        program.push(instruction(JUMP_UNLESS, 0x04, steps_left, major.cast_signed()));
        program.extend(minor.map(|minor| instruction(JUMP_UNLESS, 0x05, 2, minor.cast_signed())));
        program.extend(allow);
    }
    let length = i16::try_from(program.len() - not_a_character_device - 1).unwrap_or(i16::MAX);
    if let Some(jump) = program.get_mut(not_a_character_device) {
        jump.offset = length;
    }
    program.extend([instruction(SET, 0, 0, 0), instruction(EXIT, 0, 0, 0)]);
    program
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the program as the kernel would.
    fn asked(kind: i32, access: i32, major: i32, minor: i32) -> bool {
        let program = program();
        let question = [(access << 16) | kind, major, minor];
        let mut registers = [0_i64; 6];
        let mut at = 0_usize;
        loop {
            let Instruction { code, registers: pair, offset, value } = program[at];
            let (to, from) = (usize::from(pair & 15), usize::from(pair >> 4));
            at += 1;
            match code {
                LOAD_WORD => registers[to] = i64::from(question[usize::try_from(offset).unwrap() / 4]),
                COPY => registers[to] = registers[from],
                AND => registers[to] &= i64::from(value),
                SHIFT_RIGHT => registers[to] >>= value,
                SET => registers[to] = i64::from(value),
                JUMP_UNLESS if registers[to] != i64::from(value) => at += usize::try_from(offset).unwrap(),
                JUMP_UNLESS => {}
                EXIT => return registers[0] == 1,
                other => panic!("unknown instruction {other:#x}"),
            }
        }
    }

    #[test]
    fn the_program_knows_dockers_list() {
        let (block, character, make, read, write) = (1, CHARACTER_DEVICE, MAKE_ONLY, 2, 4);
        for (major, minor) in [(1, 3), (1, 9), (5, 2), (136, 0), (136, 77)] {
            assert!(asked(character, read | write, major, minor), "{major}:{minor}");
        }
        for (major, minor) in [(1, 1), (1, 2), (10, 229), (10, 200), (5, 3), (137, 0)] {
            assert!(!asked(character, read, major, minor), "{major}:{minor}");
            assert!(asked(character, make, major, minor), "making is for all: {major}:{minor}");
        }
        assert!(!asked(block, read, 1, 3) && asked(block, make, 8, 0) && !asked(block, make | write, 8, 0));
    }
}
