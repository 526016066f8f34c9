//! Programs of other processors: the kernel runs them when an emulator is registered (`binfmt_misc`).

use std::path::Path;

use minato_oci::Platform;

use super::ExecuteError;

/// Where the kernel lists the registered handlers, one file each.
pub(super) const HANDLERS: &str = "/proc/sys/fs/binfmt_misc";

/// Processors by their names in OCI: whether it has 64 bits, whether its low byte comes first, its number in ELF headers.
const PROCESSORS: [(&str, bool, bool, u16); 11] = [
    ("amd64", true, true, 62),
    ("386", false, true, 3),
    ("arm64", true, true, 183),
    ("arm", false, true, 40),
    ("riscv64", true, true, 243),
    ("ppc64le", true, true, 21),
    ("ppc64", true, false, 21),
    ("s390x", true, false, 22),
    ("mips64le", true, true, 8),
    ("mips64", true, false, 8),
    ("loong64", true, true, 258),
];

/// Makes sure that programs of `platform` run here.
pub(super) fn ensure_runnable(platform: &Platform, handlers: &Path) -> Result<(), ExecuteError> {
    let host = Platform::host();
    // An image that does not say what it is for is taken for this machine's.
    if platform.architecture.is_empty() || is_native(platform, &host) {
        return Ok(());
    }
    let emulated = elf_header(&platform.architecture)
        .filter(|_| platform.os == host.os)
        .is_some_and(|header| texts(handlers).iter().any(|text| handles(text, &header)));
    if emulated {
        return Ok(());
    }
    Err(ExecuteError::new(format!(
        "this step is for {platform} and this machine is {host}; register an emulator with binfmt_misc (the packages \
         qemu-user-static and binfmt-support, or tonistiigi/binfmt), or build FROM --platform=$BUILDPLATFORM"
    )))
}

fn is_native(platform: &Platform, host: &Platform) -> bool {
    let pair = (host.architecture.as_str(), platform.architecture.as_str());
    platform.os == host.os && (pair.0 == pair.1 || matches!(pair, ("amd64", "386") | ("arm64", "arm")))
}

fn texts(handlers: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(handlers) else { return Vec::new() };
    entries.flatten().filter_map(|entry| std::fs::read_to_string(entry.path()).ok()).collect()
}

/// How an executable file for this processor begins.
fn elf_header(architecture: &str) -> Option<[u8; 20]> {
    let (_, wide, little, number) = PROCESSORS.iter().find(|(name, ..)| *name == architecture)?;
    let two = |number: u16| if *little { number.to_le_bytes() } else { number.to_be_bytes() };
    let mut header = [0; 20];
    header[..4].copy_from_slice(b"\x7fELF");
    header[4] = if *wide { 2 } else { 1 };
    header[5] = if *little { 1 } else { 2 };
    header[6] = 1;
    header[16..18].copy_from_slice(&two(2));
    header[18..].copy_from_slice(&two(*number));
    Some(header)
}

/// Whether a handler, as the kernel describes it, is asked for a file that begins so.
fn handles(text: &str, header: &[u8; 20]) -> bool {
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let bytes = |name: &str| field(name).and_then(|digits| hex::decode(digits).ok());
    let Some(magic) = bytes("magic ") else { return false };
    let mask = bytes("mask ").unwrap_or_else(|| vec![0xff; magic.len()]);
    let fits = magic.len() <= header.len() && mask.len() == magic.len();
    text.lines().next() == Some("enabled")
        && field("offset ") == Some("0")
        && fits
        && magic.iter().zip(&mask).zip(header).all(|((magic, mask), byte)| byte & mask == *magic)
}

#[cfg(test)]
mod tests {
    use super::*;

    const QEMU_AARCH64: &str = "enabled\ninterpreter /usr/bin/qemu-aarch64\nflags: OCF\noffset 0\n\
        magic 7f454c460201010000000000000000000200b700\nmask ffffffffffffff00fffffffffffffffffeffffff\n";

    #[test]
    fn a_handler_is_asked_for_what_its_magic_matches() {
        let handled = |text: &str, name| handles(text, &elf_header(name).unwrap());
        assert!(handled(QEMU_AARCH64, "arm64"));
        assert!(!handled(QEMU_AARCH64, "arm") && !handled(QEMU_AARCH64, "s390x"));
        assert!(!handled(&QEMU_AARCH64.replace("enabled", "disabled"), "arm64"));
        assert!(!handled("enabled\ninterpreter /usr/bin/python\nflags:\nextension .pyc\n", "arm64"));
    }

    #[test]
    fn a_step_for_another_processor_needs_an_emulator() {
        let folder = tempfile::tempdir().unwrap();
        let check = |platform: &str| ensure_runnable(&platform.parse().unwrap(), folder.path());
        let foreign = if Platform::host().architecture == "arm64" { "linux/s390x" } else { "linux/arm64" };
        let error = check(foreign).unwrap_err().to_string();
        assert!(error.contains(foreign) && error.contains("binfmt_misc"), "{error}");
        assert!(ensure_runnable(&Platform::host(), folder.path()).is_ok());
        std::fs::write(folder.path().join("qemu-aarch64"), QEMU_AARCH64).unwrap();
        assert!(check("linux/arm64").is_ok());
        assert!(check("windows/arm64").is_err());
    }
}
