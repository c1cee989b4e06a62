//! From text to values.

use super::Json;

/// Deepest nesting; headers have three levels.
const MAX_DEPTH: usize = 16;
/// Largest power of ten that an f64 holds exactly.
const EXACT_POWER: i32 = 22;
/// Larger exponents make 0 or infinity of any number that a text of sensible length can hold.
const MAX_POWER: f64 = 9999.0;

/// The value that a text is; an error says what is wrong, and at which byte.
pub fn parse(text: &str) -> Result<Json, String> {
    let mut reader = Reader { text, at: 0 };
    let value = reader.value(0)?;
    reader.skip_space();
    if reader.at == text.len() { Ok(value) } else { reader.error("the end") }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn error<T>(&self, wanted: &str) -> Result<T, String> {
        Err(format!("{wanted} was expected at byte {}", self.at))
    }

    fn peek(&self) -> u8 {
        // A byte 0 is nowhere allowed, so it can stand for the end.
        self.text.as_bytes().get(self.at).copied().unwrap_or(0)
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == byte;
        self.at += usize::from(found);
        found
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
    }

    /// As [`Reader::eat`], between white space.
    fn mark(&mut self, byte: u8) -> bool {
        self.skip_space();
        let found = self.eat(byte);
        self.skip_space();
        found
    }

    fn value(&mut self, depth: usize) -> Result<Json, String> {
        if depth == MAX_DEPTH {
            return self.error("less nesting");
        }
        self.skip_space();
        match self.peek() {
            b'"' => self.string().map(Json::Text),
            b'-' | b'0'..=b'9' => self.number().map(Json::Number),
            b'[' => {
                let mut items = Vec::new();
                self.sequence(b']', |reader| {
                    items.push(reader.value(depth + 1)?);
                    Ok(())
                })?;
                Ok(Json::List(items))
            }
            b'{' => {
                let mut entries = Vec::new();
                self.sequence(b'}', |reader| {
                    let key = reader.string()?;
                    if !reader.mark(b':') {
                        return reader.error("`:`");
                    }
                    entries.push((key, reader.value(depth + 1)?));
                    Ok(())
                })?;
                Ok(Json::Object(entries))
            }
            _ => {
                for (word, value) in [("null", Json::Null), ("true", Json::Flag(true)), ("false", Json::Flag(false))] {
                    if self.text[self.at..].starts_with(word) {
                        self.at += word.len();
                        return Ok(value);
                    }
                }
                self.error("a value")
            }
        }
    }

    /// What stands between the bracket here and `end`, with commas.
    fn sequence(&mut self, end: u8, mut item: impl FnMut(&mut Self) -> Result<(), String>) -> Result<(), String> {
        self.at += 1;
        if self.mark(end) {
            return Ok(());
        }
        loop {
            item(self)?;
            self.skip_space();
            if self.eat(end) {
                return Ok(());
            }
            if !self.mark(b',') {
                return self.error("`,` or the end of a list");
            }
        }
    }

    fn string(&mut self) -> Result<String, String> {
        if !self.eat(b'"') {
            return self.error("a string");
        }
        let mut text = String::new();
        loop {
            let rest = &self.text[self.at..];
            let plain = rest.find(|c: char| c == '"' || c == '\\' || c < ' ').unwrap_or(rest.len());
            text.push_str(&rest[..plain]);
            self.at += plain;
            if self.eat(b'"') {
                return Ok(text);
            }
            if !self.eat(b'\\') {
                return self.error("the end of a string");
            }
            text.push(self.escaped()?);
        }
    }

    fn escaped(&mut self) -> Result<char, String> {
        let c = match self.peek() {
            c @ (b'"' | b'\\' | b'/') => char::from(c),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.code_point(),
            _ => return self.error("an escape sequence"),
        };
        self.at += 1;
        Ok(c)
    }

    /// `uXXXX`, or two of these with a backslash between them, for what UTF-16 has in two parts.
    fn code_point(&mut self) -> Result<char, String> {
        let mut code = self.unit()?;
        if (0xd800..0xdc00).contains(&code) && self.eat(b'\\') && self.peek() == b'u' {
            let low = self.unit()?;
            if (0xdc00..0xe000).contains(&low) {
                code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
            }
        }
        char::from_u32(code).map_or_else(|| self.error("a character"), Ok)
    }

    fn unit(&mut self) -> Result<u32, String> {
        let digits = self.text.get(self.at + 1..self.at + 5).filter(|digits| !digits.starts_with('+'));
        match digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()) {
            Some(code) => {
                self.at += 5;
                Ok(code)
            }
            None => self.error("`u` and four digits"),
        }
    }

    /// Adds the digits that come next, of which there has to be one, to a number; returns how many there are.
    fn digits(&mut self, number: &mut f64) -> Result<i32, String> {
        let start = self.at;
        while let digit @ b'0'..=b'9' = self.peek() {
            // Exact up to 15 digits.
            *number = *number * 10.0 + f64::from(digit - b'0');
            self.at += 1;
        }
        if start == self.at { self.error("a digit") } else { Ok((self.at - start) as i32) }
    }

    fn number(&mut self) -> Result<f64, String> {
        let negative = self.eat(b'-');
        let (mut number, mut power) = (0.0, 0);
        let zero = self.peek() == b'0';
        if self.digits(&mut number)? > 1 && zero {
            return self.error("a number without leading zeros");
        }
        if self.eat(b'.') {
            power -= self.digits(&mut number)?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            let down = self.eat(b'-');
            if !down {
                self.eat(b'+');
            }
            let mut exponent = 0.0;
            self.digits(&mut exponent)?;
            let exponent = exponent.min(MAX_POWER) as i32;
            power += if down { -exponent } else { exponent };
        }
        let number = scaled(number, power);
        if number.is_finite() { Ok(if negative { -number } else { number }) } else { self.error("a smaller number") }
    }
}

/// `number * 10^power`.
fn scaled(mut number: f64, mut power: i32) -> f64 {
    let ten_to = |n: i32| (0..n).fold(1.0, |product, _| product * 10.0);
    while power != 0 && number != 0.0 && number.is_finite() {
        let step = power.clamp(-EXACT_POWER, EXACT_POWER);
        let factor = ten_to(step.abs());
        number = if step > 0 { number * factor } else { number / factor };
        power -= step;
    }
    number
}
