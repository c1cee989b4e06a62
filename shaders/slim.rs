//! Shaders as browsers download them. Part of the build script, and of its test.

/// A template, or WGSL, without comments and indentation.
pub fn slim(text: &str) -> String {
    let code = text.lines().map(|line| line[..comment(line).unwrap_or(line.len())].trim());
    code.filter(|line| !line.is_empty()).flat_map(|line| [line, "\n"]).collect()
}

/// Where a line's comment starts. Within the braces of a template, `//` divides.
fn comment(line: &str) -> Option<usize> {
    let count = |text: &str, braces: [&str; 2]| braces.map(|brace| text.matches(brace).count()).iter().sum::<usize>();
    let is_code = |before: &str| count(before, ["{{", "{%"]) <= count(before, ["}}", "%}"]);
    line.match_indices("//").map(|(at, _)| at).find(|&at| is_code(&line[..at]))
}
