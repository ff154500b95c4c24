//! What one query sees: every table of one snapshot under its name, within its limits.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, StringArray, UInt8Array};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::TableReference;
use datafusion::datasource::MemTable;
use datafusion::error::Result;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::disk_manager::DiskManagerBuilder;
use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryPool};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::functions_window::expr_fn::row_number;
use datafusion::logical_expr::ExprFunctionExt as _;
use datafusion::object_store::local::LocalFileSystem;
use datafusion::prelude::{DataFrame, SessionConfig, SessionContext, ident, lit};

use super::accounts;
use super::column::Role;
use super::error::StoreError;
use super::live::TableView;
use super::options::{QueryLimits, StoreOptions};
use super::scan::{STORE_URL, StoreTable};
use super::table::{Subject, Table};

/// Threads that one query spreads over.
const PARTITIONS: usize = 2;
/// The rank of a revision among those of its window; 1 is the last. No column of ours.
const RANK: &str = "__rank";

/// What all queries share: the way to the files, their footers, and the disk for large sorts.
pub(super) fn runtime(root: &std::path::Path, options: &StoreOptions) -> Result<RuntimeEnv> {
    let disk = DiskManagerBuilder::default().with_max_temp_directory_size(options.spill_bytes_max);
    let runtime = RuntimeEnvBuilder::new()
        .with_metadata_cache_limit(options.footers_bytes_max)
        .with_disk_manager_builder(disk)
        .build()?;
    let url = ObjectStoreUrl::parse(STORE_URL)?;
    runtime.register_object_store(url.as_ref(), Arc::new(LocalFileSystem::new_with_prefix(root)?));
    // Nothing but the store's directory can be read, whatever a statement says.
    runtime.deregister_object_store(ObjectStoreUrl::local_filesystem().as_ref())?;
    Ok(runtime)
}

/// One query's world.
pub(super) struct Session {
    /// DataFusion's side.
    pub(super) context: SessionContext,
    /// The query's memory.
    pub(super) pool: Arc<dyn MemoryPool>,
    /// Keeps the files that the query reads from going.
    pub(super) views: Vec<TableView>,
}

impl Session {
    /// Every table of a snapshot under its name: feeds and transitions as they are; windows as
    /// `<name>_revisions` with all rows and `<name>` with the last revision of each; and
    /// `quantities`.
    pub(super) async fn open(
        shared: &RuntimeEnv,
        views: Vec<TableView>,
        limits: &QueryLimits,
    ) -> Result<Self, StoreError> {
        Self::register(shared, views, limits)
            .await
            .map_err(|error| StoreError::of_query(error, limits.memory_bytes))
    }

    async fn register(shared: &RuntimeEnv, views: Vec<TableView>, limits: &QueryLimits) -> Result<Self> {
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(limits.memory_bytes));
        let runtime = Arc::new(RuntimeEnv { memory_pool: pool.clone(), ..shared.clone() });
        let config = SessionConfig::new()
            .with_information_schema(true)
            .with_target_partitions(PARTITIONS)
            .with_default_catalog_and_schema("sereno", "public");
        let state = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(runtime)
            .with_default_features()
            .build();
        let context = SessionContext::new_with_state(state);
        for view in &views {
            let name = TableReference::bare(view.table.name.as_str());
            let table = Arc::new(StoreTable::new(view.clone()));
            if matches!(view.table.subject, Subject::Window { .. }) {
                let revisions = TableReference::bare(format!("{}_revisions", view.table.name));
                context.register_table(revisions.clone(), table)?;
                let all = context.table(revisions).await?;
                context.register_table(name, last_revisions(all, &view.table)?.into_view())?;
            } else {
                context.register_table(name, table)?;
            }
        }
        let tables: Vec<&Table> = views.iter().map(|view| &*view.table).collect();
        accounts::register(&context, &tables).await?;
        context.register_table("quantities", Arc::new(quantities(&views)?))?;
        Ok(Self { context, pool, views })
    }
}

/// The last revision of each window, without those taken back.
fn last_revisions(all: DataFrame, table: &Table) -> Result<DataFrame> {
    let keys = table.key_columns();
    let window = keys.iter().map(|key| ident(*key)).chain([ident("time")]).collect();
    let newest_first = ["revision", "ordinal"].map(|column| ident(column).sort(false, false)).to_vec();
    let rank = row_number().partition_by(window).order_by(newest_first).build()?.alias(RANK);
    let fields = table.columns_of(Role::Field).map(|column| column.name.as_str());
    let shown: Vec<&str> = ["time", "end"]
        .into_iter()
        .chain(keys)
        .chain(fields)
        .chain(["count", "capture", "sufficient", "revision", "plan", "cause"])
        .collect();
    all.window(vec![rank])?
        .filter(ident(RANK).eq(lit(1_u64)).and(ident("retracted").is_not_true()))?
        .select(shown.into_iter().map(ident).collect::<Vec<_>>())
}

/// The table `quantities`: what each numeric column of the feeds' tables holds.
fn quantities(views: &[TableView]) -> Result<MemTable> {
    let rows: Vec<_> = views
        .iter()
        .filter_map(|view| match &view.table.subject {
            Subject::Raw { feed } => Some((feed, &view.table)),
            _ => None,
        })
        .flat_map(|(feed, table)| table.columns_of(Role::Quantity).map(move |column| (feed, table, column)))
        .collect();
    let words = |of: &dyn Fn(usize) -> String| -> ArrayRef {
        Arc::new((0..rows.len()).map(|row| Some(of(row))).collect::<StringArray>())
    };
    let part = |row: usize| rows.get(row);
    let columns: Vec<ArrayRef> = vec![
        words(&|row| part(row).map(|(feed, ..)| feed.to_string()).unwrap_or_default()),
        words(&|row| part(row).map(|(.., column)| column.source.to_string()).unwrap_or_default()),
        words(&|row| part(row).map(|(.., column)| column.unit.to_string()).unwrap_or_default()),
        Arc::new(rows.iter().map(|(.., column)| Some(column.decimals)).collect::<UInt8Array>()),
        words(&|row| part(row).map(|(_, table, _)| table.name.clone()).unwrap_or_default()),
        words(&|row| part(row).map(|(.., column)| column.name.clone()).unwrap_or_default()),
    ];
    let names = ["feed", "name", "unit", "decimals", "table_name", "column_name"];
    let fields: Vec<Field> = names
        .into_iter()
        .map(|name| {
            Field::new(name, if name == "decimals" { DataType::UInt8 } else { DataType::Utf8 }, false)
        })
        .collect();
    let schema = Arc::new(Schema::new(fields));
    MemTable::try_new(schema.clone(), vec![vec![RecordBatch::try_new(schema, columns)?]])
}
