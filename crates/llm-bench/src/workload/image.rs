//! Images in requests: URLs, or data in base64.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::error::Error;

/// The URL for an image of a dataset: a URL stays, base64 and files become data URLs.
pub(super) fn address(
    text: &str,
    file: impl Fn(&str) -> Result<Vec<u8>, Error>,
    large: bool,
) -> Result<String, String> {
    let text = text.trim();
    if ["http://", "https://", "data:"]
        .iter()
        .any(|start| text.starts_with(start))
    {
        return Ok(text.to_owned());
    }
    let bytes = if let Ok(bytes) = file(text) {
        bytes
    } else if text.len() > MAX_PATH
        && let Ok(bytes) = STANDARD.decode(text)
    {
        bytes
    } else {
        let shown: String = text.chars().take(80).collect();
        return Err(format!(
            "{shown:?} is not an image: expected a URL, a file or base64"
        ));
    };
    check_size(&bytes, large)?;
    let kind = media_type(&bytes).ok_or("expected JPEG, PNG, GIF or WebP")?;
    Ok(data_url(kind, &bytes))
}

fn data_url(kind: &str, bytes: &[u8]) -> String {
    format!("data:{kind};base64,{}", STANDARD.encode(bytes))
}

fn media_type(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [0x89, b'P', b'N', b'G', ..] => Some("image/png"),
        [b'G', b'I', b'F', b'8', ..] => Some("image/gif"),
        [
            b'R',
            b'I',
            b'F',
            b'F',
            _,
            _,
            _,
            _,
            b'W',
            b'E',
            b'B',
            b'P',
            ..,
        ] => Some("image/webp"),
        _ => None,
    }
}

/// An image of a given size: a resized one of the dataset, or a synthetic one.
#[cfg(feature = "images")]
pub(super) fn sized(
    source: Option<&str>,
    (width, height): (u32, u32),
    number: u64,
) -> Result<String, Error> {
    use image::codecs::jpeg::JpegEncoder;
    use image::imageops::FilterType;
    use image::{DynamicImage, RgbImage};

    let invalid =
        |reason: String| Error::usage("--traffic-scenario", format!("I({width},{height})"), reason);
    let raster = match source {
        Some(address) => {
            let data = address
                .strip_prefix("data:")
                .and_then(|data| data.split_once(";base64,"))
                .ok_or_else(|| {
                    invalid("the images of the dataset are URLs, which are not fetched for resizing: use the scenario dataset".to_owned())
                })?;
            let bytes = STANDARD
                .decode(data.1)
                .map_err(|error| invalid(error.to_string()))?;
            image::load_from_memory(&bytes)
                .map_err(|error| invalid(error.to_string()))?
                .resize_exact(width, height, FilterType::Lanczos3)
        }
        // Waves with a different phase in each image, so that no cache contains it.
        None => {
            let phase = (number as f32 * 0.7).rem_euclid(std::f32::consts::TAU);
            let wave = |x: u32, y: u32, step: f32| {
                let at = x as f32 / 31.0 * step + y as f32 / 17.0 + phase;
                (at.sin() * 127.0 + 128.0) as u8
            };
            let pixel = |x, y| image::Rgb([wave(x, y, 1.0), wave(y, x, 1.7), wave(x, x + y, 0.4)]);
            DynamicImage::from(RgbImage::from_fn(width, height, pixel))
        }
    };
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, 85)
        .encode_image(&raster.to_rgb8())
        .map_err(|error| invalid(error.to_string()))?;
    Ok(data_url("image/jpeg", &bytes))
}

#[cfg(not(feature = "images"))]
pub(super) fn sized(
    _source: Option<&str>,
    (width, height): (u32, u32),
    _number: u64,
) -> Result<String, Error> {
    let reason = "needs the feature `images`, which is not part of this build";
    Err(Error::usage(
        "--traffic-scenario",
        format!("I({width},{height})"),
        reason,
    ))
}

/// genai-bench rejects what Pillow calls a decompression bomb, unless configured otherwise.
#[cfg(feature = "images")]
fn check_size(bytes: &[u8], large: bool) -> Result<(), String> {
    let reader = image::ImageReader::new(std::io::Cursor::new(bytes)).with_guessed_format();
    let size = reader.ok().and_then(|reader| reader.into_dimensions().ok());
    let Some((width, height)) = size else {
        return Ok(());
    };
    if !large && u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(format!(
            "the image has {width} x {height} pixels: set unsafe_allow_large_images to use it"
        ));
    }
    Ok(())
}

#[cfg(not(feature = "images"))]
fn check_size(_bytes: &[u8], _large: bool) -> Result<(), String> {
    Ok(())
}

#[cfg(feature = "images")]
const MAX_PIXELS: u64 = 50_000_000;

/// The longest text that is tried as a file name.
const MAX_PATH: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_kept_and_invalid_images_are_errors() {
        let none = |_: &str| Err(Error::usage("", "", "no such file"));
        let kept = address(" https://h/x.png ", none, false);
        assert_eq!(kept.as_deref(), Ok("https://h/x.png"));
        assert!(
            address("no such file", none, false)
                .unwrap_err()
                .contains("not an image")
        );
        let text = STANDARD.encode([b'x'; 300]);
        assert!(
            address(&text, none, false)
                .unwrap_err()
                .contains("expected JPEG")
        );
    }

    #[cfg(feature = "images")]
    #[test]
    fn images_have_the_configured_size() {
        let synthetic = sized(None, (64, 32), 1).unwrap();
        assert_ne!(synthetic, sized(None, (64, 32), 2).unwrap());
        let resized = sized(Some(&synthetic), (16, 16), 1).unwrap();
        let data = resized.strip_prefix("data:image/jpeg;base64,").unwrap();
        let raster = image::load_from_memory(&STANDARD.decode(data).unwrap()).unwrap();
        assert_eq!((raster.width(), raster.height()), (16, 16));
        assert!(sized(Some("https://h/x.png"), (1, 1), 1).is_err());
    }
}
