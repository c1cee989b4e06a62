//! Adding up what the test programs report.

use std::fmt;

/// Tests of several programs together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Tests that passed.
    pub passed: usize,
    /// Tests that failed.
    pub failed: usize,
    /// Tests that were left out on purpose.
    pub skipped: usize,
}

impl Summary {
    /// Adds the counts of a line such as
    /// `test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.1s`.
    pub fn add_line(&mut self, line: &str) {
        let Some((_, counts)) = line.split_once("test result: ") else { return };
        // The state and the first count share a part: `ok. 5 passed`.
        for part in counts.split(['.', ';']) {
            let mut words = part.split_whitespace();
            if let (Some(Ok(count)), Some(what)) = (words.next().map(str::parse::<usize>), words.next()) {
                match what {
                    "passed" => self.passed += count,
                    "failed" => self.failed += count,
                    "ignored" => self.skipped += count,
                    _ => {}
                }
            }
        }
    }

    /// Adds the counts of a line such as `# pass 12`, with which a run of `node --test` ends.
    pub fn add_tap_line(&mut self, line: &str) {
        let Some((what, count)) = line.strip_prefix("# ").and_then(|line| line.split_once(' ')) else { return };
        let Ok(count) = count.parse::<usize>() else { return };
        match what {
            "pass" => self.passed += count,
            "fail" | "cancelled" => self.failed += count,
            "skipped" | "todo" => self.skipped += count,
            _ => {}
        }
    }

    /// The counts of both.
    pub fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }

    /// The counts of everything that a run printed.
    pub fn of(text: &str) -> Self {
        let mut summary = Self::default();
        text.lines().for_each(|line| summary.add_line(line));
        summary
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        if self.skipped > 0 {
            write!(f, ", {} skipped", self.skipped)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_several_programs_add_up() {
        let text = "running 6 tests\n\
            test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 12.34s\n\
            test result: FAILED. 7 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n";
        let summary = Summary::of(text);
        assert_eq!(summary, Summary { passed: 12, failed: 3, skipped: 1 });
        assert_eq!(summary.to_string(), "12 passed, 3 failed, 1 skipped");
    }

    #[test]
    fn counts_of_node_add_up() {
        let mut summary = Summary { passed: 1, failed: 0, skipped: 0 };
        "# tests 5\n# pass 3\n# fail 1\n# cancelled 0\n# skipped 1\n# a passing remark"
            .lines()
            .for_each(|line| summary.add_tap_line(line));
        assert_eq!(summary, Summary { passed: 4, failed: 1, skipped: 1 });
    }

    #[test]
    fn other_lines_count_nothing() {
        let text = "test a::b ... ok\n5 passed; 0 failed\nerror: test failed, to rerun pass `--lib`\n";
        assert_eq!(Summary::of(text), Summary::default());
        assert_eq!(Summary::default().to_string(), "0 passed, 0 failed");
    }
}
