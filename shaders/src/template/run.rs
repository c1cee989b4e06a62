//! Carries out templates.
//!
//! There is no syntax tree: a [`Run`] walks over the tokens and does what they say, and goes back to
//! the first token of a loop's body for each item. Branches that are not taken are walked over as well, with
//! [`Run::live`] off, so that their syntax is checked; nothing is looked up or written then.

use super::token::{Kind, Token};
use super::{Template, Templates, Value};
use crate::SourceError;

/// An expansion under way.
pub struct Run<'t> {
    templates: &'t Templates,
    /// The template at hand, and its next token.
    file: usize,
    at: usize,
    /// Variables, the innermost last; those before `visible` are not a macro's business.
    pub(super) variables: Vec<(&'static str, Value)>,
    pub(super) visible: usize,
    pub(super) live: bool,
    output: String,
}

impl<'t> Run<'t> {
    /// A start with these variables.
    pub fn new(templates: &'t Templates, variables: Vec<(&'static str, Value)>) -> Self {
        Self { templates, file: 0, at: 0, variables, visible: 0, live: true, output: String::new() }
    }

    /// The expansion of the template of this name.
    pub fn expand(mut self, name: &str) -> Result<String, SourceError> {
        self.include(name)?;
        Ok(self.output)
    }

    fn template(&self) -> &'t Template {
        &self.templates.0[self.file]
    }

    /// An error at the token before.
    pub(super) fn error<T>(&self, what: &str) -> Result<T, SourceError> {
        let at = self.template().tokens.get(self.at.saturating_sub(1)).map_or(0, |token: &Token| token.at);
        Err(self.template().error(at, what))
    }

    pub(super) fn next(&mut self) -> Option<Kind> {
        let token = self.template().tokens.get(self.at)?;
        self.at += 1;
        Some(token.kind)
    }

    /// Goes past this symbol or keyword, if it comes next.
    pub(super) fn eat(&mut self, wanted: &str) -> bool {
        let next = self.template().tokens.get(self.at).map(|token| token.kind);
        let found = matches!(next, Some(Kind::Symbol(text) | Kind::Word(text)) if text == wanted);
        self.at += usize::from(found);
        found
    }

    pub(super) fn expect(&mut self, wanted: &str) -> Result<(), SourceError> {
        if self.eat(wanted) { Ok(()) } else { self.error(&format!("`{wanted}` is missing after this")) }
    }

    fn word(&mut self) -> Result<&'static str, SourceError> {
        match self.next() {
            Some(Kind::Word(word)) => Ok(word),
            _ => self.error("a name is missing here"),
        }
    }

    fn quoted(&mut self) -> Result<&'static str, SourceError> {
        match self.next() {
            Some(Kind::Quoted(text)) => Ok(text),
            _ => self.error("a text in quotes is missing here"),
        }
    }

    /// Names between commas.
    fn words(&mut self) -> Result<Vec<&'static str>, SourceError> {
        let mut words = vec![self.word()?];
        while self.eat(",") {
            words.push(self.word()?);
        }
        Ok(words)
    }

    /// Carries out what comes until a tag starts with one of these words, and returns it; the empty
    /// word stands for the end of the template.
    fn block(&mut self, ends: &[&str]) -> Result<&'static str, SourceError> {
        let end = loop {
            match self.next() {
                None => break "",
                Some(Kind::Text(text)) => self.write(text),
                Some(Kind::Symbol("{{")) => {
                    let value = self.expression()?;
                    self.write(&value.to_string());
                    self.expect("}}")?;
                }
                Some(_) => match self.word()? {
                    "if" => self.branch()?,
                    "for" => self.repeat()?,
                    "set" => self.assign()?,
                    "macro" => self.define()?,
                    "include" => {
                        let name = self.quoted()?;
                        self.expect("%}")?;
                        self.include(name)?;
                    }
                    "from" => self.import()?,
                    other => break other,
                },
            }
        };
        if ends.contains(&end) { Ok(end) } else { self.error(&format!("`{end}` instead of `{}`", ends.join("` or `"))) }
    }

    fn write(&mut self, text: &str) {
        if self.live {
            self.output.push_str(text);
        }
    }

    /// As [`Run::block`], without effect unless `live`.
    fn block_if(&mut self, live: bool, ends: &[&str]) -> Result<&'static str, SourceError> {
        let outer = self.live;
        self.live = outer && live;
        let end = self.block(ends);
        self.live = outer;
        end
    }

    fn branch(&mut self) -> Result<(), SourceError> {
        let yes = self.expression()?.is_true();
        self.expect("%}")?;
        if self.block_if(yes, &["else", "endif"])? == "else" {
            self.expect("%}")?;
            self.block_if(!yes, &["endif"])?;
        }
        self.expect("%}")
    }

    fn repeat(&mut self) -> Result<(), SourceError> {
        let names = self.words()?;
        self.expect("in")?;
        let items = self.expression()?;
        self.expect("%}")?;
        let (start, depth) = (self.at, self.variables.len());
        match items {
            Value::List(items) if self.live && !items.is_empty() => {
                for item in items {
                    self.at = start;
                    match item {
                        Value::List(parts) if names.len() == parts.len() => {
                            self.variables.extend(names.iter().copied().zip(parts));
                        }
                        item if names.len() == 1 => self.variables.push((names[0], item)),
                        _ => return self.error("an item has not as many parts as there are names"),
                    }
                    self.block(&["endfor"])?;
                    self.variables.truncate(depth);
                }
            }
            Value::Number(_) | Value::Text(_) if self.live => return self.error("this is no list"),
            _ => {
                self.block_if(false, &["endfor"])?;
            }
        }
        self.expect("%}")
    }

    fn assign(&mut self) -> Result<(), SourceError> {
        let name = self.word()?;
        self.expect("=")?;
        let value = self.expression()?;
        if self.live {
            self.variables.push((name, value));
        }
        self.expect("%}")
    }

    fn define(&mut self) -> Result<(), SourceError> {
        let name = self.word()?;
        self.variables.push((name, Value::Macro { file: self.file, at: self.at }));
        self.expect("(")?;
        self.words()?;
        self.expect(")")?;
        self.expect("%}")?;
        self.block_if(false, &["endmacro"])?;
        self.expect("%}")
    }

    /// The text of a macro; its body sees its parameters and nothing else.
    pub(super) fn call(&mut self, file: usize, at: usize, arguments: Vec<Value>) -> Result<String, SourceError> {
        let back = (self.file, self.at, self.visible);
        let output = std::mem::take(&mut self.output);
        (self.file, self.at, self.visible) = (file, at, self.variables.len());
        self.expect("(")?;
        let names = self.words()?;
        if names.len() != arguments.len() {
            return self.error(&format!("{} arguments for this macro", arguments.len()));
        }
        self.variables.extend(names.into_iter().zip(arguments));
        self.expect(")")?;
        self.expect("%}")?;
        self.block(&["endmacro"])?;
        self.variables.truncate(self.visible);
        (self.file, self.at, self.visible) = back;
        Ok(std::mem::replace(&mut self.output, output))
    }

    /// Carries out another template here.
    fn include(&mut self, name: &str) -> Result<(), SourceError> {
        let Some(file) = self.templates.position(name) else {
            return self.error(&format!("there is no template `{name}`"));
        };
        let back = (self.file, self.at);
        (self.file, self.at) = (file, 0);
        self.block(&[""])?;
        (self.file, self.at) = back;
        Ok(())
    }

    /// Takes macros over from another template.
    fn import(&mut self) -> Result<(), SourceError> {
        let name = self.quoted()?;
        self.expect("import")?;
        let (names, depth) = (self.words()?, self.variables.len());
        self.expect("%}")?;
        let outer = std::mem::replace(&mut self.live, false);
        self.include(name)?;
        self.live = outer;
        let defined = self.variables.split_off(depth);
        for name in names {
            match defined.iter().find(|(defined, _)| *defined == name) {
                Some(found) => self.variables.push(found.clone()),
                None => return self.error(&format!("there is no `{name}` in there")),
            }
        }
        Ok(())
    }
}
