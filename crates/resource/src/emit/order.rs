//! The order of keys: go-yaml's "natural" one, in which numbers inside texts count as numbers.

use std::cmp::Ordering;

/// Sorts by a text of each item. Hostile keys can be ordered in a circle (`1002-1` < `2001-1` < `2a` < `1002-1`), which
/// makes the sorts of the standard library panic; this one ends, with some order.
pub(super) fn sort<Item: Copy>(items: &mut [Item], key: impl Fn(&Item) -> &str + Copy) {
    let in_order = |pair: &[Item]| natural(key(&pair[0]), key(&pair[1])) != Ordering::Greater;
    if items.windows(2).all(in_order) {
        return;
    }
    let (left, right) = items.split_at_mut(items.len() / 2);
    sort(left, key);
    sort(right, key);
    let merged = merge(left, right, key);
    items.copy_from_slice(&merged);
}

fn merge<Item: Copy>(left: &[Item], right: &[Item], key: impl Fn(&Item) -> &str) -> Vec<Item> {
    let mut merged = Vec::with_capacity(left.len() + right.len());
    let (mut left, mut right) = (left.iter().peekable(), right.iter().peekable());
    while let (Some(one), Some(other)) = (left.peek(), right.peek()) {
        let next =
            if natural(key(one), key(other)) == Ordering::Greater { right.next() } else { left.next() };
        merged.extend(next);
    }
    merged.extend(left.chain(right));
    merged
}

/// Letters come behind everything else, and among the rest digits compare by the number they are part of
/// (`a2` < `a10`, `9` < `10`, `a.b` < `ab`).
pub(super) fn natural(one: &str, other: &str) -> Ordering {
    let common = one.bytes().zip(other.bytes()).take_while(|(one, other)| one == other).count();
    let start = (0..=common).rev().find(|&index| one.is_char_boundary(index)).unwrap_or(0);
    let (before, one, other) = (&one[..start], &one[start..], &other[start..]);
    match (one.chars().next(), other.chars().next()) {
        (Some(first), Some(second)) => differing(before, (one, first), (other, second)),
        (first, second) => first.is_some().cmp(&second.is_some()),
    }
}

/// Two texts that differ in their first characters, behind a text that they share.
fn differing(before: &str, (one, first): (&str, char), (other, second): (&str, char)) -> Ordering {
    match (first.is_alphabetic(), second.is_alphabetic()) {
        (true, true) => return first.cmp(&second),
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    // A zero behind other digits is no leading zero.
    let inside_number = (first == '0' || second == '0')
        && before.chars().rev().take_while(|digit| is_digit(*digit)).any(|digit| digit != '0');
    let (one, other) = (digits(one, inside_number), digits(other, inside_number));
    one.cmp(&other).then(first.cmp(&second))
}

/// The number that a text starts with and how many digits it has; wraps around as 64 bits do.
fn digits(text: &str, inside_number: bool) -> (i64, usize) {
    text.chars().take_while(|digit| is_digit(*digit)).fold(
        (i64::from(inside_number), 0),
        |(number, count), digit| {
            let digit = i64::from(u32::from(digit)) - i64::from(u32::from('0'));
            (number.wrapping_mul(10).wrapping_add(digit), count + 1)
        },
    )
}

/// Digits of other scripts count as ASCII's do for Go; here they do not, and combining marks may count as letters: keys of
/// objects have neither.
fn is_digit(character: char) -> bool {
    character.is_ascii_digit()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_count_and_letters_come_last() {
        let check = |sorted: &[&str]| {
            for (index, one) in sorted.iter().enumerate() {
                for (position, other) in sorted.iter().enumerate() {
                    assert_eq!(natural(one, other), index.cmp(&position), "{one:?} {other:?}");
                }
            }
        };
        check(&["", "1", "9", "10", "a"]);
        check(&["a", "a_b", "a2", "a10", "ab", "aé"]);
        check(&["A", "Z", "a", "z", "é"]);
        check(&["a0", "a00", "a1", "a01", "a10", "a100"]);
    }

    #[test]
    fn keys_in_a_circle_are_sorted_somehow() {
        let circle = ["1002-1", "2001-1", "2a"];
        let keys: Vec<String> =
            (0..3000).map(|index| format!("{}{}", circle[index % 3], index / 3)).collect();
        let mut sorted: Vec<&String> = keys.iter().rev().collect();
        sort(&mut sorted, |key| key);
        assert_eq!(sorted.len(), keys.len());
    }
}
