//! The rules of names and passwords.

use super::AccountError;
use unicode_normalization::UnicodeNormalization;

/// Characters in a name.
pub const NAME_MAX: usize = 64;
/// Characters in a display name.
pub const DISPLAY_MAX: usize = 100;
/// Characters that a password has at least.
pub const PASSWORD_MIN: usize = 8;
/// Bytes that a password has at most.
pub const PASSWORD_BYTES_MAX: usize = 1024;

/// The name as it is stored: one form for all ways to type it, lower-cased.
pub fn valid_name(name: &str) -> Result<String, AccountError> {
    let name: String = name.trim().chars().take(NAME_MAX + 1).nfkc().collect();
    let bad = |why| Err(AccountError::BadName { why });
    if name.is_empty() || name.len() > NAME_MAX {
        return bad("it must have 1 to 64 characters");
    }
    let name = name.to_ascii_lowercase();
    if !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte)) {
        return bad("only letters a to z, digits, dot, underscore and hyphen are allowed");
    }
    if !name.bytes().any(|byte| byte.is_ascii_alphanumeric()) {
        return bad("it needs a letter or a digit");
    }
    Ok(name)
}

/// The display name as it is stored; the name, when it is empty.
pub(super) fn valid_display(display: &str, name: &str) -> Result<String, AccountError> {
    let display: String = display.trim().chars().take(DISPLAY_MAX + 1).nfc().collect();
    if display.chars().count() > DISPLAY_MAX {
        return Err(AccountError::BadName { why: "the display name is longer than 100 characters" });
    }
    if display.chars().any(deceives) {
        return Err(AccountError::BadName { why: "the display name has characters in it that are not seen" });
    }
    Ok(if display.is_empty() { name.to_string() } else { display })
}

/// A drive's name as it is stored: what is seen, on one line. Any number of drives may have the same.
pub(super) fn valid_drive_name(name: &str) -> Result<String, AccountError> {
    let name: String = name.trim().chars().take(DISPLAY_MAX + 1).nfc().collect();
    let bad = |why| Err(AccountError::BadName { why });
    if name.is_empty() || name.chars().count() > DISPLAY_MAX {
        return bad("a drive's name has 1 to 100 characters");
    }
    if name.chars().any(deceives) {
        return bad("it has characters in it that are not seen");
    }
    Ok(name)
}

/// Is it not seen itself, but changes how what is around it looks? Control characters, and of the format characters
/// those that turn the direction or show nothing. Joiners stay: names of some scripts are not written without them.
/// The pages' scripts have the same list: `format.js`.
pub(crate) fn deceives(c: char) -> bool {
    let formats = matches!(
        c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
    );
    formats || c.is_control()
}

/// May this become a password? Length is all that is asked.
pub(super) fn check_password(password: &str, name: &str) -> Result<(), AccountError> {
    let bad = |why| Err(AccountError::BadPassword { why });
    if password.len() > PASSWORD_BYTES_MAX {
        return bad("it is longer than 1024 bytes");
    }
    if password.chars().count() < PASSWORD_MIN {
        return bad("it has fewer than eight characters");
    }
    if password.eq_ignore_ascii_case(name) {
        return bad("it is the name");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_lower_cased_and_plain() {
        assert_eq!(valid_name(" Ada.L-1_x ").unwrap(), "ada.l-1_x");
        assert_eq!(valid_name("ＡＤＡ").unwrap(), "ada", "typed on another keyboard");
        assert_eq!(valid_name("\u{212a}im").unwrap(), "kim", "the sign for Kelvin");
        for bad in ["", "a b", "é", "a/b", "..", "-", &"x".repeat(65), "a\0"] {
            assert!(valid_name(bad).is_err(), "{bad:?}");
        }
        assert!(valid_name(&"x".repeat(64)).is_ok());
    }

    #[test]
    fn passwords_are_judged_by_length() {
        assert!(check_password("1234567", "ada").is_err());
        assert!(check_password("12345678", "ada").is_ok());
        assert!(check_password("éééééééé", "ada").is_ok());
        assert!(check_password("Adalovelace", "adalovelace").is_err());
        assert!(check_password(&"x".repeat(1025), "ada").is_err());
    }

    #[test]
    fn display_names_are_bounded() {
        assert_eq!(valid_display("  ", "ada").unwrap(), "ada");
        assert_eq!(valid_display("Ada Lovelace", "ada").unwrap(), "Ada Lovelace");
        assert!(valid_display(&"x".repeat(101), "ada").is_err());
        assert!(valid_display("a\nb", "ada").is_err());
    }

    proptest! {
        #[test]
        fn a_valid_name_stays_as_it_is(text: String) {
            if let Ok(name) = valid_name(&text) {
                prop_assert_eq!(valid_name(&name).unwrap(), name);
            }
        }
    }
}
