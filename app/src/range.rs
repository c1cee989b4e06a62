//! Numbers of the command line, with a message that says which are possible.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// A parser of flags whose value is a number in `range`.
pub fn in_range<T>(range: RangeInclusive<T>) -> impl Fn(&str) -> Result<T, String> + Clone
where
    T: FromStr + PartialOrd + Display + Clone,
{
    move |text| match text.parse() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => Err(format!("wanted a number in {}..={}", range.start(), range.end())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_in_the_range_is_refused_with_the_range() {
        let steps = in_range::<u32>(1..=1000);
        assert_eq!((steps("1"), steps("1000")), (Ok(1), Ok(1000)));
        for wrong in ["0", "1001", "x", "", "-1", "1.5", "99999999999999999999"] {
            assert_eq!(steps(wrong), Err("wanted a number in 1..=1000".to_owned()), "{wrong}");
        }
        let share = in_range::<f32>(0.0..=1.0);
        assert_eq!(share("0.5"), Ok(0.5));
        assert!(share("nan").is_err() && share("1.1").is_err());
    }
}
