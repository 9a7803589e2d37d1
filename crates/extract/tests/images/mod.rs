//! Images, and what is made to cost whoever unpacks it as much as it can.

use flate2::Compression;
use flate2::write::ZlibEncoder;
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use std::io::{Cursor, Write};

pub fn gradient(width: u32, height: u32) -> DynamicImage {
    RgbImage::from_fn(width, height, |x, y| Rgb([x as u8, y as u8, 90])).into()
}

pub fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut out = Vec::new();
    image.write_to(&mut Cursor::new(&mut out), format).unwrap();
    out
}

/// A segment of a JPEG (ITU-T T.81, B.1.1.4).
fn segment(marker: u8, data: &[u8]) -> Vec<u8> {
    [&[0xff, marker][..], &(data.len() as u16 + 2).to_be_bytes(), data].concat()
}

/// A grey JPEG of three channels that comes in two scans, of sides that 8 divides: each block is
/// nothing. One that is larger than any that is read is cut.
pub fn progressive(width: u16, height: u16) -> Vec<u8> {
    let [wide, narrow] = width.to_be_bytes();
    let [high, low] = height.to_be_bytes();
    let blocks = usize::from(width / 8) * usize::from(height / 8);
    let nothing = (blocks * 3).div_ceil(8).min(12 << 20);
    // One code of one bit: nothing differs (DC).
    let mut out = vec![0xff, 0xd8];
    out.extend(segment(0xdb, &[&[0][..], &[1; 64]].concat()));
    out.extend(segment(0xc2, &[8, high, low, wide, narrow, 3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0]));
    out.extend(segment(0xc4, &[&[0, 1][..], &[0; 15], &[0]].concat()));
    out.extend(segment(0xda, &[3, 1, 0, 2, 0, 3, 0, 0, 0, 1]));
    out.extend(vec![0; nothing]);
    // The last bit of each DC coefficient (G.1.2.1): no table is needed.
    out.extend(segment(0xda, &[3, 1, 0, 2, 0, 3, 0, 0, 0, 0x10]));
    out.extend(vec![0; nothing]);
    out.extend([0xff, 0xd9]);
    out
}

/// A chunk of a PNG (RFC 2083, 3.2).
fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let body = [&kind[..], data].concat();
    [&(data.len() as u32).to_be_bytes()[..], &body, &crc32fast::hash(&body).to_be_bytes()].concat()
}

fn png(side: u32, colours: u8, chunks: &[Vec<u8>]) -> Vec<u8> {
    let head = [&side.to_be_bytes()[..], &side.to_be_bytes(), &[8, colours, 0, 0, 0]].concat();
    [&b"\x89PNG\r\n\x1a\n"[..], &chunk(b"IHDR", &head), &chunks.concat(), &chunk(b"IEND", &[])].concat()
}

/// So many zeros, packed.
fn squeezed(bytes: usize) -> Vec<u8> {
    let mut out = ZlibEncoder::new(Vec::new(), Compression::best());
    for _ in 0..bytes >> 20 {
        out.write_all(&[0; 1 << 20]).unwrap();
    }
    out.finish().unwrap()
}

/// A GIF of so many pictures, each as large as all of it (GIF89a, 20).
fn animated(side: u16, pictures: usize) -> Vec<u8> {
    let [low, high] = side.to_le_bytes();
    let mut out = [&b"GIF89a"[..], &[low, high, low, high, 0x80, 0, 0, 0, 0, 0, 255, 255, 255]].concat();
    let picture = [0x2c, 0, 0, 0, 0, low, high, low, high, 0, 2, 2, 0x44, 0x01, 0];
    out.extend(picture.repeat(pictures));
    out.push(0x3b);
    out
}

/// A WebP that says how large it is, and has that many pictures of nothing (its container's `VP8X`, `ANIM` and `ANMF`).
fn webp(side: u32, pictures: usize) -> Vec<u8> {
    let part = |kind: &[u8; 4], data: &[u8]| [&kind[..], &(data.len() as u32).to_le_bytes(), data].concat();
    let three = |n: u32| n.to_le_bytes()[..3].to_vec();
    let size = [three(side - 1), three(side - 1)].concat();
    let still = encoded(&gradient(16, 16), ImageFormat::WebP);
    let frame = [&[0; 6][..], &three(15), &three(15), &[1, 0, 0, 0], &still[12..]].concat();
    let parts = [
        part(b"VP8X", &[&[2, 0, 0, 0][..], &size].concat()),
        part(b"ANIM", &[0; 6]),
        part(b"ANMF", &frame).repeat(pictures),
    ];
    part(b"RIFF", &[&b"WEBP"[..], &parts.concat()].concat())
}

pub fn bombs() -> Vec<(&'static str, Vec<u8>)> {
    let much = squeezed(1 << 30);
    let profile = [&b"x\0\0"[..], &much].concat();
    vec![
        ("a PNG that says it is huge", png(60_000, 2, &[chunk(b"IDAT", &much)])),
        ("a PNG whose data never ends", png(100, 2, &[chunk(b"IDAT", &much)])),
        ("a PNG with a huge profile", png(100, 2, &[chunk(b"iCCP", &profile), chunk(b"IDAT", &squeezed(1 << 20))])),
        (
            "a PNG with huge words",
            png(100, 2, &[chunk(b"zTXt", &profile).repeat(8), chunk(b"IDAT", &squeezed(1 << 20))]),
        ),
        ("a large PNG of nothing", png(7_900, 2, &[chunk(b"IDAT", &squeezed(190 << 20))])),
        ("a large PNG that is clear", png(7_900, 6, &[chunk(b"IDAT", &squeezed(252 << 20))])),
        ("a GIF of a million pictures", animated(4_000, 1_000_000)),
        ("a huge GIF", animated(u16::MAX, 1)),
        ("a WebP of many pictures", webp(7_900, 50_000)),
        ("a huge WebP", webp(16_000, 1)),
        ("a JPEG as large as they come", progressive(u16::MAX - 7, u16::MAX - 7)),
        ("a JPEG at the limit", progressive(8_000, 8_000)),
    ]
}
