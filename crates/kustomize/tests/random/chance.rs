//! Random choices that a seed decides.

/// SplitMix64, and a count for what must not be the same twice.
pub struct Chance {
    state: u64,
    given: usize,
}

impl Chance {
    pub fn new(seed: u64) -> Chance {
        Chance { state: seed, given: 0 }
    }

    pub fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// True so many times out of a hundred.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }

    pub fn pick<'list, T>(&mut self, list: &'list [T]) -> &'list T {
        &list[self.below(list.len())]
    }

    /// A name that is given once.
    pub fn fresh(&mut self, name: &str) -> String {
        self.given += 1;
        format!("{name}{}", self.given)
    }
}
