//! Golden files: what a test saw becomes what the next test expects, after a person has read it.

use anyhow::Result;

use crate::shell::program;

/// Tests that hold a golden file write it anew when this variable is set.
const VARIABLE: &str = "TARAF_GOLDEN_UPDATE";

/// Runs the tests that compare with golden files in the mode that writes them.
///
/// # Errors
/// When a test fails for another reason.
pub(crate) fn update() -> Result<()> {
    let status = program("cargo", &["nextest", "run", "-E", "test(golden)"])?
        .env(VARIABLE, "1")
        .status()?;
    anyhow::ensure!(status.success(), "a golden test failed while updating");
    println!("golden files are as the tests saw them; read the difference before you commit it");
    Ok(())
}
