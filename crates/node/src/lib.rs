//! The data node's runtime: drives replication with storage and rpc.
