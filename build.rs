//! Lets the crate compile without a built console: the folder that is embedded always exists.
//!
//! It never calls npm: `make console` builds the console, and its absence is a page that says so.

use std::path::Path;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=console/dist");
    let dist = Path::new("console/dist");
    if dist.exists() {
        return;
    }
    if let Err(error) = std::fs::create_dir_all(dist) {
        println!("cargo:warning=cannot create {}: {error}; the console's folder must exist", dist.display());
    }
}
