//! `sereno verify`

use super::super::Failure;
use super::super::arguments::Verify;
use crate::service::verify::verify;

/// Reads every file of the data folder and prints what is damaged, a line each.
///
/// # Errors
/// [`Failure::Damaged`] when anything is.
pub fn run(arguments: &Verify) -> Result<(), Failure> {
    let root = match &arguments.at.data_dir {
        Some(folder) => folder.clone(),
        None => {
            let configuration = super::configured(&arguments.at)?;
            configuration.path(&configuration.sereno.data_dir)
        }
    };
    let report = verify(&root)?;
    for note in &report.notes {
        println!("note: {note}");
    }
    for finding in &report.findings {
        println!("{finding}");
    }
    let (files, mib) = (report.files, report.bytes >> 20);
    match report.findings.len() {
        0 => println!("{}: {files} files, {mib} MiB of logs and databases: nothing damaged", root.display()),
        damaged => println!("{}: {files} files read: damaged places: {damaged}", root.display()),
    }
    if report.findings.is_empty() { Ok(()) } else { Err(Failure::Damaged) }
}
