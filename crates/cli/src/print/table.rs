//! Columns for people.

use std::fmt;
use std::time::{Duration, SystemTime};

/// Rows under a heading, aligned by the widest cell of each column.
pub struct Table {
    heading: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new<const N: usize>(heading: [&'static str; N]) -> Table {
        Table { heading: heading.to_vec(), rows: Vec::new() }
    }

    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        debug_assert_eq!(N, self.heading.len(), "a row has a cell for each column");
        self.rows.push(cells.to_vec());
    }

    fn widths(&self) -> Vec<usize> {
        let width = |column: usize| {
            let cells = self.rows.iter().map(|row| row[column].chars().count());
            cells.chain([self.heading[column].len()]).max().unwrap_or(0)
        };
        (0..self.heading.len()).map(width).collect()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths();
        let heading: Vec<String> = self.heading.iter().map(|&title| title.to_owned()).collect();
        for row in std::iter::once(&heading).chain(&self.rows) {
            let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}"));
            let line = cells.collect::<Vec<_>>().join("  ");
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// How long ago, in the largest two units' first: `8s`, `3m`, `5h`, `2d`.
pub fn age(then: SystemTime) -> String {
    brief(SystemTime::now().duration_since(then).unwrap_or(Duration::ZERO))
}

/// A duration as one number and a unit.
fn brief(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..120 => format!("{seconds}s"),
        seconds @ 120..7_200 => format!("{}m", seconds / 60),
        seconds @ 7_200..172_800 => format!("{}h", seconds / 3_600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(["NAME", "AGE"]);
        table.row(["a-long-name".into(), "3m".into()]);
        table.row(["b".into(), "10m".into()]);
        assert_eq!(table.to_string(), "NAME         AGE\na-long-name  3m\nb            10m\n");
    }

    #[test]
    fn durations_have_one_unit() {
        let of = |seconds| brief(Duration::from_secs(seconds));
        assert_eq!([of(0), of(119), of(120), of(7_200), of(172_800)], ["0s", "119s", "2m", "2h", "2d"]);
    }
}
