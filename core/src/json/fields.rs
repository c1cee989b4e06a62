//! From values to numbers, lists and settings.

use super::{Json, parse};

/// What can be made of a JSON value.
pub trait FromJson: Sized {
    /// What has to be there, for messages.
    const WANTED: &'static str;

    /// None if the value is something else.
    fn from_json(value: Json) -> Option<Self>;

    /// The same from text.
    fn from_text(text: &str) -> Result<Self, String> {
        Self::from_json(parse(text)?).ok_or_else(|| Self::WANTED.to_owned())
    }
}

impl FromJson for bool {
    const WANTED: &'static str = "true or false";

    fn from_json(value: Json) -> Option<Self> {
        if let Json::Flag(flag) = value { Some(flag) } else { None }
    }
}

impl FromJson for f32 {
    const WANTED: &'static str = "a number";

    fn from_json(value: Json) -> Option<Self> {
        if let Json::Number(number) = value { Some(number as Self) } else { None }
    }
}

impl FromJson for usize {
    const WANTED: &'static str = "a whole number";

    fn from_json(value: Json) -> Option<Self> {
        /// Above it, neighbouring numbers are one f64.
        const LARGEST: f64 = 9_007_199_254_740_991.0;
        match value {
            Json::Number(number) if (0.0..=LARGEST).contains(&number) && number.fract() == 0.0 => {
                Self::try_from(number as u64).ok()
            }
            _ => None,
        }
    }
}

impl FromJson for String {
    const WANTED: &'static str = "a string";

    fn from_json(value: Json) -> Option<Self> {
        if let Json::Text(text) = value { Some(text) } else { None }
    }
}

impl<T: FromJson> FromJson for Option<T> {
    const WANTED: &'static str = T::WANTED;

    fn from_json(value: Json) -> Option<Self> {
        if value == Json::Null { Some(None) } else { T::from_json(value).map(Some) }
    }
}

impl<T: FromJson> FromJson for Vec<T> {
    const WANTED: &'static str = "a list";

    fn from_json(value: Json) -> Option<Self> {
        if let Json::List(items) = value { items.into_iter().map(T::from_json).collect() } else { None }
    }
}

impl FromJson for Fields {
    const WANTED: &'static str = "an object";

    fn from_json(value: Json) -> Option<Self> {
        if let Json::Object(entries) = value { Some(Self(entries)) } else { None }
    }
}

impl<T: FromJson, const N: usize> FromJson for [T; N] {
    const WANTED: &'static str = "a list of this length";

    fn from_json(value: Json) -> Option<Self> {
        Vec::from_json(value)?.try_into().ok()
    }
}

/// The entries of an object, to be taken one by one.
pub struct Fields(Vec<(String, Json)>);

impl Fields {
    /// The entries of the object that a text is.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::from_json(parse(text)?).ok_or_else(|| "an object was expected".to_owned())
    }

    /// Takes an entry that may be absent.
    pub fn optional<T: FromJson>(&mut self, name: &str) -> Result<Option<T>, String> {
        let Some(i) = self.0.iter().position(|(key, _)| key == name) else { return Ok(None) };
        let value = T::from_json(self.0.remove(i).1);
        value.map(Some).ok_or_else(|| format!("`{name}` should be {}", T::WANTED))
    }

    /// Takes an entry that must be there.
    pub fn required<T: FromJson>(&mut self, name: &str) -> Result<T, String> {
        self.optional(name)?.ok_or_else(|| format!("missing field `{name}`"))
    }

    /// Refuses what was not taken.
    pub fn finish(self) -> Result<(), String> {
        match self.0.first() {
            Some((name, _)) => Err(format!("unknown field `{name}`")),
            None => Ok(()),
        }
    }
}
