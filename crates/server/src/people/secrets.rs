//! Asking for passwords and codes: from standard input or a variable for scripts, else of the person who is there.

use crate::failure::{Failure, Outcome};
use crate::output;
use std::io::{BufRead, IsTerminal, Read};

/// Bytes of a password read from standard input.
const BYTES_MAX: u64 = 64 * 1024;

fn person() -> bool {
    std::io::stdin().is_terminal() && output::watched()
}

fn not_asked(error: inquire::InquireError) -> Failure {
    Failure::failed(format!("not done: {error}")).safe("nothing was changed")
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

/// A line of standard input, without its end.
fn line_of_input() -> Outcome<String> {
    let mut text = String::new();
    let mut limited = std::io::BufReader::with_capacity(1, std::io::stdin().lock().take(BYTES_MAX));
    limited.read_line(&mut text).map_err(|error| Failure::io("cannot read the password", &error))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_string())
}

/// The password that holds now.
pub fn password(question: &str, from_input: bool) -> Outcome<String> {
    if from_input {
        return line_of_input();
    }
    match variable("ATOLL_PASSWORD") {
        Some(password) => Ok(password),
        None if person() => inquire::Password::new(question).without_confirmation().prompt().map_err(not_asked),
        None => Err(Failure::usage("no password was given, and nobody is there to type one")
            .next("use --password-stdin, or set ATOLL_PASSWORD")),
    }
}

/// A new password: typed twice, or the (next) line of standard input.
pub fn new_password(question: &str, from_input: bool) -> Outcome<String> {
    if from_input {
        return line_of_input();
    }
    match variable("ATOLL_NEW_PASSWORD") {
        Some(password) => Ok(password),
        None if person() => inquire::Password::new(question).prompt().map_err(not_asked),
        None => Err(Failure::usage("no new password was given, and nobody is there to type one")
            .next("use --password-stdin, or set ATOLL_NEW_PASSWORD")),
    }
}

/// A code of the second factor, or a recovery code.
pub fn code(given: Option<String>) -> Outcome<String> {
    match given {
        Some(code) => Ok(code),
        None if person() => inquire::Text::new("Code:").prompt().map_err(not_asked),
        None => Err(Failure::usage("a code of the second factor is needed, and nobody is there to type one")
            .next("add --code CODE, or set ATOLL_CODE")),
    }
}

/// What the cluster shows its relay of mail.
pub fn relay_password(file: Option<&std::path::Path>, from_input: bool) -> Outcome<String> {
    if let Some(file) = file {
        let mut text = String::new();
        let opened = std::fs::File::open(file).and_then(|file| file.take(BYTES_MAX).read_to_string(&mut text));
        opened.map_err(|error| Failure::io(format!("cannot read {}", file.display()), &error))?;
        return Ok(text.lines().next().unwrap_or_default().to_string());
    }
    if from_input {
        return line_of_input();
    }
    match variable("ATOLL_RELAY_PASSWORD") {
        Some(password) => Ok(password),
        None if person() => {
            inquire::Password::new("Password at the relay:").without_confirmation().prompt().map_err(not_asked)
        }
        None => Err(Failure::usage("no password for the relay was given, and nobody is there to type one")
            .next("use --password-file, --password-stdin or --keep-password, or set ATOLL_RELAY_PASSWORD")),
    }
}
