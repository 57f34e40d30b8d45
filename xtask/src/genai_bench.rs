//! `cargo xtask genai-bench`: checks that genai-bench can read the files of `polyllm bench`.

use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};

use crate::{Command, python, tool};

pub(crate) const COMMAND: Command = Command {
    name: "genai-bench",
    usage: "",
    about: "Check that genai-bench reads a folder of polyllm bench",
    details: "\
Runs genai-bench's `excel` and `plot` on the unmodified folder of an experiment. They must create a
spreadsheet and plots. genai-bench and its dependencies (1.3 GB) are installed under target/; `cargo
xtask ci --full` runs this command only if they are installed.",
    run,
};

fn run(mut args: lexopt::Parser) -> Result<()> {
    if let Some(arg) = args.next()? {
        return Err(arg.unexpected().into());
    }
    check()
}

/// Whether genai-bench was installed by an earlier run.
pub(crate) fn is_installed() -> Result<bool> {
    Ok(python::is_cached(&tool::target()?.join("genai-bench")))
}

pub(crate) fn check() -> Result<()> {
    let target = tool::target()?;
    let requirements = tool::root().join("xtask/genai-bench/requirements.txt");
    let python = python::environment(&target.join("genai-bench"), &requirements)?;
    let folder = target.join("genai-bench-folder");
    let _ = fs::remove_dir_all(&folder);
    let mut write = tool::command(
        "cargo test --quiet -p bench-report --features xlsx write_a_folder -- --ignored",
    );
    tool::run(write.env("LLM_BENCH_FOLDER", &folder))?;

    let genai_bench = |line: &str, option: &str| {
        let mut command = std::process::Command::new(python.with_file_name("genai-bench"));
        command
            .args(line.split_whitespace())
            .arg(option)
            .arg(&folder);
        // It writes its log into the current folder.
        tool::run(command.current_dir(&target))
    };
    genai_bench("excel --excel-name theirs", "--experiment-folder")?;
    genai_bench("plot --group-key traffic_scenario", "--experiments-folder")?;
    let (sheets, plots) = (count(&folder, "theirs.xlsx")?, count(&folder, ".png")?);
    ensure!(sheets == 1, "genai-bench excel wrote no spreadsheet");
    ensure!(
        plots == 9,
        "genai-bench plot wrote {plots} plots instead of 9"
    );
    println!(
        "genai-bench read {}: a spreadsheet and {plots} plots",
        folder.display()
    );
    Ok(())
}

fn count(folder: &Path, end: &str) -> Result<usize> {
    let mut found = 0;
    for entry in fs::read_dir(folder)? {
        found += usize::from(entry?.file_name().to_string_lossy().ends_with(end));
    }
    Ok(found)
}
