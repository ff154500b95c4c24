//! `sereno schema`

use super::super::Failure;
use super::super::arguments::{Schema, SchemaOf};
use crate::config::schema;

/// Prints a JSON Schema.
///
/// # Errors
/// [`Failure`].
pub fn run(arguments: &Schema) -> Result<(), Failure> {
    let schema = match arguments.of {
        SchemaOf::Sereno => schema::sereno(),
        SchemaOf::Pipeline => schema::pipeline(),
    };
    println!("{}", serde_json::to_string_pretty(&schema)?);
    Ok(())
}
