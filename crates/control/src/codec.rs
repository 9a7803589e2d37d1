//! How what this crate keeps is written to disk and wire: a version byte, then postcard; sealed, with a
//! checksum in front.

use serde::Serialize;
use serde::de::DeserializeOwned;

const VERSION: u8 = 1;

pub(crate) fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, String> {
    let start = vec![VERSION];
    postcard::to_extend(value, start).map_err(|error| error.to_string())
}

pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    match bytes.split_first() {
        Some((&VERSION, body)) => postcard::from_bytes(body).map_err(|error| error.to_string()),
        Some((version, _)) => Err(format!("written in format {version}, which this release does not know")),
        None => Err("empty".to_string()),
    }
}

/// As [`encode`], with a checksum in front.
pub(crate) fn seal<T: Serialize>(value: &T) -> Result<Vec<u8>, String> {
    let mut sealed = postcard::to_extend(value, vec![0, 0, 0, 0, VERSION]).map_err(|error| error.to_string())?;
    let checksum = crc32fast::hash(&sealed[4..]);
    sealed[..4].copy_from_slice(&checksum.to_le_bytes());
    Ok(sealed)
}

/// The reverse of [`seal`].
pub(crate) fn unseal<T: DeserializeOwned>(sealed: &[u8]) -> Result<T, String> {
    let Some((checksum, body)) = sealed.split_at_checked(4) else { return Err("too short".to_string()) };
    if crc32fast::hash(body).to_le_bytes() != checksum {
        return Err("checksum does not match".to_string());
    }
    decode(body)
}
