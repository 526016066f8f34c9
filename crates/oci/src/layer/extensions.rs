//! What the headers before an entry's own say about it: pax records, GNU's long names.

use std::collections::BTreeMap;

use super::archive::ArchiveError;
use super::entry::Timestamp;
use super::{pax, sparse};

/// The kernel's limit for the value of one extended attribute.
const XATTR_LIMIT: usize = 64 << 10;

/// What the headers before an entry's own say about it.
#[derive(Default)]
pub(super) struct Extensions {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    pub(super) size: Option<u64>,
    pub(super) modified: Option<Timestamp>,
    pub(super) xattrs: BTreeMap<String, Vec<u8>>,
    pub(super) sparse: sparse::Attributes,
}

impl Extensions {
    pub(super) fn take_pax(&mut self, bytes: &[u8]) -> Result<(), ArchiveError> {
        let malformed = ArchiveError::Malformed("a pax header has a malformed record");
        let Some(records) = pax::parse(bytes) else { return Err(malformed) };
        for (key, value) in records {
            // An empty value takes an earlier one back.
            let given = (!value.is_empty()).then_some(value);
            let valid = match key {
                "path" => text_field(&mut self.path, given),
                "linkpath" => text_field(&mut self.link, given),
                "uid" => field_from(&mut self.uid, given, pax::digits),
                "gid" => field_from(&mut self.gid, given, pax::digits),
                "size" => field_from(&mut self.size, given, pax::digits),
                "mtime" => field_from(&mut self.modified, given, pax::time),
                _ if key.starts_with("GNU.sparse.") => self.sparse.take(&key["GNU.sparse.".len()..], value),
                _ => self.take_xattr(key, value),
            };
            if !valid {
                return Err(malformed);
            }
        }
        Ok(())
    }

    fn take_xattr(&mut self, key: &str, value: &[u8]) -> bool {
        let Some(name) = key.strip_prefix(pax::XATTR_PREFIX) else { return true };
        let fits =
            !name.is_empty() && name.len() <= 255 && !name.contains('\0') && value.len() <= XATTR_LIMIT;
        if fits {
            self.xattrs.insert(name.to_owned(), value.to_owned());
        }
        fits
    }
}

fn text_field(field: &mut Option<Vec<u8>>, value: Option<&[u8]>) -> bool {
    *field = value.map(<[u8]>::to_owned);
    value.is_none_or(|value| !value.contains(&0))
}

fn field_from<T>(field: &mut Option<T>, value: Option<&[u8]>, read: impl Fn(&[u8]) -> Option<T>) -> bool {
    *field = value.and_then(read);
    field.is_some() == value.is_some()
}
