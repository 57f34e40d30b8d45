//! Open enums of strings: unknown names are kept, not rejected.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserializer, Error as DeError, Visitor};

/// Defines an enum over the given names plus `Other(String)`, so that every string round-trips
/// (async-openai#498: a new `service_tier` broke every response).
macro_rules! open_enum {
    ($(#[$meta:meta])* pub enum $name:ident {
        $($(#[$doc:meta])* $variant:ident = $text:literal,)+
    }) => {
        $(#[$meta])*
        #[non_exhaustive]
        #[derive(Clone, Debug, Eq, Hash, PartialEq)]
        pub enum $name {
            $($(#[$doc])* $variant,)+
            /// Any other name, unchanged.
            Other(String),
        }

        impl $name {
            /// The name on the wire.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)+
                    Self::Other(name) => name,
                }
            }

            fn known(name: &str) -> Option<Self> {
                match name {
                    $($text => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl From<&str> for $name {
            fn from(name: &str) -> Self {
                Self::known(name).unwrap_or_else(|| Self::Other(name.to_owned()))
            }
        }

        impl From<String> for $name {
            fn from(name: String) -> Self {
                Self::known(&name).unwrap_or(Self::Other(name))
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::open_enum::read(deserializer)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        #[cfg(feature = "schema")]
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                $crate::schema::open_enum(&[$($text),+])
            }
        }
    };
}

pub(crate) use open_enum;

/// Reads a name; a known name is not copied.
pub(crate) fn read<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: From<String> + for<'a> From<&'a str>,
{
    deserializer.deserialize_str(Name(PhantomData))
}

struct Name<T>(PhantomData<T>);

impl<T: From<String> + for<'a> From<&'a str>> Visitor<'_> for Name<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: DeError>(self, name: &str) -> Result<T, E> {
        Ok(T::from(name))
    }

    fn visit_string<E: DeError>(self, name: String) -> Result<T, E> {
        Ok(T::from(name))
    }
}
