//! The language: a table of meanings, and a table of what is refused and how.

use super::*;

mod random;

fn schema() -> Schema {
    Schema::new().number("a").number("b").whole("count").text("zone").text("sensor")
}

const NUMBERS: [Option<f64>; 3] = [Some(60.0), None, Some(7.0)];
const TEXTS: [Option<&str>; 2] = [Some("comuna-07"), None];

fn row() -> Row<'static> {
    Row { numbers: &NUMBERS, texts: &TEXTS }
}

fn met(sql: &str) -> Option<bool> {
    Expression::compile(sql, &schema()).unwrap_or_else(|fault| panic!("{sql}: {fault}")).eval(&row())
}

fn number(sql: &str) -> Option<f64> {
    Expression::compile_number(sql, &schema())
        .unwrap_or_else(|fault| panic!("{sql}: {fault}"))
        .eval_number(&row())
}

#[test]
fn conditions_mean_what_sql_means() {
    // a = 60, b has no data, count = 7, zone = comuna-07, sensor has no data.
    for (sql, want) in [
        ("a > 55", Some(true)),
        ("A != 60", Some(false)),
        ("\"a\" >= 60 AND a <= 60", Some(true)),
        ("b > 55", None),
        ("b > 55 AND a < 0", Some(false)),
        ("b > 55 AND a > 0", None),
        ("b > 55 OR a > 0", Some(true)),
        ("b > 55 OR a < 0", None),
        ("NOT b > 55", None),
        ("b IS NULL", Some(true)),
        ("b + 1 IS NOT NULL", Some(false)),
        ("(b > 1) IS TRUE", Some(false)),
        ("(b > 1) IS NOT TRUE", Some(true)),
        ("(a > 1) IS FALSE", Some(false)),
        ("a BETWEEN 50 AND 60", Some(true)),
        ("a NOT BETWEEN 50 AND b", None),
        ("a NOT BETWEEN 70 AND b", Some(true)),
        ("a IN (1, 60, b)", Some(true)),
        ("a IN (1, b)", None),
        ("a NOT IN (1, 2)", Some(true)),
        ("a NOT IN (1, b)", None),
        ("b IN (1)", None),
        ("zone = 'comuna-07'", Some(true)),
        ("'comuna-07' <> zone", Some(false)),
        ("zone IN ('x', 'comuna-07') AND NOT zone IN ('y')", Some(true)),
        ("zone = sensor", None),
        ("zone IN ('x', sensor)", None),
        ("sensor IS NULL AND zone IS NOT NULL", Some(true)),
        ("TRUE AND NOT FALSE", Some(true)),
        ("NULL AND FALSE", Some(false)),
        ("CASE WHEN a > 50 THEN b > 1 ELSE TRUE END", None),
        ("CASE zone WHEN 'x' THEN FALSE WHEN 'comuna-07' THEN TRUE END", Some(true)),
        ("CASE a WHEN 1 THEN TRUE END", None),
        ("1 / (a - 60.0) > 0", None),
        ("-(a - 60) = 0", Some(true)),
        ("zone = 'it''s'", Some(false)),
    ] {
        assert_eq!(met(sql), want, "{sql}");
    }
}

#[test]
fn numbers_mean_what_sql_means() {
    for (sql, want) in [
        ("1 + 2 * 3 - 4", Some(3.0)),
        ("-a % 7", Some(-4.0)),
        ("count / 2.0", Some(3.5)),
        ("a / 0.0", None),
        ("a % 0", None),
        ("abs(-3)", Some(3.0)),
        ("round(2.5) + round(-2.5)", Some(0.0)),
        ("round(1.25, 1)", Some(1.3)),
        ("round(1250, -2)", Some(1300.0)),
        ("least(a, b, 3) + greatest(1, b)", Some(4.0)),
        ("least(b, NULL)", None),
        ("coalesce(b, a)", Some(60.0)),
        ("floor(1.5) + ceil(1.5)", Some(3.0)),
        ("sqrt(a + 4)", Some(8.0)),
        ("sqrt(-1)", None),
        ("ln(0)", None),
        ("ln(exp(2))", Some(2.0)),
        ("power(2, 10)", Some(1024.0)),
        ("power(1, b)", None),
        ("power(10, 400)", None),
        ("CASE a WHEN 1 THEN 10 WHEN 60 THEN 20 ELSE 30 END + 1", Some(21.0)),
        ("CASE b WHEN b THEN 10 ELSE 30 END", Some(30.0)),
        ("1 + CASE WHEN b > 1 THEN 10 WHEN a > 1 THEN 20 END * 2", Some(41.0)),
        ("CASE WHEN a > 1 THEN NULL ELSE 3 END", None),
    ] {
        assert_eq!(number(sql), want, "{sql}");
    }
}

/// An expression, the part at fault, what is said of it, and what to do.
const REFUSED: &[(&str, &str, &str, &str)] = &[
    ("aa > 1", "aa", "there is no column `aa`", "did you mean `a`?"),
    ("zone = \"x\"", "\"x\"", "there is no column `x`", "a text stands in single quotes: 'x'"),
    ("a", "a", "a condition takes conditions, and this is a number", "compare it, as in pm25 > 55"),
    (
        "zone + 1 > 2",
        "zone",
        "+ takes numbers, and this is a text",
        "texts can only be compared by =, <> and IN, or tested by IS NULL",
    ),
    (
        "a > '5'",
        "a > '5'",
        "`>` compares a number with a text",
        "compare numbers with numbers, and texts with 'texts'",
    ),
    (
        "zone > 'a'",
        "zone > 'a'",
        "texts have no order here, so `>` cannot compare them",
        "compare them by =, <> or IN",
    ),
    ("a = NULL", "NULL", "a comparison with NULL is never met", "write IS NULL or IS NOT NULL"),
    (
        "a > 5 / 2",
        "5 / 2",
        "SQL divides whole numbers to a whole number, as in 5 / 2 = 2",
        "make one of them a decimal number, as in 5 / 2.0",
    ),
    (
        "mean(a) > 1",
        "mean",
        "`mean` is an aggregate, and a condition looks at one row",
        "make it a field of a window, as in fields = { x = \"mean(pm25)\" }, and name that",
    ),
    ("sqr(a) > 1", "sqr", "there is no function `sqr`", "did you mean `sqrt`?"),
    ("power(a) > 1", "power", "`power` takes 2 arguments, and has 1", "add or remove arguments"),
    (
        "round(a, b) > 1",
        "",
        "`round` takes its decimals as a whole number",
        "write a whole number from -12 to 12, as in round(pm25, 1)",
    ),
    ("zone LIKE 'c%'", "", "patterns of texts are not part of the language", "compare texts by =, <> or IN"),
    (
        "a > 1 = TRUE",
        "a > 1 = TRUE",
        "`=` compares a condition with a condition",
        "write the condition itself, or NOT before it, or IS TRUE after it",
    ),
    (
        "CASE WHEN a > 1 THEN 1 ELSE FALSE END",
        "FALSE",
        "CASE chooses between a whole number and a condition",
        "all its results are numbers, or all conditions",
    ),
    (
        "a IN ('x')",
        "'x'",
        "IN after a number takes numbers, and this is a text",
        "texts can only be compared by =, <> and IN, or tested by IS NULL",
    ),
    ("NOT a", "a", "NOT takes conditions, and this is a number", "compare it, as in pm25 > 55"),
];

#[test]
fn faults_say_what_was_found_and_where() {
    for (sql, part, message, remedy) in REFUSED {
        let fault = Expression::compile(sql, &schema()).expect_err(sql);
        let found = fault.within.map_or("", |(start, end)| &sql[start..end]);
        assert_eq!(
            (found, fault.message.as_str(), fault.remedy.as_str()),
            (*part, *message, *remedy),
            "{sql}"
        );
    }
}

#[test]
fn names_the_columns_it_uses() {
    let expression = Expression::compile("zone = 'x' OR a > 1 AND a < b", &schema()).unwrap();
    let names: Vec<&str> = expression.columns().iter().map(|column| &*column.name).collect();
    assert_eq!(names, ["zone", "a", "b"]);
}
