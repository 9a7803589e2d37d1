//! Routing client: layout cache, retries, operation ids, blob streaming.
