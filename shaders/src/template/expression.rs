//! Evaluates expressions, as a [`Run`] comes to them.

use super::Value;
use super::run::Run;
use super::token::Kind;
use crate::SourceError;

/// Operators, those that bind weakest first.
const OPERATORS: [&[&str]; 5] = [&["and"], &["==", "<", ">"], &["+", "-"], &["~"], &["*", "//", "%"]];

impl Run<'_> {
    /// `a`, `a if b`, `a if b else c`; all are evaluated.
    pub(super) fn expression(&mut self) -> Result<Value, SourceError> {
        let value = self.operation(0)?;
        if !self.eat("if") {
            return Ok(value);
        }
        let yes = self.operation(0)?.is_true();
        let other = if self.eat("else") { self.expression()? } else { Value::from("") };
        Ok(if yes { value } else { other })
    }

    fn operation(&mut self, level: usize) -> Result<Value, SourceError> {
        let Some(operators) = OPERATORS.get(level) else { return self.operand() };
        if level == 1 && self.eat("not") {
            return Ok(Value::Number((!self.operation(level)?.is_true()).into()));
        }
        let mut value = self.operation(level + 1)?;
        while let Some(operator) = operators.iter().find(|operator| self.eat(operator)) {
            let other = self.operation(level + 1)?;
            value = match value.apply(operator, other) {
                Some(value) => value,
                None if self.live => return self.error(&format!("`{operator}` can't be applied here")),
                None => Value::Number(0),
            };
        }
        Ok(value)
    }

    fn operand(&mut self) -> Result<Value, SourceError> {
        let mut value = match self.next() {
            Some(Kind::Number(number)) => Value::Number(number),
            Some(Kind::Quoted(text)) => Value::from(text),
            Some(Kind::Symbol("[")) => Value::List(self.values("]")?),
            Some(Kind::Symbol("(")) => {
                let value = self.expression()?;
                self.expect(")")?;
                value
            }
            Some(Kind::Word(name)) => self.named(name)?,
            _ => return self.error("a value is missing here"),
        };
        loop {
            if self.eat("[") {
                let index = self.expression()?;
                self.expect("]")?;
                value = match (value, index) {
                    (Value::List(items), Value::Number(i)) if i >= 0 && (i as usize) < items.len() => {
                        items[i as usize].clone()
                    }
                    _ if self.live => return self.error("there is no such item"),
                    (value, _) => value,
                };
            } else if self.eat("|") {
                self.expect("replace")?;
                self.expect("(")?;
                value = match (&value, &self.values(")")?[..]) {
                    (Value::Text(text), [Value::Text(from), Value::Text(to)]) => Value::Text(text.replace(from, to)),
                    _ if self.live => return self.error("replace takes texts: the old and the new one"),
                    _ => value,
                };
            } else {
                return Ok(value);
            }
        }
    }

    /// A variable, a macro's text, or `range(n)`: the numbers below n.
    fn named(&mut self, name: &str) -> Result<Value, SourceError> {
        let arguments = if self.eat("(") { Some(self.values(")")?) } else { None };
        if !self.live {
            return Ok(Value::Number(0));
        }
        if let ("range", Some([Value::Number(n)])) = (name, arguments.as_deref()) {
            return Ok(Value::List((0..*n).map(Value::Number).collect()));
        }
        let variable = self.variables[self.visible..].iter().rev().find(|(variable, _)| *variable == name);
        match (variable.map(|(_, value)| value.clone()), arguments) {
            (Some(Value::Macro { file, at }), Some(arguments)) => Ok(Value::Text(self.call(file, at, arguments)?)),
            (Some(value), None) => Ok(value),
            (Some(_), Some(_)) => self.error(&format!("`{name}` is no macro")),
            (None, _) => self.error(&format!("nothing is called `{name}`")),
        }
    }

    /// Values between commas, and the bracket that ends them.
    fn values(&mut self, end: &str) -> Result<Vec<Value>, SourceError> {
        let mut values = Vec::new();
        while !self.eat(end) {
            values.push(self.expression()?);
            if !self.eat(",") {
                self.expect(end)?;
                break;
            }
        }
        Ok(values)
    }
}
