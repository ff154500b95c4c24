//! JSON Schemas of the two files, for editors that complete and check TOML.

use schemars::{Schema, schema_for};

use super::sereno::Sereno;
use crate::model::definition::PipelineDefinition;

/// The schema of `sereno.toml`.
#[must_use]
pub fn sereno() -> Schema {
    titled(schema_for!(Sereno), "sereno.toml")
}

/// The schema of `pipelines/*/pipeline.toml`.
#[must_use]
pub fn pipeline() -> Schema {
    titled(schema_for!(PipelineDefinition), "pipeline.toml")
}

fn titled(mut schema: Schema, title: &str) -> Schema {
    schema.insert("title".to_owned(), title.into());
    schema
}

#[cfg(test)]
mod tests {
    #[test]
    fn schemas_know_the_keys_people_write() {
        let pipeline = serde_json::to_string(&super::pipeline()).unwrap();
        assert!(
            pipeline.contains("\"feed\"")
                && pipeline.contains("\"for\"")
                && pipeline.contains("pipeline.toml")
        );
        let sereno = serde_json::to_string(&super::sereno()).unwrap();
        assert!(sereno.contains("\"broker\"") && sereno.contains("\"listener\"") && sereno.contains("1GiB"));
    }
}
