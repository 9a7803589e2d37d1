//! Chain replication as a pure state machine.
