//! `sereno query`

use std::io::Write as _;

use super::super::Failure;
use super::super::arguments::{Format, Query};
use crate::service::data_dir::store_in;
use crate::service::reads::query_limits;
use crate::store::Store;

/// Prints the answer to one SQL statement, from what the store has on disk.
///
/// # Errors
/// [`Failure`].
pub fn run(arguments: &Query) -> Result<(), Failure> {
    let configuration = super::configured(&arguments.at)?;
    super::log(&configuration)?;
    let root = configuration.path(&configuration.sereno.data_dir);
    let folder = store_in(&root);
    if !folder.is_dir() {
        let message =
            format!("there is no store in {} yet; start `sereno run` or `sereno demo` first", root.display());
        return Err(Failure::Other(message));
    }
    let store = Store::open_read_only(&folder)?;
    let limits = query_limits(&configuration.sereno.limits);
    let result = super::runtime()?.block_on(store.query(&arguments.sql, limits))?;
    let text = match arguments.format {
        Format::Table => result.to_table()?,
        Format::Csv => result.to_csv()?,
        Format::Json => result.to_json_lines()?,
    };
    if result.truncated() {
        eprintln!("there are more rows; raise limits.query_rows_max or ask for fewer");
    }
    // A reader that has had enough (`| head`) is no failure.
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(())
}
