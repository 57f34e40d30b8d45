use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::error::Error;
use crate::workload::access::Access;
use crate::workload::{config, file, hub};

/// A dataset: prompts with their images and limits.
#[non_exhaustive]
#[derive(Clone, Debug, Default)]
pub struct Dataset {
    /// The file or the name of the dataset.
    pub path: String,
    /// The rows; at least one.
    pub rows: Vec<DatasetRow>,
}

/// A row of a dataset.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DatasetRow {
    /// The system message.
    pub system: Option<String>,
    /// The user's messages, one per turn; at least one.
    pub turns: Vec<String>,
    /// Images of the first turn: `http(s)://` or `data:` URLs.
    pub images: Vec<String>,
    /// The most output tokens.
    pub max_tokens: Option<u64>,
}

impl DatasetRow {
    /// A row of one prompt.
    pub fn prompt(text: impl Into<String>) -> Self {
        Self {
            turns: vec![text.into()],
            ..Self::default()
        }
    }

    /// The user's first message.
    pub fn text(&self) -> &str {
        self.turns.first().map_or("", String::as_str)
    }
}

/// The configuration of a dataset: genai-bench's `--dataset-config`, or single options.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize)]
pub struct DatasetConfig {
    /// The source.
    pub source: DatasetSource,
    /// The column of prompts; common names are found without it.
    pub prompt_column: Option<String>,
    /// The column of images.
    pub image_column: Option<String>,
    /// A Python expression for genai-bench; not supported.
    pub prompt_lambda: Option<String>,
    /// Removes the limit of 50 megapixels per image.
    #[serde(default)]
    pub unsafe_allow_large_images: bool,
}

/// The source of a dataset.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize)]
pub struct DatasetSource {
    /// `file` or `huggingface`.
    #[serde(rename = "type")]
    pub kind: String,
    /// A file, or the name of the dataset on the hub.
    #[serde(default)]
    pub path: String,
    /// `txt`, `csv`, `json` or `jsonl`; by default the file's extension decides.
    pub file_format: Option<String>,
    /// The column of a CSV file, from 0.
    pub csv_column_index: Option<usize>,
    /// Arguments of Hugging Face's `load_dataset`: `name`, `split`, and `data_files`, which are
    /// local files.
    #[serde(default)]
    pub huggingface_kwargs: Map<String, Value>,
}

impl DatasetConfig {
    /// A dataset at a path. The path may also be a config file, as in the examples of genai-bench's
    /// documentation.
    ///
    /// # Errors
    ///
    /// [`Error`] if the file looks like a config but is invalid.
    pub fn at(path: &Path, access: &Access) -> Result<Self, Error> {
        if path.extension().is_some_and(|ending| ending == "json")
            && let Ok(text) = file::text(path, access)
            && text.trim_start().starts_with('{')
            && serde_json::from_str::<Map<String, Value>>(&text)
                .is_ok_and(|fields| fields.contains_key("source"))
        {
            return Self::read(path, access);
        }
        // Not a file, and in the form of a dataset name on the hub.
        let named = path.to_string_lossy();
        let on_hub = !access.has(path)
            && path.extension().is_none()
            && !named.starts_with(['/', '.', '~'])
            && named.split('/').count() <= 2;
        Ok(Self {
            source: DatasetSource {
                kind: if on_hub { "huggingface" } else { "file" }.to_owned(),
                path: named.into_owned(),
                ..DatasetSource::default()
            },
            prompt_column: None,
            image_column: None,
            prompt_lambda: None,
            unsafe_allow_large_images: false,
        })
    }

    /// Reads a config file. A relative path in it may be relative to its folder.
    ///
    /// # Errors
    ///
    /// [`Error::Read`], [`Error::NotAllowed`] or [`Error::Dataset`].
    pub fn read(path: &Path, access: &Access) -> Result<Self, Error> {
        let text = file::text(path, access)?;
        let invalid = |error: serde_json::Error| {
            let reason = format!("invalid dataset config: {error}");
            Error::dataset(path, Some(error.line() as u64), reason)
        };
        config::check(&serde_json::from_str(&text).map_err(invalid)?)
            .map_err(|reason| Error::dataset(path, None, reason))?;
        let mut config: Self = serde_json::from_str(&text).map_err(invalid)?;
        let folder = path.parent().unwrap_or_else(|| Path::new(""));
        let beside = |text: &mut String| {
            let inside = Path::new(&*text);
            if inside.is_relative() && !access.has(inside) {
                *text = folder.join(inside).to_string_lossy().into_owned();
            }
        };
        if config.source.kind == "file" {
            beside(&mut config.source.path);
        }
        if let Some(files) = config.source.huggingface_kwargs.get_mut("data_files") {
            each_text(files, &mut |text| {
                if !text.contains("://") {
                    beside(text);
                }
            });
        }
        Ok(config)
    }
}

impl Dataset {
    /// Reads a dataset: a file, or one on Hugging Face's hub. Only the latter contacts a server
    /// other than the target.
    ///
    /// # Errors
    ///
    /// [`Error::Dataset`] with the file, the line and the expected form; [`Error::Read`];
    /// [`Error::NotAllowed`].
    pub async fn load(config: &DatasetConfig, access: &Access) -> Result<Self, Error> {
        let source = &config.source;
        if config.prompt_lambda.is_some() {
            let reason =
                "prompt_lambda is a Python expression, which is not supported: use prompt_column";
            return Err(Error::dataset(&source.path, None, reason));
        }
        let rows = match source.kind.as_str() {
            "file" => file::rows(config, access)?,
            "huggingface" if source.huggingface_kwargs.contains_key("data_files") => {
                data_files(config, access)?
            }
            "huggingface" => {
                access.check_hub(&format!("the dataset {}", source.path))?;
                hub::rows(config).await?
            }
            other => {
                let reason = format!("source type {other:?}: expected file or huggingface");
                return Err(Error::dataset(&source.path, None, reason));
            }
        };
        if rows.is_empty() {
            let reason = "expected at least one prompt";
            return Err(Error::dataset(&source.path, None, reason));
        }
        Ok(Self {
            path: source.path.clone(),
            rows,
        })
    }
}

/// The rows of the local files that `data_files` names, of the split if they are by split.
fn data_files(config: &DatasetConfig, access: &Access) -> Result<Vec<DatasetRow>, Error> {
    let source = &config.source;
    let kwargs = &source.huggingface_kwargs;
    let invalid = |reason: String| Error::dataset(&source.path, None, reason);
    let split = kwargs.get("split").and_then(Value::as_str);
    let split = split.map_or("train", |split| split.split('[').next().unwrap_or(split));
    let mut files = kwargs.get("data_files").cloned().unwrap_or_default();
    if let Value::Object(by_split) = &mut files {
        let known: Vec<_> = by_split.keys().cloned().collect();
        files = by_split.remove(split).ok_or_else(|| {
            let known = known.join(", ");
            invalid(format!("data_files has no split {split:?}; it has {known}"))
        })?;
    }
    let mut paths = Vec::new();
    each_text(&mut files, &mut |text| paths.push(text.clone()));
    if paths.is_empty() {
        return Err(invalid("data_files names no file".to_owned()));
    }
    // The builders of `load_dataset`; any other name is that of a folder.
    let format = ["json", "csv", "text"].contains(&source.path.as_str());
    let format = format.then_some(source.path.as_str());
    let mut rows = Vec::new();
    for path in paths {
        if path.contains("://") {
            let reason = format!("data_files: {path} is not a local file: download it first");
            return Err(invalid(reason));
        }
        rows.extend(file::rows_at(Path::new(&path), format, config, access)?);
    }
    Ok(rows)
}

/// Calls `each` for a string, or for the strings in a list or an object.
fn each_text(value: &mut Value, each: &mut dyn FnMut(&mut String)) {
    match value {
        Value::String(text) => each(text),
        Value::Array(items) => items.iter_mut().for_each(|item| each_text(item, each)),
        Value::Object(fields) => fields.values_mut().for_each(|item| each_text(item, each)),
        _ => {}
    }
}

/// The columns of a dataset.
pub(super) struct Columns<'a> {
    pub(super) prompt: Option<&'a str>,
    pub(super) image: Option<&'a str>,
    /// Limits which image files are read.
    pub(super) folder: PathBuf,
    pub(super) access: &'a Access,
    pub(super) large_images: bool,
}

impl<'a> Columns<'a> {
    pub(super) fn of(config: &'a DatasetConfig, access: &'a Access) -> Self {
        Self::at(Path::new(&config.source.path), config, access)
    }

    /// The columns of a file.
    pub(super) fn at(path: &Path, config: &'a DatasetConfig, access: &'a Access) -> Self {
        let folder = path.parent();
        Self {
            prompt: config.prompt_column.as_deref(),
            image: config.image_column.as_deref(),
            folder: folder.map(Path::to_owned).unwrap_or_default(),
            access,
            large_images: config.unsafe_allow_large_images,
        }
    }

    /// Reads a row from a JSON value: a string, or an object with the columns, with `messages` in
    /// OpenAI's form, or with `conversations` in ShareGPT's form.
    pub(super) fn row(&self, value: &Value) -> Result<DatasetRow, String> {
        let fields = match value {
            Value::String(text) => return Ok(DatasetRow::prompt(text)),
            Value::Object(fields) => fields,
            other => {
                return Err(format!(
                    "expected a string or an object, found {}",
                    kind(other)
                ));
            }
        };
        let mut row = match self.prompt {
            Some(column) => match fields.get(column) {
                Some(Value::String(text)) => DatasetRow::prompt(text),
                Some(Value::Array(messages)) => conversation(messages)?,
                Some(other) => {
                    return Err(format!(
                        "{column:?}: expected a string, found {}",
                        kind(other)
                    ));
                }
                None => {
                    let known: Vec<_> = fields.keys().map(String::as_str).collect();
                    let known = known.join(", ");
                    return Err(format!(
                        "column {column:?} not found; the columns are {known}"
                    ));
                }
            },
            None => self.guess(fields)?,
        };
        let limits = ["max_tokens", "output_length"];
        let limit = limits.iter().find_map(|name| fields.get(*name)?.as_u64());
        row.max_tokens = limit.filter(|limit| *limit > 0);
        if let Some(column) = self.image {
            let images = fields
                .get(column)
                .ok_or_else(|| format!("column {column:?} not found"))?;
            row.images = self.images(images)?;
        }
        Ok(row)
    }

    fn guess(&self, fields: &Map<String, Value>) -> Result<DatasetRow, String> {
        for name in ["messages", "conversations", "conversation"] {
            if let Some(Value::Array(messages)) = fields.get(name) {
                return conversation(messages);
            }
        }
        let texts = PROMPT_COLUMNS.iter();
        let mut found = texts.filter_map(|name| fields.get(*name)?.as_str());
        found.next().map(DatasetRow::prompt).ok_or_else(|| {
            let names = PROMPT_COLUMNS.join(", ");
            format!("expected one of {names}, messages, conversations; set the column of prompts by --dataset-prompt-column")
        })
    }

    fn images(&self, value: &Value) -> Result<Vec<String>, String> {
        match value {
            Value::Array(items) => {
                let images = items.iter().map(|item| self.images(item));
                Ok(images.collect::<Result<Vec<_>, _>>()?.concat())
            }
            Value::String(text) => {
                let file = |path: &str| self.access.read(&self.folder.join(path), MAX_IMAGE);
                super::image::address(text, file, self.large_images).map(|url| vec![url])
            }
            // The hub's viewer represents images as objects with a URL.
            Value::Object(fields) => match fields.get("src").or_else(|| fields.get("url")) {
                Some(Value::String(url)) => Ok(vec![url.clone()]),
                _ => Err("an image object has no src".to_owned()),
            },
            other => Err(format!(
                "expected an image URL or path, found {}",
                kind(other)
            )),
        }
    }
}

/// The user's and system messages of OpenAI's messages or ShareGPT's conversations. The model's own
/// responses replace the recorded ones.
fn conversation(messages: &[Value]) -> Result<DatasetRow, String> {
    let mut row = DatasetRow::default();
    for message in messages {
        let field = |names: [&str; 2]| names.iter().find_map(|name| message.get(*name)?.as_str());
        let role = field(["role", "from"]).ok_or("a message has neither role nor from")?;
        let text = field(["content", "value"]).unwrap_or_default().to_owned();
        match role {
            "user" | "human" => row.turns.push(text),
            "system" | "developer" => row.system = Some(text),
            _ => {}
        }
    }
    if row.turns.is_empty() {
        return Err("the conversation has no user message".to_owned());
    }
    Ok(row)
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// The longest image file, in bytes.
const MAX_IMAGE: u64 = 256 << 20;

const PROMPT_COLUMNS: &[&str] = &[
    "prompt",
    "text",
    "question",
    "query",
    "instruction",
    "input",
    "content",
];
