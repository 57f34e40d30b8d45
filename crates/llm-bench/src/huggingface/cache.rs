use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use super::is_name;

/// The kinds of repositories on the hub.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Repository {
    Dataset,
    Model,
}

/// The folder of a repository's files in the cache of `huggingface_hub`, of the branch `main` or
/// else of any downloaded revision.
pub(crate) fn snapshot(kind: Repository, name: &str) -> Option<PathBuf> {
    snapshot_in(&folder()?, kind, name)
}

/// The cache's folder, by the variables of `huggingface_hub`.
fn folder() -> Option<PathBuf> {
    let variable = |name: &str| {
        let value = env::var_os(name).filter(|value| !value.is_empty());
        value.map(PathBuf::from)
    };
    variable("HF_HUB_CACHE")
        .or_else(|| Some(variable("HF_HOME")?.join("hub")))
        .or_else(|| Some(variable("XDG_CACHE_HOME")?.join("huggingface/hub")))
        .or_else(|| Some(variable("HOME")?.join(".cache/huggingface/hub")))
}

fn snapshot_in(cache: &Path, kind: Repository, name: &str) -> Option<PathBuf> {
    if !is_name(name) {
        return None;
    }
    let kind = match kind {
        Repository::Dataset => "datasets",
        Repository::Model => "models",
    };
    let repository = cache.join(format!("{kind}--{}", name.replace('/', "--")));
    let snapshots = repository.join("snapshots");
    let main = fs::read_to_string(repository.join("refs/main")).ok();
    let main = main.map(|revision| revision.trim().to_owned());
    let main = main.filter(|revision| revision.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    if let Some(main) = main.map(|revision| snapshots.join(revision))
        && main.is_dir()
    {
        return Some(main);
    }
    let entries = fs::read_dir(snapshots).ok()?.flatten();
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    folders.retain(|path| path.is_dir());
    folders.sort();
    folders.pop()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_main_revision_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let repository = dir.path().join("models--org--name");
        for revision in ["aaa", "bbb"] {
            fs::create_dir_all(repository.join("snapshots").join(revision)).unwrap();
        }
        let found = || {
            let found = snapshot_in(dir.path(), Repository::Model, "org/name")?;
            Some(found.file_name()?.to_str()?.to_owned())
        };
        assert_eq!(found().as_deref(), Some("bbb"));
        fs::create_dir_all(repository.join("refs")).unwrap();
        fs::write(repository.join("refs/main"), "aaa\n").unwrap();
        assert_eq!(found().as_deref(), Some("aaa"));
        assert_eq!(
            snapshot_in(dir.path(), Repository::Dataset, "org/name"),
            None
        );
        assert_eq!(snapshot_in(dir.path(), Repository::Model, "../x"), None);
    }
}
