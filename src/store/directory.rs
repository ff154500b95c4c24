//! The store's directory: its lock, durable writing, and files that no manifest names.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::path::Path;

use super::error::StoreError;

/// Folders that hold nothing but the store's own Parquet files.
const FOLDERS: [&str; 3] = ["raw", "aggregates", "transitions"];
/// What a file is called until it is complete.
const UNFINISHED: &str = "tmp";

/// Takes the directory for writing, for as long as the file lives.
pub(super) fn lock(root: &Path) -> Result<File, StoreError> {
    fs::create_dir_all(root).map_err(StoreError::io(root))?;
    let path = root.join("store.lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(StoreError::io(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked { path }),
        Err(TryLockError::Error(source)) => Err(StoreError::Io { path, source }),
    }
}

/// Writes a new file so that after a crash it is there whole or not at all: beside its place,
/// synced, renamed, its folder synced.
pub(super) fn write(root: &Path, path: &str, bytes: &[u8]) -> Result<(), StoreError> {
    let full = root.join(path);
    let folder = full.parent().unwrap_or(root);
    create_folder(root, folder)?;
    let unfinished = full.with_extension(UNFINISHED);
    let mut file = File::create(&unfinished).map_err(StoreError::io(&unfinished))?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if let Err(source) = written {
        // On a full disk its part would take the room that others wait for.
        let _ = fs::remove_file(&unfinished);
        return Err(StoreError::Io { path: unfinished, source });
    }
    fs::rename(&unfinished, &full).map_err(StoreError::io(&full))?;
    sync_folder(folder)
}

/// Makes a folder and syncs every new folder's parent, up to the root.
fn create_folder(root: &Path, folder: &Path) -> Result<(), StoreError> {
    if folder.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(folder).map_err(StoreError::io(folder))?;
    folder.ancestors().skip(1).take_while(|parent| parent.starts_with(root)).try_for_each(sync_folder)
}

/// Makes the names in a folder durable.
pub(super) fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    File::open(folder).and_then(|file| file.sync_all()).map_err(StoreError::io(folder))
}

/// Removes every file that the manifest does not name: left by a crash between writing and
/// committing. Returns how many.
pub(super) fn remove_orphans(root: &Path, named: &HashSet<&str>) -> Result<usize, StoreError> {
    let mut removed = 0;
    visit(root, &mut |path| {
        let below = path.strip_prefix(root).ok().and_then(Path::to_str);
        if below.is_some_and(|below| named.contains(below)) {
            return Ok(());
        }
        fs::remove_file(path).map_err(StoreError::io(path))?;
        removed += 1;
        Ok(())
    })?;
    Ok(removed)
}

/// Whether the directory has a complete Parquet file.
pub(super) fn has_files(root: &Path) -> Result<bool, StoreError> {
    let mut found = false;
    visit(root, &mut |path| {
        found |= path.extension().is_some_and(|extension| extension == "parquet");
        Ok(())
    })?;
    Ok(found)
}

/// Calls for every file of the store's kinds below the root; other files are nobody's business.
fn visit(root: &Path, each: &mut impl FnMut(&Path) -> Result<(), StoreError>) -> Result<(), StoreError> {
    let mut open: Vec<_> =
        FOLDERS.iter().map(|folder| root.join(folder)).filter(|path| path.is_dir()).collect();
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).map_err(StoreError::io(&folder))? {
            let path = entry.map_err(StoreError::io(&folder))?.path();
            let ours =
                path.extension().is_some_and(|extension| extension == "parquet" || extension == UNFINISHED);
            if path.is_dir() && !path.is_symlink() {
                open.push(path);
            } else if ours {
                each(&path)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unnamed_files_of_ours_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for path in [
            "raw/air/day=2026-03-01/1.parquet",
            "raw/air/day=2026-03-01/2.parquet",
            "transitions/x/3.parquet",
        ] {
            write(root, path, b"x").unwrap();
        }
        fs::write(root.join("raw/air/4.tmp"), b"x").unwrap();
        fs::write(root.join("raw/air/notes.txt"), b"x").unwrap();
        let named = HashSet::from(["raw/air/day=2026-03-01/2.parquet"]);
        assert_eq!(remove_orphans(root, &named).unwrap(), 3);
        assert!(root.join("raw/air/notes.txt").exists() && has_files(root).unwrap());
    }

    #[test]
    fn one_process_writes() {
        let folder = tempfile::tempdir().unwrap();
        let held = lock(folder.path()).unwrap();
        assert!(matches!(lock(folder.path()), Err(StoreError::Locked { .. })));
        drop(held);
        lock(folder.path()).unwrap();
    }
}
