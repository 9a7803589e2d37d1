//! Real children, real images and bombs.

#![allow(clippy::unwrap_used)] // A test that cannot go on should end loudly.

mod cost;
mod images;

use atoll_extract::{DOCUMENT_BYTES_MAX, ExtractError, Extractor, Kind};
use bytes::Bytes;
use cost::{children, extractor, memory_at_most, running};
use futures::stream;
use image::ImageFormat;
use images::{bombs, encoded, gradient, progressive};
use std::convert::Infallible;
use std::time::{Duration, Instant};

/// What each costs is looked at.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

async fn picture(extractor: &Extractor, image: &[u8]) -> Result<Option<(Kind, Bytes)>, ExtractError<Infallible>> {
    let pieces: Vec<_> = image.chunks(64 * 1024).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    extractor.picture(stream::iter(pieces)).await
}

#[tokio::test]
async fn images_become_pictures() {
    let _alone = ALONE.lock().await;
    let extractor = extractor();
    for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::Gif, ImageFormat::WebP] {
        let (kind, small) = picture(&extractor, &encoded(&gradient(1200, 900), format)).await.unwrap().unwrap();
        let small = image::load_from_memory(&small).unwrap();
        assert_eq!((kind, small.width(), small.height()), (Kind::Jpeg, 320, 240), "{format:?}");
    }
    // As large as cameras make them, and of the kind that takes most memory.
    let (_, small) = picture(&extractor, &progressive(7_680, 6_480)).await.unwrap().unwrap();
    assert_eq!(image::load_from_memory(&small).unwrap().width(), 320);
    for none in [&b"no image"[..], b"", b"\x89PNG\r\n\x1a\n"] {
        assert_eq!(picture(&extractor, none).await.unwrap(), None);
    }
}

#[tokio::test]
async fn an_image_costs_nothing_but_its_child() {
    let _alone = ALONE.lock().await;
    let (extractor, bombs) = (extractor(), bombs());
    let memory = memory_at_most();
    for (what, bomb) in bombs {
        assert!((bomb.len() as u64) < DOCUMENT_BYTES_MAX, "{what} would not be read at all");
        let begun = Instant::now();
        let made = picture(&extractor, &bomb).await.unwrap_or_else(|error| panic!("{what}: {error}"));
        println!("{what}: {} bytes, {:?}, {:?}", bomb.len(), made.map(|(_, bytes)| bytes.len()), begun.elapsed());
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
        assert!(picture(&extractor, &encoded(&gradient(20, 10), ImageFormat::Png)).await.unwrap().is_some());
    }
    assert!(memory_at_most() < memory + (96 << 20), "{} and then {}", memory, memory_at_most());
    assert_eq!(children(), 0);
}

/// What a child that dies has told of a picture is none; one that was killed by somebody may be asked again.
#[tokio::test]
async fn half_a_picture_is_none() {
    let _alone = ALONE.lock().await;
    for (ends, wanted) in
        [("exit 0", Some(Some(4))), ("exit 101", Some(None)), ("kill -XCPU $$", Some(None)), ("kill -9 $$", None)]
    {
        let child = running("/bin/sh", &["-c", &format!("cat > /dev/null; printf Jabcd >&0; {ends}")]);
        let made = picture(&child, b"an image").await;
        assert_eq!(made.ok().map(|made| made.map(|(_, bytes)| bytes.len())), wanted, "{ends}");
    }
}
