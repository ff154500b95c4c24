//! Tables: what they are about, what they are called, which columns they have.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use super::column::{Column, Columns, Role};
use super::name;
use crate::model::Accounts;

/// What a table's rows are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Subject {
    /// Events of one feed.
    Raw {
        /// The feed.
        feed: Arc<str>,
    },
    /// Revisions of one window of one pipeline.
    Window {
        /// The pipeline.
        pipeline: Arc<str>,
        /// The window.
        window: Arc<str>,
    },
    /// Steps of alerts.
    Transitions,
    /// What became of messages, events and readings, in parts that add up.
    Accounts,
}

const RAW: [&str; 5] = ["time", "arrived_at", "sequence", "sensor", "counter"];
const WINDOW: [&str; 10] =
    ["time", "end", "count", "capture", "sufficient", "revision", "plan", "cause", "ordinal", "retracted"];
const TRANSITIONS: [&str; 20] = [
    "time",
    "id",
    "pipeline",
    "rule",
    "severity",
    "from_state",
    "to_state",
    "began_at",
    "decided_at",
    "notify",
    "reason",
    "title_es",
    "title_en",
    "message_es",
    "message_en",
    "labels",
    "evidence",
    "window_start",
    "window_end",
    "cause",
];

/// `time` is the hour of arrival; without a sensor, the feed's part.
static ACCOUNTS: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| ["time", "feed", "sensor"].into_iter().chain(Accounts::NAMES.iter().copied()).collect());

impl Subject {
    /// Names of the fixed columns, in order. `ordinal` counts the rows of the results log: of two
    /// rows with the same revision, the later holds.
    pub(super) fn fixed(&self) -> &'static [&'static str] {
        match self {
            Self::Raw { .. } => &RAW,
            Self::Window { .. } => &WINDOW,
            Self::Transitions => &TRANSITIONS,
            Self::Accounts => &ACCOUNTS,
        }
    }

    /// The columns a file is sorted by, before and after those of the key.
    fn sorted_by(&self) -> (&'static [&'static str], &'static [&'static str]) {
        match self {
            Self::Raw { .. } => (&["sensor"], &["time", "sequence"]),
            Self::Window { .. } => (&[], &["time", "revision", "ordinal"]),
            Self::Transitions => (&["time"], &["cause", "id"]),
            Self::Accounts => (&["time"], &["feed", "sensor"]),
        }
    }
}

/// The instant type of every table.
pub(super) fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()))
}

fn fixed_field(subject: &Subject, column: &str) -> Field {
    let kind = match column {
        "time" | "arrived_at" | "end" | "began_at" | "decided_at" | "window_start" | "window_end" => {
            instant()
        }
        "sequence" | "counter" | "count" | "revision" | "cause" | "ordinal" => DataType::UInt64,
        "capture" => DataType::Float64,
        "sufficient" | "retracted" | "notify" => DataType::Boolean,
        _ if Accounts::NAMES.contains(&column) => DataType::UInt64,
        _ => DataType::Utf8,
    };
    let gaps = matches!(column, "counter" | "end" | "count" | "capture" | "sufficient")
        || *subject == Subject::Accounts && column == "sensor";
    Field::new(column, kind, gaps)
}

/// One table.
#[derive(Clone, Debug)]
pub(super) struct Table {
    /// Its number in the manifest.
    pub(super) id: i64,
    /// What its rows are.
    pub(super) subject: Subject,
    /// Its name in SQL.
    pub(super) name: String,
    /// Where its files lie, below the store's directory.
    pub(super) directory: String,
    /// Its columns beyond the fixed ones.
    pub(super) columns: Columns,
    schema: SchemaRef,
}

impl Table {
    /// Fixed columns first, then the others in the order in which they were given: an older schema
    /// is always the beginning of a newer one.
    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The columns that a file is sorted by.
    pub(super) fn sort_columns(&self) -> Vec<&str> {
        let (before, after) = self.subject.sorted_by();
        let keys =
            if matches!(self.subject, Subject::Window { .. }) { self.key_columns() } else { Vec::new() };
        before.iter().copied().chain(keys).chain(after.iter().copied()).collect()
    }

    /// The columns of the key, in the order in which they were given.
    pub(super) fn key_columns(&self) -> Vec<&str> {
        self.columns_of(Role::Key).map(|column| column.name.as_str()).collect()
    }

    /// The columns of a role.
    pub(super) fn columns_of(&self, role: Role) -> impl Iterator<Item = &Column> {
        self.columns.list().iter().filter(move |column| column.role == role)
    }

    fn describe(subject: &Subject, columns: &Columns) -> SchemaRef {
        let fixed = subject.fixed().iter().map(|column| fixed_field(subject, column));
        Arc::new(Schema::new(fixed.chain(columns.list().iter().map(Column::field)).collect::<Vec<_>>()))
    }
}

/// All tables.
#[derive(Clone, Debug, Default)]
pub(super) struct Tables {
    list: Vec<Arc<Table>>,
    by_subject: HashMap<Subject, usize>,
}

/// Names that tables of feeds and windows cannot have.
const RESERVED: [&str; 6] =
    ["transitions", "quantities", "information_schema", "account_parts", "accounts", "sensor_accounts"];

impl Tables {
    /// All of them; a table's number is its place here.
    pub(super) fn list(&self) -> &[Arc<Table>] {
        &self.list
    }

    /// The number of a table, if there is one.
    pub(super) fn find(&self, subject: &Subject) -> Option<usize> {
        self.by_subject.get(subject).copied()
    }

    /// The number of a table, made if need be.
    pub(super) fn find_or_add(&mut self, subject: Subject) -> usize {
        if let Some(number) = self.find(&subject) {
            return number;
        }
        let (wanted, directory) = match &subject {
            Subject::Raw { feed } => (name::plain(feed), format!("raw/{}", plain_path(feed))),
            Subject::Window { pipeline, window } => (
                name::of_window(pipeline, window),
                format!("aggregates/{}.{}", plain_path(pipeline), plain_path(window)),
            ),
            Subject::Transitions => ("transitions".to_owned(), "transitions".to_owned()),
            Subject::Accounts => ("account_parts".to_owned(), "accounts".to_owned()),
        };
        let free_name = |name: &String| {
            let revisions = format!("{name}_revisions");
            let taken =
                |other: &str| other == name || other == revisions || format!("{other}_revisions") == *name;
            matches!(subject, Subject::Transitions | Subject::Accounts)
                || !(RESERVED.iter().any(|other| taken(other))
                    || self.list.iter().any(|table| taken(&table.name)))
        };
        let name = numbered(&wanted, free_name);
        let directory = numbered(&directory, |path| !self.list.iter().any(|table| table.directory == *path));
        let id = self.list.iter().map(|table| table.id).max().unwrap_or(0) + 1;
        self.restore(id, subject, name, directory, Columns::default())
    }

    /// Takes in a table that the manifest holds.
    pub(super) fn restore(
        &mut self,
        id: i64,
        subject: Subject,
        name: String,
        directory: String,
        columns: Columns,
    ) -> usize {
        let number = self.list.len();
        let schema = Table::describe(&subject, &columns);
        self.by_subject.insert(subject.clone(), number);
        self.list.push(Arc::new(Table { id, subject, name, directory, columns, schema }));
        number
    }

    /// The number of a table's column, given if need be; `None` when there is no such table.
    pub(super) fn column(
        &mut self,
        table: usize,
        role: Role,
        source: &Arc<str>,
        unit: &Arc<str>,
        decimals: u8,
    ) -> Option<usize> {
        let slot = self.list.get_mut(table)?;
        if let Some(number) = slot.columns.find(role, source, unit) {
            return Some(number);
        }
        let table = Arc::make_mut(slot);
        let number = table.columns.add(role, source, unit, decimals, table.subject.fixed());
        table.schema = Table::describe(&table.subject, &table.columns);
        Some(number)
    }
}

/// `wanted`, or with the first number behind it that is free.
fn numbered(wanted: &str, free: impl Fn(&String) -> bool) -> String {
    std::iter::once(wanted.to_owned())
        .chain((2..).map(|n| format!("{wanted}_{n}")))
        .find(|name| free(name))
        .unwrap_or_default()
}

/// A part of a path that no name can climb out of.
fn plain_path(part: &str) -> String {
    let plain: String =
        part.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect();
    if plain.is_empty() { "_".to_owned() } else { plain }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(feed: &str) -> Subject {
        Subject::Raw { feed: feed.into() }
    }

    fn window(pipeline: &str, window: &str) -> Subject {
        Subject::Window { pipeline: pipeline.into(), window: window.into() }
    }

    #[test]
    fn names_and_folders_are_the_tables_own() {
        let mut tables = Tables::default();
        for subject in [
            raw("air"),
            raw("AIR"),
            raw("../../etc"),
            raw("transitions"),
            window("a", "b_c"),
            window("a-b", "c"),
            raw("a_b_c_revisions"),
            Subject::Transitions,
        ] {
            tables.find_or_add(subject);
        }
        let names: Vec<_> = tables.list().iter().map(|table| table.name.as_str()).collect();
        let want = [
            "air",
            "air_2",
            "______etc",
            "transitions_2",
            "a_b_c",
            "a_b_c_2",
            "a_b_c_revisions_2",
            "transitions",
        ];
        assert_eq!(names, want);
        let folders: Vec<_> = tables.list().iter().map(|table| table.directory.as_str()).collect();
        assert_eq!(folders[..3], ["raw/air", "raw/AIR", "raw/______etc"]);
        assert_eq!(folders[4..6], ["aggregates/a.b_c", "aggregates/a-b.c"]);
        assert_eq!(tables.find_or_add(raw("air")), 0);
    }

    #[test]
    fn an_older_schema_begins_the_newer_one() {
        let mut tables = Tables::default();
        let table = tables.find_or_add(raw("air"));
        let older = tables.list()[table].schema().clone();
        tables.column(table, Role::Quantity, &"pm25".into(), &"ug/m3".into(), 1);
        let newer = tables.list()[table].schema().clone();
        assert_eq!(newer.fields()[..older.fields().len()], older.fields()[..]);
        assert_eq!(newer.field_with_name("pm25").unwrap().metadata()["unit"], "ug/m3");
        assert_eq!(tables.list()[table].sort_columns(), ["sensor", "time", "sequence"]);
    }
}
