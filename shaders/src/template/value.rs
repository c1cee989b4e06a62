//! What expressions work on.

use std::fmt;

/// A value of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A whole number; flags are 0 or 1.
    Number(i64),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Value>),
    /// A macro: the token after its name, and the number of the template that it is in.
    Macro {
        /// Template.
        file: usize,
        /// Token.
        at: usize,
    },
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// As it goes to the output.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text),
            Self::List(_) => f.write_str("a list"),
            Self::Macro { .. } => f.write_str("a macro"),
        }
    }
}

impl Value {
    /// What `if` takes for yes.
    pub fn is_true(&self) -> bool {
        match self {
            Self::Number(number) => *number != 0,
            Self::Text(text) => !text.is_empty(),
            Self::List(items) => !items.is_empty(),
            Self::Macro { .. } => true,
        }
    }

    /// `self op other`; none if the operator does not fit the operands, or the result is no number.
    pub fn apply(self, op: &str, other: Self) -> Option<Self> {
        let flag = |yes: bool| Some(Self::Number(yes.into()));
        match (op, self, other) {
            ("and", a, b) => flag(a.is_true() && b.is_true()),
            ("==", a, b) => flag(a == b),
            ("~", a, b) => Some(Self::Text(format!("{a}{b}"))),
            ("<", Self::Number(a), Self::Number(b)) => flag(a < b),
            (">", Self::Number(a), Self::Number(b)) => flag(a > b),
            ("+", Self::Number(a), Self::Number(b)) => a.checked_add(b).map(Self::Number),
            ("-", Self::Number(a), Self::Number(b)) => a.checked_sub(b).map(Self::Number),
            ("*", Self::Number(a), Self::Number(b)) => a.checked_mul(b).map(Self::Number),
            ("//", Self::Number(a), Self::Number(b)) => a.checked_div_euclid(b).map(Self::Number),
            ("%", Self::Number(a), Self::Number(b)) => a.checked_rem_euclid(b).map(Self::Number),
            _ => None,
        }
    }
}
