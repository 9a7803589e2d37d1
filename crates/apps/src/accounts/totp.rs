//! One-time codes of RFC 6238: six digits, thirty seconds, HMAC-SHA-1, as every authenticator program makes them.

use ring::hmac;
use subtle::{ConditionallySelectable, ConstantTimeEq};
use types::WallMillis;

/// Milliseconds that a code is shown for.
const STEP_MS: u64 = 30_000;
/// Steps before and after the present one whose codes are taken: clocks differ, and people type slowly.
const SKEW: u64 = 1;
/// Bytes of a secret: as many as the hash has.
pub(super) const SECRET_BYTES: usize = 20;

/// The code of a step.
fn code(secret: &[u8], step: u64) -> u32 {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let tag = tag.as_ref();
    let at = usize::from(tag[19] & 15);
    (u32::from_be_bytes([tag[at], tag[at + 1], tag[at + 2], tag[at + 3]]) & 0x7fff_ffff) % 1_000_000
}

/// The step whose code this is, if it is one of now and none of `last` or before was used.
pub(super) fn step_of(secret: &[u8], typed: &str, last: u64, now: WallMillis) -> Option<u64> {
    let typed: String = typed.chars().take(32).filter(|c| !c.is_whitespace()).collect();
    if typed.len() != 6 || !typed.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let typed: u32 = typed.parse().ok()?;
    let present = now.0 / STEP_MS;
    // Every step is looked at, whichever fits.
    let mut found = 0u64;
    for step in present.saturating_sub(SKEW)..=present + SKEW {
        found.conditional_assign(&step, code(secret, step).ct_eq(&typed));
    }
    (found > last).then_some(found)
}

/// What an authenticator program reads from a picture or a link.
pub(super) fn address(name: &str, secret: &[u8]) -> String {
    let secret = super::secrets::base32(secret).to_ascii_uppercase();
    format!("otpauth://totp/Atoll:{name}?secret={secret}&issuer=Atoll&algorithm=SHA1&digits=6&period=30")
}

/// What a person's program would show now.
#[doc(hidden)]
pub fn code_now(secret: &[u8], now: WallMillis) -> String {
    format!("{:06}", code(secret, now.0 / STEP_MS))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"12345678901234567890";

    #[test]
    fn codes_are_those_of_the_standard() {
        // RFC 6238, appendix B, the last six digits.
        for (seconds, digits) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            let now = WallMillis(seconds * 1000);
            assert_eq!(code_now(SECRET, now), digits);
            assert_eq!(step_of(SECRET, digits, 0, now), Some(seconds / 30));
        }
    }

    #[test]
    fn a_code_is_good_once_and_not_for_long() {
        let now = WallMillis(1_700_000_000_000);
        let code = code_now(SECRET, now);
        let step = step_of(SECRET, &format!(" {} {} ", &code[..3], &code[3..]), 0, now).unwrap();
        assert_eq!(step_of(SECRET, &code, step, now), None, "a replay");
        assert_eq!(step_of(SECRET, &code, 0, WallMillis(now.0 + 30_000)), Some(step));
        assert_eq!(step_of(SECRET, &code, 0, WallMillis(now.0 - 30_000)), Some(step));
        assert_eq!(step_of(SECRET, &code, 0, WallMillis(now.0 + 60_000)), None);
        for bad in ["", "12345", "1234567", "12345a", "-12345", "+12345", "१२३४५६"] {
            assert_eq!(step_of(SECRET, bad, 0, now), None, "{bad}");
        }
    }

    #[test]
    fn programs_understand_the_address() {
        let address = address("ada", SECRET);
        assert!(address.contains("secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&"), "{address}");
    }
}
