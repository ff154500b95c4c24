//! Reads the files of a configuration.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::check::files::check_files;
use super::configuration::{Configuration, SourceFile};
use super::diagnostic::{Diagnostic, Level};
use super::sereno::Sereno;

/// Bytes of one file.
const FILE_BYTES_MAX: u64 = 4 << 20;
const SERENO: &str = "sereno.toml";
const PIPELINE: &str = "pipeline.toml";

/// Reads a configuration.
///
/// `path` is a `sereno.toml`, a folder with one, or one pipeline alone: its folder or its
/// `pipeline.toml`. `None` is the current folder, where `sereno.toml` may be absent: everything is
/// then at its default, and `pipelines/*/pipeline.toml` is read if it is there.
///
/// # Errors
/// Every mistake found, in the order of the files and lines.
pub fn load(path: Option<&Path>) -> Result<Configuration, Vec<Diagnostic>> {
    let found = find(path)?;
    let mut wrong = Vec::new();
    let sereno = found.sereno.as_deref().and_then(|path| read(path, &mut wrong));
    let pipelines = match found.pipeline {
        Some(pipeline) => vec![pipeline],
        // A broken sereno.toml is told below; its pipelines are then looked for at the default.
        None => pipeline_files(&found.folder, sereno.as_ref(), &mut wrong),
    };
    let files: Vec<SourceFile> = pipelines.iter().filter_map(|path| read(path, &mut wrong)).collect();
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let mut configuration = Configuration::from_files(&found.folder, sereno.as_ref(), &files)?;
    let missing = check_files(&configuration, sereno.as_ref());
    if !missing.is_empty() {
        return Err(missing);
    }
    if configuration.pipelines.is_empty() {
        let folder = shown(&configuration.path(&configuration.sereno.pipelines));
        let remedy = "write <name>/pipeline.toml there; messages of no feed are taken by nobody";
        configuration.notes.push(Diagnostic::of_file(Level::Note, &folder, "there are no pipelines", remedy));
    }
    Ok(configuration)
}

/// What is to be read.
struct Found {
    folder: PathBuf,
    sereno: Option<PathBuf>,
    pipeline: Option<PathBuf>,
}

fn find(path: Option<&Path>) -> Result<Found, Vec<Diagnostic>> {
    let Some(path) = path else {
        let sereno = Path::new(SERENO);
        let sereno = sereno.exists().then(|| sereno.to_owned());
        return Ok(Found { folder: PathBuf::new(), sereno, pipeline: None });
    };
    let folder = || path.parent().unwrap_or(Path::new("")).to_owned();
    if path.is_dir() {
        let (sereno, pipeline) = (path.join(SERENO), path.join(PIPELINE));
        let alone = pipeline.is_file() && !sereno.is_file();
        return Ok(Found {
            folder: path.to_owned(),
            sereno: sereno.is_file().then_some(sereno),
            pipeline: alone.then_some(pipeline),
        });
    }
    if !path.is_file() {
        let remedy = "name a sereno.toml, a folder with one, or the folder of one pipeline";
        return Err(vec![Diagnostic::of_file(Level::Error, path, "there is no such file or folder", remedy)]);
    }
    if path.file_name().is_some_and(|name| name == PIPELINE) {
        return Ok(Found { folder: folder(), sereno: None, pipeline: Some(path.to_owned()) });
    }
    Ok(Found { folder: folder(), sereno: Some(path.to_owned()), pipeline: None })
}

/// Every `pipeline.toml` one folder below the pipelines' folder, sorted.
fn pipeline_files(folder: &Path, sereno: Option<&SourceFile>, wrong: &mut Vec<Diagnostic>) -> Vec<PathBuf> {
    let written = sereno.and_then(|file| toml::from_str::<Sereno>(&file.text).ok());
    let named =
        sereno.is_some_and(|file| file.text.lines().any(|line| line.trim_start().starts_with("pipelines")));
    let pipelines = folder.join(written.unwrap_or_default().pipelines);
    let entries = match fs::read_dir(&pipelines) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !named => return Vec::new(),
        Err(error) => {
            let message = format!("the pipelines' folder cannot be read: {error}");
            let remedy = "make it, or set `pipelines` in sereno.toml to where they are";
            wrong.push(Diagnostic::of_file(Level::Error, &shown(&pipelines), message, remedy));
            return Vec::new();
        }
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path().join(PIPELINE)))
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    files
}

fn read(path: &Path, wrong: &mut Vec<Diagnostic>) -> Option<SourceFile> {
    let name = shown(path);
    let mut refuse = |message: String, remedy: &str| {
        wrong.push(Diagnostic::of_file(Level::Error, &name, message, remedy));
        None
    };
    let mut bytes = Vec::new();
    let result = File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes));
    if let Err(error) = result {
        return refuse(format!("the file cannot be read: {error}"), "check its name and who may read it");
    }
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return refuse("the file is larger than 4 MiB".into(), "split it into several pipelines");
    }
    match String::from_utf8(bytes) {
        Ok(text) => Some(SourceFile::new(name.display().to_string(), text)),
        Err(_) => refuse("the file is no UTF-8 text".into(), "save it as UTF-8"),
    }
}

/// The path without a leading `./`.
fn shown(path: &Path) -> PathBuf {
    path.strip_prefix(".").unwrap_or(path).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const AIR: &str = include_str!("../../tests/fixtures/check/valid/air-quality.toml");

    #[test]
    fn reads_a_folder_a_file_and_a_pipeline_alone() {
        let folder = tempfile::tempdir().unwrap();
        let pipeline = folder.path().join("pipelines/air-quality");
        fs::create_dir_all(&pipeline).unwrap();
        fs::write(pipeline.join(PIPELINE), AIR).unwrap();
        assert_eq!(load(Some(folder.path())).unwrap().pipelines.len(), 1, "no sereno.toml: defaults");
        fs::write(folder.path().join(SERENO), "language = \"en\"\n").unwrap();
        for path in
            [folder.path().to_owned(), folder.path().join(SERENO), pipeline.clone(), pipeline.join(PIPELINE)]
        {
            assert_eq!(load(Some(&path)).unwrap().pipelines.len(), 1, "{}", path.display());
        }
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let told = |path: &Path| load(Some(path)).unwrap_err().remove(0).message().to_owned();
        assert_eq!(told(&folder.path().join("none.toml")), "there is no such file or folder");
        fs::write(folder.path().join(SERENO), "pipelines = \"elsewhere\"").unwrap();
        assert!(told(folder.path()).starts_with("the pipelines' folder cannot be read"));
        fs::write(folder.path().join(SERENO), b"\xff").unwrap();
        assert_eq!(told(folder.path()), "the file is no UTF-8 text");
        fs::write(folder.path().join(SERENO), "zones = \"zones.geojson\"").unwrap();
        let wrong = load(Some(folder.path())).unwrap_err();
        assert_eq!(wrong[0].pointed_at(), "\"zones.geojson\"");
    }
}
