//! Accounts and drive: domain rules, on the client alone.
