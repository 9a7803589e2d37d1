//! Addresses of mail, as far as they are taken: those of RFC 5321 without quotes, comments and literals, in ASCII. What has an
//! address that is not can be reached by its form in ASCII (RFC 5891).

use super::super::AccountError;

/// RFC 5321, section 4.5.3.1: of a path, less its brackets, and of what is before the @.
const BYTES_MAX: usize = 254;
const LOCAL_BYTES_MAX: usize = 64;
/// RFC 1035, section 2.3.4.
const LABEL_BYTES_MAX: usize = 63;

/// The address as it was typed, without spaces around it.
pub fn valid_address(typed: &str) -> Result<String, AccountError> {
    let address = typed.trim();
    let bad = Err(AccountError::Invalid("this is not an address of mail, such as ada@example.org"));
    if address.len() > BYTES_MAX {
        return bad;
    }
    let Some((local, domain)) = address.rsplit_once('@') else { return bad };
    let atom = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&byte);
    let dots = local.starts_with('.') || local.ends_with('.') || local.contains("..");
    if local.is_empty() || local.len() > LOCAL_BYTES_MAX || dots || !local.bytes().all(atom) {
        return bad;
    }
    if valid_host(domain) { Ok(address.to_string()) } else { bad }
}

/// Labels of letters, digits and hyphens.
pub fn valid_host(host: &str) -> bool {
    let label = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        let ends = label.starts_with('-') || label.ends_with('-');
        !label.is_empty() && label.len() <= LABEL_BYTES_MAX && !ends && label.bytes().all(inner)
    };
    host.len() <= BYTES_MAX && host.split('.').all(label)
}

/// Of two addresses that are the same for everybody who is sensible.
pub fn alike(address: &str) -> String {
    address.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_are_told_from_what_is_none() {
        let long = format!("{}@example.org", "a".repeat(64));
        for good in ["ada@example.org", " a.b+c@x ", "O'Neil@a-b.example", &long, "x@xn--bcher-kva.example"] {
            assert_eq!(valid_address(good).as_deref(), Ok(good.trim()), "{good}");
        }
        let longer = format!("a{long}");
        let far = format!("a@{}", "example.".repeat(40));
        let bad = [
            "",
            "ada",
            "@x",
            "a@",
            "a b@x",
            "a@b@c d",
            "<a@x>",
            "a@x\r\nRCPT TO:<b@x>",
            "a@[127.0.0.1]",
            "\"a\"@x",
            "a@x.",
            ".a@x",
            "a..b@x",
            "ä@x",
            "a@ä.example",
            "a@-x",
            "a@x_y",
            "a,b@x",
            &longer,
            &far,
        ];
        for bad in bad {
            assert!(valid_address(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_taken_stays_one_word_of_a_command(text in "[ -~\r\n\u{e4}]{0,20}@?[ -~\r\n]{0,20}") {
            if let Ok(address) = valid_address(&text) {
                prop_assert!(address.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>,;:\"()[]\\".contains(&byte)));
            }
        }
    }
}
