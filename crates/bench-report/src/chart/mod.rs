//! Renders charts as SVG, for files and for the HTML report. The report's script only shows and
//! hides elements: without it, all charts are visible.

mod scale;
pub(super) mod style;
mod svg;

use super::number::{duration, number, percent, round};

/// A chart.
#[derive(Clone, Debug, Default)]
pub(super) struct Chart {
    pub(super) title: String,
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) series: Vec<Series>,
    /// Whether bars are stacked on those of the previous series.
    pub(super) stacked: bool,
}

/// An axis.
#[derive(Clone, Debug, Default)]
pub(super) struct Axis {
    pub(super) label: String,
    pub(super) kind: AxisKind,
    pub(super) format: NumberFormat,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum AxisKind {
    /// From zero.
    #[default]
    Linear,
    /// Powers of ten; values that are not positive are omitted.
    Log,
    /// Named positions, at 0, 1, 2 …
    Named(Vec<String>),
    /// From the minimum to the maximum.
    Range,
}

/// The number format of an axis.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum NumberFormat {
    #[default]
    Number,
    Seconds,
    Share,
}

impl NumberFormat {
    pub(super) fn text(self, value: f64) -> String {
        match self {
            Self::Number => number(value),
            Self::Seconds => duration(value),
            Self::Share => percent(value),
        }
    }

    /// The labels of ticks: all in one unit, with enough decimals to be distinct.
    fn ticks(self, ticks: &[f64]) -> Vec<String> {
        let max = ticks.iter().fold(0.0, |max: f64, tick| max.max(tick.abs()));
        let (factor, unit) = match self {
            Self::Number => (1.0, ""),
            Self::Seconds if max < 1e-3 => (1e6, " µs"),
            Self::Seconds if max < 1.0 => (1e3, " ms"),
            Self::Seconds => (1.0, " s"),
            Self::Share => (100.0, " %"),
        };
        let labels = ticks.iter().map(|tick| {
            // The ends of a logarithmic axis are round but differ by orders of magnitude.
            let step = if ticks.len() > 2
                && (ticks[1] - ticks[0] - (ticks[2] - ticks[1])).abs() > 1e-9 * max
            {
                tick.abs()
            } else {
                ticks.get(1).map_or(1.0, |second| (second - ticks[0]).abs())
            };
            format!("{}{unit}", round(tick * factor, step * factor))
        });
        labels.collect()
    }
}

/// A series of points in one colour.
#[derive(Clone, Debug, Default)]
pub(super) struct Series {
    pub(super) name: String,
    pub(super) mark: Mark,
    pub(super) colour: Colour,
    pub(super) points: Vec<Point>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Mark {
    /// From `x` to `to_x`, or around a named place.
    Bars,
    Dots,
    /// Dots connected by a line.
    #[default]
    Line,
    /// A line without dots.
    Plain,
}

/// A colour of the palette, or that of errors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Colour {
    Number(usize),
    Bad,
}

impl Default for Colour {
    fn default() -> Self {
        Self::Number(0)
    }
}

impl Colour {
    /// The CSS classes of the colour and of the shape of its points.
    pub(super) fn class(self) -> String {
        match self {
            Self::Number(n) => format!("c{} s{}", n % COLOURS, n % SHAPES),
            Self::Bad => "bad s3".to_owned(),
        }
    }

    /// The outline of a point, `r` from its centre. Shapes repeat after another number of series
    /// than colours, so that both together differ for longer.
    fn shape(self, x: f64, y: f64, r: f64) -> String {
        let number = match self {
            Self::Number(n) => n % SHAPES,
            Self::Bad => 3,
        };
        let corners: &[(f64, f64)] = match number {
            1 => &[(-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)],
            2 => &[(0.0, -1.15), (1.1, 0.85), (-1.1, 0.85)],
            3 => &[(0.0, -1.25), (1.25, 0.0), (0.0, 1.25), (-1.25, 0.0)],
            4 => &[(-1.1, -0.85), (1.1, -0.85), (0.0, 1.15)],
            _ => {
                return format!(
                    "M{:.1} {y:.1}a{r} {r} 0 1 0 {} 0a{r} {r} 0 1 0 -{} 0z",
                    x - r,
                    2.0 * r,
                    2.0 * r
                );
            }
        };
        let corners = corners.iter().enumerate().map(|(at, (dx, dy))| {
            let letter = if at == 0 { 'M' } else { 'L' };
            format!("{letter}{:.1} {:.1}", x + dx * r, y + dy * r)
        });
        corners.collect::<String>() + "z"
    }
}

/// A point or bar.
#[derive(Clone, Debug, Default)]
pub(super) struct Point {
    pub(super) x: f64,
    pub(super) y: f64,
    /// The tooltip; none if empty.
    pub(super) tip: String,
    /// The confidence interval of `y`.
    pub(super) interval: Option<(f64, f64)>,
    /// The end of a bar.
    pub(super) to_x: Option<f64>,
}

impl Point {
    pub(super) fn new(x: f64, y: f64, tip: impl Into<String>) -> Self {
        Self {
            x,
            y,
            tip: tip.into(),
            ..Self::default()
        }
    }
}

impl Chart {
    /// Whether there are no points.
    pub(super) fn is_empty(&self) -> bool {
        self.series.iter().all(|series| series.points.is_empty())
    }

    /// An element for a page that provides the styles, the title and the legend.
    pub(super) fn to_svg(&self) -> String {
        svg::element(self)
    }

    /// A standalone file with title, legend and styles, light or dark by the viewer's preference.
    pub(super) fn to_svg_file(&self) -> String {
        svg::file(self)
    }
}

/// Escapes a text for HTML and XML.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // Not allowed in XML, even escaped.
            c if c.is_control() && !"\n\t".contains(c) => out.push('\u{fffd}'),
            // They would reorder the following text.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => out.push('\u{fffd}'),
            // Not allowed either.
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

const COLOURS: usize = 8;

const SHAPES: usize = 5;
