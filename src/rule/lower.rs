//! From `sqlparser`'s tree to the typed program: columns are found, types checked, and everything
//! that is not of the language refused with its place.

use sqlparser::ast::{BinaryOperator, CaseWhen, Expr, Ident, UnaryOperator, Value, ValueWithSpan};

use super::near;
use super::operand::{Operand, Type};
use super::parse::{Within, fault, join, range};
use super::program::{Binary, Comparison, Instruction, STACK_MAX, Text, Unary};
use super::schema::{Column, Kind, Schema};
use crate::model::Fault;

/// Levels of one expression; also of a chain such as `a + b + c`, which leans to the left.
const DEPTH_MAX: usize = 128;

/// The compiler of one expression.
pub(super) struct Lower<'a> {
    pub(super) sql: &'a str,
    pub(super) schema: &'a Schema,
    pub(super) code: Vec<Instruction>,
    pub(super) columns: Vec<Column>,
    level: usize,
    height: isize,
    height_max: isize,
}

type Lowered = Result<Operand, Fault>;

impl<'a> Lower<'a> {
    pub(super) fn new(sql: &'a str, schema: &'a Schema) -> Self {
        Self { sql, schema, code: Vec::new(), columns: Vec::new(), level: 0, height: 0, height_max: 0 }
    }

    /// Compiles the whole expression.
    pub(super) fn root(&mut self, expression: &Expr) -> Lowered {
        let operand = self.expression(expression)?;
        if self.height_max > STACK_MAX as isize {
            return Err(Fault::new(
                "the expression is nested too deeply",
                "split it, or use fewer parentheses",
            ));
        }
        Ok(operand)
    }

    pub(super) fn emit(&mut self, instruction: Instruction) {
        self.height += instruction.effect();
        self.height_max = self.height_max.max(self.height);
        self.code.push(instruction);
    }

    pub(super) fn expression(&mut self, expression: &Expr) -> Lowered {
        if self.level == DEPTH_MAX {
            let message = format!("the expression has more than {DEPTH_MAX} levels");
            return Err(Fault::new(message, "split it, or use IN (...) for lists"));
        }
        self.level += 1;
        let lowered = self.by_kind(expression);
        self.level -= 1;
        lowered
    }

    fn by_kind(&mut self, expression: &Expr) -> Lowered {
        match expression {
            Expr::Nested(inner) => self.expression(inner),
            Expr::Identifier(name) => self.column(name),
            Expr::Value(value) => self.literal(value),
            Expr::UnaryOp { op, expr } => self.unary(*op, expr),
            Expr::BinaryOp { left, op, right } => self.binary(left, op, right),
            Expr::IsNull(inner) => self.is_null(inner, false),
            Expr::IsNotNull(inner) => self.is_null(inner, true),
            Expr::IsTrue(inner) => self.is_truth(inner, true, false),
            Expr::IsNotTrue(inner) => self.is_truth(inner, true, true),
            Expr::IsFalse(inner) => self.is_truth(inner, false, false),
            Expr::IsNotFalse(inner) => self.is_truth(inner, false, true),
            Expr::Between { expr, negated, low, high } => {
                let mut within = None;
                for part in [expr, low, high] {
                    let operand = self.expression(part)?;
                    self.refuse_null(&operand)?;
                    operand.want_number("BETWEEN")?;
                    within = join(within, operand.within);
                }
                self.emit(Instruction::Between { negated: *negated });
                Ok(Operand::new(Type::Condition, within))
            }
            Expr::InList { expr, list, negated } => self.in_list(expr, list, *negated),
            Expr::Case { operand, conditions, else_result, .. } => {
                self.case(operand.as_deref(), conditions, else_result.as_deref())
            }
            Expr::Function(_) | Expr::Ceil { .. } | Expr::Floor { .. } => self.call(expression),
            other => Err(super::call::unsupported(other)),
        }
    }

    fn column(&mut self, name: &Ident) -> Lowered {
        let within = range(self.sql, name.span);
        // As in SQL, a name without quotes is the same in capitals.
        let spelled = if name.quote_style.is_some() { name.value.clone() } else { name.value.to_lowercase() };
        let Some(column) = self.schema.column(&spelled) else {
            let message = format!("there is no column `{}`", name.value);
            if name.quote_style == Some('"') {
                return Err(fault(
                    within,
                    message,
                    format!("a text stands in single quotes: '{}'", name.value),
                ));
            }
            let names: Vec<&str> = self.schema.columns().iter().map(|column| &*column.name).collect();
            return Err(fault(within, message, near::suggest(&spelled, names, "there are no columns here")));
        };
        if !self.columns.contains(column) {
            self.columns.push(column.clone());
        }
        let kind = match column.kind {
            Kind::Number => Type::Number,
            Kind::Whole => Type::Whole,
            Kind::Text => Type::Text(Text::Column(column.index)),
        };
        if column.kind != Kind::Text {
            self.emit(Instruction::Column(column.index));
        }
        Ok(Operand::new(kind, within))
    }

    fn literal(&mut self, literal: &ValueWithSpan) -> Lowered {
        let within = range(self.sql, literal.span);
        let (kind, value) = match &literal.value {
            Value::Number(digits, false) => {
                let value = digits.parse::<f64>().ok().filter(|value| value.is_finite());
                let value = value.ok_or_else(|| {
                    fault(within, format!("`{digits}` is no number"), "write a decimal number, as in 12.5")
                })?;
                let whole = digits.bytes().all(|byte| byte.is_ascii_digit());
                (if whole { Type::Whole } else { Type::Number }, value)
            }
            Value::Boolean(truth) => (Type::Condition, f64::from(u8::from(*truth))),
            Value::Null => (Type::Null, f64::NAN),
            Value::SingleQuotedString(text) => {
                let kind = Type::Text(Text::Literal(text.as_str().into()));
                return Ok(Operand::new(kind, within));
            }
            _ => {
                let remedy = "there are numbers (12.5), texts ('comuna-07'), TRUE, FALSE and NULL";
                return Err(fault(within, "this kind of literal is not part of the language", remedy));
            }
        };
        self.emit(Instruction::Constant(value));
        Ok(Operand::new(kind, within))
    }

    fn unary(&mut self, op: UnaryOperator, inner: &Expr) -> Lowered {
        let operand = self.expression(inner)?;
        let kind = match op {
            UnaryOperator::Not => {
                operand.want_condition("NOT")?;
                self.emit(Instruction::Unary(Unary::Not));
                Type::Condition
            }
            UnaryOperator::Minus | UnaryOperator::Plus => {
                operand.want_number(if op == UnaryOperator::Minus { "-" } else { "+" })?;
                if op == UnaryOperator::Minus {
                    self.emit(Instruction::Unary(Unary::Negate));
                }
                operand.kind.clone()
            }
            other => {
                return Err(fault(
                    operand.within,
                    format!("`{other}` is not part of the language"),
                    OPERATORS,
                ));
            }
        };
        Ok(Operand::new(kind, operand.within))
    }

    fn binary(&mut self, left: &Expr, op: &BinaryOperator, right: &Expr) -> Lowered {
        let (left, right) = (self.expression(left)?, self.expression(right)?);
        let within = join(left.within, right.within);
        if let Some(comparison) = comparison(op) {
            self.compare(&left, comparison, &right, &op.to_string())?;
            return Ok(Operand::new(Type::Condition, within));
        }
        let logical = match op {
            BinaryOperator::And => Some(Instruction::And),
            BinaryOperator::Or => Some(Instruction::Or),
            _ => None,
        };
        if let Some(instruction) = logical {
            left.want_condition(&op.to_string())?;
            right.want_condition(&op.to_string())?;
            self.emit(instruction);
            return Ok(Operand::new(Type::Condition, within));
        }
        let function = arithmetic(op)
            .ok_or_else(|| fault(within, format!("`{op}` is not part of the language"), OPERATORS))?;
        left.want_number(&op.to_string())?;
        right.want_number(&op.to_string())?;
        let whole = left.kind == Type::Whole && right.kind == Type::Whole;
        if whole && function == Binary::Divide {
            let message = "SQL divides whole numbers to a whole number, as in 5 / 2 = 2";
            return Err(fault(within, message, "make one of them a decimal number, as in 5 / 2.0"));
        }
        self.emit(Instruction::Binary(function));
        Ok(Operand::new(if whole { Type::Whole } else { Type::Number }, within))
    }

    fn compare(&mut self, left: &Operand, how: Comparison, right: &Operand, sign: &str) -> Result<(), Fault> {
        self.refuse_null(left)?;
        self.refuse_null(right)?;
        let within = join(left.within, right.within);
        match (&left.kind, &right.kind) {
            (Type::Text(left), Type::Text(right)) => {
                let negated = match how {
                    Comparison::Equal => false,
                    Comparison::NotEqual => true,
                    _ => {
                        let message = format!("texts have no order here, so `{sign}` cannot compare them");
                        return Err(fault(within, message, "compare them by =, <> or IN"));
                    }
                };
                self.emit(Instruction::TextEqual { left: left.clone(), right: right.clone(), negated });
            }
            _ if left.is_number() && right.is_number() => self.emit(Instruction::Compare(how)),
            (Type::Condition, _) | (_, Type::Condition) => {
                let message = format!("`{sign}` compares {} with {}", left.describe(), right.describe());
                return Err(fault(
                    within,
                    message,
                    "write the condition itself, or NOT before it, or IS TRUE after it",
                ));
            }
            _ => {
                let message = format!("`{sign}` compares {} with {}", left.describe(), right.describe());
                return Err(fault(within, message, "compare numbers with numbers, and texts with 'texts'"));
            }
        }
        Ok(())
    }

    /// `x = NULL` is never met, which is never what was meant.
    pub(super) fn refuse_null(&self, operand: &Operand) -> Result<(), Fault> {
        if operand.kind == Type::Null {
            return Err(fault(
                operand.within,
                "a comparison with NULL is never met",
                "write IS NULL or IS NOT NULL",
            ));
        }
        Ok(())
    }

    fn is_null(&mut self, inner: &Expr, negated: bool) -> Lowered {
        let operand = self.expression(inner)?;
        match &operand.kind {
            Type::Text(text) => self.emit(Instruction::TextIsNull { text: text.clone(), negated }),
            _ => self.emit(Instruction::IsNull { negated }),
        }
        Ok(Operand::new(Type::Condition, operand.within))
    }

    fn is_truth(&mut self, inner: &Expr, truth: bool, negated: bool) -> Lowered {
        let operand = self.expression(inner)?;
        operand.want_condition("IS TRUE")?;
        self.emit(Instruction::IsTruth { truth, negated });
        Ok(Operand::new(Type::Condition, operand.within))
    }

    fn in_list(&mut self, tested: &Expr, list: &[Expr], negated: bool) -> Lowered {
        let tested = self.expression(tested)?;
        self.refuse_null(&tested)?;
        let mut within = tested.within;
        if let Type::Text(text) = &tested.kind {
            let mut texts = Vec::with_capacity(list.len());
            for item in list {
                let item = self.expression(item)?;
                self.refuse_null(&item)?;
                let Type::Text(text) = item.kind else {
                    let message = format!("IN tests a text, and this is {}", item.describe());
                    return Err(fault(item.within, message, "put it in single quotes"));
                };
                within = join(within, item.within);
                texts.push(text);
            }
            self.emit(Instruction::TextIn { text: text.clone(), list: texts.into(), negated });
            return Ok(Operand::new(Type::Condition, within));
        }
        tested.want_number("IN")?;
        self.emit(Instruction::Constant(0.0));
        for item in list {
            let item = self.expression(item)?;
            self.refuse_null(&item)?;
            item.want_number("IN after a number")?;
            within = join(within, item.within);
            self.emit(Instruction::InStep);
        }
        self.emit(Instruction::InEnd { negated });
        Ok(Operand::new(Type::Condition, within))
    }

    fn case(&mut self, tested: Option<&Expr>, branches: &[CaseWhen], otherwise: Option<&Expr>) -> Lowered {
        let tested = tested.map(|tested| self.expression(tested)).transpose()?;
        let keeps = tested.as_ref().is_some_and(|tested| !matches!(tested.kind, Type::Text(_)));
        let mut result: Option<Operand> = None;
        let mut ends = Vec::new();
        for branch in branches {
            let condition = self.expression(&branch.condition)?;
            self.case_condition(tested.as_ref(), &condition)?;
            let unless = self.code.len();
            self.emit(Instruction::JumpUnless(0));
            let chosen = self.expression(&branch.result)?;
            result = Some(choose(result, chosen)?);
            if keeps {
                self.emit(Instruction::Nip);
            }
            ends.push(self.code.len());
            self.emit(Instruction::Jump(0));
            // The next branch starts without this one's result, with the tested value if it is kept.
            self.height -= isize::from(!keeps);
            self.land(unless);
        }
        match otherwise {
            Some(otherwise) => {
                let chosen = self.expression(otherwise)?;
                result = Some(choose(result, chosen)?);
            }
            None => self.emit(Instruction::Constant(f64::NAN)),
        }
        if keeps {
            self.emit(Instruction::Nip);
        }
        ends.into_iter().for_each(|end| self.land(end));
        result.ok_or_else(|| Fault::new("CASE has no WHEN", "write CASE WHEN pm25 > 55 THEN 1 ELSE 0 END"))
    }

    fn case_condition(&mut self, tested: Option<&Operand>, condition: &Operand) -> Result<(), Fault> {
        let Some(tested) = tested else { return condition.want_condition("WHEN") };
        self.refuse_null(tested)?;
        self.refuse_null(condition)?;
        if let (Type::Text(left), Type::Text(right)) = (&tested.kind, &condition.kind) {
            let (left, right) = (left.clone(), right.clone());
            self.emit(Instruction::TextEqual { left, right, negated: false });
            return Ok(());
        }
        tested.want_number("CASE with a number after WHEN")?;
        condition.want_number("WHEN of a CASE over a number")?;
        self.emit(Instruction::Matches);
        Ok(())
    }

    /// Points the jump at `from` to the next instruction.
    fn land(&mut self, from: usize) {
        let here = self.code.len();
        if let Some(Instruction::Jump(target) | Instruction::JumpUnless(target)) = self.code.get_mut(from) {
            *target = here;
        }
    }
}

const OPERATORS: &str = "there are + - * / %, = <> < <= > >=, AND OR NOT, BETWEEN, IN, IS NULL and CASE";

/// The result of a CASE so far and one more.
fn choose(before: Option<Operand>, chosen: Operand) -> Lowered {
    let first = before.unwrap_or_else(|| Operand::new(Type::Null, None));
    let kind = first.or(&chosen, "CASE")?;
    let within: Within = join(first.within, chosen.within);
    Ok(Operand::new(kind, within))
}

fn comparison(op: &BinaryOperator) -> Option<Comparison> {
    Some(match op {
        BinaryOperator::Eq => Comparison::Equal,
        BinaryOperator::NotEq => Comparison::NotEqual,
        BinaryOperator::Lt => Comparison::Less,
        BinaryOperator::LtEq => Comparison::LessOrEqual,
        BinaryOperator::Gt => Comparison::Greater,
        BinaryOperator::GtEq => Comparison::GreaterOrEqual,
        _ => return None,
    })
}

fn arithmetic(op: &BinaryOperator) -> Option<Binary> {
    Some(match op {
        BinaryOperator::Plus => Binary::Add,
        BinaryOperator::Minus => Binary::Subtract,
        BinaryOperator::Multiply => Binary::Multiply,
        BinaryOperator::Divide => Binary::Divide,
        BinaryOperator::Modulo => Binary::Remainder,
        _ => return None,
    })
}
