//! Shaders as browsers download them. Part of the build script, and of its test.

/// A template, or WGSL, without comments and indentation.
pub fn slim(text: &str) -> String {
    let text = without_notes(text);
    let code = text.lines().map(|line| line[..comment(line).unwrap_or(line.len())].trim());
    code.filter(|line| !line.is_empty()).flat_map(|line| [line, "\n"]).collect()
}

/// A template without its own comments, which may have many lines.
fn without_notes(text: &str) -> String {
    let mut parts = text.split("{#");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |code, part| code + part.split_once("#}").map_or("", |(_, rest)| rest))
}

/// Where a line's comment starts. Within the braces of a template, `//` divides.
fn comment(line: &str) -> Option<usize> {
    let count = |text: &str, braces: [&str; 2]| braces.map(|brace| text.matches(brace).count()).iter().sum::<usize>();
    let is_code = |before: &str| count(before, ["{{", "{%"]) <= count(before, ["}}", "%}"]);
    line.match_indices("//").map(|(at, _)| at).find(|&at| is_code(&line[..at]))
}
