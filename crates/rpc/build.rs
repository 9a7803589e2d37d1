//! Compiles the gRPC definitions, in Rust alone: nobody needs protoc.

use prost::Message;
use std::path::PathBuf;

const FILES: [&str; 7] = ["common", "key_value", "tables", "accounts", "drive", "drives", "cluster"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("proto");
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    println!("cargo::rerun-if-changed={}", root.display());

    let files = FILES.map(|name| root.join(format!("atoll/v1/{name}.proto")));
    let descriptors = protox::compile(files, [&root])?;
    // For the reflection service.
    std::fs::write(out.join("atoll_v1.bin"), descriptors.encode_to_vec())?;

    tonic_prost_build::configure().bytes(".").build_transport(false).compile_fds(descriptors)?;
    Ok(())
}
