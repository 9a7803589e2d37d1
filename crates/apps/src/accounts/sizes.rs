//! Sizes as people type and read them, everywhere the same: `500M`, `1.4 MB`. Units are powers of 1000; typed with an `i`
//! (`20Gi`, `20 GiB`) they are powers of 1024.

const UNITS: &str = "KMGT";

/// Bytes of a number with K, M, G or T behind it, or nothing; a `B` behind that is read over.
pub fn parse_size(text: &str) -> Result<u64, &'static str> {
    let bad = "a size is a number, with K, M, G or T behind it if you like: 500M, 20G";
    let upper = text.trim().to_ascii_uppercase();
    let text = upper.strip_suffix('B').unwrap_or(&upper);
    let (text, base) = text.strip_suffix('I').map_or((text, 1000u64), |text| (text, 1024));
    let (digits, power) = match text.char_indices().last() {
        Some((at, unit)) if !unit.is_ascii_digit() => (&text[..at], 1 + UNITS.find(unit).ok_or(bad)? as u32),
        _ if base == 1024 => return Err(bad),
        _ => (text, 0),
    };
    digits.trim().parse::<u64>().ok().and_then(|n| n.checked_mul(base.pow(power))).ok_or(bad)
}

/// The same bytes as they would be typed, exactly, in the shortest way.
pub fn typed_size(bytes: u64) -> String {
    let mut shortest = bytes.to_string();
    for (base, mark) in [(1000u64, ""), (1024, "i")] {
        for (unit, power) in UNITS.chars().zip(1..) {
            let typed = format!("{}{unit}{mark}", bytes / base.pow(power));
            if bytes > 0 && bytes.is_multiple_of(base.pow(power)) && typed.len() < shortest.len() {
                shortest = typed;
            }
        }
    }
    shortest
}

/// About as many bytes, for people: `1.4 MB`. Scripts of the pages say the same (`format.js`).
pub fn said_size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1000.0;
    let mut unit = 0;
    // What would be said as 1000 is the next unit's 1.
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let value = if value < 9.95 { format!("{value:.1}") } else { format!("{value:.0}") };
    format!("{value} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_are_read() {
        for (text, bytes) in
            [("0", 0), ("512B", 512), ("1k", 1000), ("20G", 20_000_000_000), ("3 MiB", 3 << 20), ("1Ti", 1 << 40)]
        {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for bad in ["", "G", "-1", "1.5G", "1X", "99999999999T", "ÄG", "5i", "1iK", "1BB"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_are_said() {
        for (bytes, said) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (9_949, "9.9 kB"),
            (9_960, "10 kB"),
            (999_499, "999 kB"),
            (999_600, "1.0 MB"),
            (20_000_000, "20 MB"),
            (u64::MAX, "18 EB"),
        ] {
            assert_eq!(said_size(bytes), said, "{bytes}");
        }
    }

    #[test]
    fn what_was_typed_is_shown_as_it_was_typed() {
        for typed in ["500M", "20G", "20Gi", "1Ki", "1500", "0", "1T"] {
            assert_eq!(typed_size(parse_size(typed).unwrap()), typed);
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
