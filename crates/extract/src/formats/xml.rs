//! XML as documents have it: read from first to last, with no tree, so that depth costs nothing. Nothing is expanded but
//! the five entities of XML itself: what a document declares is passed over.

use crate::text::Stop;
use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesStart, Event};
use std::io::BufRead;

/// What comes next. Names are without their prefix.
pub(super) enum Seen<'a> {
    Start(&'a str, &'a BytesStart<'a>),
    End(&'a str),
    Text(&'a str),
}

/// Tells `see` of everything in turn.
pub(super) fn walk(from: impl BufRead, mut see: impl FnMut(Seen<'_>) -> Result<(), Stop>) -> Result<(), Stop> {
    let mut reader = Reader::from_reader(from);
    let config = reader.config_mut();
    config.check_end_names = false;
    config.allow_dangling_amp = true;
    let mut buffer = Vec::new();
    loop {
        match reader.read_event_into(&mut buffer).map_err(|_| Stop::Unreadable)? {
            Event::Start(start) => see(Seen::Start(start.local_name().as_ref(), &start))?,
            Event::Empty(start) => {
                see(Seen::Start(start.local_name().as_ref(), &start))?;
                see(Seen::End(start.local_name().as_ref()))?;
            }
            Event::End(end) => see(Seen::End(end.local_name().as_ref()))?,
            Event::Text(text) => see(Seen::Text(&text.xml10_content()))?,
            Event::CData(text) => see(Seen::Text(&text.xml10_content()))?,
            Event::GeneralRef(reference) => match reference.resolve_char_ref() {
                Ok(Some(c)) => see(Seen::Text(c.encode_utf8(&mut [0; 4])))?,
                Ok(None) => {
                    if let Some(text) = resolve_predefined_entity(&reference.xml10_content()) {
                        see(Seen::Text(text))?;
                    }
                }
                Err(_) => {}
            },
            Event::DocType(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            Event::Eof => return Ok(()),
        }
        buffer.clear();
    }
}

/// An attribute, whatever its prefix.
pub(super) fn attribute(start: &BytesStart<'_>, name: &str) -> Option<String> {
    let found = start.attributes().flatten().find(|it| it.key.local_name().as_ref() == name)?;
    Some(found.value.to_string())
}
