//! What a page shows of a file: for its owner, members and guests alike.

use super::media::{HEAD_BYTES_MAX, Media, text};
use super::{WebState, markdown};
use apps::DriveId;
use apps::drive::OpenFile;
use bytes::BytesMut;
use client::ClientError;
use futures::TryStreamExt;
use std::time::Duration;

/// Bytes that tell the kind of a file that a page shows by itself; texts are read further.
const MARK_BYTES: u64 = 4096;
/// How long one waits for others' Markdown to be rendered.
const RENDERED_WITHIN: Duration = Duration::from_secs(2);

/// What source files are called that the browser shows in colours: each a name of its language, too.
const CODE: [&str; 50] = [
    "bash", "c", "cc", "cpp", "cs", "css", "cxx", "diff", "go", "gql", "graphql", "h", "hpp", "htm", "html", "ini",
    "java", "js", "json", "jsx", "kt", "kts", "less", "lua", "mjs", "mk", "patch", "php", "pl", "pm", "py", "r", "rb",
    "rs", "rss", "scss", "sh", "sql", "svg", "swift", "toml", "ts", "tsx", "vb", "wat", "xml", "xsd", "xsl", "yaml",
    "yml",
];

/// What is shown of a file.
#[derive(Default)]
pub(super) struct Stage {
    /// `image`, `audio`, `video`, `pdf`, `text`, `markdown`, `empty`, or nothing.
    pub kind: &'static str,
    pub name: String,
    /// Where a page gets the bytes.
    pub src: String,
    pub text: String,
    /// Of a text that is source code, what it is called by its end.
    pub code: &'static str,
    /// Markdown as HTML that does nothing ([`markdown`]).
    pub html: String,
    /// The text goes on.
    pub cut: bool,
}

impl Stage {
    /// Of a file of that drive, whose bytes a page gets at `src`.
    pub async fn of(state: &WebState, drive: DriveId, open: &OpenFile, src: String) -> Result<Stage, ClientError> {
        let (known, version) = (&state.inner.known, open.file.version);
        let mut stage = Stage { name: open.entry.name.clone(), src, ..Stage::default() };
        let mut media = match known.get(drive, version) {
            Some(media) => media,
            None => by_mark(state, open).await?,
        };
        if media == Media::Text {
            let head = head(state, open, HEAD_BYTES_MAX).await?;
            let whole = head.len() as u64 == open.file.size;
            stage.cut = !whole;
            // What stands further on may be no text at all.
            media = Media::of(&head, whole);
            let shown = text(&head, whole).unwrap_or_default();
            if whole && markdown::is_named_so(&stage.name) {
                stage.html = rendered(state, shown).await.unwrap_or_default();
            }
            if stage.html.is_empty() {
                stage.text = shown.to_string();
                let end = stage.name.rsplit_once('.').map(|(_, end)| end.to_ascii_lowercase()).unwrap_or_default();
                stage.code = CODE.into_iter().find(|code| *code == end).unwrap_or_default();
            }
        }
        known.learn(drive, version, media);
        stage.kind = match media {
            Media::Image(_) => "image",
            Media::Audio(_) => "audio",
            Media::Video(_) => "video",
            Media::Pdf => "pdf",
            Media::Empty => "empty",
            Media::Other => "",
            Media::Text if stage.html.is_empty() => "text",
            Media::Text => "markdown",
        };
        Ok(stage)
    }
}

/// Markdown as HTML; none where it would be too much, or others' takes its time.
async fn rendered(state: &WebState, markdown: &str) -> Option<String> {
    let room = tokio::time::timeout(RENDERED_WITHIN, state.inner.renderings.clone().acquire_owned());
    let room = room.await.ok()?.ok()?;
    let markdown = markdown.to_string();
    // Whoever waits may go; the work goes on, and takes its room along.
    let rendering = tokio::task::spawn_blocking(move || {
        let html = markdown::render(&markdown);
        drop(room);
        html
    });
    rendering.await.ok()?
}

async fn by_mark(state: &WebState, open: &OpenFile) -> Result<Media, ClientError> {
    let head = head(state, open, MARK_BYTES).await?;
    Ok(Media::of(&head, head.len() as u64 == open.file.size))
}

/// What a file of that drive is.
pub(super) async fn media(state: &WebState, drive: DriveId, open: &OpenFile) -> Result<Media, ClientError> {
    let version = open.file.version;
    if let Some(media) = state.inner.known.get(drive, version) {
        return Ok(media);
    }
    let media = by_mark(state, open).await?;
    state.inner.known.learn(drive, version, media);
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
