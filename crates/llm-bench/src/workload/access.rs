use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::Error;

/// The sources of prompts that may be read: files, and datasets on Hugging Face's hub.
///
/// A program that measures on behalf of others, such as a worker of a distributed benchmark, limits
/// this to folders without private files.
#[derive(Clone, Debug)]
pub struct Access {
    /// `None` allows all folders.
    folders: Option<Arc<[PathBuf]>>,
    hub: bool,
}

impl Access {
    /// Allows everything that the process may read.
    pub fn all() -> Self {
        Self {
            folders: None,
            hub: true,
        }
    }

    /// Allows only files in these folders, of which there may be none, and no hub.
    ///
    /// # Errors
    ///
    /// [`Error::Read`] if a folder does not exist.
    pub fn within<P: AsRef<Path>>(folders: impl IntoIterator<Item = P>) -> Result<Self, Error> {
        let folders = folders.into_iter().map(|folder| {
            let folder = folder.as_ref();
            folder.canonicalize().map_err(|e| unreadable(folder, e))
        });
        Ok(Self {
            folders: Some(folders.collect::<Result<_, _>>()?),
            hub: false,
        })
    }

    /// Also allows datasets on the hub; `HF_TOKEN` gives access to private ones.
    #[must_use]
    pub fn with_hub(mut self) -> Self {
        self.hub = true;
        self
    }

    /// Also allows files in another folder, such as one that links lead to.
    #[must_use]
    pub(crate) fn with_links_to(mut self, folder: &Path) -> Self {
        if let Some(folders) = &self.folders {
            let mut all = folders.to_vec();
            // Without the folder, there are no links to it.
            all.extend(folder.canonicalize());
            self.folders = Some(all.into());
        }
        self
    }

    /// The path of a file with `..` and symbolic links resolved, if it may be read.
    ///
    /// # Errors
    ///
    /// [`Error::NotAllowed`] for a file outside the folders, whether or not it exists.
    pub fn resolve(&self, path: &Path) -> Result<PathBuf, Error> {
        let Some(folders) = &self.folders else {
            return Ok(path.to_owned());
        };
        let inside = |path: &Path| folders.iter().any(|folder| path.starts_with(folder));
        match path.canonicalize() {
            Ok(path) if inside(&path) => Ok(path),
            // Missing files are reported only inside allowed folders.
            Err(error) if parent(path).is_some_and(|parent| inside(&parent)) => {
                Err(unreadable(path, error))
            }
            _ => Err(Error::NotAllowed {
                what: path.display().to_string(),
                option: "--allow-folder DIR",
            }),
        }
    }

    /// Reads a file that is allowed and has at most `max` bytes.
    pub(crate) fn read(&self, path: &Path, max: u64) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        let file = File::open(self.resolve(path)?);
        let read = file.and_then(|file| file.take(max + 1).read_to_end(&mut bytes));
        read.map_err(|error| unreadable(path, error))?;
        if bytes.len() as u64 > max {
            let reason = format!("is longer than {} MiB", max >> 20);
            return Err(Error::dataset(path, None, reason));
        }
        Ok(bytes)
    }

    /// Whether a file exists and may be read.
    pub(crate) fn has(&self, path: &Path) -> bool {
        self.resolve(path).is_ok_and(|path| path.exists())
    }

    pub(crate) fn check_hub(&self, name: &str) -> Result<(), Error> {
        if self.hub {
            return Ok(());
        }
        Err(Error::NotAllowed {
            what: format!("{name} on a hub"),
            option: "--allow-hub",
        })
    }
}

/// The folder of a file that does not exist.
fn parent(path: &Path) -> Option<PathBuf> {
    let parent = path.parent().filter(|parent| *parent != Path::new(""));
    let parent = parent.unwrap_or_else(|| Path::new("."));
    parent.canonicalize().ok()
}

fn unreadable(path: &Path, source: io::Error) -> Error {
    Error::Read {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::{TempDir, tempdir};

    use super::*;

    /// A folder with `open/a.txt` and `closed/b.txt`.
    fn folders() -> TempDir {
        let dir = tempdir().unwrap();
        for (folder, file) in [("open", "a.txt"), ("closed", "b.txt")] {
            let folder = dir.path().join(folder);
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join(file), "secret").unwrap();
        }
        dir
    }

    fn access(dir: &TempDir) -> Access {
        Access::within([dir.path().join("open")]).unwrap()
    }

    #[test]
    fn nothing_outside_the_folders_is_read() {
        let dir = folders();
        let access = access(&dir);
        let read = |path: &str| access.read(&dir.path().join(path), 100);
        assert_eq!(read("open/a.txt").unwrap(), b"secret");
        assert_eq!(read("open/../open/a.txt").unwrap(), b"secret");
        for path in [
            "closed/b.txt",
            "open/../closed/b.txt",
            "closed",
            // Its existence is not revealed.
            "closed/none.txt",
            "nowhere/none.txt",
            "/etc/passwd",
            "/etc/no-such-file",
        ] {
            let error = read(path).unwrap_err();
            assert!(matches!(error, Error::NotAllowed { .. }), "{path}: {error}");
            assert!(error.to_string().contains("--allow-folder"), "{error}");
        }
        let error = read("open/none.txt").unwrap_err();
        assert!(matches!(error, Error::Read { .. }), "{error}");
        let nothing = Access::within::<&Path>([]).unwrap();
        assert!(nothing.read(&dir.path().join("open/a.txt"), 100).is_err());
        assert!(access.check_hub("squad").is_err());
        assert!(access.with_hub().check_hub("squad").is_ok());
    }

    #[cfg(unix)]
    #[test]
    fn a_symbolic_link_cannot_leave_the_folders() {
        let dir = folders();
        let access = access(&dir);
        for (link, to) in [("file", "closed/b.txt"), ("folder", "closed")] {
            let link = dir.path().join("open").join(link);
            std::os::unix::fs::symlink(dir.path().join(to), link).unwrap();
        }
        for path in ["open/file", "open/folder/b.txt"] {
            let error = access.read(&dir.path().join(path), 100).unwrap_err();
            assert!(matches!(error, Error::NotAllowed { .. }), "{path}: {error}");
        }
    }

    #[test]
    fn the_size_of_a_file_is_limited() {
        let dir = folders();
        let file = dir.path().join("open/a.txt");
        assert!(Access::all().read(&file, 6).is_ok());
        let error = Access::all().read(&file, 5).unwrap_err();
        assert!(error.to_string().contains("longer than"), "{error}");
    }
}
