//! Cuts a text into what stands outside of tags, and the tokens within.

/// A token, and where it starts.
#[derive(Clone, Copy, Debug)]
pub struct Token {
    /// Byte in the text.
    pub at: usize,
    /// What it is.
    pub kind: Kind,
}

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text outside of tags, as it goes to the output.
    Text(&'static str),
    /// A name, keywords included.
    Word(&'static str),
    /// An operator, a bracket, or the start or end of a tag.
    Symbol(&'static str),
    /// A text in quotes; there are no escapes.
    Quoted(&'static str),
    /// A whole number.
    Number(i64),
}

/// Longer ones first, where one starts with another.
const SYMBOLS: [&str; 16] = ["//", "==", "=", "<", ">", "+", "-", "*", "%", "~", "|", "(", ")", "[", "]", ","];

/// Tokens of a text, or where it has none, and why. As in Jinja, a line break at the very end is dropped.
pub fn tokens(text: &'static str) -> Result<Vec<Token>, (usize, String)> {
    let text = text.strip_suffix('\n').unwrap_or(text);
    let mut tokens = Vec::new();
    let mut rest = text;
    // Whether the tag before ended in `-`.
    let mut trim = false;
    while !rest.is_empty() {
        let at = text.len() - rest.len();
        let braces = rest.match_indices('{').map(|(brace, _)| brace);
        let open = braces.into_iter().find(|brace| rest[brace + 1..].starts_with(['{', '%', '#']));
        let open = open.unwrap_or(rest.len());
        let (mut outside, tag) = rest.split_at(open);
        if trim {
            outside = outside.trim_start();
        }
        let inside = tag.get(2..).unwrap_or_default();
        let inside = match inside.strip_prefix('-') {
            Some(inside) => {
                outside = outside.trim_end();
                inside
            }
            None => inside,
        };
        tokens.push(Token { at, kind: Kind::Text(outside) });
        (rest, trim) = match tag.get(..2) {
            None => ("", false),
            Some("{#") => {
                let (comment, after) = inside.split_once("#}").ok_or((at + open, "a comment has no end".to_owned()))?;
                (after, comment.ends_with('-'))
            }
            Some(start) => {
                let start = if start == "{%" { "{%" } else { "{{" };
                tokens.push(Token { at: at + open, kind: Kind::Symbol(start) });
                tag_tokens(text, inside, &mut tokens)?
            }
        };
    }
    Ok(tokens)
}

/// Adds the tokens of a tag; returns what follows it, and whether white space is to be removed there.
fn tag_tokens(
    text: &'static str,
    inside: &'static str,
    tokens: &mut Vec<Token>,
) -> Result<(&'static str, bool), (usize, String)> {
    let mut rest = inside;
    loop {
        rest = rest.trim_start();
        let at = text.len() - rest.len();
        let (trim, end) = rest.strip_prefix('-').map_or((false, rest), |end| (true, end));
        for close in ["%}", "}}"] {
            if let Some(after) = end.strip_prefix(close) {
                tokens.push(Token { at, kind: Kind::Symbol(close) });
                return Ok((after, trim));
            }
        }
        let word = rest.find(|c: char| c != '_' && !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        let kind;
        (kind, rest) = if let Some(quoted) = rest.strip_prefix('"') {
            let (quoted, after) = quoted.split_once('"').ok_or((at, "a text has no end".to_owned()))?;
            (Kind::Quoted(quoted), after)
        } else if word > 0 {
            let (word, after) = rest.split_at(word);
            (word.parse().map_or(Kind::Word(word), Kind::Number), after)
        } else if let Some(symbol) = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
            (Kind::Symbol(symbol), &rest[symbol.len()..])
        } else {
            let what =
                rest.chars().next().map_or("a tag has no end".to_owned(), |c| format!("`{c}` means nothing here"));
            return Err((at, what));
        };
        tokens.push(Token { at, kind });
    }
}
