use std::fmt;

use llm_bench::stats::Statistic;
use llm_bench::summary::Metric;
use llm_provider::similar_name;

use super::condition::{Limit, Node, Operator};
use super::quantity::{Measure, Quantity, RunQuantity};

/// The error of an invalid condition. It shows the condition with a caret at the position.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConditionError {
    text: String,
    at: usize,
    expected: String,
}

impl ConditionError {
    /// The position in bytes.
    pub fn at(&self) -> usize {
        self.at
    }
}

impl fmt::Display for ConditionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let column = self.text[..self.at].chars().count();
        write!(
            f,
            "invalid condition: expected {}\n  {}\n  {:column$}^",
            self.expected, self.text, ""
        )
    }
}

impl std::error::Error for ConditionError {}

pub(super) fn parse(text: &str) -> Result<Node, ConditionError> {
    // The caret needs a single line.
    let text = text.replace(|c: char| c.is_whitespace(), " ");
    let mut parser = Parser {
        text: &text,
        at: 0,
        depth: 0,
    };
    let node = parser.any()?;
    if parser.rest().is_empty() {
        Ok(node)
    } else {
        Err(parser.expected("`and`, `or` or the end"))
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: u32,
}

impl<'a> Parser<'a> {
    fn any(&mut self) -> Result<Node, ConditionError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.expected("a condition with fewer parentheses"));
        }
        let mut nodes = vec![self.all()?];
        while self.keyword("or") {
            nodes.push(self.all()?);
        }
        self.depth -= 1;
        Ok(single(nodes, Node::Any))
    }

    fn all(&mut self) -> Result<Node, ConditionError> {
        let mut nodes = vec![self.one()?];
        while self.keyword("and") {
            nodes.push(self.one()?);
        }
        Ok(single(nodes, Node::All))
    }

    fn one(&mut self) -> Result<Node, ConditionError> {
        let mut negated = false;
        while self.keyword("not") {
            negated = !negated;
        }
        let node = if self.sign("(") {
            let node = self.any()?;
            if !self.sign(")") {
                return Err(self.expected("`)`"));
            }
            node
        } else {
            self.test()?
        };
        Ok(if negated {
            Node::Not(Box::new(node))
        } else {
            node
        })
    }

    fn test(&mut self) -> Result<Node, ConditionError> {
        let quantity = self.quantity()?;
        let signs = [
            (">=", Operator::AtLeast),
            ("<=", Operator::AtMost),
            (">", Operator::Above),
            ("<", Operator::Below),
        ];
        let found = signs.into_iter().find(|(sign, _)| self.sign(sign));
        let Some((_, comparison)) = found else {
            return Err(self.expected("`>`, `>=`, `<` or `<=`"));
        };
        Ok(Node::Test {
            quantity,
            comparison,
            limit: self.limit(quantity)?,
        })
    }

    fn quantity(&mut self) -> Result<Quantity, ConditionError> {
        let name = self.word();
        if let Some(statistic) = Statistic::parse(name) {
            self.take(name);
            if !self.sign("(") {
                return Err(self.expected("`(` and a metric, such as in p99(ttft)"));
            }
            let metric = self.word();
            let Some(found) = Metric::parse(metric) else {
                let known = Metric::ALL.iter().map(|metric| metric.name());
                return Err(self.expected_one_of("a metric such as ttft", metric, known));
            };
            self.take(metric);
            if !self.sign(")") {
                return Err(self.expected("`)`"));
            }
            return Ok(Quantity::Statistic(statistic, found));
        }
        let short = if name == "rps" {
            "requests_per_second"
        } else {
            name
        };
        let whole = RunQuantity::ALL
            .into_iter()
            .find(|whole| whole.name() == short);
        if let Some(whole) = whole {
            self.take(name);
            return Ok(Quantity::Run(whole));
        }
        if Metric::parse(name).is_some() {
            let what = format!("a statistic of {name}, such as p99({name}) or mean({name})");
            return Err(self.expected(&what));
        }
        let known = RunQuantity::ALL.iter().map(|whole| whole.name());
        Err(self.expected_one_of("a quantity such as p99(ttft) or error_rate", name, known))
    }

    fn limit(&mut self, quantity: Quantity) -> Result<Limit, ConditionError> {
        let sign = [("+", 1.0), ("-", -1.0)];
        let sign = sign.into_iter().find(|(sign, _)| self.sign(sign));
        let rest = self.rest();
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.');
        let digits = &rest[..digits.unwrap_or(rest.len())];
        let Ok(number) = digits.parse::<f64>() else {
            return Err(self.expected("a number, such as +5%, +10ms or 200ms"));
        };
        self.take(digits);
        let unit_at = self.at;
        let unit = self.unit();
        let number = sign.map_or(number, |(_, sign)| sign * number);
        let limit = |value| match sign {
            Some(_) => Limit::Change(value),
            None => Limit::Value(value),
        };
        let fail = |expected: &str| {
            Err(ConditionError {
                text: self.text.to_owned(),
                at: unit_at,
                expected: expected.to_owned(),
            })
        };
        match (unit, quantity.measure(), sign) {
            ("%", _, Some(_)) => Ok(Limit::Relative(number / 100.0)),
            ("%", Measure::Share, None) | ("pp", Measure::Share, Some(_)) => {
                Ok(limit(number / 100.0))
            }
            ("%", _, None) => fail("a sign before a change in percent, such as +5%"),
            ("us", Measure::Seconds, _) => Ok(limit(number / 1e6)),
            ("ms", Measure::Seconds, _) => Ok(limit(number / 1e3)),
            ("s", Measure::Seconds, _) => Ok(limit(number)),
            ("", Measure::Number, _) => Ok(limit(number)),
            (_, Measure::Seconds, None) => fail("ms, us or s"),
            (_, Measure::Seconds, Some(_)) => fail("%, ms, us or s"),
            (_, Measure::Share, None) => fail("%"),
            (_, Measure::Share, Some(_)) => {
                fail("% of the first value, or pp for percentage points")
            }
            (_, Measure::Number, _) => fail("no unit, or % after a sign"),
        }
    }

    fn unit(&mut self) -> &'a str {
        let rest = &self.text[self.at..];
        if rest.starts_with('%') {
            return self.take(&rest[..1]);
        }
        let end = rest.find(|c: char| !c.is_alphabetic());
        let word = &rest[..end.unwrap_or(rest.len())];
        // `5 and` has no unit.
        self.take(word)
    }

    fn sign(&mut self, sign: &str) -> bool {
        let found = self.rest().starts_with(sign);
        if found {
            self.at += sign.len();
        }
        found
    }

    fn keyword(&mut self, keyword: &str) -> bool {
        let found = self.word() == keyword;
        if found {
            self.at += keyword.len();
        }
        found
    }

    /// The next name: letters, digits, `_` and the point of `p99.9`.
    fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '.');
        &rest[..end.unwrap_or(rest.len())]
    }

    fn take(&mut self, text: &'a str) -> &'a str {
        self.at += text.len();
        text
    }

    /// The remaining text without leading spaces.
    fn rest(&mut self) -> &'a str {
        let rest = self.text[self.at..].trim_start_matches(' ');
        self.at = self.text.len() - rest.len();
        rest
    }

    fn expected(&mut self, expected: &str) -> ConditionError {
        self.rest();
        ConditionError {
            text: self.text.to_owned(),
            at: self.at,
            expected: expected.to_owned(),
        }
    }

    fn expected_one_of(
        &mut self,
        what: &str,
        found: &str,
        known: impl Iterator<Item = &'static str>,
    ) -> ConditionError {
        match similar_name(found, known) {
            Some(name) => self.expected(&format!("{what}; did you mean {name}?")),
            None => self.expected(what),
        }
    }
}

fn single(mut nodes: Vec<Node>, join: fn(Vec<Node>) -> Node) -> Node {
    match nodes.pop() {
        Some(only) if nodes.is_empty() => only,
        Some(last) => {
            nodes.push(last);
            join(nodes)
        }
        None => join(nodes),
    }
}

const MAX_DEPTH: u32 = 64;
