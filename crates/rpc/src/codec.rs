//! Bodies as postcard.
//!
//! Postcard does not describe itself: both ends must mean the same type by a
//! method's number. What changes gets another method or protocol number.

use crate::RpcError;
use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};
use std::cell::Cell;

/// The longest message that is encoded in what a thread keeps for it, which is twice as large at most.
const SCRATCH_MAX: usize = 64 * 1024;

thread_local! {
    /// A message's length is not known before it is encoded: it grows here, where there is room already.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Encodes a message.
///
/// # Panics
/// When the type cannot be encoded at all (a sequence that does not know its
/// length), which is a mistake in the program and independent of the value.
pub fn encode<T: Serialize + ?Sized>(message: &T) -> Bytes {
    let mut scratch = SCRATCH.take();
    scratch.clear();
    match postcard::to_extend(message, scratch) {
        // A large one is not copied once more.
        Ok(bytes) if bytes.len() > SCRATCH_MAX => bytes.into(),
        Ok(scratch) => {
            let bytes = Bytes::copy_from_slice(&scratch);
            SCRATCH.set(scratch);
            bytes
        }
        Err(error) => panic!("{} cannot be encoded: {error}", std::any::type_name::<T>()),
    }
}

/// Decodes a message, which must fill `bytes` exactly.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, RpcError> {
    match postcard::take_from_bytes(bytes) {
        Ok((message, [])) => Ok(message),
        Ok((_, rest)) => Err(garbled::<T>(format!("{} bytes too many", rest.len()))),
        Err(error) => Err(garbled::<T>(error)),
    }
}

/// Decodes the head of a body of two parts; the rest is the payload, not copied.
pub fn decode_head<T: DeserializeOwned>(body: &Bytes) -> Result<(T, Bytes), RpcError> {
    let (message, rest) = postcard::take_from_bytes(body).map_err(garbled::<T>)?;
    Ok((message, body.slice(body.len() - rest.len()..)))
}

fn garbled<T>(why: impl std::fmt::Display) -> RpcError {
    let name = std::any::type_name::<T>();
    RpcError::Protocol(format!("not a {}: {why}", name.rsplit("::").next().unwrap_or(name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use types::Version;

    proptest! {
        #[test]
        fn messages_read_back(number: u64, text: String, bytes: Vec<u8>) {
            let message = (Version::new(number, 3), text, Bytes::from(bytes));
            prop_assert_eq!(decode::<(Version, String, Bytes)>(&encode(&message)).unwrap(), message);
        }

        #[test]
        fn strange_bytes_are_refused_or_read(bytes: Vec<u8>) {
            let _ = decode::<(Version, String, Vec<Option<Bytes>>)>(&bytes);
        }

        #[test]
        fn a_head_leaves_the_payload_uncopied(text: String, payload: Vec<u8>) {
            let body = Bytes::from([&encode(&text)[..], &payload].concat());
            let (read, rest) = decode_head::<String>(&body).unwrap();
            prop_assert_eq!(read, text);
            prop_assert_eq!(&rest[..], &payload[..]);
            prop_assert!(rest.is_empty() || rest.as_ptr_range().end == body.as_ptr_range().end);
        }
    }

    #[test]
    fn messages_of_any_length_follow_each_other() {
        for length in [0, 1, 100, SCRATCH_MAX - 3, SCRATCH_MAX, 3 * SCRATCH_MAX, 5] {
            let message = vec![length as u8; length];
            assert_eq!(decode::<Vec<u8>>(&encode(&message)).unwrap(), message, "{length}");
            assert_eq!(decode::<u8>(&encode(&7u8)).unwrap(), 7, "behind it nothing of it is left");
        }
        assert!(SCRATCH.take().capacity() <= 2 * SCRATCH_MAX);
    }

    /// One that encodes another while it is encoded.
    struct Nested;

    impl Serialize for Nested {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            (1u8, encode("inner"), 2u8).serialize(serializer)
        }
    }

    #[test]
    fn a_message_may_hold_another_encoded() {
        let (one, inner, two) = decode::<(u8, Bytes, u8)>(&encode(&Nested)).unwrap();
        assert_eq!((one, decode::<String>(&inner).unwrap(), two), (1, "inner".into(), 2));
    }

    #[test]
    fn a_message_fills_its_body() {
        let error = decode::<u8>(&[1, 2]).unwrap_err();
        assert_eq!(error.to_string(), "protocol: not a u8: 1 bytes too many");
    }
}
