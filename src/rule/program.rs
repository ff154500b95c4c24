//! A compiled expression: instructions in postfix order over a stack of numbers.
//!
//! NULL is NaN on the stack, which no finite operation makes: every result that is not finite
//! becomes NULL, and a negative zero becomes zero. TRUE is 1, FALSE is 0. Texts never come on the
//! stack; an instruction that compares them names both. Evaluation allocates nothing and cannot
//! fail.

use std::cmp::Ordering;

/// The values an expression is evaluated over; see [`super::Schema`] for their places. A place
/// beyond the slices is NULL.
#[derive(Clone, Copy, Debug, Default)]
pub struct Row<'a> {
    /// Numbers, `None` for no data; one that is not finite counts as no data.
    pub numbers: &'a [Option<f64>],
    /// Texts, `None` for no data.
    pub texts: &'a [Option<&'a str>],
}

/// Values on the stack at once, at most; the compiler refuses what needs more.
pub(super) const STACK_MAX: usize = 64;
const NULL: f64 = f64::NAN;

/// A text operand.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Text {
    /// Column by its place among the texts.
    Column(usize),
    /// Literal.
    Literal(Box<str>),
}

/// A comparison of two numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// One step. The comment shows the top of the stack before and after.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Instruction {
    /// `-> n`; NaN is NULL.
    Constant(f64),
    /// `-> n`
    Column(usize),
    /// `a -> f(a)`
    Unary(Unary),
    /// `a b -> f(a, b)`
    Binary(Binary),
    /// `a b -> a ? b`
    Compare(Comparison),
    /// `a b -> a AND b`
    And,
    /// `a b -> a OR b`
    Or,
    /// `a -> a IS NULL`
    IsNull { negated: bool },
    /// `a -> a IS TRUE`, `IS FALSE`
    IsTruth { truth: bool, negated: bool },
    /// `x low high -> x BETWEEN low AND high`
    Between { negated: bool },
    /// `x met item -> x (met OR x = item)`
    InStep,
    /// `x met -> met`
    InEnd { negated: bool },
    /// `x item -> x (x = item)`
    Matches,
    /// `x a -> a`
    Nip,
    /// `-> left = right`
    TextEqual { left: Text, right: Text, negated: bool },
    /// `-> text IN list`
    TextIn { text: Text, list: Box<[Text]>, negated: bool },
    /// `-> text IS NULL`
    TextIsNull { text: Text, negated: bool },
    /// `a ->`, and goes on at the target unless it was TRUE.
    JumpUnless(usize),
    /// Goes on at the target.
    Jump(usize),
}

/// Functions of one number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Unary {
    Not,
    Negate,
    Absolute,
    /// Half away from zero, to this many decimals.
    Round(i32),
    Floor,
    Ceil,
    Sqrt,
    Ln,
    Exp,
}

/// Functions of two numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Binary {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Power,
    /// The smaller; NULL only if both are.
    Least,
    /// The larger; NULL only if both are.
    Greatest,
    /// The first that is not NULL.
    Coalesce,
}

/// Runs the instructions; `None` is NULL.
pub(super) fn run(code: &[Instruction], row: &Row<'_>) -> Option<f64> {
    let mut stack = Stack { cells: [NULL; STACK_MAX], top: 0 };
    let mut at = 0;
    while let Some(instruction) = code.get(at) {
        at += 1;
        match instruction {
            Instruction::Jump(target) => at = *target,
            Instruction::JumpUnless(target) => {
                if stack.pop() != 1.0 {
                    at = *target;
                }
            }
            other => step(other, &mut stack, row),
        }
    }
    let result = stack.pop();
    result.is_finite().then_some(result)
}

fn step(instruction: &Instruction, stack: &mut Stack, row: &Row<'_>) {
    match instruction {
        Instruction::Constant(value) => stack.push(*value),
        Instruction::Column(index) => {
            stack.push(row.numbers.get(*index).copied().flatten().map_or(NULL, finite));
        }
        Instruction::Unary(function) => stack.map(|a| function.of(a)),
        Instruction::Binary(function) => stack.fold(|a, b| function.of(a, b)),
        Instruction::Compare(comparison) => stack.fold(|a, b| comparison.of(a, b)),
        Instruction::And => stack.fold(and),
        Instruction::Or => stack.fold(or),
        Instruction::IsNull { negated } => stack.map(|a| truth(a.is_nan() != *negated)),
        Instruction::IsTruth { truth: wanted, negated } => {
            stack.map(|a| truth((a == truth(*wanted)) != *negated));
        }
        Instruction::Between { negated } => {
            let (high, low) = (stack.pop(), stack.pop());
            stack.map(|x| {
                let above = Comparison::GreaterOrEqual.of(x, low);
                not_if(*negated, and(above, Comparison::LessOrEqual.of(x, high)))
            });
        }
        Instruction::InStep => {
            let (item, met) = (stack.pop(), stack.pop());
            stack.push(or(met, Comparison::Equal.of(stack.peek(), item)));
        }
        Instruction::InEnd { negated } => {
            let met = stack.pop();
            stack.map(|_| not_if(*negated, met));
        }
        Instruction::Matches => {
            let item = stack.pop();
            stack.push(Comparison::Equal.of(stack.peek(), item));
        }
        Instruction::Nip => stack.fold(|_, kept| kept),
        Instruction::TextEqual { left, right, negated } => {
            stack.push(not_if(*negated, texts_equal(left.of(row), right.of(row))));
        }
        Instruction::TextIn { text, list, negated } => {
            let text = text.of(row);
            let met = list.iter().fold(0.0, |met, item| or(met, texts_equal(text, item.of(row))));
            stack.push(not_if(*negated, met));
        }
        Instruction::TextIsNull { text, negated } => {
            stack.push(truth(text.of(row).is_none() != *negated));
        }
        // Handled by `run`, which owns the position.
        Instruction::Jump(_) | Instruction::JumpUnless(_) => {}
    }
}

impl Instruction {
    /// How many more values the stack holds after this step.
    pub(super) fn effect(&self) -> isize {
        match self {
            Self::Constant(_) | Self::Column(_) => 1,
            Self::TextEqual { .. } | Self::TextIn { .. } | Self::TextIsNull { .. } => 1,
            Self::Unary(_) | Self::IsNull { .. } | Self::IsTruth { .. } | Self::Jump(_) | Self::Matches => 0,
            Self::Binary(_) | Self::Compare(_) | Self::And | Self::Or | Self::InStep => -1,
            Self::InEnd { .. } | Self::Nip | Self::JumpUnless(_) => -1,
            Self::Between { .. } => -2,
        }
    }
}

impl Unary {
    fn of(self, a: f64) -> f64 {
        finite(match self {
            Self::Not => 1.0 - a,
            Self::Negate => -a,
            Self::Absolute => a.abs(),
            Self::Round(decimals) => round(a, decimals),
            Self::Floor => a.floor(),
            Self::Ceil => a.ceil(),
            Self::Sqrt => a.sqrt(),
            Self::Ln => libm::log(a),
            Self::Exp => libm::exp(a),
        })
    }
}

impl Binary {
    fn of(self, a: f64, b: f64) -> f64 {
        finite(match self {
            Self::Add => a + b,
            Self::Subtract => a - b,
            Self::Multiply => a * b,
            Self::Divide => a / b,
            Self::Remainder => a % b,
            // IEEE 754 has 1 to the power of NaN be 1; here NULL stays NULL.
            Self::Power if a.is_nan() || b.is_nan() => NULL,
            Self::Power => libm::pow(a, b),
            // `min` and `max` give the other number where one is NaN.
            Self::Least => a.min(b),
            Self::Greatest => a.max(b),
            Self::Coalesce if a.is_nan() => b,
            Self::Coalesce => a,
        })
    }
}

impl Comparison {
    fn of(self, a: f64, b: f64) -> f64 {
        let Some(order) = a.partial_cmp(&b) else { return NULL };
        truth(match self {
            Self::Equal => order == Ordering::Equal,
            Self::NotEqual => order != Ordering::Equal,
            Self::Less => order == Ordering::Less,
            Self::LessOrEqual => order != Ordering::Greater,
            Self::Greater => order == Ordering::Greater,
            Self::GreaterOrEqual => order != Ordering::Less,
        })
    }
}

impl Text {
    fn of<'a>(&'a self, row: &Row<'a>) -> Option<&'a str> {
        match self {
            Self::Column(index) => row.texts.get(*index).copied().flatten(),
            Self::Literal(text) => Some(text),
        }
    }
}

/// Half away from zero, by the formula that SQL engines use: `round(a * 10^n) / 10^n`.
fn round(a: f64, decimals: i32) -> f64 {
    let factor = crate::model::decimal::power_of_ten(decimals.unsigned_abs().min(12) as u8);
    let factor = if decimals < 0 { 1.0 / factor } else { factor };
    (a * factor).round() / factor
}

fn texts_equal(left: Option<&str>, right: Option<&str>) -> f64 {
    left.zip(right).map_or(NULL, |(left, right)| truth(left == right))
}

fn truth(met: bool) -> f64 {
    f64::from(u8::from(met))
}

fn not_if(negated: bool, a: f64) -> f64 {
    if negated { 1.0 - a } else { a }
}

fn and(a: f64, b: f64) -> f64 {
    if a == 0.0 || b == 0.0 { 0.0 } else { a * b }
}

fn or(a: f64, b: f64) -> f64 {
    if a == 1.0 || b == 1.0 { 1.0 } else { a + b }
}

/// NULL for what is not finite, and zero without a sign.
fn finite(a: f64) -> f64 {
    if a.is_finite() { a + 0.0 } else { NULL }
}

struct Stack {
    cells: [f64; STACK_MAX],
    top: usize,
}

impl Stack {
    fn push(&mut self, value: f64) {
        if let Some(cell) = self.cells.get_mut(self.top) {
            *cell = value;
            self.top += 1;
        }
    }

    fn pop(&mut self) -> f64 {
        self.top = self.top.saturating_sub(1);
        self.cells.get(self.top).copied().unwrap_or(NULL)
    }

    fn peek(&self) -> f64 {
        self.cells.get(self.top.saturating_sub(1)).copied().unwrap_or(NULL)
    }

    fn map(&mut self, function: impl FnOnce(f64) -> f64) {
        let a = self.pop();
        self.push(function(a));
    }

    fn fold(&mut self, function: impl FnOnce(f64, f64) -> f64) {
        let (b, a) = (self.pop(), self.pop());
        self.push(function(a, b));
    }
}
