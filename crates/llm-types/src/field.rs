//! [`Field`]: a member that may be absent, null, or a value.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A member of a JSON object in its three states.
///
/// Providers treat `null` and absent members differently: some require `"content": null` beside
/// tool calls, some reject it, some reject the empty string (rust-genai#74, aichat#1326). The state
/// is written as it was read.
#[allow(clippy::exhaustive_enums)] // a JSON member has these three states and no other
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Field<T> {
    /// The key is absent.
    #[default]
    Absent,
    /// The value is `null`.
    Null,
    /// The member has a value.
    Value(T),
}

impl<T> Field<T> {
    /// Creates a value, or `null` for `None`.
    pub fn nullable(value: Option<T>) -> Self {
        value.map_or(Self::Null, Self::Value)
    }

    /// Creates a value, or an absent field for `None`.
    pub fn optional(value: Option<T>) -> Self {
        value.map_or(Self::Absent, Self::Value)
    }

    /// Takes the field and leaves it absent.
    #[must_use]
    pub fn take(&mut self) -> Self {
        std::mem::take(self)
    }

    /// Makes an absent field `null`, as OpenAI's schema requires for required nullable keys.
    pub fn fill_null(&mut self) {
        if self.is_absent() {
            *self = Self::Null;
        }
    }

    /// Makes a `null` field absent.
    pub fn drop_null(&mut self) {
        if self.is_null() {
            *self = Self::Absent;
        }
    }

    /// A mutable reference to the value.
    pub fn value_mut(&mut self) -> Option<&mut T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::Null => None,
        }
    }

    /// The value.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::Null => None,
        }
    }

    /// Converts into the value.
    pub fn into_value(self) -> Option<T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::Null => None,
        }
    }

    /// Maps the value and keeps the two other states.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Field<U> {
        match self {
            Self::Absent => Field::Absent,
            Self::Null => Field::Null,
            Self::Value(value) => Field::Value(change(value)),
        }
    }

    /// Whether the key is absent.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// Whether the value is `null`.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Whether there is a value.
    pub fn is_value(&self) -> bool {
        matches!(self, Self::Value(_))
    }
}

impl Field<String> {
    /// The value as text.
    pub fn as_str(&self) -> Option<&str> {
        self.value().map(String::as_str)
    }
}

impl<T> From<T> for Field<T> {
    fn from(value: T) -> Self {
        Self::Value(value)
    }
}

impl From<&str> for Field<String> {
    fn from(value: &str) -> Self {
        Self::Value(value.to_owned())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::deserialize(deserializer).map(Self::nullable)
    }
}

/// Members of this type carry `skip_serializing_if = "Field::is_absent"`; elsewhere, as in a list,
/// an absent field can only be `null`.
impl<T: Serialize> Serialize for Field<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value().serialize(serializer)
    }
}
