//! Where the programs and data are that tests need, and what happens when they are not there.

use std::path::{Path, PathBuf};

/// Folders beside PATH where Debian puts daemons.
const DAEMONS: [&str; 2] = ["/usr/sbin", "/usr/local/sbin"];

/// The root of the repository.
pub fn root() -> PathBuf {
    std::env::var_os("SERENO_ROOT").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from)
}

/// The program under test.
pub fn sereno() -> PathBuf {
    let built = option_env!("CARGO_BIN_EXE_sereno").map(PathBuf::from);
    let named = std::env::var_os("SERENO_BIN").map(PathBuf::from);
    named.or(built).expect("SERENO_BIN names the sereno to test")
}

/// The simulators, built beside sereno.
pub fn simulators() -> Option<PathBuf> {
    let named = std::env::var_os("SERENO_SIMULATORS_BIN").map(PathBuf::from);
    let beside = sereno().with_file_name("sereno-simulators");
    let found = named.or_else(|| beside.is_file().then_some(beside));
    found.or_else(|| missing("sereno-simulators is not built (cargo build -p sereno-simulators)"))
}

/// A program by its name.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(DAEMONS.iter().map(PathBuf::from));
    let found = folders.map(|folder| folder.join(name)).find(|file| file.is_file());
    found.or_else(|| missing(&format!("{name} is not installed")))
}

/// A file or folder of the corpora. Without corpora the test is skipped even where peers are
/// required: they are not part of the repository.
pub fn corpus(path: &str) -> Option<PathBuf> {
    let Some(corpora) = std::env::var_os("SERENO_CORPORA") else {
        println!("skipped: SERENO_CORPORA does not say where the corpora are");
        return None;
    };
    let found = Path::new(&corpora).join(path);
    if !found.exists() {
        println!("skipped: the corpora have no {path}");
        return None;
    }
    Some(found)
}

/// Says why a test is skipped, or fails if peers are required.
pub fn missing<T>(why: &str) -> Option<T> {
    assert!(!required(), "{why}, and SERENO_REQUIRE_PEERS is set");
    println!("skipped: {why}");
    None
}

/// Whether a missing peer is a failure.
pub fn required() -> bool {
    std::env::var_os("SERENO_REQUIRE_PEERS").is_some_and(|value| value == "1")
}
