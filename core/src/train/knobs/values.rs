//! Values that are more than a number: a method by its name, and the levels of a U-Net.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::super::methods::METHODS;
use super::super::recipe::Method;

/// One of [`METHODS`], by its name.
#[derive(Clone, Copy)]
pub struct MethodName(&'static Method);

impl MethodName {
    /// The method.
    pub fn get(self) -> &'static Method {
        self.0
    }
}

impl From<&'static Method> for MethodName {
    fn from(method: &'static Method) -> Self {
        Self(method)
    }
}

impl Default for MethodName {
    fn default() -> Self {
        Self(&METHODS[0])
    }
}

impl PartialEq for MethodName {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }
}

impl fmt::Debug for MethodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name)
    }
}

impl fmt::Display for MethodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name)
    }
}

impl FromStr for MethodName {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Method::find(text).map(Self).ok_or_else(|| {
            let names: Vec<&str> = METHODS.iter().map(|method| method.name).collect();
            format!("known methods: {}", names.join(", "))
        })
    }
}

impl Serialize for MethodName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.name)
    }
}

impl<'de> Deserialize<'de> for MethodName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Channel multipliers, written `1,2,4`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Multipliers(pub Vec<usize>);

impl FromStr for Multipliers {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let parse = |part: &str| match part.trim().parse() {
            Ok(n @ 1..=64) => Ok(n),
            _ => Err("write positive numbers up to 64 with commas, such as 1,2,4".to_owned()),
        };
        text.split(',').map(parse).collect::<Result<_, _>>().map(Self)
    }
}
