//! Every word that a page or its script shows, in one place, in each language.
//!
//! Scripts get the same texts as a module (`text.js`). `{name}` marks what is filled in. What language a request is answered
//! in is known while it is ([`Language::answer`]); what runs beside it speaks English, as programs that ask for no language do.
//! A further language is a file like [`german`] (the compiler tells what is missing), one like [`german_errors`], and a
//! line in [`Language::ALL`].

mod english;
mod german;
mod german_errors;

pub use english::{ENGLISH, Text};
pub use german::GERMAN;

use apps::accounts::Kept;
use apps::drive::path::shown;
use apps::{AccountError, DriveError};
use axum::http::HeaderMap;
use axum::http::header::ACCEPT_LANGUAGE;
use client::ClientError;
use std::future::Future;

/// The cookie in which a browser keeps the language that was chosen in the settings.
pub const COOKIE: &str = "atoll-language";
/// Languages that one header may name; what follows is not looked at.
const ASKED_MAX: usize = 20;

/// A language that Atoll speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    English,
    German,
}

tokio::task_local! {
    static LANGUAGE: Language;
}

/// The words to answer with.
pub fn words() -> &'static Text {
    Language::now().words()
}

impl Language {
    pub const ALL: [Language; 2] = [Language::English, Language::German];

    /// That of the request under way.
    pub fn now() -> Language {
        LANGUAGE.try_with(|language| *language).unwrap_or(Language::English)
    }

    /// Lets the answer be in this language.
    pub async fn answer<F: Future>(self, answer: F) -> F::Output {
        LANGUAGE.scope(self, answer).await
    }

    pub fn words(self) -> &'static Text {
        match self {
            Language::English => &ENGLISH,
            Language::German => &GERMAN,
        }
    }

    /// Its code (RFC 5646).
    pub fn code(self) -> &'static str {
        match self {
            Language::English => "en",
            Language::German => "de",
        }
    }

    pub fn of_code(code: &str) -> Option<Language> {
        Language::ALL.into_iter().find(|language| language.code() == code)
    }

    /// The same, or English.
    pub fn of_code_or_english(code: &str) -> Language {
        Language::of_code(code).unwrap_or(Language::English)
    }

    /// As was chosen in this browser, or else as it asks (RFC 9110, section 12.5.4: the greatest weight, the first of equals).
    pub fn asked(headers: &HeaderMap) -> Language {
        if let Some(chosen) = super::session::cookie(headers, COOKIE).and_then(Language::of_code) {
            return chosen;
        }
        let asked = headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let mut best = (0.0, Language::English);
        for range in asked.split(',').take(ASKED_MAX) {
            let mut parts = range.split(';');
            let tag = parts.next().unwrap_or_default().trim();
            let weight = parts.find_map(|part| part.trim().strip_prefix("q=")).map_or(Ok(1.0), str::parse::<f64>);
            let primary = tag.split('-').next().unwrap_or_default().to_ascii_lowercase();
            if let (Some(language), Ok(weight)) = (Language::of_code(&primary), weight)
                && weight > best.0
            {
                best = (weight, language);
            }
        }
        best.1
    }
}

/// Why a drive did not do what was asked, in the request's language.
pub fn drive_error(error: &DriveError) -> String {
    match Language::now() {
        Language::English => error.to_string(),
        Language::German => german_errors::drive(error),
    }
}

/// The same of accounts.
pub fn account_error(error: &AccountError) -> String {
    match Language::now() {
        Language::English => error.to_string(),
        Language::German => german_errors::account(error),
    }
}

/// The same of the store.
pub fn client_error(error: &ClientError) -> String {
    match Language::now() {
        Language::English => error.to_string(),
        Language::German => german_errors::client(error),
    }
}

/// What goes with an account.
pub fn kept(kept: &Kept) -> String {
    let text = words();
    match kept {
        Kept::Drive(Some(bytes)) => fill(text.kept_drive_with, &[("size", &super::format::size(*bytes))]),
        Kept::Drive(None) => text.kept_drive.to_string(),
        Kept::Places(1) => text.kept_place.to_string(),
        Kept::Places(count) => fill(text.kept_places, &[("count", &count.to_string())]),
        Kept::OnlyManager(name) => fill(text.kept_only_manager, &[("name", name)]),
    }
}

/// `text` with each `{key}` filled in.
pub fn fill(text: &str, values: &[(&str, &str)]) -> String {
    values.iter().fold(text.to_string(), |text, (key, value)| text.replace(&format!("{{{key}}}"), &shown(value)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;
    use axum::http::header::COOKIE as COOKIES;

    fn asked(accept: &str, cookie: &str) -> Language {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_LANGUAGE, HeaderValue::from_str(accept).unwrap());
        headers.insert(COOKIES, HeaderValue::from_str(cookie).unwrap());
        Language::asked(&headers)
    }

    #[test]
    fn the_language_is_the_one_that_is_asked_for() {
        for (accept, language) in [
            ("", Language::English),
            ("de", Language::German),
            ("de-AT,de;q=0.9,en;q=0.8", Language::German),
            ("en-GB,en;q=0.9,de;q=0.8", Language::English),
            ("fr,de;q=0.3,en;q=0.2", Language::German),
            ("fr, *;q=0.5", Language::English),
            ("de;q=0, en;q=0.1", Language::English),
            ("de;q=x", Language::English),
            ("den", Language::English),
        ] {
            assert_eq!(asked(accept, "a=b"), language, "{accept}");
        }
        assert_eq!(asked("en", "a=b; atoll-language=de"), Language::German);
        assert_eq!(asked("de", "atoll-language=en"), Language::English);
        assert_eq!(asked("de", "atoll-language=xx"), Language::German);
    }

    /// What is filled in is the same in each language, and nothing was left as it was but what is the same in both.
    #[test]
    fn languages_say_the_same() {
        let fields = |text: &Text| serde_json::to_value(text).unwrap().as_object().unwrap().clone();
        let marks = |text: &str| {
            let mut marks: Vec<String> =
                text.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0.into())).collect();
            marks.sort();
            marks
        };
        let english = fields(&ENGLISH);
        for language in Language::ALL {
            assert_eq!(language.words().language, language.code());
            let mut same = 0;
            for (name, text) in fields(language.words()) {
                let (text, original) = (text.as_str().unwrap(), english[&name].as_str().unwrap());
                assert_eq!(marks(text), marks(original), "{name}");
                assert!(!text.trim().is_empty(), "{name}");
                same += usize::from(text == original);
            }
            assert!(language == Language::English || same * 10 < english.len(), "{same} texts are as in English");
        }
    }

    #[tokio::test]
    async fn errors_speak_the_language_of_the_request() {
        let error = DriveError::NotFound { path: "/a".into() };
        assert_eq!(drive_error(&error), error.to_string());
        Language::German.answer(async { assert_eq!(drive_error(&error), "unter /a ist nichts") }).await;
    }
}
