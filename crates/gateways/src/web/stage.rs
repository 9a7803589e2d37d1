//! What a page shows of a file: for its owner, members and guests alike.

use super::media::{HEAD_BYTES_MAX, Media, text};
use super::{WebState, markdown};
use apps::drive::OpenFile;
use bytes::BytesMut;
use client::ClientError;
use futures::TryStreamExt;

/// Bytes that tell the kind of a file that a page shows by itself; texts are read further.
const MARK_BYTES: u64 = 4096;

/// What is shown of a file.
#[derive(Default)]
pub(super) struct Stage {
    /// `image`, `audio`, `video`, `pdf`, `text`, `markdown`, `empty`, or nothing.
    pub kind: &'static str,
    pub name: String,
    /// Where a page gets the bytes.
    pub src: String,
    pub text: String,
    /// Markdown as HTML that does nothing ([`markdown`]).
    pub html: String,
    /// The text goes on.
    pub cut: bool,
}

impl Stage {
    /// Of a file whose bytes a page gets at `src`.
    pub async fn of(state: &WebState, open: &OpenFile, src: String) -> Result<Stage, ClientError> {
        let name = open.entry.name.clone();
        let head = head(state, open, HEAD_BYTES_MAX).await?;
        let whole = head.len() as u64 == open.file.size;
        let media = Media::of(&head, whole);
        state.inner.known.learn(open.file.version, media);
        let mut stage = Stage { name, src, cut: !whole, ..Stage::default() };
        stage.kind = match media {
            Media::Image(_) => "image",
            Media::Audio(_) => "audio",
            Media::Video(_) => "video",
            Media::Pdf => "pdf",
            Media::Empty => "empty",
            Media::Other => "",
            Media::Text => {
                let shown = text(&head, whole).unwrap_or_default();
                let rendered = if whole && markdown::is_named_so(&stage.name) { markdown::render(shown) } else { None };
                match rendered {
                    Some(html) => {
                        stage.html = html;
                        "markdown"
                    }
                    None => {
                        stage.text = shown.to_string();
                        "text"
                    }
                }
            }
        };
        Ok(stage)
    }
}

/// What the file is.
pub(super) async fn media(state: &WebState, open: &OpenFile) -> Result<Media, ClientError> {
    let version = open.file.version;
    if let Some(media) = state.inner.known.get(version) {
        return Ok(media);
    }
    let head = head(state, open, MARK_BYTES).await?;
    let media = Media::of(&head, head.len() as u64 == open.file.size);
    state.inner.known.learn(version, media);
    Ok(media)
}

async fn head(state: &WebState, open: &OpenFile, max: u64) -> Result<BytesMut, ClientError> {
    let bytes = state.inner.drives.read(open.content.clone(), 0..open.file.size.min(max));
    bytes
        .try_fold(BytesMut::new(), |mut head, chunk| async move {
            head.extend_from_slice(&chunk);
            Ok(head)
        })
        .await
}
