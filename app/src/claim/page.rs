//! `docs/claims.md`: a row per method, made of what the claims say and what their records hold.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use onestep_core::files::atomic_write;

use super::claims::{self, Claim};
use super::record::Record;

/// Where records and pictures lie in the folder of documents.
pub const FOLDER: &str = "data/claims";

/// Writes the page of a folder of documents.
pub fn write(docs: &Path) -> anyhow::Result<()> {
    let page = page(docs)?;
    Ok(atomic_write(docs.join("claims.md"), |file| file.write_all(page.as_bytes()))?)
}

/// The page.
pub fn page(docs: &Path) -> anyhow::Result<String> {
    let mut text = String::from(
        "# Claims\n\n\
         What the paper of each method says of it, tried in miniature. Every row is made by one command, which trains all \
         that it compares and says whether the claim held; `onestep claim --docs docs` makes this page of the records in \
         [data/claims](data/claims). A claim is held if everything that decides it is so with every seed. Numbers are \
         means over seeds (least to most). The lower most of them, the better: `kl_grid` and `energy_distance` are \
         distances to the data, `teacher_rms` is how far samples are from where the teacher's path ends that begins with \
         the same noise, `straightness` how far the paths of Euler's method are from straight lines (0: one step is exact). \
         Of images, `fid_lenet` is the distance to the data on the features of a small classifier, `fine_power` the power in \
         the finest frequencies as a share of the data's (1: as much), `fine_power_off` the size of its logarithm, \
         `parameters` how many the last phase trains, and `seconds` what the run took, on a machine that had other work. \
         `energy_distance` is of 5,000 samples, whatever its column says. More is better of `class_accuracy`, the share of \
         samples that show the class that was asked for, of `modes_reached`, and of `high_quality`, the share of samples \
         within three deviations of a mode.\n\n\
         | method | claim | in the paper | measured here | held |\n|---|---|---|---|---|\n",
    );
    let mut details = String::new();
    for claim in claims::all() {
        let file = docs.join(FOLDER).join(format!("{}.json", claim.method));
        let record = if file.exists() { Some(Record::read(&file)?) } else { None };
        let (measured, held) = match &record {
            None => ("not yet".to_owned(), ""),
            Some(record) => (summary(claim, record), if record.held(claim) { "yes" } else { "**no**" }),
        };
        let _ = writeln!(text, "| {} | {} | {} | {measured} | {held} |", claim.method, claim.says, claim.paper);
        if let Some(record) = &record {
            details += &section(claim, record);
        }
    }
    Ok(text + &details)
}

fn summary(claim: &Claim, record: &Record) -> String {
    let lines: Vec<String> = record.outcomes(claim).iter().map(super::record::Outcome::line).collect();
    format!("{} ({} seeds, {} each on {})", lines.join("; "), record.seeds, record.budget, record.data)
}

fn section(claim: &Claim, record: &Record) -> String {
    let name = claim.method;
    let mut text = format!("\n## {name}\n\n");
    if !claim.why.is_empty() {
        let _ = writeln!(text, "{}\n", claim.why);
    }
    let _ = writeln!(text, "    {}\n\n{}", record.command, record.table(claim));
    let _ = writeln!(text, "![Samples of {name} and what it is compared with]({FOLDER}/{name}.png)");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_in_the_project_is_the_one_that_its_records_make() {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
        let written = std::fs::read_to_string(docs.join("claims.md")).unwrap().replace("\r\n", "\n");
        assert!(
            written == page(&docs).unwrap(),
            "docs/claims.md is not what its records say: `onestep claim --docs docs`"
        );
    }
}
