//! The modification times of files in the layers that a build makes.

use minato_oci::layer::Timestamp;

/// 1980-01-02: the first day that zip archives can hold in every time zone.
const FIRST: i64 = 315_619_200;

/// The rule by which files in new layers get their modification time.
///
/// `BuildKit` keeps the times of the checkout and of the build machine's clock, so no two builds give the same layer.
/// Here all files of one layer get one time that follows from the Dockerfile alone: `SOURCE_DATE_EPOCH` where that is
/// given, else 1980-01-02 plus one second for each layer below. The seconds matter: `make` and `cargo` compare times,
/// and what a later step copies must look newer than what an earlier step compiled.
///
/// A RUN that itself sets an earlier time (an unpacked archive) keeps it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LayerTimes {
    /// Seconds since 1970 for every file, if given.
    pub source_date_epoch: Option<i64>,
}

impl LayerTimes {
    /// Seconds since 1970 for the files of a layer with `below` layers under it.
    pub fn of_layer(&self, below: usize) -> i64 {
        self.source_date_epoch.unwrap_or_else(|| FIRST + i64::try_from(below).unwrap_or(0))
    }
}

pub(crate) fn timestamp(seconds: i64) -> Timestamp {
    Timestamp { seconds, nanoseconds: 0 }
}
