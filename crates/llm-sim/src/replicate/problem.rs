//! Replicate's errors: problem details, whose keys vary as recorded.

use serde_json::{Map, Value, json};

use crate::http::{Answer, full, set};

#[derive(Debug)]
pub(crate) struct Problem {
    status: u16,
    body: Map<String, Value>,
    headers: Vec<(&'static str, String)>,
}

/// One entry of `invalid_fields`.
#[derive(Debug)]
pub(crate) struct Invalid {
    kind: &'static str,
    /// `input.temperature`, or nothing for the body itself.
    field: String,
    description: String,
}

impl Invalid {
    pub(crate) fn new(
        kind: &'static str,
        field: impl Into<String>,
        description: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            field: field.into(),
            description: description.into(),
        }
    }

    pub(crate) fn required(parent: &str, name: &str) -> Self {
        Self::new("required", parent, format!("{name} is required"))
    }

    pub(crate) fn wrong_type(field: &str, expected: &str, given: &Value) -> Self {
        let given = match given {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(number) if number.is_f64() => "number",
            Value::Number(_) => "integer",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        let description = format!("Invalid type. Expected: {expected}, given: {given}");
        Self::new("invalid_type", field, description)
    }
}

impl Problem {
    /// A problem without a title, as most are.
    pub(crate) fn new(status: u16, detail: impl Into<String>) -> Self {
        let mut body = Map::new();
        body.insert("detail".into(), Value::String(detail.into()));
        body.insert("status".into(), json!(status));
        Self {
            status,
            body,
            headers: Vec::new(),
        }
    }

    pub(crate) fn titled(status: u16, title: &str, detail: impl Into<String>) -> Self {
        let mut problem = Self::new(status, detail);
        problem.body.insert("title".into(), json!(title));
        problem
    }

    pub(crate) fn unauthenticated() -> Self {
        Self::titled(
            401,
            "Unauthenticated",
            "You did not pass a valid authentication token",
        )
    }

    pub(crate) fn not_found() -> Self {
        Self::new(404, "The requested resource could not be found.")
    }

    pub(crate) fn invalid_version() -> Self {
        Self::titled(
            422,
            "Invalid version or not permitted",
            "The specified version does not exist (or perhaps you don't have permission to use \
             it?)",
        )
    }

    /// A 429, `seconds` before a retry can succeed.
    pub(crate) fn throttled(detail: String, seconds: u64) -> Self {
        Self {
            headers: vec![
                ("ratelimit-remaining", "0".to_owned()),
                ("ratelimit-reset", seconds.to_string()),
            ],
            ..Self::new(429, detail)
        }
    }

    pub(crate) fn with(mut self, name: &str, value: Value) -> Self {
        self.body.insert(name.to_owned(), value);
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.body.remove(name);
        self
    }

    pub(crate) fn with_retry_after(mut self, when: String) -> Self {
        self.headers.push(("retry-after", when));
        self
    }

    /// The invalid fields; `None` if there are none.
    pub(crate) fn validation(invalid: &[Invalid]) -> Option<Self> {
        (!invalid.is_empty()).then(|| Self::invalid_fields(invalid))
    }

    /// The one invalid field.
    pub(crate) fn invalid(field: Invalid) -> Self {
        Self::invalid_fields(&[field])
    }

    fn invalid_fields(invalid: &[Invalid]) -> Self {
        let line = |invalid: &Invalid| match invalid.field.as_str() {
            "" => format!("- {}\n", invalid.description),
            field => format!("- {field}: {}\n", invalid.description),
        };
        let mut problem = Self::titled(
            422,
            "Input validation failed",
            invalid.iter().map(line).collect::<String>(),
        );
        let fields = invalid.iter().map(|invalid| {
            json!({
                "type": invalid.kind,
                "field": invalid.field,
                "description": invalid.description,
            })
        });
        problem
            .body
            .insert("invalid_fields".into(), fields.collect());
        problem
    }

    /// The fault `status=…`: the API's own body for that status.
    pub(crate) fn of_status(status: u16, message: Option<&str>) -> Self {
        let detail = match (status, message) {
            (_, Some(message)) => message,
            (401, _) => return Self::unauthenticated(),
            (402, _) => {
                return Self::titled(
                    402,
                    "Insufficient credit",
                    "You have insufficient credit to run this model. Go to \
                     https://replicate.com/account/billing#billing to purchase credit. Once you \
                     purchase credit, please wait a few minutes before trying again.",
                );
            }
            (404, _) => return Self::not_found(),
            (413, _) => "Request entity too large",
            (500.., _) => {
                return Self::new(status, "Internal server error").without("status");
            }
            _ => "The request could not be processed.",
        };
        Self::new(status, detail)
    }

    pub(crate) fn into_answer(self) -> Answer {
        // The only one that is not JSON.
        if self.status == 503 {
            return full(503, "text/plain; charset=utf-8", "Service Unavailable");
        }
        let body = Value::Object(self.body).to_string();
        let mut answer = full(self.status, "application/problem+json", body);
        for (name, value) in &self.headers {
            set(&mut answer, name, value);
        }
        answer
    }
}
