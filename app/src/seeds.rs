//! Lists of seeds and of classes, written `0-63` or `1,5,9-20`.

use std::str::FromStr;

/// More than anyone draws at once; a typing error should not fill the memory.
pub const MAX_SEEDS: usize = 10_000_000;

/// Seeds in the order in which they were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seeds(pub Vec<u32>);

impl FromStr for Seeds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| {
            let wrong = |_| format!("`{text}` is not a seed from 0 to {}; write 0-63 or 1,5,9-20", u32::MAX);
            text.parse().map_err(wrong)
        };
        let many = format!("more than {MAX_SEEDS} seeds; draw them in several runs");
        list(text, number, MAX_SEEDS, &many).map(Self)
    }
}

/// Most classes of a network.
const MAX_CLASSES: usize = 10_000;

/// Classes in the order in which they were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Classes(pub Vec<u32>);

impl FromStr for Classes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |text: &str| format!("`{text}` is no number of a class; write 3, 0-9 or 1,4,7");
        let number = |text: &str| text.parse().map_err(|_| wrong(text));
        list(text, number, MAX_CLASSES, &format!("no network has more than {MAX_CLASSES} classes")).map(Self)
    }
}

/// Numbers and ranges with commas, at most `most` numbers.
fn list(
    text: &str,
    number: impl Fn(&str) -> Result<u32, String>,
    most: usize,
    too_many: &str,
) -> Result<Vec<u32>, String> {
    let mut numbers = Vec::new();
    for part in text.split(',').map(str::trim) {
        let (first, last) = match part.split_once('-') {
            Some((first, last)) => (number(first.trim())?, number(last.trim())?),
            None => (number(part)?, number(part)?),
        };
        if first > last {
            return Err(format!("the range {part} is empty; write {last}-{first}"));
        }
        if (last - first) as usize >= most - numbers.len() {
            return Err(too_many.to_owned());
        }
        numbers.extend(first..=last);
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_ranges_are_read() {
        let seeds = |text: &str| text.parse::<Seeds>().unwrap().0;
        assert_eq!(seeds("0-3"), [0, 1, 2, 3]);
        assert_eq!(seeds("1,5, 9-11,5"), [1, 5, 9, 10, 11, 5]);
        assert_eq!(seeds("4294967295"), [u32::MAX]);
        assert_eq!("3,0-2".parse::<Classes>().unwrap().0, [3, 0, 1, 2]);
    }

    #[test]
    fn nonsense_is_refused_with_the_fix() {
        let error = |text: &str| text.parse::<Seeds>().unwrap_err();
        assert!(error("9-3").contains("3-9"));
        assert!(error("").contains("0-63"));
        assert!(error("-1").contains("not a seed"));
        assert!(error("4294967296").contains("not a seed"));
        assert!(error("0-4294967295").contains("several runs"));
        assert!(error("0-9999999,7").contains("several runs"));
        let error = |text: &str| text.parse::<Classes>().unwrap_err();
        assert!(error("cat").contains("`cat` is no number of a class"));
        assert!(error("0-10000").contains("10000 classes"));
    }
}
