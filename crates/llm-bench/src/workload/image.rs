//! Images in requests: URLs, or data in base64.

#[cfg(feature = "images")]
use std::collections::HashMap;
#[cfg(feature = "images")]
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

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
    data(&bytes, large)
}

/// The data URL of an image.
pub(super) fn data(bytes: &[u8], large: bool) -> Result<String, String> {
    check_size(bytes, large)?;
    let kind = media_type(bytes).ok_or("expected JPEG, PNG, GIF or WebP")?;
    Ok(data_url(kind, bytes))
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

/// Images of one size for the requests of a run. Each image of a dataset is resized once, and the
/// synthetic one is drawn once and varied.
#[cfg(feature = "images")]
#[derive(Debug)]
pub(super) struct SizedImages {
    size: (u32, u32),
    synthetic: OnceLock<Result<Template, String>>,
    resized: Mutex<Resized>,
}

/// Resized images of a dataset by their row and place in it.
#[cfg(feature = "images")]
#[derive(Debug, Default)]
struct Resized {
    images: HashMap<(usize, usize), Arc<str>>,
    bytes: usize,
}

#[cfg(feature = "images")]
impl SizedImages {
    pub(super) fn new(width: u32, height: u32) -> Self {
        Self {
            size: (width, height),
            synthetic: OnceLock::new(),
            resized: Mutex::default(),
        }
    }

    /// The URL of a synthetic image; each number gives other pixels.
    pub(super) fn synthetic(&self, number: u64) -> Result<String, Error> {
        let template = self.synthetic.get_or_init(|| Template::draw(self.size));
        match template {
            Ok(template) => Ok(template.varied(number)),
            Err(reason) => Err(self.invalid(reason.clone())),
        }
    }

    /// The URL of an image of the dataset in this size.
    pub(super) fn resized(&self, place: (usize, usize), source: &str) -> Result<String, Error> {
        let known = || self.resized.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known().images.get(&place) {
            return Ok(known.to_string());
        }
        let url = resize(source, self.size).map_err(|reason| self.invalid(reason))?;
        let mut resized = known();
        if resized.bytes + url.len() <= MAX_RESIZED_BYTES {
            resized.bytes += url.len();
            resized.images.insert(place, url.as_str().into());
        }
        Ok(url)
    }

    fn invalid(&self, reason: String) -> Error {
        let (width, height) = self.size;
        Error::usage("--traffic-scenario", format!("I({width},{height})"), reason)
    }
}

#[cfg(feature = "images")]
fn resize(source: &str, (width, height): (u32, u32)) -> Result<String, String> {
    use image::imageops::FilterType;

    let (_, data) = source
        .strip_prefix("data:")
        .and_then(|data| data.split_once(";base64,"))
        .ok_or("the images of the dataset are URLs, which are not fetched for resizing: use the scenario dataset")?;
    let bytes = STANDARD.decode(data).map_err(|error| error.to_string())?;
    let image = image::load_from_memory(&bytes).map_err(|error| error.to_string())?;
    let image = image.resize_exact(width, height, FilterType::Lanczos3);
    Ok(data_url("image/jpeg", &jpeg(&image.to_rgb8())?))
}

#[cfg(feature = "images")]
fn jpeg(image: &image::RgbImage) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 85)
        .encode_image(image)
        .map_err(|error| error.to_string())?;
    Ok(bytes)
}

/// A JPEG of which many different images are made by changes to its quantization tables: they scale
/// the coefficients of all blocks, so that every image has its own pixels.
#[cfg(feature = "images")]
#[derive(Debug)]
struct Template {
    /// The bytes up to the end of the tables; a multiple of three.
    head: Vec<u8>,
    /// The entries that vary, as indices of `head`.
    entries: Vec<usize>,
    /// The other bytes in base64.
    tail: String,
}

#[cfg(feature = "images")]
impl Template {
    /// Draws waves of several lengths, so that the varied coefficients are not zero.
    fn draw((width, height): (u32, u32)) -> Result<Self, String> {
        let wave = |x: u32, y: u32, step: f32| {
            let long = (x as f32 / 31.0 * step + y as f32 / 17.0).sin();
            let short = (x as f32 / 2.3 + y as f32 / 2.9 * step).sin();
            (long * 90.0 + short * 30.0 + 128.0) as u8
        };
        let pixel = |x, y| image::Rgb([wave(x, y, 1.0), wave(y, x, 1.7), wave(x, x + y, 0.4)]);
        let bytes = jpeg(&image::RgbImage::from_fn(width, height, pixel))?;
        Self::of(&bytes).ok_or_else(|| "the image has no quantization tables".to_owned())
    }

    fn of(jpeg: &[u8]) -> Option<Self> {
        let mut entries = Vec::new();
        let mut end = 0;
        // Segments of a marker and a length follow the start of the image (ITU-T T.81, B.1.1.4).
        let mut at = 2;
        while let [0xff, marker, high, low, ..] = *jpeg.get(at..)? {
            let length = usize::from(u16::from_be_bytes([high, low]));
            match marker {
                DQT => {
                    entries.extend((0..VARIED).map(|entry| at + 5 + entry));
                    end = at + 2 + length;
                }
                START_OF_SCAN => break,
                _ => {}
            }
            at += 2 + length;
        }
        let head = jpeg.get(..end.next_multiple_of(3))?;
        Some(Self {
            head: head.to_vec(),
            tail: STANDARD.encode(&jpeg[head.len()..]),
            entries,
        })
    }

    /// The URL of a variant. The variants repeat after more than a billion.
    fn varied(&self, number: u64) -> String {
        let mut head = self.head.clone();
        let mut digits = number;
        for entry in &self.entries {
            head[*entry] = head[*entry].saturating_add((digits % STEPS) as u8);
            digits /= STEPS;
        }
        let mut url = String::with_capacity(head.len() * 4 / 3 + self.tail.len() + 32);
        url.push_str("data:image/jpeg;base64,");
        STANDARD.encode_string(&head, &mut url);
        url.push_str(&self.tail);
        url
    }
}

/// Images need a feature that this build does not have.
#[cfg(not(feature = "images"))]
#[derive(Debug)]
pub(super) struct SizedImages((u32, u32));

#[cfg(not(feature = "images"))]
impl SizedImages {
    pub(super) fn new(width: u32, height: u32) -> Self {
        Self((width, height))
    }

    pub(super) fn synthetic(&self, _number: u64) -> Result<String, Error> {
        let (width, height) = self.0;
        let reason = "needs the feature `images`, which is not part of this build";
        let scenario = format!("I({width},{height})");
        Err(Error::usage("--traffic-scenario", scenario, reason))
    }

    pub(super) fn resized(&self, _place: (usize, usize), _source: &str) -> Result<String, Error> {
        self.synthetic(0)
    }
}

/// genai-bench rejects what Pillow calls a decompression bomb, unless configured otherwise.
fn check_size(bytes: &[u8], large: bool) -> Result<(), String> {
    let Some((width, height)) = dimensions(bytes) else {
        return Ok(());
    };
    if !large && u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(format!(
            "the image has {width} x {height} pixels: set unsafe_allow_large_images to use it"
        ));
    }
    Ok(())
}

/// Width and height by the header of an image.
fn dimensions(bytes: &[u8]) -> Option<(u32, u32)> {
    let big = |at: usize, length: usize| {
        let bytes = bytes.get(at..at + length)?.iter();
        Some(bytes.fold(0u32, |number, byte| number << 8 | u32::from(*byte)))
    };
    let little = |at: usize, length: usize| {
        let bytes = bytes.get(at..at + length)?.iter().rev();
        Some(bytes.fold(0u32, |number, byte| number << 8 | u32::from(*byte)))
    };
    match media_type(bytes)? {
        "image/png" => Some((big(16, 4)?, big(20, 4)?)),
        "image/gif" => Some((little(6, 2)?, little(8, 2)?)),
        "image/webp" => match bytes.get(12..16)? {
            b"VP8 " => Some((little(26, 2)? & 0x3fff, little(28, 2)? & 0x3fff)),
            b"VP8L" => {
                let bits = little(21, 4)?;
                Some(((bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1))
            }
            b"VP8X" => Some((little(24, 3)? + 1, little(27, 3)? + 1)),
            _ => None,
        },
        _ => {
            // The frame header is one of SOF0 to SOF15 without DHT, JPG and DAC (ITU-T T.81, B.1).
            let mut at = 2;
            loop {
                let marker = big(at, 2)?;
                match marker {
                    0xffc4 | 0xffc8 | 0xffcc => {}
                    0xffc0..=0xffcf => return Some((big(at + 7, 2)?, big(at + 5, 2)?)),
                    0xff01..=0xffff => {}
                    _ => return None,
                }
                at += 2 + big(at + 2, 2)? as usize;
            }
        }
    }
}

/// The marker of quantization tables.
#[cfg(feature = "images")]
const DQT: u8 = 0xdb;

/// The marker after which the image's data follow.
#[cfg(feature = "images")]
const START_OF_SCAN: u8 = 0xda;

/// The entries of each quantization table that vary: those of the lowest frequencies.
#[cfg(feature = "images")]
const VARIED: usize = 6;

/// The number of values of an entry.
#[cfg(feature = "images")]
const STEPS: u64 = 6;

/// The most bytes of resized images that are kept. Others are resized for each request.
#[cfg(feature = "images")]
const MAX_RESIZED_BYTES: usize = 256 << 20;

/// 50 megapixels, as in genai-bench.
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

    #[test]
    fn large_images_are_rejected_by_their_header() {
        let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
        png.extend([0, 0, 0x20, 0, 0, 0, 0x20, 0]);
        assert_eq!(dimensions(&png), Some((8192, 8192)));
        let file = |_: &str| Ok(png.clone());
        let error = address("x.png", file, false).unwrap_err();
        assert!(error.contains("8192 x 8192 pixels"), "{error}");
        assert!(address("x.png", file, true).is_ok());

        let jpeg = [
            b"\xff\xd8\xff\xe0\0\x04ab".as_slice(),
            b"\xff\xc0\0\x0b\x08\0\x10\0\x20",
        ];
        assert_eq!(dimensions(&jpeg.concat()), Some((32, 16)));
        assert_eq!(dimensions(b"GIF89a\x05\0\x03\0"), Some((5, 3)));
        let webp = b"RIFF\0\0\0\0WEBPVP8X\0\0\0\0\0\0\0\0\x0f\0\0\x07\0\0";
        assert_eq!(dimensions(webp), Some((16, 8)));
        // Cut or broken headers are left to the server.
        for broken in [&png[..18], b"GIF89a", b"\xff\xd8\xff\xe0\xff\xff"] {
            assert_eq!(dimensions(broken), None);
        }
    }

    #[cfg(feature = "images")]
    fn decoded(url: &str) -> image::RgbImage {
        let data = url.strip_prefix("data:image/jpeg;base64,").unwrap();
        let image = image::load_from_memory(&STANDARD.decode(data).unwrap());
        image.unwrap().to_rgb8()
    }

    #[cfg(feature = "images")]
    #[test]
    fn every_synthetic_image_has_its_own_pixels() {
        let images = SizedImages::new(48, 32);
        let numbers = (0..40).chain([1000, 46_655, 46_656, 1 << 30]);
        let images = numbers.map(|number| {
            let image = decoded(&images.synthetic(number).unwrap());
            assert_eq!(image.dimensions(), (48, 32));
            image.into_raw()
        });
        let distinct: std::collections::HashSet<Vec<u8>> = images.collect();
        assert_eq!(distinct.len(), 44);
    }

    #[cfg(feature = "images")]
    #[test]
    fn images_of_a_dataset_are_resized_once() {
        let source = SizedImages::new(64, 32).synthetic(1).unwrap();
        let images = SizedImages::new(16, 16);
        let resized = images.resized((3, 0), &source).unwrap();
        assert_eq!(decoded(&resized).dimensions(), (16, 16));
        // The source is not read again.
        assert_eq!(images.resized((3, 0), "").unwrap(), resized);
        assert!(images.resized((4, 0), "https://h/x.png").is_err());
    }
}
