//! Charts as SVG. One renderer serves the plots' files and the page, whose script only shows,
//! hides and reads out what is drawn here: without a script the page has all its charts.

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
    /// Whether bars stand on those of the series before.
    pub(super) stacked: bool,
}

/// An axis.
#[derive(Clone, Debug, Default)]
pub(super) struct Axis {
    pub(super) label: String,
    pub(super) kind: AxisKind,
    pub(super) format: Format,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum AxisKind {
    /// From zero.
    #[default]
    Linear,
    /// By powers of ten; values that are not positive are left out.
    Log,
    /// Places with names, at 0, 1, 2 …
    Named(Vec<String>),
    /// From the least to the greatest value.
    Range,
}

/// How the values of an axis are written.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Format {
    #[default]
    Number,
    Seconds,
    Share,
}

impl Format {
    pub(super) fn text(self, value: f64) -> String {
        match self {
            Self::Number => number(value),
            Self::Seconds => duration(value),
            Self::Share => percent(value),
        }
    }

    /// The labels of an axis: all in one unit, with as many decimals as tell them apart.
    fn ticks(self, ticks: &[f64]) -> Vec<String> {
        let most = ticks
            .iter()
            .fold(0.0, |most: f64, tick| most.max(tick.abs()));
        let (factor, unit) = match self {
            Self::Number => (1.0, ""),
            Self::Seconds if most < 1e-3 => (1e6, " µs"),
            Self::Seconds if most < 1.0 => (1e3, " ms"),
            Self::Seconds => (1.0, " s"),
            Self::Share => (100.0, " %"),
        };
        let labels = ticks.iter().map(|tick| {
            // Ends of a logarithmic axis are as round as can be, but far from each other.
            let step = if ticks.len() > 2
                && (ticks[1] - ticks[0] - (ticks[2] - ticks[1])).abs() > 1e-9 * most
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

/// Values that belong together, in one colour.
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
    /// Dots, and a line through them.
    #[default]
    Line,
    /// A line without dots.
    Plain,
}

/// One of the palette's colours, or that of errors.
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
    /// The class that gives an element this colour.
    pub(super) fn class(self) -> String {
        match self {
            Self::Number(n) => format!("c{}", n % COLOURS),
            Self::Bad => "bad".to_owned(),
        }
    }
}

/// A value.
#[derive(Clone, Debug, Default)]
pub(super) struct Point {
    pub(super) x: f64,
    pub(super) y: f64,
    /// What is told about it to whoever points at it; nothing is told when it is empty.
    pub(super) tip: String,
    /// The interval in which its `y` lies.
    pub(super) interval: Option<(f64, f64)>,
    /// Where a bar ends.
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
    /// Whether there is anything to see.
    pub(super) fn is_empty(&self) -> bool {
        self.series.iter().all(|series| series.points.is_empty())
    }

    /// As an element of a page, which has the styles, the title and the legend.
    pub(super) fn to_svg(&self) -> String {
        svg::element(self)
    }

    /// As a file that stands alone, with title, legend and styles; light or dark as the viewer
    /// prefers.
    pub(super) fn to_svg_file(&self) -> String {
        svg::file(self)
    }
}

/// A text inside of markup.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // Not allowed in XML, not even escaped.
            c if c.is_control() && !"\n\t".contains(c) => out.push('\u{fffd}'),
            // They would reorder what follows.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => out.push('\u{fffd}'),
            // Nor are these.
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

const COLOURS: usize = 8;
