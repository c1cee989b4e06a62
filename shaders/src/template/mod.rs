//! The template language of the kernels: a small part of Jinja.
//!
//! `{{ expression }}`, `{% if %}`, `{% for %}`, `{% set %}`, `{% macro %}`, `{% include %}`,
//! `{% from .. import .. %}`, comments, and `-` inside a tag, which removes the white space beside it.
//! [`token`] cuts a text into tokens, [`run`] carries them out, [`expression`] evaluates what is in them, [`value`] has
//! what that works on.
//!
//! Why not a library: minijinja did this before, and was two fifths of the module that a browser
//! loads (187 kB of 1 MB). It still is the oracle: a test expands every kernel in every variant by
//! both and demands the same bytes (`tests/jinja.rs`), so whatever is added here must mean there the same.

mod expression;
mod run;
mod token;
mod value;

pub use value::Value;

use crate::SourceError;
use run::Run;
use token::Token;

/// Texts that may include each other.
#[derive(Clone, Debug)]
pub struct Templates(Vec<Template>);

/// A text in pieces.
#[derive(Clone, Debug)]
struct Template {
    name: String,
    text: &'static str,
    tokens: Vec<Token>,
}

impl Templates {
    /// Reads texts, given with their names.
    ///
    /// # Errors
    ///
    /// If something in a tag is no token.
    pub fn new(texts: impl IntoIterator<Item = (String, &'static str)>) -> Result<Self, SourceError> {
        let mut templates = Vec::new();
        for (name, text) in texts {
            let mut template = Template { name, text, tokens: Vec::new() };
            match token::tokens(text) {
                Ok(tokens) => template.tokens = tokens,
                Err((at, what)) => return Err(template.error(at, &what)),
            }
            templates.push(template);
        }
        Ok(Self(templates))
    }

    /// Expands the text of this name, whose variables have these values.
    ///
    /// # Errors
    ///
    /// With the file and line of what can't be carried out.
    pub fn expand(&self, name: &str, values: Vec<(&'static str, Value)>) -> Result<String, SourceError> {
        Run::new(self, values).expand(name)
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|template| template.name == name)
    }
}

impl Template {
    /// What is wrong at this byte of the text.
    fn error(&self, at: usize, what: &str) -> SourceError {
        let line = 1 + self.text[..at].matches('\n').count();
        SourceError { message: format!("{}, line {line}: {what}", self.name) }
    }
}
