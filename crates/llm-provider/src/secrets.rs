//! Redaction of a deployment's secrets.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::Value;

/// The secrets of one deployment: its API key, the values of its extra headers, and the
/// credentials of proxies.
///
/// An upstream may repeat what it received, most often in an error. Every text of an upstream that
/// becomes part of an [`Error`](crate::Error), of [`Metadata`](crate::Metadata) or of a
/// [`Progress`](crate::Progress) passes [`redact`](Self::redact). The model's output does not: a
/// scan would cost time for every chunk, and would change the output.
///
/// The forms of a secret in JSON strings and in URLs are redacted, too. Secrets of fewer than
/// [`MIN_CHARS`](Self::MIN_CHARS) characters are not, since they may be parts of ordinary words. Clones share the secrets, and `Debug` shows their number only.
///
/// ```
/// use llm_provider::Secrets;
///
/// let secrets = Secrets::new(["sk-1234567890"]);
/// assert_eq!(secrets.redact("wrong key: sk-1234567890"), "wrong key: ***");
/// ```
#[derive(Clone, Default)]
pub struct Secrets {
    /// Every form of every secret, the longest first, so that none leaves a part of another.
    forms: Arc<[String]>,
}

impl Secrets {
    /// The minimum length of secrets that are redacted.
    pub const MIN_CHARS: usize = 8;

    /// Creates a set of secrets. White space around each is removed.
    pub fn new<S: AsRef<str>>(secrets: impl IntoIterator<Item = S>) -> Self {
        let mut forms: Vec<String> = secrets
            .into_iter()
            .filter(|secret| Self::covers(secret.as_ref().trim()))
            .flat_map(|secret| forms(secret.as_ref().trim()))
            .collect();
        forms.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        forms.dedup();
        Self {
            forms: forms.into(),
        }
    }

    /// Whether a secret is long enough to be redacted.
    pub fn covers(secret: &str) -> bool {
        secret.chars().count() >= Self::MIN_CHARS
    }

    /// The text with `***` in place of each secret.
    pub fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut text = Cow::Borrowed(text);
        for form in &*self.forms {
            if text.contains(form.as_str()) {
                text = Cow::Owned(text.replace(form.as_str(), REDACTED));
            }
        }
        text
    }

    /// [`redact`](Self::redact) in place; a text without secrets is not copied.
    pub fn redact_in(&self, text: &mut String) {
        let redacted = match self.redact(text) {
            Cow::Owned(redacted) => redacted,
            Cow::Borrowed(_) => return,
        };
        *text = redacted;
    }

    /// Redacts every string and number of a JSON document, names of members included.
    pub fn redact_json(&self, value: &mut Value) {
        match value {
            Value::String(text) => self.redact_in(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.redact_json(item)),
            Value::Object(members) => {
                let is_secret = |name: &String| matches!(self.redact(name), Cow::Owned(_));
                if members.keys().any(is_secret) {
                    let renamed = std::mem::take(members).into_iter();
                    *members = renamed
                        .map(|(name, value)| (self.redact(&name).into_owned(), value))
                        .collect();
                }
                members
                    .values_mut()
                    .for_each(|member| self.redact_json(member));
            }
            Value::Number(number) => {
                if let Cow::Owned(redacted) = self.redact(&number.to_string()) {
                    *value = redacted.into();
                }
            }
            Value::Null | Value::Bool(_) => {}
        }
    }

    /// The body of an error with `***` in place of each secret, also if the secret has JSON escapes.
    ///
    /// JSON stays valid, and a body without secrets is returned unchanged.
    pub fn redact_body(&self, body: Bytes) -> Bytes {
        if self.forms.is_empty() {
            return body;
        }
        let text = String::from_utf8_lossy(&body);
        let shows_secret = matches!(self.redact(&text), Cow::Owned(_));
        // Any character of a JSON string may be written as an escape.
        if !shows_secret && !body.contains(&b'\\') {
            return body;
        }
        if let Ok(before) = serde_json::from_slice::<Value>(&body) {
            let mut after = before.clone();
            self.redact_json(&mut after);
            if after != before {
                return self.redact(&after.to_string()).into_owned().into();
            }
        }
        match self.redact(&text) {
            Cow::Owned(redacted) => redacted.into(),
            Cow::Borrowed(_) => body,
        }
    }

    /// Redacts the values of a response's headers.
    pub fn redact_headers(&self, headers: &mut HeaderMap) {
        for value in headers.values_mut() {
            let text = String::from_utf8_lossy(value.as_bytes());
            if let Cow::Owned(redacted) = self.redact(&text) {
                *value = HeaderValue::try_from(redacted)
                    .unwrap_or_else(|_| HeaderValue::from_static(REDACTED));
            }
        }
    }

    /// The secrets in the value of a header: the whole value, and for `Bearer abc` or `Basic abc` also
    /// the credentials alone.
    pub fn in_header(value: &HeaderValue) -> Vec<String> {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        let mut secrets = Vec::new();
        if let Some((scheme, credentials)) = value.trim().split_once(' ') {
            let credentials = credentials.trim();
            secrets.push(credentials.to_owned());
            if scheme.eq_ignore_ascii_case("basic")
                && let Ok(user) = STANDARD.decode(credentials)
                && let Ok(user) = String::from_utf8(user)
            {
                secrets.extend(
                    user.split_once(':')
                        .map(|(_, password)| password.to_owned()),
                );
                secrets.push(user);
            }
        }
        secrets.push(value);
        secrets
    }

    /// The secrets in a URL with credentials such as `http://user:password@proxy:3128`: the credentials
    /// as written in the URL, as sent in a `Basic` header, and the password alone.
    pub fn in_url(url: &str) -> Vec<String> {
        let Some(written) = credentials(url) else {
            return Vec::new();
        };
        let (user, password) = written.split_once(':').unwrap_or((written, ""));
        let (user, password) = (percent_decoded(user), percent_decoded(password));
        let whole = format!("{user}:{password}");
        // A user without a password is a token.
        let alone = if password.is_empty() { user } else { password };
        vec![STANDARD.encode(&whole), written.to_owned(), whole, alone]
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets")
            .field("forms", &self.forms.len())
            .finish()
    }
}

/// The URL, which need not be valid, with `***` in place of user and password.
pub(crate) fn url_without_credentials(url: &str) -> Cow<'_, str> {
    match credentials(url) {
        Some(written) => url
            .replacen(&format!("{written}@"), &format!("{REDACTED}@"), 1)
            .into(),
        None => url.into(),
    }
}

/// The user and the password in a URL.
fn credentials(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://").unwrap_or(("", url));
    let authority = rest.split(['/', '?', '#']).next()?;
    Some(authority.rsplit_once('@')?.0)
}

/// The secret as it is, and as it is written in JSON strings and in URLs.
fn forms(secret: &str) -> [String; 6] {
    let json = Value::from(secret).to_string();
    let json = json.get(1..json.len() - 1).unwrap_or(secret).to_owned();
    // As PHP writes JSON, and as Go does.
    let slashes = json.replace('/', "\\/");
    let html_safe = json
        .replace('&', "\\u0026")
        .replace('<', "\\u003c")
        .replace('>', "\\u003e");
    let (upper, lower) = (
        percent_encoded(secret, str::to_owned),
        percent_encoded(secret, str::to_ascii_lowercase),
    );
    [secret.to_owned(), json, slashes, html_safe, upper, lower]
}

fn percent_encoded(text: &str, case: fn(&str) -> String) -> String {
    let pieces = utf8_percent_encode(text, RESERVED);
    let pieces = pieces.map(|piece| match piece.starts_with('%') {
        true => case(piece),
        false => piece.to_owned(),
    });
    pieces.collect()
}

fn percent_decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// All but the unreserved characters of RFC 3986, section 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

const REDACTED: &str = "***";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_redacted_from_eight_characters_on() {
        assert_eq!(Secrets::new(["12345678"]).redact("12345678!"), "***!");
        for short in ["", "a", "1234567", "äöüäöüä"] {
            let text = "a banana costs 1234567, äöüäöüä";
            assert_eq!(Secrets::new([short]).redact(text), text);
        }
    }

    #[test]
    fn a_secret_within_another_leaves_no_part_of_it() {
        let secrets = Secrets::new(["middle-part", "begin-middle-part-end"]);
        assert_eq!(secrets.redact("<begin-middle-part-end>"), "<***>");
    }

    #[test]
    fn json_and_url_forms_are_redacted() {
        let secrets = Secrets::new(["a/b+c\"d&e<f"]);
        for text in [
            r#"a/b+c"d&e<f"#,
            r#"{"key":"a/b+c\"d&e<f"}"#,
            r#"{"key":"a\/b+c\"d&e<f"}"#,
            r#"{"key":"a/b+c\"d\u0026e\u003cf"}"#,
            "?key=a%2Fb%2Bc%22d%26e%3Cf",
            "?key=a%2fb%2bc%22d%26e%3cf",
        ] {
            assert!(secrets.redact(text).contains(REDACTED), "{text}");
        }
    }

    #[test]
    fn json_escapes_hide_nothing_in_a_body() {
        let secrets = Secrets::new(["sk-canary", "1234567890"]);
        let hidden = r#"{"a":["sk\u002dcanary",1234567890],"\u0073k-canary":1,"n":1.50}"#;
        let body = secrets.redact_body(Bytes::from_static(hidden.as_bytes()));
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body, json!({ "a": ["***", "***"], "***": 1, "n": 1.5 }));
        for harmless in [r#"{"a": "b\nc",  "n":1.50}"#, "<p>\\</p>", "\u{0}"] {
            let body = Bytes::from_static(harmless.as_bytes());
            assert_eq!(secrets.redact_body(body.clone()), body);
        }
        let broken = secrets.redact_body(Bytes::from_static(b"\xff sk-canary"));
        assert_eq!(broken, "\u{fffd} ***");
    }

    #[test]
    fn the_credentials_of_a_header_are_a_secret_without_their_scheme() {
        let of = |value| Secrets::in_header(&HeaderValue::from_static(value));
        assert_eq!(of("token-alone"), ["token-alone"]);
        assert_eq!(of("Bearer abc-def"), ["abc-def", "Bearer abc-def"]);
        // "user:password"
        assert_eq!(
            of("Basic dXNlcjpwYXNzd29yZA=="),
            [
                "dXNlcjpwYXNzd29yZA==",
                "password",
                "user:password",
                "Basic dXNlcjpwYXNzd29yZA==",
            ]
        );
    }

    #[test]
    fn the_credentials_of_a_url_are_secrets_in_every_form() {
        assert_eq!(
            Secrets::in_url("http://user:p%40ss@proxy:3128/x@y"),
            ["dXNlcjpwQHNz", "user:p%40ss", "user:p@ss", "p@ss"]
        );
        assert_eq!(Secrets::in_url("token@proxy")[3], "token");
        assert!(Secrets::in_url("http://proxy:3128/?a@b").is_empty());
    }

    proptest! {
        #[test]
        fn no_text_keeps_a_secret(
            secret in "[!-)+-~]{8,40}",
            before in any::<String>(),
            after in any::<String>(),
        ) {
            let secrets = Secrets::new([&secret]);
            for form in forms(&secret) {
                let text = format!("{before}{form}{after}");
                prop_assert!(!secrets.redact(&text).contains(&form));
                let body = secrets.redact_body(json!({ "a": [text] }).to_string().into());
                let body: Value = serde_json::from_slice(&body).unwrap();
                prop_assert!(!body["a"][0].as_str().unwrap().contains(&form));
            }
        }

        #[test]
        fn text_without_a_secret_is_not_copied(text in "[a-z ]*") {
            let secrets = Secrets::new(["SECRET-SECRET"]);
            prop_assert!(matches!(secrets.redact(&text), Cow::Borrowed(_)));
        }
    }
}
