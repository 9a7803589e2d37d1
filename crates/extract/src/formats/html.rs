//! HTML (WHATWG): what a reader of the page would see, its title, and the words that stand for images.

use crate::text::{Stop, Text};
use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};
use html5gum::emitters::default::DefaultEmitter;
use html5gum::{Token, Tokenizer};
use std::borrow::Cow;

/// Bytes in which a page says what its characters are (13.2.3.2).
const DECLARED_WITHIN: usize = 1024;
/// Elements whose content nobody sees.
const HIDDEN: [&[u8]; 4] = [b"script", b"style", b"template", b"noscript"];
/// Elements that stand within a line.
const INLINE: [&[u8]; 28] = [
    b"a", b"abbr", b"acronym", b"b", b"bdi", b"bdo", b"big", b"cite", b"code", b"del", b"dfn", b"em", b"font", b"i",
    b"ins", b"kbd", b"mark", b"q", b"s", b"samp", b"small", b"span", b"strong", b"sub", b"sup", b"u", b"var", b"wbr",
];

pub(super) fn read(bytes: &[u8], text: &mut Text<'_>) -> Result<(), Stop> {
    let page = decoded(bytes);
    // What has zeros in it is no page, whatever it is called.
    if page.contains('\0') {
        return Err(Stop::Unreadable);
    }
    let mut emitter = DefaultEmitter::default();
    emitter.naively_switch_states(true);
    let mut hidden: Option<Vec<u8>> = None;
    for token in Tokenizer::new_with_emitter(&*page, emitter) {
        let Ok(token) = token;
        match token {
            Token::StartTag(tag) => {
                if !INLINE.contains(&&**tag.name) {
                    text.line();
                }
                if hidden.is_none() && HIDDEN.contains(&&**tag.name) && !tag.self_closing {
                    hidden = Some(tag.name.to_vec());
                } else if let (None, Some(words)) = (&hidden, tag.attributes.get(&b"alt"[..])) {
                    text.push(&String::from_utf8_lossy(words))?;
                    text.line();
                }
            }
            Token::EndTag(tag) => {
                if !INLINE.contains(&&**tag.name) {
                    text.line();
                }
                if hidden.as_ref().is_some_and(|name| **name == **tag.name) {
                    hidden = None;
                }
            }
            Token::String(words) if hidden.is_none() => text.push(&String::from_utf8_lossy(&words))?,
            _ => {}
        }
    }
    Ok(())
}

/// By its mark, by what it declares, as UTF-8, or else as most old pages are.
fn decoded(bytes: &[u8]) -> Cow<'_, str> {
    let encoding = match Encoding::for_bom(bytes) {
        Some((encoding, _)) => encoding,
        None if std::str::from_utf8(bytes).is_ok() => UTF_8,
        None => declared(bytes).unwrap_or(WINDOWS_1252),
    };
    encoding.decode(bytes).0
}

fn declared(bytes: &[u8]) -> Option<&'static Encoding> {
    let begin = bytes[..bytes.len().min(DECLARED_WITHIN)].to_ascii_lowercase();
    let at = begin.windows(8).position(|eight| eight == b"charset=")? + 8;
    let label = begin[at..].split(|byte| b"\"' />;".contains(byte)).find(|label| !label.is_empty())?;
    Encoding::for_label(label)
}

#[cfg(test)]
mod tests {
    use crate::formats::tests::text_of;

    #[test]
    fn what_is_seen_is_read() {
        let page = "<!DOCTYPE html><html><head><title>A &amp; B</title><style>p{color:red}</style>\
            <script>var hidden = '<p>no</p>';</script></head><body><p>w<b>or</b>d&nbsp;two<td>cell<br>next\
            <img src=x alt=\"a reef\"><!-- not this --><template><p>nor this</p></template>end</body>";
        assert_eq!(text_of(page.as_bytes()), ("A & B\nword two\ncell\nnext\na reef\nend".into(), true));
    }

    #[test]
    fn old_encodings_are_understood() {
        assert_eq!(text_of(b"<p>gr\xfcn").0, "grün");
        assert_eq!(text_of(b"<meta charset=\"iso-8859-2\"><p>\xb3").0, "ł");
        assert_eq!(text_of("\u{feff}<p>grün".as_bytes()).0, "grün");
        assert_eq!(text_of(&[0xff, 0xfe, b'a', 0, 0xfc, 0]).0, "aü");
    }

    #[test]
    fn depth_costs_nothing() {
        let page = format!("{}deep", "<div>".repeat(1_000_000));
        assert_eq!(text_of(page.as_bytes()).0, "deep");
        assert_eq!(text_of(b"<p>a</p><script>never ended <p>b").0, "a");
    }
}
