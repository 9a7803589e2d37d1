//! The child by itself.

fn main() -> std::process::ExitCode {
    atoll_extract::serve().into()
}
