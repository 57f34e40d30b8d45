use std::fmt::Write;

use llm_bench::stats::Statistic;

use crate::chart::escaped;
use crate::figures::Figure;

/// A figure with title, legend and charts. Of several charts, that of the mean is visible.
pub(super) fn write(out: &mut String, figure: &Figure) {
    let _ = write!(
        out,
        "<figure><figcaption><b>{}</b><span>{}</span></figcaption>",
        escaped(&figure.title),
        escaped(&figure.about)
    );
    // All charts of a figure have the same series, except empty ones.
    let max = figure
        .charts
        .iter()
        .max_by_key(|(_, chart)| chart.series.len());
    if let Some((_, chart)) = max
        && chart.series.len() > 1
    {
        out.push_str("<div class=\"legend\">");
        for series in &chart.series {
            let _ = write!(
                out,
                "<button type=\"button\" class=\"{1}\" data-toggle=\"{0}\" aria-pressed=\"true\">\
                 <i></i>{0}</button>",
                escaped(&series.name),
                series.colour.class()
            );
        }
        out.push_str("</div>");
    }
    for (statistic, chart) in &figure.charts {
        let Some(statistic) = statistic else {
            out.push_str(&chart.to_svg());
            continue;
        };
        let hidden = if *statistic == Statistic::Mean {
            ""
        } else {
            " hidden"
        };
        let _ = write!(out, "<div data-statistic=\"{statistic}\"{hidden}>");
        if chart.is_empty() {
            out.push_str("<p class=\"none\">Not measured.</p>");
        } else {
            out.push_str(&chart.to_svg());
        }
        out.push_str("</div>");
    }
    out.push_str("</figure>\n");
}
