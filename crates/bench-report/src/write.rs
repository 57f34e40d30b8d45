use std::fs;
use std::path::{Path, PathBuf};

use llm_bench::stats::Statistic;
use llm_bench::{Folder, Results};

use crate::{ReportError, csv, figures, html, markdown};

/// A report format.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    /// `report.html`: a page that needs no network.
    Html,
    /// `report.md`: the summary.
    Markdown,
    /// `runs.csv` and `requests.csv`.
    Csv,
    /// `requests.parquet`: the columns of `requests.csv`, with a row group per run. Needs the feature
    /// `parquet`.
    Parquet,
    /// `…_summary.xlsx`: a spreadsheet. Needs the feature `xlsx`.
    Xlsx,
    /// `plot_….svg`: the charts of the page.
    Svg,
    /// `plot_….png`: the same as images, drawn with a font of this machine. Needs the feature `png`.
    Png,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 7] = [
        Self::Html,
        Self::Markdown,
        Self::Csv,
        Self::Parquet,
        Self::Xlsx,
        Self::Svg,
        Self::Png,
    ];

    /// Whether this build can write the format.
    pub fn is_supported(self) -> bool {
        let optional = [
            (Self::Parquet, cfg!(feature = "parquet")),
            (Self::Xlsx, cfg!(feature = "xlsx")),
            (Self::Png, cfg!(feature = "png")),
        ];
        optional
            .iter()
            .all(|(format, is_built)| *format != self || *is_built)
    }
}

/// Writes reports into the experiment's folder and returns the paths of the files.
///
/// # Errors
/// If a file cannot be written, or this build does not support a format.
pub fn write_reports(
    folder: &Folder,
    results: &Results,
    formats: &[Format],
) -> Result<Vec<PathBuf>, ReportError> {
    let mut files = Vec::new();
    let mut add = |name: &str, bytes: Vec<u8>| {
        files.push(folder.write(name, &bytes)?);
        Ok::<_, ReportError>(())
    };
    let all = std::slice::from_ref(results);
    for format in formats {
        match format {
            Format::Html => add("report.html", html::page(all).into_bytes())?,
            Format::Markdown => add("report.md", markdown(results).into_bytes())?,
            Format::Csv => {
                add("runs.csv", csv::runs(results))?;
                add("requests.csv", csv::requests(results))?;
            }
            Format::Parquet => add("requests.parquet", parquet(folder, results)?)?,
            Format::Xlsx => {
                let name = format!("{}_summary.xlsx", results.experiment.file_name());
                let book = workbook(folder, &name, results, Statistic::Mean)?;
                add(&name, book)?;
            }
            Format::Svg | Format::Png => {
                for (name, bytes) in drawn(folder, all, *format)? {
                    add(&name, bytes)?;
                }
            }
        }
    }
    Ok(files)
}

/// Writes `NAME.xlsx` into the experiment's folder, with a statistic of the latencies other than
/// the mean, as genai-bench's `excel --metric-percentile`.
///
/// # Errors
/// If the file cannot be written, `name` is not a plain file name, or this build has no
/// spreadsheets.
pub fn write_spreadsheet(
    folder: &Folder,
    results: &Results,
    name: &str,
    statistic: Statistic,
) -> Result<PathBuf, ReportError> {
    let name = format!("{}.xlsx", name.trim_end_matches(".xlsx"));
    let book = workbook(folder, &name, results, statistic)?;
    Ok(folder.write(&name, &book)?)
}

/// Writes the charts of experiments into a folder, as [`Format::Svg`] or [`Format::Png`], and returns
/// their paths.
///
/// # Errors
/// If a file cannot be written, or this build cannot write charts in the format.
pub fn write_plots(
    folder: &Folder,
    all: &[Results],
    format: Format,
) -> Result<Vec<PathBuf>, ReportError> {
    let files = drawn(folder, all, format)?.into_iter();
    files
        .map(|(name, bytes)| Ok(folder.write(&name, &bytes)?))
        .collect()
}

/// Writes an HTML page that compares several experiments.
///
/// # Errors
/// If the file cannot be written.
pub fn write_comparison(path: &Path, all: &[Results]) -> Result<(), ReportError> {
    fs::write(path, html::page(all)).map_err(|source| ReportError::Io {
        path: path.to_owned(),
        source,
    })
}

#[cfg(feature = "xlsx")]
fn workbook(
    folder: &Folder,
    name: &str,
    results: &Results,
    statistic: Statistic,
) -> Result<Vec<u8>, ReportError> {
    crate::xlsx::workbook(results, statistic).map_err(|error| ReportError::Spreadsheet {
        path: folder.path().join(name),
        source: error.into(),
    })
}

#[cfg(not(feature = "xlsx"))]
fn workbook(_: &Folder, _: &str, _: &Results, _: Statistic) -> Result<Vec<u8>, ReportError> {
    Err(ReportError::Unsupported(Format::Xlsx))
}

#[cfg(feature = "parquet")]
fn parquet(folder: &Folder, results: &Results) -> Result<Vec<u8>, ReportError> {
    crate::parquet::requests(results).map_err(|error| ReportError::Parquet {
        path: folder.path().join("requests.parquet"),
        source: error.into(),
    })
}

#[cfg(not(feature = "parquet"))]
fn parquet(_: &Folder, _: &Results) -> Result<Vec<u8>, ReportError> {
    Err(ReportError::Unsupported(Format::Parquet))
}

/// The names and contents of the files of all charts.
fn drawn(
    folder: &Folder,
    all: &[Results],
    format: Format,
) -> Result<Vec<(String, Vec<u8>)>, ReportError> {
    let plots = plots(all).into_iter();
    match format {
        Format::Svg => Ok(plots
            .map(|(name, svg)| (format!("{name}.svg"), svg.into_bytes()))
            .collect()),
        Format::Png => images(folder, plots),
        _ => Err(ReportError::Unsupported(format)),
    }
}

#[cfg(feature = "png")]
fn images(
    folder: &Folder,
    plots: impl Iterator<Item = (String, String)>,
) -> Result<Vec<(String, Vec<u8>)>, ReportError> {
    let failed = |path: PathBuf, error: crate::png::PngError| ReportError::Image {
        path,
        source: error.into(),
    };
    let renderer = crate::png::Renderer::new();
    let renderer = renderer.map_err(|error| failed(folder.path().to_owned(), error))?;
    let images = plots.map(|(name, svg)| {
        let name = format!("{name}.png");
        let image = renderer.render(&svg);
        let image = image.map_err(|error| failed(folder.path().join(&name), error))?;
        Ok((name, image))
    });
    images.collect()
}

#[cfg(not(feature = "png"))]
fn images(
    _: &Folder,
    _: impl Iterator<Item = (String, String)>,
) -> Result<Vec<(String, Vec<u8>)>, ReportError> {
    Err(ReportError::Unsupported(Format::Png))
}

/// The names, without their ends, and contents of the plots. They have no folder of their own, since genai-bench treats
/// a folder with folders as several experiments.
fn plots(all: &[Results]) -> Vec<(String, String)> {
    let mut plots = Vec::new();
    for figure in figures::overview(all) {
        for (statistic, chart) in figure.charts {
            let name = match statistic {
                None => format!("plot_{}", figure.name),
                Some(statistic @ (Statistic::Mean | Statistic::Percentile(99.0))) => {
                    format!("plot_{}_{statistic}", figure.name)
                }
                // The page has the others.
                Some(_) => continue,
            };
            plots.push((name, chart.to_svg_file()));
        }
    }
    plots
}
