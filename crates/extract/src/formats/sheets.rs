//! Tables of Office Open XML (ECMA-376, part 1: SpreadsheetML, 18): cell by cell, row by row.

use super::archive::Archive;
use super::xml::{Seen, attribute, walk};
use crate::text::{Stop, Text};

/// Bytes of strings that cells share; cells that have later ones stay without.
const SHARED_BYTES_MAX: usize = 32 * 1024 * 1024;

/// What the value of a cell is (18.18.11).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The number of a shared string.
    Shared,
    /// True or false.
    Boolean,
    /// As it stands: a number, or the text that a formula came to.
    Plain,
}

pub(super) fn read(archive: &mut Archive<'_>, text: &mut Text<'_>) -> Result<(), Stop> {
    walk(archive.part("xl/workbook.xml")?, |seen| {
        if let Seen::Start("sheet", start) = seen {
            text.push(&attribute(start, "name").unwrap_or_default())?;
            text.line();
        }
        Ok(())
    })?;
    let shared = shared_strings(archive)?;
    for name in archive.numbered("xl/worksheets/sheet") {
        let (mut kind, mut value, mut inline) = (Kind::Plain, None, false);
        walk(archive.part(&name)?, |seen| {
            match seen {
                Seen::Start("c", start) => {
                    kind = match attribute(start, "t").as_deref() {
                        Some("s") => Kind::Shared,
                        Some("b") => Kind::Boolean,
                        _ => Kind::Plain,
                    }
                }
                Seen::Start("v", _) => value = Some(String::new()),
                Seen::Start("t", _) => inline = true,
                Seen::End("t") => inline = false,
                Seen::Text(found) if inline => text.push(found)?,
                Seen::Text(found) => {
                    if let Some(value) = &mut value {
                        value.push_str(found);
                    }
                }
                Seen::End("v") => match (kind, value.take().unwrap_or_default()) {
                    (Kind::Shared, number) => {
                        let string = number.trim().parse::<usize>().ok().and_then(|number| shared.get(number));
                        text.push(string.map_or("", String::as_str))?;
                    }
                    (Kind::Boolean, _) => {}
                    (Kind::Plain, value) => text.push(&value)?,
                },
                Seen::End("c") => text.space(),
                Seen::End("row") => text.line(),
                _ => {}
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn shared_strings(archive: &mut Archive<'_>) -> Result<Vec<String>, Stop> {
    let mut strings = Vec::new();
    if !archive.has("xl/sharedStrings.xml") {
        return Ok(strings);
    }
    let (mut one, mut within, mut left) = (String::new(), false, SHARED_BYTES_MAX);
    walk(archive.part("xl/sharedStrings.xml")?, |seen| {
        match seen {
            Seen::Start("t", _) => within = true,
            Seen::End("t") => within = false,
            // How it is read aloud is no part of it.
            Seen::Text(found) if within => match left.checked_sub(found.len()) {
                Some(rest) => {
                    left = rest;
                    one.push_str(found);
                }
                None => return Err(Stop::Enough),
            },
            Seen::End("si") => {
                left = left.saturating_sub(size_of::<String>());
                strings.push(std::mem::take(&mut one));
            }
            _ => {}
        }
        Ok(())
    })
    .or_else(|stop| if matches!(stop, Stop::Enough) { Ok(()) } else { Err(stop) })?;
    Ok(strings)
}

#[cfg(test)]
mod tests {
    use crate::formats::tests::{packed, text_of};

    #[test]
    fn cells_come_row_by_row() {
        let sheet = "<worksheet><sheetData><row><c t=\"s\"><v>1</v></c><c><v>42.5</v></c><c t=\"b\"><v>1</v></c></row>\
            <row><c t=\"inlineStr\"><is><t>inline</t></is></c><c t=\"s\"><v>0</v></c><c t=\"s\"><v>99</v></c></row>\
            </sheetData></worksheet>";
        let bytes = packed(&[
            ("xl/workbook.xml", "<workbook><sheets><sheet name=\"Budget\"/></sheets></workbook>"),
            ("xl/sharedStrings.xml", "<sst><si><t>first</t></si><si><r><t>sec</t></r><r><t>ond</t></r></si></sst>"),
            ("xl/worksheets/sheet1.xml", sheet),
        ]);
        assert_eq!(text_of(&bytes), ("Budget\nsecond 42.5\ninline first".into(), true));
    }

    #[test]
    fn one_string_that_stands_everywhere_is_bounded() {
        let sheet = format!("<sheetData>{}</sheetData>", "<row><c t=\"s\"><v>0</v></c></row>".repeat(10_000));
        let string = format!("<sst><si><t>{}</t></si></sst>", "x".repeat(100_000));
        let bytes = packed(&[
            ("xl/workbook.xml", "<w/>"),
            ("xl/sharedStrings.xml", &string),
            ("xl/worksheets/sheet1.xml", &sheet),
        ]);
        assert_eq!(text_of(&bytes).0.len(), crate::TEXT_BYTES_MAX);
    }
}
