//! Walking a table.

/// Where a scan goes on. Opaque; as text it survives the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanCursor(String);

impl std::fmt::Display for ScanCursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for ScanCursor {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<ScanCursor, Self::Err> {
        Ok(ScanCursor(text.to_string()))
    }
}
