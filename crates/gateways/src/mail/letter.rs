//! What mails say.

use crate::web::Language;
use apps::accounts::{Letter, Message, Relay};
use mail_builder::MessageBuilder;
use mail_builder::headers::raw::Raw;
use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

/// What is behind the @.
pub(super) fn domain(address: &str) -> String {
    address.rsplit_once('@').map_or("localhost", |(_, domain)| domain).to_string()
}

/// The mail as it goes over the wire (RFC 5322). `Auto-Submitted` keeps programs from answering it (RFC 3834).
pub(super) fn write(relay: &Relay, letter: &Letter) -> io::Result<Vec<u8>> {
    let (subject, body) = words(relay, letter);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let id = format!("{:032x}@{}", rand::random::<u128>(), domain(&relay.from));
    let from = match relay.from_name.as_str() {
        "" => Language::of_code_or_english(&letter.language).words().product,
        name => name,
    };
    MessageBuilder::new()
        .from((from, relay.from.as_str()))
        .to(letter.to.as_str())
        .subject(subject)
        .date(i64::try_from(now).unwrap_or_default())
        .message_id(id)
        .header("Auto-Submitted", Raw::new("auto-generated"))
        .text_body(body)
        .write_to_vec()
}

/// Subject and text. What is filled in comes from the relay's settings and the account, never from who asked.
fn words(relay: &Relay, letter: &Letter) -> (String, String) {
    let text = Language::of_code_or_english(&letter.language).words();
    let (subject, body, path) = match &letter.message {
        Message::Reset(secret) => (text.mail_reset_subject, text.mail_reset, format!("/reset/{}", secret.as_str())),
        Message::Confirm(secret) => {
            (text.mail_confirm_subject, text.mail_confirm, format!("/recovery/{}", secret.as_str()))
        }
        Message::Changed => (text.mail_changed_subject, text.mail_changed, String::new()),
        Message::Test => (text.mail_test_subject, text.mail_test, String::new()),
    };
    let link = format!("{}{path}", relay.site);
    let values = [("name", letter.name.as_str()), ("site", relay.site.as_str()), ("link", link.as_str())];
    (crate::web::fill(subject, &values), crate::web::fill(body, &values))
}

#[cfg(test)]
mod tests {
    use super::*;
    use apps::Token;
    use apps::accounts::RelayTls;

    fn relay(from_name: &str) -> Relay {
        Relay {
            host: "relay.example".into(),
            port: 25,
            tls: RelayTls::StartTls,
            user: String::new(),
            password: String::new(),
            from: "cloud@example.org".into(),
            from_name: from_name.into(),
            site: "https://cloud.example.org".into(),
        }
    }

    fn letter(language: &str, message: Message) -> Letter {
        Letter { to: "ada@example.net".into(), name: "ada".into(), language: language.into(), message }
    }

    #[test]
    fn a_mail_has_what_it_needs_and_no_more() {
        let secret = "0123456789abcdef".repeat(4);
        for (language, subject) in [("en", "A new password"), ("de", "=?utf-8?"), ("xx", "A new password")] {
            let mail = write(&relay(""), &letter(language, Message::Reset(Token::shown(&secret)))).unwrap();
            let mail = String::from_utf8(mail).unwrap();
            let (head, _) = mail.split_once("\r\n\r\n").unwrap();
            for line in
                ["From: \"Atoll\" <cloud@example.org>", "To: <ada@example.net>", "Auto-Submitted: auto-generated"]
            {
                assert!(head.contains(line), "{line}: {head}");
            }
            for header in ["Date: ", "Message-ID: <", &format!("Subject: {subject}"), "text/plain"] {
                assert!(head.contains(header), "{header}: {head}");
            }
            assert!(mail.is_ascii() && mail.lines().all(|line| line.len() < 998));
            // However it is wrapped.
            let text = mail.replace("=\r\n", "").replace("\r\n", "\n");
            assert!(text.contains(&format!("https://cloud.example.org/reset/{secret}\n")), "{text}");
        }
    }

    #[test]
    fn every_mail_in_every_language_is_filled_in() {
        for language in Language::ALL {
            for message in [
                Message::Reset(Token::shown("s")),
                Message::Confirm(Token::shown("s")),
                Message::Changed,
                Message::Test,
            ] {
                let (subject, body) = words(&relay("Our cloud"), &letter(language.code(), message));
                assert!(!subject.contains(['{', '\n', '\r']) && !body.contains('{'), "{subject}: {body}");
                assert!(body.contains("https://cloud.example.org"), "{body}");
            }
        }
    }

    #[test]
    fn a_name_cannot_add_a_line() {
        let mail = write(&relay("Cloud\r\nBcc: eve@example.net"), &letter("en", Message::Test)).unwrap();
        assert!(!String::from_utf8(mail).unwrap().contains("\nBcc:"));
    }
}
