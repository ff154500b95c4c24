//! Random expressions against an evaluator of a dozen lines, the laws of three-valued logic, and
//! random text.

use proptest::prelude::*;

use super::*;

/// An expression of the test's own, with its own meaning. Numbers are whole, so that both sides
/// are exact.
#[derive(Clone, Debug)]
enum Sum {
    Literal(i8),
    Column(bool),
    Add(Box<Sum>, Box<Sum>),
    Take(Box<Sum>, Box<Sum>),
    Times(Box<Sum>, Box<Sum>),
    Choose(Box<Test>, Box<Sum>, Box<Sum>),
    Or(Box<Sum>, Box<Sum>),
}

#[derive(Clone, Debug)]
enum Test {
    Less(Box<Sum>, Box<Sum>),
    Equal(Box<Sum>, Box<Sum>),
    In(Box<Sum>, Vec<Sum>),
    Between(Box<Sum>, Box<Sum>, Box<Sum>),
    Null(Box<Sum>),
    Not(Box<Test>),
    And(Box<Test>, Box<Test>),
    Or(Box<Test>, Box<Test>),
}

type Columns = (Option<i64>, Option<i64>);

impl Sum {
    fn sql(&self) -> String {
        match self {
            Self::Literal(value) => format!("({value})"),
            Self::Column(first) => if *first { "a" } else { "b" }.to_owned(),
            Self::Add(a, b) => format!("({} + {})", a.sql(), b.sql()),
            Self::Take(a, b) => format!("({} - {})", a.sql(), b.sql()),
            Self::Times(a, b) => format!("({} * {})", a.sql(), b.sql()),
            Self::Choose(when, a, b) => {
                format!("CASE WHEN {} THEN {} ELSE {} END", when.sql(), a.sql(), b.sql())
            }
            Self::Or(a, b) => format!("coalesce({}, {})", a.sql(), b.sql()),
        }
    }

    fn value(&self, columns: Columns) -> Option<i64> {
        match self {
            Self::Literal(value) => Some(i64::from(*value)),
            Self::Column(first) => {
                if *first {
                    columns.0
                } else {
                    columns.1
                }
            }
            Self::Add(a, b) => Some(a.value(columns)? + b.value(columns)?),
            Self::Take(a, b) => Some(a.value(columns)? - b.value(columns)?),
            Self::Times(a, b) => Some(a.value(columns)? * b.value(columns)?),
            Self::Choose(when, a, b) => if when.value(columns) == Some(true) { a } else { b }.value(columns),
            Self::Or(a, b) => a.value(columns).or(b.value(columns)),
        }
    }
}

impl Test {
    fn sql(&self) -> String {
        match self {
            Self::Less(a, b) => format!("{} < {}", a.sql(), b.sql()),
            Self::Equal(a, b) => format!("{} = {}", a.sql(), b.sql()),
            Self::In(a, list) => {
                format!("{} IN ({})", a.sql(), list.iter().map(Sum::sql).collect::<Vec<_>>().join(", "))
            }
            Self::Between(a, low, high) => format!("{} BETWEEN {} AND {}", a.sql(), low.sql(), high.sql()),
            Self::Null(a) => format!("{} IS NULL", a.sql()),
            Self::Not(a) => format!("NOT ({})", a.sql()),
            Self::And(a, b) => format!("({}) AND ({})", a.sql(), b.sql()),
            Self::Or(a, b) => format!("({}) OR ({})", a.sql(), b.sql()),
        }
    }

    fn value(&self, columns: Columns) -> Option<bool> {
        let pair = |a: &Sum, b: &Sum| a.value(columns).zip(b.value(columns));
        let either = |a: Option<bool>, b: Option<bool>| match (a, b) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (Some(false), Some(false)) => Some(false),
            _ => None,
        };
        let not = |a: Option<bool>| a.map(|a| !a);
        match self {
            Self::Less(a, b) => pair(a, b).map(|(a, b)| a < b),
            Self::Equal(a, b) => pair(a, b).map(|(a, b)| a == b),
            Self::In(a, list) => {
                list.iter().map(|item| pair(a, item).map(|(a, b)| a == b)).fold(Some(false), either)
            }
            Self::Between(a, low, high) => {
                let below = pair(a, low).map(|(a, low)| a < low);
                not(either(below, pair(a, high).map(|(a, high)| a > high)))
            }
            Self::Null(a) => Some(a.value(columns).is_none()),
            Self::Not(a) => not(a.value(columns)),
            Self::And(a, b) => not(either(not(a.value(columns)), not(b.value(columns)))),
            Self::Or(a, b) => either(a.value(columns), b.value(columns)),
        }
    }
}

fn sums() -> impl Strategy<Value = Sum> + Clone {
    let leaf = prop_oneof![any::<i8>().prop_map(Sum::Literal), any::<bool>().prop_map(Sum::Column)];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let pair = (inner.clone().prop_map(Box::new), inner.clone().prop_map(Box::new));
        let tests = tests_of(inner).prop_map(Box::new);
        prop_oneof![
            pair.clone().prop_map(|(a, b)| Sum::Add(a, b)),
            pair.clone().prop_map(|(a, b)| Sum::Take(a, b)),
            pair.clone().prop_map(|(a, b)| Sum::Times(a, b)),
            pair.clone().prop_map(|(a, b)| Sum::Or(a, b)),
            (tests, pair).prop_map(|(when, (a, b))| Sum::Choose(when, a, b)),
        ]
    })
}

fn tests_of(sums: impl Strategy<Value = Sum> + Clone + 'static) -> impl Strategy<Value = Test> + Clone {
    let boxed = sums.clone().prop_map(Box::new);
    prop_oneof![
        (boxed.clone(), boxed.clone()).prop_map(|(a, b)| Test::Less(a, b)),
        (boxed.clone(), boxed.clone()).prop_map(|(a, b)| Test::Equal(a, b)),
        (boxed.clone(), proptest::collection::vec(sums, 1..4)).prop_map(|(a, list)| Test::In(a, list)),
        (boxed.clone(), boxed.clone(), boxed.clone()).prop_map(|(a, low, high)| Test::Between(a, low, high)),
        boxed.prop_map(Test::Null),
    ]
}

fn tests() -> impl Strategy<Value = Test> {
    tests_of(sums()).prop_recursive(3, 12, 2, |inner| {
        let pair = (inner.clone().prop_map(Box::new), inner.clone().prop_map(Box::new));
        prop_oneof![
            inner.prop_map(|a| Test::Not(Box::new(a))),
            pair.clone().prop_map(|(a, b)| Test::And(a, b)),
            pair.prop_map(|(a, b)| Test::Or(a, b)),
        ]
    })
}

fn columns() -> impl Strategy<Value = Columns> {
    let value = proptest::option::of((-3_i64..4).prop_map(|value| value * 10));
    (value.clone(), value)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn programs_equal_the_plain_meaning(test in tests(), columns in columns()) {
        let sql = test.sql();
        prop_assume!(sql.len() <= crate::rule::parse::LENGTH_MAX);
        let numbers = [columns.0.map(|a| a as f64), columns.1.map(|b| b as f64), None];
        let compiled = Expression::compile(&sql, &schema());
        let got = compiled.unwrap_or_else(|fault| panic!("{sql}: {fault}"))
            .eval(&Row { numbers: &numbers, texts: &[] });
        prop_assert_eq!(got, test.value(columns), "{} over {:?}", sql, columns);
    }

    #[test]
    fn three_valued_logic_keeps_its_laws(a in proptest::option::of(any::<bool>()), b in proptest::option::of(any::<bool>())) {
        let numbers = [a.map(|a| f64::from(u8::from(a))), b.map(|b| f64::from(u8::from(b))), None];
        let eval = |sql: &str| {
            Expression::compile(sql, &schema()).unwrap().eval(&Row { numbers: &numbers, texts: &[] })
        };
        let (p, q) = ("a = 1", "b = 1");
        for (left, right) in [
            (format!("NOT ({p} AND {q})"), format!("NOT {p} OR NOT {q}")),
            (format!("NOT ({p} OR {q})"), format!("NOT {p} AND NOT {q}")),
            (format!("{p} AND {q}"), format!("{q} AND {p}")),
            (format!("NOT NOT {p}"), p.to_owned()),
            (format!("{p} OR ({p} AND {q})"), p.to_owned()),
            (format!("{p} AND NULL"), format!("NOT (NOT {p} OR NULL)")),
        ] {
            prop_assert_eq!(eval(&left), eval(&right), "{} and {}", left, right);
        }
        prop_assert_eq!(eval("a = 1 AND FALSE"), Some(false));
        prop_assert_eq!(eval("a = 1 OR TRUE"), Some(true));
    }

    #[test]
    fn random_text_never_panics(text in "\\PC{0,60}") {
        let _ = Expression::compile(&text, &schema());
        let _ = crate::rule::AggregateCall::parse(&text);
        let _ = crate::rule::Template::parse(&text);
    }

    #[test]
    fn random_words_never_panic(words in proptest::collection::vec(proptest::sample::select(WORDS), 0..24)) {
        let text = words.join(" ");
        if let Ok(expression) = Expression::compile(&text, &schema()) {
            let _ = expression.eval(&row());
        } else if let Err(fault) = Expression::compile(&text, &schema()) {
            prop_assert!(fault.within.is_none_or(|(start, end)| text.get(start..end).is_some()), "{}", text);
        }
    }
}

const WORDS: &[&str] = &[
    "a",
    "b",
    "zone",
    "1",
    "2.5",
    "'x'",
    "(",
    ")",
    "AND",
    "OR",
    "NOT",
    "IS",
    "NULL",
    "IN",
    "BETWEEN",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "END",
    "+",
    "-",
    "*",
    "/",
    "%",
    "=",
    "<>",
    "<",
    ">=",
    ",",
    "abs(",
    "round(",
    "least(",
    "coalesce(",
    "TRUE",
    "ñ",
    "interval",
    "cast(",
    "as",
    ";",
    "--",
    "\"",
    "'",
    "{",
    "[",
    ".",
    ":",
    "select",
];
