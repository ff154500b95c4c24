//! Running one statement, or one plan, within its limits.

use datafusion::arrow::array::RecordBatch;
use datafusion::error::DataFusionError;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::prelude::DataFrame;
use datafusion::sql::parser::{DFParser, Statement};
use datafusion::sql::sqlparser::ast::Statement as SqlStatement;
use futures::StreamExt as _;

use super::error::StoreError;
use super::options::QueryLimits;
use super::output::QueryResult;
use super::session::Session;

/// Runs one statement that only reads.
pub(super) async fn run_sql(
    session: &Session,
    sql: &str,
    limits: &QueryLimits,
) -> Result<QueryResult, StoreError> {
    let fault = |error| StoreError::of_query(error, limits.memory_bytes);
    let mut statements = DFParser::parse_sql(sql).map_err(fault)?;
    let (Some(statement), None) = (statements.pop_front(), statements.pop_front()) else {
        return Err(StoreError::NotAllowed("one statement at a time".into()));
    };
    if !only_reads(&statement) {
        return Err(StoreError::NotAllowed("this statement would change something".into()));
    }
    let plan = session.context.state().statement_to_plan(statement).await.map_err(fault)?;
    let reading = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    reading.verify_plan(&plan).map_err(|error| StoreError::NotAllowed(error.strip_backtrace()))?;
    let frame = session.context.execute_logical_plan(plan).await.map_err(fault)?;
    run(session, frame, limits).await
}

/// The kinds of statement that read; the plan is looked through as well.
fn only_reads(statement: &Statement) -> bool {
    match statement {
        Statement::Statement(sql) => matches!(
            **sql,
            SqlStatement::Query(_)
                | SqlStatement::Explain { .. }
                | SqlStatement::ExplainTable { .. }
                | SqlStatement::ShowTables { .. }
                | SqlStatement::ShowColumns { .. }
        ),
        Statement::Explain(explain) => only_reads(&explain.statement),
        _ => false,
    }
}

/// Runs a plan; cuts the result off after `rows_max` rows.
pub(super) async fn run(
    session: &Session,
    frame: DataFrame,
    limits: &QueryLimits,
) -> Result<QueryResult, StoreError> {
    collect(session, frame, limits.rows_max)
        .await
        .map_err(|error| StoreError::of_query(error, limits.memory_bytes))
}

async fn collect(
    session: &Session,
    frame: DataFrame,
    rows_max: usize,
) -> Result<QueryResult, DataFusionError> {
    let held = MemoryConsumer::new("result").register(&session.pool);
    let mut stream = frame.execute_stream().await?;
    let schema = stream.schema();
    let mut batches: Vec<RecordBatch> = Vec::new();
    let mut rows = 0;
    let mut truncated = false;
    while let Some(batch) = stream.next().await {
        let batch = batch?;
        let room = rows_max - rows;
        truncated = batch.num_rows() > room;
        let kept = batch.slice(0, batch.num_rows().min(room));
        held.try_grow(kept.get_array_memory_size())?;
        rows += kept.num_rows();
        batches.push(kept);
        if truncated {
            break;
        }
    }
    Ok(QueryResult::new(schema, batches, truncated))
}

#[cfg(test)]
#[path = "query_tests.rs"]
mod tests;
