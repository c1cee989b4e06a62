//! A scripted bug: text in a shader, and what stands there instead.

/// One bug.
#[derive(Clone, Copy, Debug)]
pub struct Edit {
    /// File below `shaders/`.
    pub file: &'static str,
    /// The bug in words.
    pub bug: &'static str,
    /// Text that occurs once in the file.
    pub find: &'static str,
    /// What stands there instead.
    pub replace: &'static str,
    /// Tests of `tests/tests/gpu.rs` that have to turn red: part of their names.
    pub tests: &'static str,
}

impl Edit {
    /// The text with the bug in it, or why the edit does not fit.
    pub fn apply(&self, text: &str) -> Result<String, String> {
        match text.matches(self.find).count() {
            _ if self.find == self.replace => Err("the edit changes nothing".into()),
            1 => Ok(text.replace(self.find, self.replace)),
            0 => Err(format!("the kernel does not contain `{}`", self.find)),
            n => Err(format!("`{}` occurs {n} times", self.find)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutate::copy::names;
    use crate::mutate::table::EDITS;
    use crate::step::root;

    #[test]
    fn every_edit_fits_its_kernel() {
        for edit in EDITS {
            let text = std::fs::read_to_string(root().join("shaders").join(edit.file)).unwrap();
            if let Err(why) = edit.apply(&text) {
                panic!("{} ({}): {why}", edit.file, edit.bug);
            }
        }
    }

    #[test]
    fn every_kernel_has_an_edit() {
        for name in names(&root().join("shaders/kernels")).unwrap() {
            let file = format!("kernels/{name}");
            assert!(EDITS.iter().any(|edit| edit.file == file), "no edit breaks {file}: add one to the table");
        }
    }

    #[test]
    fn an_edit_that_does_not_fit_is_an_error() {
        let edit = Edit { file: "", bug: "", find: "b", replace: "c", tests: "" };
        assert_eq!(edit.apply("abd").unwrap(), "acd");
        assert!(edit.apply("acd").unwrap_err().contains("does not contain `b`"));
        assert!(edit.apply("bb").unwrap_err().contains("2 times"));
        assert!(Edit { replace: "b", ..edit }.apply("abd").unwrap_err().contains("changes nothing"));
    }
}
