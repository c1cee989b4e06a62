//! Scripts without what only people need: comments, indentation, and spaces and line ends that part nothing.
//!
//! By tokens: strings, templates and regular expressions come back as they are. A line end stays unless what is beside
//! it can't end or begin a statement, so that no semicolon is missing that JavaScript would have put in.

/// What stands between two tokens.
#[derive(Clone, Copy, PartialEq)]
enum Gap {
    None,
    Space,
    Line,
}

/// The script, smaller.
pub fn slim(text: &str) -> String {
    let mut slim = String::with_capacity(text.len());
    let mut gap = Gap::None;
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if first.is_whitespace() || rest.starts_with("//") || rest.starts_with("/*") {
            let length = blank(rest);
            let lines = rest[..length].contains('\n') || rest.starts_with("//");
            gap = if lines || gap == Gap::Line { Gap::Line } else { Gap::Space };
            length
        } else {
            let last = slim.chars().next_back();
            let length = token(rest, last);
            slim.extend(last.and_then(|last| between(last, first, gap)));
            slim.push_str(&rest[..length]);
            gap = Gap::None;
            length
        };
        rest = &rest[length..];
    }
    slim.push('\n');
    slim
}

/// Length of the white space or comment at the start.
fn blank(text: &str) -> usize {
    let end = if text.starts_with("//") {
        text.find('\n')
    } else if text.starts_with("/*") {
        text.find("*/").map(|end| end + 2)
    } else {
        text.find(|c: char| !c.is_whitespace())
    };
    end.unwrap_or(text.len())
}

/// What has to stay of a gap.
fn between(last: char, next: char, gap: Gap) -> Option<char> {
    let part_of_name = |c: char| is_name(c) || c == '#';
    match gap {
        Gap::None => None,
        Gap::Line => {
            let needless = "{([,;".contains(last) || "})],;:?.".contains(next);
            (!needless).then_some('\n')
        }
        Gap::Space => {
            // `a + +b`, `a / /b/`; and `<!--` begins a comment.
            let other = (last == next && "+-/".contains(last)) || (last == '<' && next == '!');
            (other || (part_of_name(last) && part_of_name(next))).then_some(' ')
        }
    }
}

/// Part of a name or number.
fn is_name(c: char) -> bool {
    c == '_' || c == '$' || c.is_alphanumeric()
}

/// Length of the token at the start of a text that follows `last`.
fn token(text: &str, last: Option<char>) -> usize {
    match text.as_bytes()[0] {
        quote @ (b'"' | b'\'') => 1 + closing(&text[1..], |rest| rest.as_bytes()[0] == quote),
        b'`' => template(text),
        // A quotient has a value before it.
        b'/' if last.is_none_or(|last| "(,=:[!&|?{};".contains(last)) => {
            let mut in_class = false;
            1 + closing(&text[1..], |rest| {
                match rest.as_bytes()[0] {
                    b'[' => in_class = true,
                    b']' => in_class = false,
                    b'/' => return !in_class,
                    _ => {}
                }
                false
            })
        }
        _ => {
            let first = text.chars().next().expect("a token is not empty");
            let rest = text.find(|c| !is_name(c)).unwrap_or(text.len());
            if is_name(first) { rest } else { first.len_utf8() }
        }
    }
}

/// Where a literal ends, after the closing character; what has a backslash before it closes nothing.
fn closing(text: &str, mut closes: impl FnMut(&str) -> bool) -> usize {
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        if c == '\\' {
            characters.next();
        } else if closes(&text[at..]) {
            return at + c.len_utf8();
        }
    }
    text.len()
}

/// Length of a template, with the expressions in it, which may have templates.
fn template(text: &str) -> usize {
    let mut at = 1;
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with('`') {
            return at + 1;
        }
        if let Some(expression) = rest.strip_prefix("${") {
            at += 2 + braced(expression);
        } else {
            let escaped = usize::from(rest.starts_with('\\'));
            at += rest.chars().take(1 + escaped).map(char::len_utf8).sum::<usize>();
        }
    }
    text.len()
}

/// Length of code up to the brace that closes it.
fn braced(text: &str) -> usize {
    let (mut at, mut depth, mut last) = (0, 0, Some('{'));
    while at < text.len() {
        let rest = &text[at..];
        match rest.as_bytes()[0] {
            b'{' => depth += 1,
            b'}' if depth == 0 => return at + 1,
            b'}' => depth -= 1,
            _ => {}
        }
        let length = token(rest, last);
        last = rest[..length].trim().chars().next_back().or(last);
        at += length;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::slim;

    #[test]
    fn comments_and_spaces_go_and_code_stays() {
        let source = "// a\n/** b\n * c\n */\nlet x = 1; // d\n\n  /* e */ y( x, 2 );\n  /* f */\n  z(\"/* g */\");\n";
        assert_eq!(slim(source), "let x=1;y(x,2);z(\"/* g */\");\n");
        assert_eq!(
            slim("class A {\n  #b = 1;\n  get c() {\n    return this.#b;\n  }\n}\n"),
            "class A{#b=1;get c(){return this.#b;}}\n"
        );
    }

    #[test]
    fn literals_stay_as_they_are() {
        let template = "f(`a  // ${ b ? `}` : \"}\" }\n  c \\` ${{ d: 1 }.d}`)";
        for text in [r#"f("a  \" // b")"#, r"f('a  \' /* b')", r"x=/a  [/] \/ \/\//.test(y)", template] {
            assert_eq!(slim(text).trim_end(), text);
        }
        assert_eq!(slim("x = a / b / c; // d"), "x=a/b/c;\n");
        assert_eq!(slim("x = / b/.test(y)"), "x=/ b/.test(y)\n");
    }

    #[test]
    fn what_parts_tokens_and_statements_stays() {
        assert_eq!(slim("a + +b - -c + ++d"), "a+ +b- -c+ ++d\n");
        assert_eq!(slim("a < !--b"), "a< !--b\n");
        assert_eq!(slim("return typeof x\nlet y = 1\n(z)"), "return typeof x\nlet y=1\n(z)\n");
        assert_eq!(slim("const f = function () {}\nconst g = 2"), "const f=function(){}\nconst g=2\n");
        assert_eq!(slim("f(\n  a,\n  // b\n  c,\n)\n.d"), "f(a,c,).d\n");
        assert_eq!(slim("let a /* b */ = 1, b /* c\n */ let d"), "let a=1,b\nlet d\n");
    }
}
