//! The style sheet, the scripts and the icon, compiled in.
//!
//! Their address contains a digest of them all and the language, so that browsers may keep them
//! for ever and modules that name each other relatively stay together over an upgrade.

use super::text::Language;
use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use std::borrow::Cow;
use std::sync::LazyLock;

const SCRIPT: &str = "text/javascript; charset=utf-8";

macro_rules! scripts {
    ($($name:literal),*) => {
        &[$(($name, SCRIPT, include_str!(concat!("../../assets/", $name)))),*]
    };
}

const SCRIPTS: &[(&str, &str, &str)] = scripts![
    "acts.js",
    "api.js",
    "band.js",
    "carry.js",
    "chooser.js",
    "code.js",
    "colours.js",
    "conflicts.js",
    "copies.js",
    "copy.js",
    "dates.js",
    "details.js",
    "dialog.js",
    "drawn.js",
    "drive.js",
    "drop.js",
    "entries.js",
    "folder.js",
    "format.js",
    "frame.js",
    "guest.js",
    "jobs.js",
    "kept.js",
    "keys.js",
    "left.js",
    "listing.js",
    "members.js",
    "pages.js",
    "plain.js",
    "progress.js",
    "queue.js",
    "report.js",
    "rows.js",
    "selection.js",
    "send.js",
    "switcher.js",
    "thumbs.js",
    "toast.js",
    "trash.js",
    "tray.js",
    "upload.js",
    "uploads.js",
    "usage.js",
    "verbs.js",
    "view.js",
    "viewer.js",
    "where.js"
];

/// What others made, as it was published: `assets/vendor/README.md` says whence.
macro_rules! vendored {
    ($($name:literal: $kind:expr),*) => {
        &[$(($name, $kind, include_bytes!(concat!("../../assets/vendor/", $name)))),*]
    };
}

const WASM: &str = "application/wasm";
const VENDORED: &[(&str, &str, &[u8])] = vendored![
    "highlight/highlight.min.js": SCRIPT,
    "pdfjs/pdf.min.mjs": SCRIPT,
    "pdfjs/pdf.worker.min.mjs": SCRIPT,
    "pdfjs/jbig2.wasm": WASM,
    "pdfjs/openjpeg.wasm": WASM,
    "pdfjs/qcms_bg.wasm": WASM
];

/// The worker that reads PDFs may compile decoders of images that come with it, and fetch from here; that is all.
const READER: (&str, HeaderValue) = (
    "pdf.worker.min.mjs",
    HeaderValue::from_static("default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'"),
);

/// Name, type, content; the words of each language, in the order of [`Language::ALL`], are under one name.
type Asset = (&'static str, &'static str, Cow<'static, [u8]>);

static ALL: LazyLock<Vec<Asset>> = LazyLock::new(|| {
    // One sheet of two files: what is common, and then the drive's own.
    let style = concat!(include_str!("../../assets/atoll.css"), include_str!("../../assets/drive.css"));
    let style = ("atoll.css", "text/css; charset=utf-8", Cow::from(style.as_bytes()));
    let icon = include_bytes!("../../assets/atoll.svg");
    let icon = ("atoll.svg", "image/svg+xml", Cow::from(&icon[..]));
    let texts = Language::ALL.map(|language| {
        let words = serde_json::to_string(language.words()).unwrap_or_default();
        (TEXT, SCRIPT, Cow::from(format!("export default {words};\n").into_bytes()))
    });
    let scripts = SCRIPTS.iter().map(|(name, kind, content)| (*name, *kind, Cow::from(content.as_bytes())));
    let vendored = VENDORED.iter().map(|(path, kind, content)| {
        let name = path.rsplit('/').next().unwrap_or(path);
        (name, *kind, Cow::from(*content))
    });
    texts.into_iter().chain([style, icon]).chain(scripts).chain(vendored).collect()
});

/// The script that differs between languages.
const TEXT: &str = "text.js";

/// By language, in the order of [`Language::ALL`].
static VERSIONS: LazyLock<[String; Language::ALL.len()]> = LazyLock::new(|| {
    let mut hasher = blake3::Hasher::new();
    for (name, _, content) in ALL.iter() {
        hasher.update(name.as_bytes()).update(&(content.len() as u64).to_be_bytes()).update(content);
    }
    let digest = &hasher.finalize().to_hex()[..16];
    Language::ALL.map(|language| format!("{digest}.{}", language.code()))
});

/// The part of their address that changes when they do, for pages of that language.
pub(super) fn version(language: Language) -> &'static str {
    &VERSIONS[language as usize]
}

pub(super) async fn asset(Path((version, name)): Path<(String, String)>) -> Response {
    // A page of another release, during an upgrade, gets what is here, and not for long.
    let current = VERSIONS.contains(&version);
    let language = version.rsplit_once('.').and_then(|(_, code)| Language::of_code(code)).unwrap_or(Language::English);
    let nth = if name == TEXT { language as usize } else { 0 };
    let Some((_, kind, content)) = ALL.iter().filter(|(known, ..)| *known == name).nth(nth) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let keep = if current { "public, max-age=31536000, immutable" } else { "no-store" };
    let headers = [(CONTENT_TYPE, HeaderValue::from_static(kind)), (CACHE_CONTROL, HeaderValue::from_static(keep))];
    let mut response = (headers, content.as_ref()).into_response();
    if name == READER.0 {
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, READER.1);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::SCRIPTS;

    /// What a script declares at its top.
    fn declared(line: &str) -> Option<&str> {
        let line = line.strip_prefix("export ").unwrap_or(line);
        let line = line.strip_prefix("async ").unwrap_or(line);
        let rest = ["function ", "const ", "let ", "class "].iter().find_map(|word| line.strip_prefix(word))?;
        rest.split(|c: char| !c.is_alphanumeric() && c != '_').next()
    }

    /// One such mistake, and no script of the page runs.
    #[test]
    fn scripts_are_read_by_every_browser() {
        for (name, _, script) in SCRIPTS {
            let imports = script.lines().filter_map(|line| line.strip_prefix("import { ")?.split_once(" }"));
            let imported: Vec<&str> = imports.flat_map(|(names, _)| names.split(", ")).collect();
            let twice = script.lines().filter_map(declared).find(|own| imported.contains(own));
            assert_eq!(twice, None, "{name} imports it and declares it");
            // Safari before 16.4 knows none.
            assert!(!script.contains("(?<!") && !script.contains("(?<="), "{name} looks behind in an expression");
        }
    }
}
