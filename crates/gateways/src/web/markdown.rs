//! Markdown (CommonMark) as HTML that does nothing: HTML in it is shown as it is written, links lead to
//! the web or nowhere, images are named and not loaded.

use pulldown_cmark::{Alignment, CodeBlockKind, CowStr, Event, LinkType, Options, Parser, Tag, TagEnd, html};

/// Bytes of a text that is rendered; longer ones are shown as they are.
pub(super) const BYTES_MAX: usize = 256 * 1024;
/// Elements that a text may become: a short one of nested quotes would be many times as long.
const ELEMENTS_MAX: usize = 50_000;
/// Where links may lead.
const SCHEMES: [&str; 3] = ["http://", "https://", "mailto:"];

/// Does the name say that it is Markdown?
pub(super) fn is_named_so(name: &str) -> bool {
    let end = name.rsplit_once('.').map(|(_, end)| end.to_ascii_lowercase());
    matches!(end.as_deref(), Some("md" | "markdown" | "mdown"))
}

/// The HTML; none where it would be too much.
pub(super) fn render(text: &str) -> Option<String> {
    let parser =
        || Parser::new_ext(text, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS);
    let elements = || parser().filter(|event| !matches!(event, Event::Text(_) | Event::End(_))).count();
    if text.len() > BYTES_MAX || elements() > ELEMENTS_MAX {
        return None;
    }
    let mut links = Vec::new();
    let mut out = String::with_capacity(text.len() * 2);
    html::push_html(&mut out, parser().map(|event| harmless(event, &mut links)));
    Some(out)
}

/// What the event may become. `links`: of each link that is open, whether it leads anywhere.
fn harmless<'a>(event: Event<'a>, links: &mut Vec<bool>) -> Event<'a> {
    match event {
        Event::Html(written) | Event::InlineHtml(written) => Event::Text(written),
        Event::Start(Tag::HtmlBlock) => Event::Start(Tag::CodeBlock(CodeBlockKind::Indented)),
        Event::End(TagEnd::HtmlBlock) => Event::End(TagEnd::CodeBlock),
        Event::Start(Tag::Link { link_type, dest_url, .. }) => {
            let to = if link_type == LinkType::Email { format!("mailto:{dest_url}").into() } else { dest_url };
            links.push(leads_out(&to));
            // Nobody there learns where it stood.
            written(match leads_out(&to) {
                true => format!("<a href=\"{}\" target=\"_blank\" rel=\"noopener noreferrer nofollow\">", escaped(&to)),
                false => "<span>".into(),
            })
        }
        Event::End(TagEnd::Link) => written(if links.pop() == Some(true) { "</a>" } else { "</span>" }),
        Event::Start(Tag::Image { dest_url, .. }) => {
            written(format!("<span class=\"image\" title=\"{}\">", escaped(&dest_url)))
        }
        Event::End(TagEnd::Image) => written("</span>"),
        // A box that nobody can tick, nor say what it is for, is a word of the text.
        Event::TaskListMarker(done) => Event::Text(if done { "☑ " } else { "☐ " }.into()),
        // Alignments would be styles within the page.
        Event::Start(Tag::Table(columns)) => Event::Start(Tag::Table(vec![Alignment::None; columns.len()])),
        other => other,
    }
}

fn written<'a>(html: impl Into<CowStr<'a>>) -> Event<'a> {
    Event::InlineHtml(html.into())
}

fn leads_out(to: &str) -> bool {
    SCHEMES.iter().any(|scheme| to.get(..scheme.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(scheme)))
}

fn escaped(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_harmless_is_rendered() {
        let html = render("# T\n\nsome *text* and <b>bold</b>\n\n| a |\n|--:|\n| b |\n\n- [x] done\n").unwrap();
        assert!(
            html.contains("<h1>T</h1>")
                && html.contains("<em>text</em>")
                && html.contains("<td>b</td>")
                && html.contains("☑ done"),
            "{html}"
        );
        assert!(html.contains("&lt;b&gt;bold") && !html.contains("style="), "{html}");
        let link = render("[x](https://a.example/?a=1&b=\"2\")").unwrap();
        assert!(link.contains("href=\"https://a.example/?a=1&amp;b=&quot;2&quot;\"") && link.contains("noreferrer"));
        assert!(render("<a@b.example>").unwrap().contains("href=\"mailto:a@b.example\""));
    }

    #[test]
    fn nothing_acts_or_is_loaded() {
        for text in [
            "<script>alert(1)</script>",
            "a <img src=x onerror=alert(1)> b",
            "<div\nonclick=alert(1)>\n\n</div>",
            "[x](javascript:alert(1))",
            "[x](JaVaScRiPt:alert(1) \"t\")",
            "[x](data:text/html,<script>)",
            "<javascript:alert(1)>",
            "[x](/settings/leave) [y](//evil.example)",
            "![a](https://evil.example/x.png)",
            "![<script>](x\"onerror=\"alert(1))",
            "[![a](x.png)](javascript:x)",
            "```\"><script>\n```",
        ] {
            let html = render(text).unwrap();
            only_known_elements(&html).unwrap();
            assert!(!html.contains("href="), "{text}: {html}");
        }
    }

    #[test]
    fn too_much_is_not_rendered() {
        assert_eq!(render(&">".repeat(BYTES_MAX)), None);
        assert_eq!(render(&"a".repeat(BYTES_MAX + 1)), None);
        assert!(render(&"a *b* ".repeat(10_000)).is_some());
    }

    /// Elements and attributes that there may be; anything else could do something.
    fn only_known_elements(html: &str) -> Result<(), String> {
        let known = [
            "p",
            "h1",
            "h2",
            "h3",
            "h4",
            "h5",
            "h6",
            "em",
            "strong",
            "del",
            "code",
            "pre",
            "blockquote",
            "ul",
            "ol",
            "li",
            "table",
            "thead",
            "tbody",
            "tr",
            "th",
            "td",
            "hr",
            "br",
            "a",
            "span",
        ];
        for tag in html.split('<').skip(1) {
            let tag = tag.split_once('>').ok_or("an element has no end")?.0;
            let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap_or_default();
            if !known.contains(&name) {
                return Err(format!("{name:?} in {html}"));
            }
            let values = tag.split('"').step_by(2).collect::<String>();
            for attribute in values.split_whitespace().skip(1) {
                let attribute = attribute.trim_end_matches(['=', '/']);
                let fine = ["href", "target", "rel", "class", "title", "start", ""];
                if !attribute.split('=').all(|one| fine.contains(&one)) {
                    return Err(format!("{attribute:?} in {html}"));
                }
            }
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn any_text_becomes_known_elements(text in "([<>\"'=/!\\[\\]()`*_|#\\n :&-]|script|img|onerror|javascript:|a|1\\.){0,60}") {
            if let Some(html) = render(&text) {
                prop_assert_eq!(only_known_elements(&html), Ok(()));
            }
        }
    }
}
