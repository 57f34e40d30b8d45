//! Datasets on Hugging Face's hub, read through its dataset viewer, or else from the cache on this
//! machine.

use std::path::{Path, PathBuf};

use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::Error;
use crate::huggingface::{Hub, HubError, Repository, encoded, encoded_name, snapshot};
use crate::workload::access::Access;
use crate::workload::dataset::{Columns, DatasetConfig, DatasetRow};
use crate::workload::{file, image};

/// The first rows of a dataset, as many as the slice of its split says, at most [`MAX_ROWS`].
pub(super) async fn rows(config: &DatasetConfig) -> Result<Vec<DatasetRow>, Error> {
    match viewed(config).await {
        Ok(rows) => Ok(rows),
        Err(Failure::Invalid(error)) => Err(error),
        Err(Failure::Hub(failed)) => match cached(config)? {
            Some(rows) => Ok(rows),
            None => {
                let reason = unavailable(config, &failed.message);
                Err(match failed.is_unknown() {
                    true => invalid(config, reason),
                    false => Error::unavailable(&config.source.path, &reason),
                })
            }
        },
    }
}

enum Failure {
    /// The dataset or the config is wrong.
    Invalid(Error),
    /// The hub did not answer, or does not show the dataset.
    Hub(HubError),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Invalid(error)
    }
}

/// Reads the rows from the viewer.
async fn viewed(config: &DatasetConfig) -> Result<Vec<DatasetRow>, Failure> {
    let (viewer, name) = (Hub::viewer(), &config.source.path);
    let (name, splits) = match splits(&viewer, name).await {
        Ok(splits) => (name.clone(), splits),
        Err(error) if error.is_unknown() => {
            // The viewer does not follow renamed datasets; the hub does.
            let renamed = renamed(name).await.filter(|new| new != name);
            let Some(new) = renamed else {
                return Err(Failure::Hub(error));
            };
            let splits = splits(&viewer, &new).await;
            (new, splits.map_err(Failure::Hub)?)
        }
        Err(error) => return Err(Failure::Hub(error)),
    };
    let wanted = Wanted::of(config);
    let split = wanted
        .choose(&splits)
        .map_err(|reason| Failure::Invalid(invalid(config, reason)))?;
    // The hub must not refer to files of this machine.
    let no_files = Access::within::<&Path>([])?;
    let columns = Columns::of(config, &no_files);
    let mut rows = Vec::new();
    while rows.len() < wanted.max {
        let (offset, length) = (rows.len(), PAGE.min(wanted.max - rows.len()));
        let path = format!(
            "/rows?dataset={}&config={}&split={}&offset={offset}&length={length}",
            encoded(&name),
            encoded(&split.config),
            encoded(&split.split),
        );
        let page: Page = get(&viewer, &path).await.map_err(Failure::Hub)?;
        let last = page.rows.len() < length;
        for item in page.rows.into_iter().take(length) {
            let row = columns.row(&item.row).map_err(|reason| {
                Failure::Invalid(invalid(config, format!("row {}: {reason}", rows.len())))
            })?;
            rows.push(row);
        }
        if last {
            break;
        }
    }
    load_images(&viewer, config, &mut rows).await?;
    Ok(rows)
}

/// Replaces the images that the viewer serves by their data: its addresses are valid for a short time
/// only, and an upstream may not reach them. Addresses that the dataset itself contains stay.
async fn load_images(
    viewer: &Hub,
    config: &DatasetConfig,
    rows: &mut [DatasetRow],
) -> Result<(), Failure> {
    let images = rows.iter_mut().flat_map(|row| &mut row.images);
    let of_viewer = images.filter_map(|image| {
        let path = image.strip_prefix(viewer.base())?.to_owned();
        path.starts_with('/').then_some((image, path))
    });
    let loads = of_viewer.map(async |(image, path)| {
        let bytes = viewer.get(&path).await.map_err(Failure::Hub)?;
        let data = image::data(&bytes, config.unsafe_allow_large_images);
        *image = data.map_err(|reason| Failure::Invalid(invalid(config, reason)))?;
        Ok(())
    });
    let loads = stream::iter(loads).buffer_unordered(PARALLEL_IMAGES);
    loads.try_collect().await
}

async fn splits(viewer: &Hub, name: &str) -> Result<Vec<Split>, HubError> {
    let path = format!("/splits?dataset={}", encoded(name));
    let splits: Splits = get(viewer, &path).await?;
    Ok(splits.splits)
}

/// The present name of a dataset on the hub.
async fn renamed(name: &str) -> Option<String> {
    let path = format!("/api/datasets/{}", encoded_name(name));
    let dataset: Named = get(&Hub::models(), &path).await.ok()?;
    Some(dataset.id)
}

async fn get<T: DeserializeOwned>(hub: &Hub, path: &str) -> Result<T, HubError> {
    let body = hub.get(path).await?;
    serde_json::from_slice(&body).map_err(|error| HubError {
        status: None,
        message: format!("invalid response from {}: {error}", hub.base()),
    })
}

/// The rows that a config selects.
struct Wanted<'a> {
    config: Option<&'a str>,
    split: Option<&'a str>,
    max: usize,
}

impl<'a> Wanted<'a> {
    fn of(config: &'a DatasetConfig) -> Self {
        let text = |name| config.source.huggingface_kwargs.get(name)?.as_str();
        let (split, max) = match text("split") {
            Some(split) => {
                let (split, max) = slice(split);
                (Some(split), max)
            }
            None => (None, MAX_ROWS),
        };
        Self {
            config: text("name"),
            split,
            max,
        }
    }

    /// The split of the viewer, as `load_dataset` chooses it: the named config, else `default` or
    /// the only one; the named split, else `train` or the first.
    fn choose<'s>(&self, splits: &'s [Split]) -> Result<&'s Split, String> {
        let mut configs: Vec<&str> = splits.iter().map(|split| split.config.as_str()).collect();
        configs.dedup();
        let config = match (self.config, &configs[..]) {
            (Some(name), _) => name,
            (None, [only]) => only,
            (None, _) => "default",
        };
        if !configs.contains(&config) {
            let all = configs.join(", ");
            return Err(match self.config {
                Some(name) => format!("no config {name:?}; the configs are {all}"),
                None => format!("set `name` in huggingface_kwargs to one of {all}"),
            });
        }
        let splits: Vec<&Split> = splits
            .iter()
            .filter(|split| split.config == config)
            .collect();
        let wanted = self.split.unwrap_or("train");
        let found = splits.iter().find(|split| split.split == wanted);
        match (found, self.split, splits.first()) {
            (Some(split), _, _) => Ok(split),
            (None, None, Some(first)) => Ok(first),
            (None, _, _) => {
                let all: Vec<&str> = splits.iter().map(|split| split.split.as_str()).collect();
                Err(format!(
                    "no split {wanted:?}; the splits are {}",
                    all.join(", ")
                ))
            }
        }
    }
}

/// Rows from a downloaded copy; `None` if there is no copy.
fn cached(config: &DatasetConfig) -> Result<Option<Vec<DatasetRow>>, Error> {
    let Some(folder) = snapshot(Repository::Dataset, &config.source.path) else {
        return Ok(None);
    };
    let wanted = Wanted::of(config);
    let mut files = Vec::new();
    collect(&folder, 0, &mut files);
    files.sort();
    let (text, other): (Vec<PathBuf>, Vec<PathBuf>) =
        files.into_iter().partition(|path| file::is_readable(path));
    // Files are named for their split, such as train-00000-of-00001.
    let split = wanted.split.unwrap_or("train");
    let of_split = |path: &&PathBuf| {
        let name = path.strip_prefix(&folder).unwrap_or(path);
        name.to_string_lossy().to_ascii_lowercase().contains(split)
    };
    let chosen: Vec<&PathBuf> = match text.iter().any(|path| of_split(&path)) {
        true => text.iter().filter(of_split).collect(),
        false => text.iter().take(1).collect(),
    };
    if chosen.is_empty() {
        let found = match other.iter().find(|path| of_split(path)) {
            Some(path) => format!("{} is", path.display()),
            None => format!("the files in {} are", folder.display()),
        };
        let reason = format!(
            "the viewer of the hub cannot be reached, and {found} neither JSON, CSV nor text: \
             convert it, and give the file to --dataset-path"
        );
        return Err(invalid(config, reason));
    }
    let access = Access::within([&folder])?.with_links_to(&folder.join("../../blobs"));
    let mut rows = Vec::new();
    for path in chosen {
        rows.extend(file::rows_at(path, None, config, &access)?);
    }
    rows.truncate(wanted.max);
    Ok(Some(rows))
}

/// The files in a folder and its folders.
fn collect(folder: &Path, depth: u32, files: &mut Vec<PathBuf>) {
    let Ok(entries) = folder.read_dir() else {
        return;
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() && depth < MAX_DEPTH {
            collect(&path, depth + 1, files);
        } else if path.is_file() && files.len() < MAX_FILES {
            files.push(path);
        }
    }
}

fn unavailable(config: &DatasetConfig, reason: &str) -> String {
    format!(
        "{reason}; and no copy of the dataset is in the cache on this machine: `hf download \
         --repo-type dataset {}` makes one, or give a local file to --dataset-path",
        config.source.path
    )
}

#[derive(Deserialize)]
struct Splits {
    splits: Vec<Split>,
}

#[derive(Debug, Deserialize)]
struct Split {
    config: String,
    split: String,
}

#[derive(Deserialize)]
struct Named {
    id: String,
}

#[derive(Deserialize)]
struct Page {
    rows: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    row: Value,
}

/// Splits `train[:1000]` into the name and the number of rows.
fn slice(split: &str) -> (&str, usize) {
    let Some((name, rest)) = split.split_once('[') else {
        return (split, MAX_ROWS);
    };
    let count = rest.trim_end_matches(']').trim_start_matches(':').parse();
    (name, count.unwrap_or(MAX_ROWS).clamp(1, MAX_ROWS))
}

fn invalid(config: &DatasetConfig, reason: impl Into<String>) -> Error {
    Error::dataset(&config.source.path, None, reason)
}

const PARALLEL_IMAGES: usize = 16;

/// The viewer's limit of rows per request.
const PAGE: usize = 100;

/// Enough to avoid early repetition, and loaded within seconds.
const MAX_ROWS: usize = 2000;

const MAX_DEPTH: u32 = 4;

const MAX_FILES: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_are_parsed() {
        assert_eq!(slice("train"), ("train", MAX_ROWS));
        assert_eq!(slice("train[:1000]"), ("train", 1000));
        assert_eq!(slice("test[:10%]"), ("test", MAX_ROWS));
    }

    #[test]
    fn config_and_split_are_chosen_like_load_dataset() {
        let splits = |names: &[(&str, &str)]| {
            let splits = names.iter().map(|(config, split)| Split {
                config: (*config).to_owned(),
                split: (*split).to_owned(),
            });
            splits.collect::<Vec<_>>()
        };
        let choose = |config, split, names: &[(&str, &str)]| {
            let wanted = Wanted {
                config,
                split,
                max: 1,
            };
            let chosen = wanted.choose(&splits(names)).map(|split| {
                let Split { config, split } = split;
                format!("{config} {split}")
            });
            chosen.unwrap_or_else(|reason| reason)
        };
        let squad = [("plain_text", "train"), ("plain_text", "validation")];
        assert_eq!(choose(None, None, &squad), "plain_text train");
        let split = choose(None, Some("validation"), &squad);
        assert_eq!(split, "plain_text validation");
        let test = [("default", "test")];
        assert_eq!(choose(None, None, &test), "default test");
        let missing = choose(None, Some("train"), &test);
        assert_eq!(missing, "no split \"train\"; the splits are test");
        let two = [("a", "train"), ("b", "train")];
        assert_eq!(choose(Some("b"), None, &two), "b train");
        let unset = choose(None, None, &two);
        assert_eq!(unset, "set `name` in huggingface_kwargs to one of a, b");
        let wrong = choose(Some("c"), None, &two);
        assert_eq!(wrong, "no config \"c\"; the configs are a, b");
    }
}
