//! Charts as PNG images.

use std::sync::Arc;

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::fontdb::{Database, Family, Query, Stretch, Style, Weight};
use resvg::usvg::{Options, Tree};

/// Why a chart cannot be drawn.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PngError {
    #[error(
        "no font is installed; install one, such as the package fonts-dejavu-core, or write svg"
    )]
    NoFont,
    #[error("the chart cannot be drawn")]
    Svg(#[from] resvg::usvg::Error),
    #[error("the image cannot be encoded")]
    Encode(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Draws charts with the fonts of this machine.
pub(crate) struct Renderer {
    options: Options<'static>,
}

impl Renderer {
    /// Finds the fonts, which takes a moment.
    pub(crate) fn new() -> Result<Self, PngError> {
        let mut fonts = Database::new();
        fonts.load_system_fonts();
        let family = sans_serif(&fonts).ok_or(PngError::NoFont)?;
        fonts.set_sans_serif_family(&family);
        Ok(Self {
            options: Options {
                font_family: family,
                fontdb: Arc::new(fonts),
                ..Options::default()
            },
        })
    }

    /// Draws a chart at twice its size, for screens with many pixels and for print.
    pub(crate) fn render(&self, svg: &str) -> Result<Vec<u8>, PngError> {
        let tree = Tree::from_str(svg, &self.options)?;
        let size = tree.size().to_int_size();
        let too_large = || PngError::Encode("the chart is too large".into());
        let size = size.scale_by(SCALE).ok_or_else(too_large)?;
        let mut image = Pixmap::new(size.width(), size.height()).ok_or_else(too_large)?;
        resvg::render(
            &tree,
            Transform::from_scale(SCALE, SCALE),
            &mut image.as_mut(),
        );
        image
            .encode_png()
            .map_err(|error| PngError::Encode(error.into()))
    }
}

/// The family of a font without serifs that has upright letters, or else of any font.
fn sans_serif(fonts: &Database) -> Option<String> {
    let preferred = Query {
        families: &PREFERRED.map(Family::Name),
        weight: Weight::NORMAL,
        stretch: Stretch::Normal,
        style: Style::Normal,
    };
    let found = fonts.query(&preferred).and_then(|id| fonts.face(id));
    let face = found.or_else(|| fonts.faces().next())?;
    face.families.first().map(|(name, _)| name.clone())
}

/// Fonts that most systems have: Linux, macOS, Windows.
const PREFERRED: [&str; 6] = [
    "DejaVu Sans",
    "Liberation Sans",
    "Noto Sans",
    "Helvetica Neue",
    "Segoe UI",
    "Arial",
];
const SCALE: f32 = 2.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_svg_becomes_an_image_of_twice_its_size() {
        // Without a font, the error names the fix.
        let renderer = match Renderer::new() {
            Ok(renderer) => renderer,
            Err(error) => return assert!(error.to_string().contains("fonts-dejavu-core")),
        };
        let svg = r##"<svg xmlns="http://www.w3.org/2000/svg" width="30" height="20"><style>
            .a text { font: 11px system-ui, sans-serif; } .b { fill: #ffffff; }
            @media (prefers-color-scheme:dark){.b { fill: #000000; }}</style>
            <g class="a"><rect class="b" width="100%" height="100%"/><text x="2" y="12">mm</text></g></svg>"##;
        let image = Pixmap::decode_png(&renderer.render(svg).unwrap()).unwrap();
        assert_eq!((image.width(), image.height()), (60, 40));
        let corner = image.pixel(59, 39).unwrap();
        assert_eq!(
            (corner.red(), corner.alpha()),
            (255, 255),
            "the light colours"
        );
        let is_dark = |pixel: &resvg::tiny_skia::PremultipliedColorU8| pixel.red() < 100;
        assert!(image.pixels().iter().any(is_dark), "the text is drawn");
    }
}
