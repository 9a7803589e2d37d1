//! Sizes as people type them: `500M`, `20 GiB`. Units are powers of 1024.

const UNITS: &str = "KMGT";

/// Bytes of a number with K, M, G or T behind it, or nothing; `B` and `iB` are read over.
pub fn parse_size(text: &str) -> Result<u64, &'static str> {
    let bad = "a size is a number, with K, M, G or T behind it if you like: 500M, 20G";
    let upper = text.trim().to_ascii_uppercase();
    let text = upper.trim_end_matches('B').trim_end_matches('I');
    let (digits, power) = match text.char_indices().last() {
        Some((at, unit)) if !unit.is_ascii_digit() => (&text[..at], 1 + UNITS.find(unit).ok_or(bad)? as u32),
        _ => (text, 0),
    };
    digits.trim().parse::<u64>().ok().and_then(|n| n.checked_mul(1024u64.pow(power))).ok_or(bad)
}

/// The same bytes as they would be typed, exactly.
pub fn typed_size(bytes: u64) -> String {
    let whole = |power: u32| bytes > 0 && bytes.is_multiple_of(1024u64.pow(power));
    match (1..=4u32).rev().find(|power| whole(*power)) {
        Some(power) => format!("{}{}", bytes / 1024u64.pow(power), &UNITS[power as usize - 1..power as usize]),
        None => bytes.to_string(),
    }
}

/// About as many bytes, for people, in the units in which they are typed: `1.5 GiB`.
pub fn said_size(bytes: u64) -> String {
    let (mut value, mut power) = (bytes as f64, 0);
    // What would be said as 1024 is the next unit's 1.
    while value >= 1023.95 && power < UNITS.len() {
        value /= 1024.0;
        power += 1;
    }
    match power {
        0 => format!("{bytes} B"),
        _ => {
            let value = format!("{value:.1}");
            format!("{} {}iB", value.strip_suffix(".0").unwrap_or(&value), &UNITS[power - 1..power])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_are_read() {
        for (text, bytes) in
            [("0", 0), ("512", 512), ("1k", 1024), ("20G", 20 << 30), ("3 MiB", 3 << 20), ("1TB", 1 << 40)]
        {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for bad in ["", "G", "-1", "1.5G", "1X", "99999999999T", "ÄG"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_are_said() {
        for (bytes, said) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (2 << 30, "2 GiB"),
            (1536, "1.5 KiB"),
            ((1 << 20) - 1, "1 MiB"),
            (u64::MAX, "16777216 TiB"),
        ] {
            assert_eq!(said_size(bytes), said, "{bytes}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(bytes: u64, shift in 0u32..50) {
            let bytes = bytes >> shift << (shift / 2);
            prop_assert_eq!(parse_size(&typed_size(bytes)), Ok(bytes));
        }

        #[test]
        fn nothing_typed_panics(text: String) {
            let _ = parse_size(&text);
        }
    }
}
