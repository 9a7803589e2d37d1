//! Wire definitions: node messages with their framing, and the gRPC API atoll.v1.
