//! Tar archives as an attacker writes them: no library that makes archives agrees to make these.

/// One entry, written as it is.
#[derive(Clone)]
pub enum Entry {
    /// A file of so many bytes `x`.
    File {
        name: String,
        size: usize,
    },
    /// The head of a file that says it is so long, and no content.
    Claim {
        name: String,
        size: u64,
    },
    Link {
        name: String,
        target: String,
    },
    HardLink {
        name: String,
        target: String,
    },
}

/// A ustar archive of the entries.
pub fn archive(entries: &[Entry]) -> Vec<u8> {
    let mut bytes: Vec<u8> = entries.iter().flat_map(write).collect();
    bytes.extend([0; 1024]);
    bytes
}

fn write(entry: &Entry) -> Vec<u8> {
    match entry {
        Entry::File { name, size } => {
            let mut bytes = header(name, "", b'0', *size as u64);
            bytes.extend(vec![b'x'; *size]);
            bytes.resize(bytes.len().next_multiple_of(512), 0);
            bytes
        }
        Entry::Claim { name, size } => header(name, "", b'0', *size),
        Entry::Link { name, target } => header(name, target, b'2', 0),
        Entry::HardLink { name, target } => header(name, target, b'1', 0),
    }
}

fn header(name: &str, target: &str, kind: u8, size: u64) -> Vec<u8> {
    let mut bytes = vec![0; 512];
    let mut put = |at: usize, text: &[u8]| bytes[at..at + text.len()].copy_from_slice(text);
    put(0, &name.as_bytes()[..name.len().min(100)]);
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    match size < 1 << 33 {
        true => put(124, format!("{size:011o}\0").as_bytes()),
        // GNU's form for what eleven octal digits can't hold.
        false => put(124, &[&[0x80, 0, 0, 0], &size.to_be_bytes()[..]].concat()),
    }
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, &[kind]);
    put(157, &target.as_bytes()[..target.len().min(100)]);
    put(257, b"ustar\x0000");
    let sum: u32 = bytes.iter().map(|&byte| u32::from(byte)).sum();
    bytes[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    bytes
}
