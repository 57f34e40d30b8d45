//! The styles of charts.

use std::fmt::Write;

/// The rules, with the variables of the palette, such as `var(--ink)`.
pub(crate) const RULES: &str = include_str!("chart.css");

/// Variables with their light and dark colours. Colours of series also differ in lightness, so that
/// they can be distinguished without colour vision.
const PALETTE: [(&str, &str, &str); 14] = [
    ("paper", "#ffffff", "#161b26"),
    ("ink", "#1b2333", "#e7ebf4"),
    ("faint", "#5f6981", "#98a3ba"),
    ("line", "#e6e9f0", "#283042"),
    ("axis", "#b9c1d1", "#46516a"),
    ("c0", "#2563c9", "#6ea4ff"),
    ("c1", "#d9730d", "#ffa04d"),
    ("c2", "#14866b", "#43c9a2"),
    ("c3", "#b8327f", "#f07ab8"),
    ("c4", "#7a55c7", "#b096f5"),
    ("c5", "#94780a", "#d9bb4a"),
    ("c6", "#1690b0", "#59c8e6"),
    ("bad", "#cf2f3f", "#ff6b78"),
    ("c7", "#6b7385", "#a3acbf"),
];

/// The palette as CSS variables of a page, which may set `color-scheme` itself.
pub(crate) fn variables() -> String {
    let mut out = ":root{color-scheme:light dark;".to_owned();
    for (name, light, dark) in PALETTE {
        let _ = write!(out, "--{name}:light-dark({light},{dark});");
    }
    out.push('}');
    out
}

/// The rules for a standalone file with literal colours: not all SVG viewers support variables.
/// Viewers that support `prefers-color-scheme` use the dark colours if preferred.
pub(super) fn standalone() -> String {
    let filled = |dark: bool| {
        let mut rules = RULES.to_owned();
        for (name, light, dark_one) in PALETTE {
            let colour = if dark { dark_one } else { light };
            rules = rules.replace(&format!("var(--{name})"), colour);
        }
        rules
    };
    format!(
        "{}@media (prefers-color-scheme:dark){{{}}}",
        filled(false),
        filled(true)
    )
}
