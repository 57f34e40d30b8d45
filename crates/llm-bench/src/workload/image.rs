//! Images as requests carry them: addresses, or data in base64.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::error::Error;

/// What a dataset's text for an image means: an address as it is, base64 as data, a file as data.
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
    } else if text.len() > LONGEST_PATH
        && let Ok(bytes) = STANDARD.decode(text)
    {
        bytes
    } else {
        let shown: String = text.chars().take(80).collect();
        return Err(format!(
            "{shown:?} is not an image: expected an address, a file or base64"
        ));
    };
    check_size(&bytes, large)?;
    let kind = media_type(&bytes).ok_or("is no JPEG, PNG, GIF or WebP")?;
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

/// A picture of a wanted size: one of a dataset resized, or a made-up one.
#[cfg(feature = "images")]
pub(super) fn sized(
    source: Option<&str>,
    (width, height): (u32, u32),
    number: u64,
) -> Result<String, Error> {
    use image::codecs::jpeg::JpegEncoder;
    use image::imageops::FilterType;
    use image::{DynamicImage, RgbImage};

    let wrong =
        |reason: String| Error::usage("--traffic-scenario", format!("I({width},{height})"), reason);
    let picture = match source {
        Some(address) => {
            let data = address
                .strip_prefix("data:")
                .and_then(|data| data.split_once(";base64,"))
                .ok_or_else(|| {
                    wrong("the dataset's images are addresses, which are not fetched to be resized: use the scenario dataset".to_owned())
                })?;
            let bytes = STANDARD
                .decode(data.1)
                .map_err(|error| wrong(error.to_string()))?;
            image::load_from_memory(&bytes)
                .map_err(|error| wrong(error.to_string()))?
                .resize_exact(width, height, FilterType::Lanczos3)
        }
        // Waves whose phases differ from picture to picture, so that none is in a cache.
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
        .encode_image(&picture.to_rgb8())
        .map_err(|error| wrong(error.to_string()))?;
    Ok(data_url("image/jpeg", &bytes))
}

#[cfg(not(feature = "images"))]
pub(super) fn sized(
    _source: Option<&str>,
    (width, height): (u32, u32),
    _number: u64,
) -> Result<String, Error> {
    let reason = "this build lacks the feature images";
    Err(Error::usage(
        "--traffic-scenario",
        format!("I({width},{height})"),
        reason,
    ))
}

/// genai-bench refuses what Pillow calls a decompression bomb, unless told otherwise.
#[cfg(feature = "images")]
fn check_size(bytes: &[u8], large: bool) -> Result<(), String> {
    let reader = image::ImageReader::new(std::io::Cursor::new(bytes)).with_guessed_format();
    let size = reader.ok().and_then(|reader| reader.into_dimensions().ok());
    let Some((width, height)) = size else {
        return Ok(());
    };
    if !large && u64::from(width) * u64::from(height) > MOST_PIXELS {
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
const MOST_PIXELS: u64 = 50_000_000;

/// Longer text is no name of a file.
const LONGEST_PATH: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_stay_and_nonsense_is_refused() {
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
                .contains("is no JPEG")
        );
    }

    #[cfg(feature = "images")]
    #[test]
    fn pictures_have_the_size_asked_for() {
        let made_up = sized(None, (64, 32), 1).unwrap();
        assert_ne!(made_up, sized(None, (64, 32), 2).unwrap());
        let resized = sized(Some(&made_up), (16, 16), 1).unwrap();
        let data = resized.strip_prefix("data:image/jpeg;base64,").unwrap();
        let picture = image::load_from_memory(&STANDARD.decode(data).unwrap()).unwrap();
        assert_eq!((picture.width(), picture.height()), (16, 16));
        assert!(sized(Some("https://h/x.png"), (1, 1), 1).is_err());
    }
}
