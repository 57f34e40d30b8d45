//! `cargo xtask python`: the wheel of polyllm for Python, and its tests.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use lexopt::Arg;

use crate::{clients, python, tool};

pub(crate) const COMMAND: crate::Command = crate::Command {
    name: "python",
    usage: "[--release] [--no-tests]",
    about: "Build the wheel of polyllm for Python and test it",
    details: "\
Builds crates/polyllm-python with maturin into target/python/wheels, installs the wheel into a virtual
environment of the oldest and of the newest supported Python that is installed (3.9 or newer, on PATH or
of pyenv), and runs its tests with pytest against `polyllm sim`. mypy then checks the package, its
stubs and a sample. The packages that this needs are pinned in xtask/python/requirements.txt.

  --release    build the wheel as it is published
  --no-tests   only build the wheel",
    run,
};

fn run(mut args: lexopt::Parser) -> Result<()> {
    let (mut release, mut tests) = (false, true);
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Long("release") => release = true,
            Arg::Long("no-tests") => tests = false,
            _ => return Err(arg.unexpected().into()),
        }
    }
    check(release, tests)
}

/// Whether a supported Python is installed.
pub(crate) fn is_possible() -> bool {
    !interpreters().is_empty()
}

/// Builds the wheel and runs its tests.
pub(crate) fn check(release: bool, tests: bool) -> Result<()> {
    let interpreters = interpreters();
    let Some(newest) = interpreters.last() else {
        bail!("Python {OLDEST} or newer is needed");
    };
    let folder = tool::target()?.join("python");
    let tools = environment(newest, &folder)?;
    let wheel = build(&tools, &folder, release)?;
    if !tests {
        return Ok(());
    }
    let polyllm = clients::polyllm(false)?;
    let mut tested: Vec<&Interpreter> = interpreters.first().into_iter().collect();
    tested.extend(interpreters.last().filter(|_| interpreters.len() > 1));
    for interpreter in tested {
        println!("testing with Python 3.{}", interpreter.minor);
        let python = environment(interpreter, &folder)?;
        let install =
            "-m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps";
        tool::run(Command::new(&python).args(install.split(' ')).arg(&wheel))?;
        let mut pytest = Command::new(&python);
        pytest.args([
            "-B",
            "-m",
            "pytest",
            "--quiet",
            "crates/polyllm-python/tests",
        ]);
        if let Some(pages) = pages() {
            pytest.env("POLYLLM_PAGES", pages);
        }
        tool::run(pytest.env("POLYLLM", &polyllm).current_dir(tool::root()))?;
    }
    let package = tool::root().join("crates/polyllm-python");
    // The first reads pyproject.toml.
    for line in ["-m mypy", "-m mypy.stubtest polyllm._native"] {
        let mut mypy = Command::new(&tools);
        let cache = folder.join("mypy");
        mypy.args(line.split(' ')).env("MYPY_CACHE_DIR", cache);
        tool::run(mypy.current_dir(&package))?;
    }
    Ok(())
}

/// Builds the wheel, and returns its path.
fn build(python: &Path, folder: &Path, release: bool) -> Result<PathBuf> {
    let wheels = folder.join("wheels");
    if wheels.exists() {
        fs::remove_dir_all(&wheels).context("cannot remove the old wheels")?;
    }
    let mut maturin = Command::new(python);
    maturin.args(["-m", "maturin", "build", "--manifest-path"]);
    maturin.arg(tool::root().join("crates/polyllm-python/Cargo.toml"));
    maturin
        .arg("--out")
        .arg(&wheels)
        .arg("--interpreter")
        .arg(python);
    if release {
        maturin.args(["--profile", "dist"]);
    }
    tool::run(maturin.current_dir(tool::root()))?;
    let mut found = fs::read_dir(&wheels)?.filter_map(|entry| Some(entry.ok()?.path()));
    let wheel = found.next().context("maturin built no wheel")?;
    let size = fs::metadata(&wheel)?.len();
    println!("{} ({:.1} MB)", wheel.display(), size as f64 / 1e6);
    ensure!(!release || size < MAX_SIZE, "the wheel is too large");
    Ok(wheel)
}

/// An installed Python.
struct Interpreter {
    /// The second number of its version.
    minor: u32,
    program: PathBuf,
}

/// The supported interpreters, one for each version, from the oldest.
fn interpreters() -> Vec<Interpreter> {
    let versions = OLDEST_MINOR..=NEWEST_MINOR;
    let found = versions.filter_map(|minor| {
        let name = format!("python3.{minor}");
        let folders = pyenv().into_iter().map(|folder| folder.join(&name));
        let mut programs = std::iter::once(PathBuf::from(&name)).chain(folders);
        let program = programs.find(|program| works(program))?;
        Some(Interpreter { minor, program })
    });
    found.collect()
}

/// Whether it runs: a shim of pyenv may stand for a version that is not active.
fn works(program: &Path) -> bool {
    let output = Command::new(program).args(["-c", "import venv"]).output();
    output.is_ok_and(|output| output.status.success())
}

/// The folders of pyenv's interpreters.
fn pyenv() -> Vec<PathBuf> {
    let default = || {
        let mut home = PathBuf::from(std::env::var_os("HOME")?);
        home.push(".pyenv");
        Some(OsString::from(home))
    };
    let root = std::env::var_os("PYENV_ROOT").or_else(default);
    let versions = root.and_then(|root| fs::read_dir(Path::new(&root).join("versions")).ok());
    let entries = versions.into_iter().flatten();
    entries
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .collect()
}

fn environment(interpreter: &Interpreter, folder: &Path) -> Result<PathBuf> {
    let requirements = tool::root().join("xtask/python/requirements.txt");
    let folder = folder.join(format!("3.{}", interpreter.minor));
    python::environment_of(&interpreter.program, &folder, &requirements)
}

/// The original pages, if they exist.
fn pages() -> Option<PathBuf> {
    let shared = std::env::var_os("POLYLLM_SHARED").map(PathBuf::from);
    let shared = shared.unwrap_or_else(|| tool::root().join("../shared"));
    let pages = shared.join("seeds");
    pages.is_dir().then_some(pages)
}

const OLDEST: &str = "3.9";
/// The oldest version of the stable ABI that the crate selects.
const OLDEST_MINOR: u32 = 9;
/// The newest version that PyO3 supports.
const NEWEST_MINOR: u32 = 15;
/// The limit of a published wheel, in bytes.
const MAX_SIZE: u64 = 12_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_missing_or_fails_does_not_work() {
        assert!(!works(Path::new("no-such-python")));
        assert!(!works(Path::new("false")));
    }

    #[test]
    fn the_wheel_is_for_the_oldest_version() {
        let manifest = tool::root().join("crates/polyllm-python/Cargo.toml");
        let manifest = fs::read_to_string(manifest).unwrap();
        assert!(manifest.contains(&format!("abi3-py3{OLDEST_MINOR}")));
        assert_eq!(OLDEST, format!("3.{OLDEST_MINOR}"));
    }
}
