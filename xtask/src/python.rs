//! Packages for Python, cached under target/ until their requirements change.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::tool;

/// The interpreter of a virtual environment in `folder` with the packages of `requirements`. The
/// environment is created again when `requirements` changes.
pub(crate) fn environment(folder: &Path, requirements: &Path) -> Result<PathBuf> {
    environment_of(Path::new("python3"), folder, requirements)
}

/// Like [`environment`], for another interpreter.
pub(crate) fn environment_of(
    interpreter: &Path,
    folder: &Path,
    requirements: &Path,
) -> Result<PathBuf> {
    let python = folder.join("bin/python");
    cached(folder, &[requirements], || {
        println!("installing {} for Python", requirements.display());
        tool::run(
            Command::new(interpreter)
                .args(["-m", "venv", "--clear"])
                .arg(folder),
        )
        .context("Python with its module venv is needed (on Debian: python3-venv)")?;
        let pip = [
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "-r",
        ];
        tool::run(Command::new(&python).args(pip).arg(requirements))
    })?;
    Ok(python)
}

/// Runs `make` to fill a folder, unless it has already run for the same content of `sources`.
pub(crate) fn cached(
    folder: &Path,
    sources: &[&Path],
    make: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let mut content = String::new();
    for source in sources {
        let shown = source.display();
        content += &fs::read_to_string(source).with_context(|| format!("cannot read {shown}"))?;
    }
    let stamp = folder.join(STAMP);
    if fs::read_to_string(&stamp).is_ok_and(|made_from| made_from == content) {
        return Ok(());
    }
    // Without the stamp, an incomplete folder is made again by the next run.
    let _ = fs::remove_file(&stamp);
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    make()?;
    fs::write(&stamp, content).with_context(|| format!("cannot write {}", stamp.display()))
}

/// Whether [`cached`] has filled a folder.
pub(crate) fn is_cached(folder: &Path) -> bool {
    folder.join(STAMP).is_file()
}

/// The file with the content of the sources of a folder, which is written last.
const STAMP: &str = "made-from";

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[test]
    fn a_folder_is_kept_until_its_sources_change() {
        let folder = tool::scratch("kept");
        let source = folder.join("source");
        let mut made = 0;
        let mut make = |text: &str, works: bool| {
            fs::write(&source, text).unwrap();
            let done = cached(&folder.join("made"), &[&source], || {
                made += 1;
                if works { Ok(()) } else { bail!("no") }
            });
            assert_eq!(done.is_ok(), is_cached(&folder.join("made")));
            (done.is_ok(), made)
        };
        assert_eq!(make("a", false), (false, 1));
        assert_eq!(make("a", true), (true, 2));
        assert_eq!(make("a", false), (true, 2));
        assert_eq!(make("b", true), (true, 3));
    }
}
