//! A table as DataFusion reads it: files and memory tail in one, columns of all of them.
//!
//! Files whose event times cannot match are left out before anything is opened; the bytes of the
//! others are made sure of before the first row is read, so that a damaged file is an error that
//! names it, never data.

use std::pin::Pin;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::Session;
use datafusion::catalog::memory::{DataSourceExec, MemorySourceConfig};
use datafusion::common::pruning::PrunableStatistics;
use datafusion::common::stats::Precision;
use datafusion::common::{DFSchema, ScalarValue, Statistics};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::{TableProvider, TableType};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::union::UnionExec;

use super::error::StoreError;
use super::file::StoredFile;
use super::live::TableView;
use super::parquet::widened;

/// Where DataFusion finds the store's directory, and nothing else.
pub(super) const STORE_URL: &str = "sereno://store/";

/// One table of one snapshot.
#[derive(Debug)]
pub(super) struct StoreTable {
    schema: SchemaRef,
    view: TableView,
}

impl StoreTable {
    /// The table as of the snapshot.
    pub(super) fn new(view: TableView) -> Self {
        Self { schema: view.table.schema().clone(), view }
    }

    async fn plan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let mut parts: Vec<Arc<dyn ExecutionPlan>> = Vec::new();
        let files = self.files_that_match(state, filters)?;
        if !files.is_empty() {
            check(files.clone()).await?;
            parts.push(self.file_plan(state, &files, projection, limit)?);
        }
        let batches: Result<Vec<_>, _> =
            self.view.batches.iter().map(|batch| widened(batch, &self.schema)).collect();
        let batches = batches?;
        if !batches.is_empty() || parts.is_empty() {
            parts.push(MemorySourceConfig::try_new_exec(
                &[batches],
                self.schema.clone(),
                projection.cloned(),
            )?);
        }
        UnionExec::try_new(parts)
    }

    /// The files whose event times the filters do not rule out.
    fn files_that_match(&self, state: &dyn Session, filters: &[Expr]) -> Result<Vec<Arc<StoredFile>>> {
        let files: Vec<_> = self.view.files.iter().cloned().collect();
        let Some(filter) = conjunction(filters.to_vec()) else { return Ok(files) };
        let schema = DFSchema::try_from(self.schema.clone())?;
        let filter = state.create_physical_expr(filter, &schema)?;
        let Ok(predicate) =
            PruningPredicateBuilder::new().with_file_schema(self.schema.clone()).try_build(filter)
        else {
            return Ok(files);
        };
        let statistics = files.iter().map(|file| self.statistics(file)).collect();
        let keep = predicate.prune(&PrunableStatistics::new(statistics, self.schema.clone()))?;
        Ok(files.into_iter().zip(keep).filter(|(_, keep)| *keep).map(|(file, _)| file).collect())
    }

    /// What the manifest knows of a file's rows: how many, and from when to when.
    fn statistics(&self, file: &StoredFile) -> Arc<Statistics> {
        let mut statistics = Statistics::new_unknown(&self.schema);
        statistics.num_rows = Precision::Exact(usize::try_from(file.entry.rows).unwrap_or(usize::MAX));
        let instant =
            |at: i64| Precision::Exact(ScalarValue::TimestampNanosecond(Some(at), Some("UTC".into())));
        if let Some(time) =
            self.schema.index_of("time").ok().and_then(|at| statistics.column_statistics.get_mut(at))
        {
            time.min_value = instant(file.entry.times.0.0);
            time.max_value = instant(file.entry.times.1.0);
            time.null_count = Precision::Exact(0);
        }
        Arc::new(statistics)
    }

    fn file_plan(
        &self,
        state: &dyn Session,
        files: &[Arc<StoredFile>],
        projection: Option<&Vec<usize>>,
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let url = ObjectStoreUrl::parse(STORE_URL)?;
        let runtime = state.runtime_env();
        let footers = runtime.cache_manager.get_file_metadata_cache();
        let reader = CachedParquetFileReaderFactory::new(runtime.object_store(&url)?, footers);
        // Our files have no Bloom filters to look for.
        let source = ParquetSource::new(self.schema.clone())
            .with_bloom_filter_on_read(false)
            .with_parquet_file_reader_factory(Arc::new(reader));
        let entries: Vec<_> = files
            .iter()
            .map(|file| {
                PartitionedFile::new(&file.entry.path, file.entry.bytes)
                    .with_statistics(self.statistics(file))
            })
            .collect();
        let groups = FileGroup::new(entries).split_files(state.config().target_partitions());
        let config = FileScanConfigBuilder::new(url, Arc::new(source))
            .with_file_groups(groups)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}

/// Makes sure of files' bytes, off the threads that serve others.
async fn check(files: Vec<Arc<StoredFile>>) -> Result<()> {
    let checked = tokio::task::spawn_blocking(move || files.iter().try_for_each(|file| file.check())).await;
    let outcome = checked.map_err(|error| DataFusionError::Execution(error.to_string()))?;
    outcome.map_err(|error: StoreError| DataFusionError::External(Box::new(error)))
}

impl TableProvider for StoreTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    // `async fn` as the trait's macro writes it.
    fn scan<'life0, 'life1, 'life2, 'life3, 'async_trait>(
        &'life0 self,
        state: &'life1 dyn Session,
        projection: Option<&'life2 Vec<usize>>,
        filters: &'life3 [Expr],
        limit: Option<usize>,
    ) -> Pin<Box<dyn Future<Output = Result<Arc<dyn ExecutionPlan>>> + Send + 'async_trait>>
    where
        'life0: 'async_trait,
        'life1: 'async_trait,
        'life2: 'async_trait,
        'life3: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(self.plan(state, projection, filters, limit))
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }
}
