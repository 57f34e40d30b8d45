use std::fmt::Write;

use super::scale::Scale;
use super::{Chart, Mark, Point, Series, escaped, style};

pub(super) fn element(chart: &Chart) -> String {
    let mut out = format!(
        "<svg class=\"chart\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">",
        escaped(&chart.title)
    );
    draw(&mut out, chart);
    out.push_str("</svg>");
    out
}

pub(super) fn file(chart: &Chart) -> String {
    let legend = chart.series.len() > 1;
    let head = if legend { 56.0 } else { 34.0 };
    let height = HEIGHT + head;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"chart\" width=\"{WIDTH}\" \
         height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\"><style>{}</style>\
         <rect class=\"paper\" width=\"100%\" height=\"100%\"/>\
         <text class=\"title\" x=\"16\" y=\"24\">{}</text>",
        style::standalone(),
        escaped(&chart.title)
    );
    if legend {
        let mut x = 16.0;
        for series in &chart.series {
            let _ = write!(
                out,
                "<g class=\"{}\"><rect class=\"bar\" x=\"{x:.0}\" y=\"38\" width=\"10\" \
                 height=\"10\" rx=\"2\"/><text x=\"{:.0}\" y=\"47\">{}</text></g>",
                series.colour.class(),
                x + 15.0,
                escaped(&series.name)
            );
            x += 33.0 + 6.2 * series.name.chars().count() as f64;
        }
    }
    let _ = write!(out, "<g transform=\"translate(0,{head})\">");
    draw(&mut out, chart);
    out.push_str("</g></svg>\n");
    out
}

fn draw(out: &mut String, chart: &Chart) {
    let stacks = stacks(chart);
    let points = || chart.series.iter().flat_map(|series| &series.points);
    let xs = points()
        .flat_map(|point| [Some(point.x), point.to_x])
        .flatten();
    let bars = chart.series.iter().any(|series| series.mark == Mark::Bars);
    let ys = points()
        .flat_map(|point| {
            let (low, high) = point.interval.unwrap_or((point.y, point.y));
            [point.y, low, high]
        })
        .chain(stacks.iter().flatten().map(|(_, top)| *top))
        // Bars start at the x axis.
        .chain(bars.then_some(0.0));
    let x = Scale::new(&chart.x, xs, LEFT, WIDTH - RIGHT);
    let y = Scale::new(&chart.y, ys, HEIGHT - BOTTOM, TOP);
    axes(out, chart, &x, &y);
    for (series, stack) in chart.series.iter().zip(&stacks) {
        let _ = write!(
            out,
            "<g class=\"series {}\" data-series=\"{}\">",
            series.colour.class(),
            escaped(&series.name)
        );
        match series.mark {
            Mark::Bars => draw_bars(out, chart, series, stack, &x, &y),
            mark => draw_points(out, mark, series, &x, &y),
        }
        out.push_str("</g>");
    }
}

/// The start and end of each bar; stacked bars start at the end of the previous series.
fn stacks(chart: &Chart) -> Vec<Vec<(f64, f64)>> {
    let mut tops: Vec<(f64, f64)> = Vec::new();
    let stacks = chart.series.iter().map(|series| {
        let bars = series.points.iter().map(|point| {
            if !chart.stacked {
                return (0.0, point.y);
            }
            if let Some((_, top)) = tops.iter_mut().find(|(x, _)| *x == point.x) {
                let bottom = *top;
                *top += point.y;
                return (bottom, *top);
            }
            tops.push((point.x, point.y));
            (0.0, point.y)
        });
        bars.collect()
    });
    stacks.collect()
}

fn axes(out: &mut String, chart: &Chart, x: &Scale, y: &Scale) {
    let (right, ground) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    for (value, label) in &y.ticks {
        let at = y.at(*value);
        let _ = write!(
            out,
            "<path class=\"grid\" d=\"M{LEFT} {at:.1}H{right}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 7.0,
            at + 3.5,
            escaped(label)
        );
    }
    // Names that would overlap are omitted.
    let room = (right - LEFT) / x.ticks.len().max(1) as f64;
    let longest = x.ticks.iter().map(|(_, label)| label.chars().count()).max();
    let every = (6.3 * longest.unwrap_or(0) as f64 / room).ceil().max(1.0) as usize;
    for (value, label) in x.ticks.iter().step_by(every) {
        let at = x.at(*value);
        let _ = write!(
            out,
            "<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            ground + 16.0,
            escaped(label)
        );
    }
    let _ = write!(
        out,
        "<path class=\"axis\" d=\"M{LEFT} {ground}H{right}\"/>\
         <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\
         <text x=\"4\" y=\"12\">{}</text>",
        (LEFT + right) / 2.0,
        HEIGHT - 6.0,
        escaped(&chart.x.label),
        escaped(&chart.y.label)
    );
}

fn draw_bars(
    out: &mut String,
    chart: &Chart,
    series: &Series,
    stack: &[(f64, f64)],
    x: &Scale,
    y: &Scale,
) {
    for (point, (bottom, top)) in series.points.iter().zip(stack) {
        let (from, to) = match point.to_x {
            Some(to) => (x.at(point.x), x.at(to)),
            None => (x.at(point.x - 0.3), x.at(point.x + 0.3)),
        };
        let (top, bottom) = (y.at(*top), y.at(*bottom));
        let gap = if to - from > 3.0 { 1.0 } else { 0.0 };
        let _ = write!(
            out,
            "<rect class=\"bar\" x=\"{from:.1}\" y=\"{top:.1}\" width=\"{:.1}\" \
             height=\"{:.1}\"{}>{}</rect>",
            (to - from - gap).max(0.5),
            (bottom - top).max(0.0),
            data_tip(name_in(chart, series), point),
            title(name_in(chart, series), point),
        );
    }
}

fn draw_points(out: &mut String, mark: Mark, series: &Series, x: &Scale, y: &Scale) {
    let shown = series
        .points
        .iter()
        .filter(|point| x.contains(point.x) && y.contains(point.y));
    let shown: Vec<&Point> = shown.collect();
    if mark != Mark::Dots && shown.len() > 1 {
        let mut path = String::new();
        for (at, point) in shown.iter().enumerate() {
            let letter = if at == 0 { 'M' } else { 'L' };
            let _ = write!(path, "{letter}{:.1} {:.1}", x.at(point.x), y.at(point.y));
        }
        let class = if mark == Mark::Plain { "thin" } else { "line" };
        let _ = write!(out, "<path class=\"{class}\" d=\"{path}\"/>");
    }
    if mark == Mark::Plain {
        return;
    }
    for point in shown {
        let (at_x, at_y) = (x.at(point.x), y.at(point.y));
        if let Some((low, high)) = point.interval {
            let _ = write!(
                out,
                "<path class=\"whisker\" d=\"M{at_x:.1} {:.1}V{:.1}\"/>",
                y.at(low),
                y.at(high)
            );
        }
        if mark == Mark::Dots {
            let _ = write!(
                out,
                "<path class=\"speck\" d=\"{}\"{}/>",
                series.colour.shape(at_x, at_y, 2.2),
                data_tip(&series.name, point)
            );
            continue;
        }
        let _ = write!(
            out,
            "<path class=\"dot\" d=\"{}\"/>\
             <circle class=\"hit\" cx=\"{at_x:.1}\" cy=\"{at_y:.1}\" r=\"11\"{}>{}</circle>",
            series.colour.shape(at_x, at_y, 4.0),
            data_tip(&series.name, point),
            title(&series.name, point)
        );
    }
}

/// The name of a series if there are several.
fn name_in<'a>(chart: &Chart, series: &'a Series) -> &'a str {
    if chart.series.len() > 1 {
        &series.name
    } else {
        ""
    }
}

/// The tooltip of the page's script.
fn data_tip(name: &str, point: &Point) -> String {
    if point.tip.is_empty() {
        return String::new();
    }
    format!(" data-tip=\"{}\"", escaped(&tip(name, point)))
}

/// The tooltip of browsers.
fn title(name: &str, point: &Point) -> String {
    if point.tip.is_empty() {
        return String::new();
    }
    format!("<title>{}</title>", escaped(&tip(name, point)))
}

fn tip(name: &str, point: &Point) -> String {
    if name.is_empty() {
        point.tip.clone()
    } else {
        format!("{name}\n{}", point.tip)
    }
}

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 24.0;
const BOTTOM: f64 = 42.0;
