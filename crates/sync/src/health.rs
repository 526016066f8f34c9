//! Health, and how the parts make the whole: the worst one wins.

use serde::{Deserialize, Serialize};

use crate::target::{Cause, Progress};

/// Health in Argo CD's order, best first: the greater one is the worse one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Health {
    /// Works.
    Healthy,
    /// Waits on purpose.
    Suspended,
    /// On its way.
    Progressing,
    /// Desired and not there.
    Missing,
    /// Does not work.
    Degraded,
    /// Can't be told.
    Unknown,
}

impl Health {
    /// The health of a whole; nothing at all is healthy.
    pub fn roll_up(parts: impl IntoIterator<Item = Self>) -> Self {
        parts.into_iter().max().unwrap_or(Self::Healthy)
    }

    /// What a change's progress says about its Object, with what to tell people.
    pub fn of_progress(progress: &Progress) -> (Self, Option<&str>, Option<&Cause>) {
        match progress {
            Progress::Healthy => (Self::Healthy, None, None),
            Progress::Progressing { message } => (Self::Progressing, Some(message), None),
            Progress::Failed { cause } | Progress::RolledBackByTarget { cause } => {
                (Self::Degraded, Some(&cause.summary), Some(cause))
            }
        }
    }
}

impl std::fmt::Display for Health {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Healthy => "Healthy",
            Self::Suspended => "Suspended",
            Self::Progressing => "Progressing",
            Self::Missing => "Missing",
            Self::Degraded => "Degraded",
            Self::Unknown => "Unknown",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_wins_in_argo_cds_order() {
        use Health::{Degraded, Healthy, Missing, Progressing, Suspended, Unknown};
        let ascending = [Healthy, Suspended, Progressing, Missing, Degraded, Unknown];
        assert!(ascending.is_sorted());
        assert_eq!(Health::roll_up([Healthy, Degraded, Progressing]), Degraded);
        assert_eq!(Health::roll_up([]), Healthy);
    }
}
