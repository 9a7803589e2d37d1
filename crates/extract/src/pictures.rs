//! A small picture of an image: whatever the image is, at a cost that is known beforehand.
//!
//! An image tells its size before any of it is unpacked; what would take more memory than [`MEMORY_MAX`] or has more
//! pixels than [`PIXELS_MAX`], which bound the time too, is refused then. Of an animation the first picture is taken.

use image::codecs::jpeg::JpegEncoder;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use std::io::Cursor;

/// The longer side, in pixels.
const SIDE: u32 = 320;
/// Pixels of an image: cameras have up to some fifty million.
const PIXELS_MAX: u64 = 64_000_000;
/// Bytes that an image takes unpacked, and that its decoder may have beside.
const MEMORY_MAX: u64 = 256 * 1024 * 1024;
/// Passes over an image, by pixels: a progressive JPEG comes in scans, some ten of them, and each goes over all of it however
/// few bytes it has.
const PASSES_MAX: u64 = 16 * PIXELS_MAX;
/// Of 32 MiB half could be scans: these are more than any program makes.
const SCANS_MAX: usize = 200;
/// Bytes of a picture that keeps its transparency; a larger one is put on white.
const PNG_BYTES_MAX: usize = 96 * 1024;
/// Of 100.
const QUALITY: u8 = 78;

/// What a picture is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `image/jpeg`
    Jpeg,
    /// `image/png`
    Png,
}

/// Bytes by which an image is known.
pub(crate) const HEAD_BYTES: usize = 16;

/// Is this the beginning of an image that one can be made of?
pub(crate) fn begins_image(head: &[u8]) -> bool {
    format(head).is_some()
}

fn format(head: &[u8]) -> Option<ImageFormat> {
    let format = image::guess_format(head).ok()?;
    let known = [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::Gif, ImageFormat::WebP];
    known.contains(&format).then_some(format)
}

/// The picture of an image; none where it is too large, damaged, or no image.
pub(crate) fn make(bytes: &[u8]) -> Option<(Kind, Vec<u8>)> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format(bytes)?);
    let mut limits = Limits::default();
    limits.max_alloc = Some(MEMORY_MAX);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().ok()?;
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if pixels == 0 || pixels > PIXELS_MAX || decoder.total_bytes() > MEMORY_MAX {
        return None;
    }
    let scans = scans(bytes);
    if scans > SCANS_MAX || pixels * scans as u64 > PASSES_MAX {
        return None;
    }
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let image = DynamicImage::from_decoder(decoder).ok()?;
    let mut small = if width.max(height) > SIDE { image.thumbnail(SIDE, SIDE) } else { image };
    small.apply_orientation(orientation);
    encode(&small)
}

/// How often a JPEG's data begins anew (ITU-T T.81, B.2.3), counted no further than matters. Data itself never has this marker in it; a
/// small picture within, or another image behind, counts along. Nothing else has scans.
fn scans(bytes: &[u8]) -> usize {
    if format(bytes) != Some(ImageFormat::Jpeg) {
        return 0;
    }
    bytes.windows(2).filter(|pair| *pair == [0xff, 0xda]).take(SCANS_MAX + 1).count()
}

fn encode(small: &DynamicImage) -> Option<(Kind, Vec<u8>)> {
    let mut out = Vec::new();
    if small.color().has_alpha() {
        let mut clear = small.to_rgba8();
        if clear.pixels().any(|pixel| pixel.0[3] != u8::MAX) {
            clear.write_to(&mut Cursor::new(&mut out), ImageFormat::Png).ok()?;
            if out.len() <= PNG_BYTES_MAX {
                return Some((Kind::Png, out));
            }
            out.clear();
            for pixel in clear.pixels_mut() {
                let [red, green, blue, alpha] = pixel.0.map(u32::from);
                let on_white = |colour: u32| ((colour * alpha + 255 * (255 - alpha)) / 255) as u8;
                pixel.0 = [on_white(red), on_white(green), on_white(blue), u8::MAX];
            }
            return jpeg(&DynamicImage::ImageRgba8(clear), out);
        }
    }
    jpeg(small, out)
}

fn jpeg(small: &DynamicImage, mut out: Vec<u8>) -> Option<(Kind, Vec<u8>)> {
    JpegEncoder::new_with_quality(&mut out, QUALITY).encode_image(&small.to_rgb8()).ok()?;
    Some((Kind::Jpeg, out))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use image::{Rgb, RgbImage, Rgba, RgbaImage};
    use proptest::prelude::*;
    use std::time::{Duration, Instant};

    fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut out = Vec::new();
        image.write_to(&mut Cursor::new(&mut out), format).unwrap();
        out
    }

    /// Red on the left, blue on the right.
    fn halves(width: u32, height: u32) -> DynamicImage {
        let colour = |x: u32| if x < width / 2 { Rgb([250, 10, 10]) } else { Rgb([10, 10, 250]) };
        RgbImage::from_fn(width, height, |x, _| colour(x)).into()
    }

    fn is_red(pixel: &Rgb<u8>) -> bool {
        pixel.0[0] > 200 && pixel.0[2] < 60
    }

    fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
        let body = [&kind[..], data].concat();
        [&(data.len() as u32).to_be_bytes()[..], &body, &crc32fast::hash(&body).to_be_bytes()].concat()
    }

    #[test]
    fn each_format_becomes_a_small_picture() {
        for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::Gif, ImageFormat::WebP] {
            let (kind, small) = make(&encoded(&halves(1000, 500), format)).unwrap();
            let small = image::load_from_memory(&small).unwrap().to_rgb8();
            assert_eq!((kind, small.dimensions()), (Kind::Jpeg, (320, 160)), "{format:?}");
            assert!(is_red(small.get_pixel(10, 80)) && !is_red(small.get_pixel(310, 80)), "{format:?}");
        }
        let (_, small) = make(&encoded(&halves(20, 10), ImageFormat::Png)).unwrap();
        assert_eq!(image::load_from_memory(&small).unwrap().to_rgb8().dimensions(), (20, 10), "none is blown up");
        let (_, thin) = make(&encoded(&halves(5000, 2), ImageFormat::Png)).unwrap();
        assert_eq!(image::load_from_memory(&thin).unwrap().to_rgb8().dimensions(), (320, 1));
    }

    #[test]
    fn what_is_clear_stays_clear() {
        let clear = RgbaImage::from_fn(400, 400, |x, _| Rgba([10, 200, 10, if x < 200 { 0 } else { 255 }]));
        let (kind, small) = make(&encoded(&clear.into(), ImageFormat::Png)).unwrap();
        let small = image::load_from_memory(&small).unwrap().to_rgba8();
        assert_eq!((kind, small.get_pixel(5, 5).0[3], small.get_pixel(315, 5).0[3]), (Kind::Png, 0, 255));
        // Noise does not become small: it is put on white.
        let noise = RgbaImage::from_fn(320, 320, |x, y| {
            let n = (x * 7919 + y * 104_729).wrapping_mul(2_654_435_761);
            Rgba([n as u8, (n >> 8) as u8, (n >> 16) as u8, (n >> 24) as u8])
        });
        let (kind, small) = make(&encoded(&noise.into(), ImageFormat::Png)).unwrap();
        assert!(kind == Kind::Jpeg && small.len() < 200_000, "{kind:?} {}", small.len());
    }

    #[test]
    fn a_camera_held_upright_is_honoured() {
        let plain = encoded(&halves(400, 200), ImageFormat::Jpeg);
        // Exif 2.3, 4.6.4: orientation 6, to be turned clockwise.
        let exif = b"\xff\xe1\x00\x22Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
        let turned = [&plain[..2], exif, &plain[2..]].concat();
        let (_, small) = make(&turned).unwrap();
        let small = image::load_from_memory(&small).unwrap().to_rgb8();
        assert_eq!(small.dimensions(), (160, 320));
        assert!(is_red(small.get_pixel(80, 10)) && !is_red(small.get_pixel(80, 310)));
    }

    #[test]
    fn a_bomb_costs_nothing() {
        let header = |side: u32| [&side.to_be_bytes()[..], &side.to_be_bytes(), &[8, 2, 0, 0, 0]].concat();
        let bomb = |side: u32| {
            let parts = [chunk(b"IHDR", &header(side)), chunk(b"IDAT", &[0x78, 0x9c, 0x63, 0, 0]), chunk(b"IEND", &[])];
            [b"\x89PNG\r\n\x1a\n", &parts.concat()[..]].concat()
        };
        let begun = Instant::now();
        for side in [60_000, 8_001, u32::MAX / 2, 0] {
            assert_eq!(make(&bomb(side)), None, "{side}");
        }
        assert!(begun.elapsed() < Duration::from_millis(500), "{:?}", begun.elapsed());
    }

    /// A progressive image of one colour channel without anything in it: after the first scan each says in some
    /// bytes that nothing changes, and the decoder goes over all blocks to see it.
    fn in_scans(side: u16, scans: usize) -> Vec<u8> {
        let segment =
            |marker: u8, data: &[u8]| [&[0xff, marker][..], &(data.len() as u16 + 2).to_be_bytes(), data].concat();
        let [high, low] = side.to_be_bytes();
        let blocks = usize::from(side).div_ceil(8).pow(2);
        // One code of one bit: nothing differs (DC); an end of 2^14 blocks and fourteen bits more (AC).
        let table = |class: u8, symbol: u8| segment(0xc4, &[&[class, 1][..], &[0; 15], &[symbol]].concat());
        let mut out = vec![0xff, 0xd8];
        out.extend(segment(0xdb, &[&[0][..], &[1; 64]].concat()));
        out.extend(segment(0xc2, &[8, high, low, high, low, 1, 1, 0x11, 0]));
        out.extend(table(0, 0));
        out.extend(table(0x10, 0xe0));
        out.extend(segment(0xda, &[1, 1, 0, 0, 0, 0]));
        out.extend(vec![0; blocks.div_ceil(8)]);
        for _ in 1..scans {
            out.extend(segment(0xda, &[1, 1, 0, 1, 63, 0]));
            out.extend(vec![0; (blocks.div_ceil(1 << 14) * 15).div_ceil(8)]);
        }
        out.extend([0xff, 0xd9]);
        out
    }

    #[test]
    fn many_scans_cost_nothing() {
        assert!(make(&in_scans(640, 10)).is_some(), "as cameras and editors make them");
        let begun = Instant::now();
        for (side, scans) in [(640, SCANS_MAX + 1), (64, 100_000), (8000, 17)] {
            assert_eq!(make(&in_scans(side, scans)), None, "{scans} of {side}");
        }
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    }

    #[test]
    fn what_is_just_small_enough_takes_seconds() {
        let side = 7_900;
        for format in [ImageFormat::Png, ImageFormat::Gif, ImageFormat::WebP] {
            let large = encoded(&halves(side, side), format);
            let begun = Instant::now();
            let made = make(&large);
            let took = begun.elapsed();
            println!("{format:?} of {side} by {side}: {took:?}, {}", made.is_some());
            assert!(took < Duration::from_secs(60), "{format:?}: {took:?}");
        }
        let begun = Instant::now();
        let made = make(&in_scans(side as u16, 16)).is_some();
        println!("16 scans of {side} by {side}: {:?}, {made}", begun.elapsed());
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    }

    #[test]
    fn what_is_cut_short_is_none() {
        for format in [ImageFormat::Png, ImageFormat::Gif, ImageFormat::WebP] {
            let whole = encoded(&halves(500, 500), format);
            assert!(make(&whole).is_some());
            for part in [whole.len() / 2, 40, 12, 8] {
                assert_eq!(make(&whole[..part.min(whole.len() - 20)]), None, "{format:?}, {part} bytes");
            }
        }
        assert_eq!(make(b""), None);
        assert_eq!(make(b"<svg xmlns='http://www.w3.org/2000/svg'/>"), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn rotten_images_do_no_harm(at in 0usize..4000, with: u8, cut in 0usize..4000, format in 0usize..4) {
            let format = [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::Gif, ImageFormat::WebP][format];
            let mut bytes = encoded(&halves(64, 64), format);
            let (at, cut) = (at % bytes.len(), cut % bytes.len());
            bytes[at] ^= with;
            // A decoder that panics ends its child alone, as `child.rs` shows.
            let _ = std::panic::catch_unwind(|| make(&bytes));
            let _ = std::panic::catch_unwind(|| make(&bytes[..cut]));
        }
    }
}
