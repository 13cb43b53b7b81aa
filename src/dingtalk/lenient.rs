//! Reading what DingTalk really sends: numbers and booleans as strings, one object in place of a list, absent fields,
//! lone surrogates (`contacts-api.md §1`).
//!
//! A value that cannot be read becomes "not given": it must not fail the person it belongs to, nor his page.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeOwned, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// Parses JSON; what no parser takes (lone surrogates, raw control characters, broken UTF-8) is mended first.
pub fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(bytes).or_else(|error| match repair(bytes) {
        Some(text) => serde_json::from_str(&text),
        None => Err(error),
    })
}

/// Replaces lone surrogate escapes and broken UTF-8 by U+FFFD, raw control characters inside strings by spaces. `None`
/// where there is nothing to mend.
fn repair(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let mut repaired = String::with_capacity(text.len());
    let mut changed = matches!(text, Cow::Owned(_));
    let mut in_string = false;
    let mut rest = text.as_ref();
    while let Some(character) = rest.chars().next() {
        let width = character.len_utf8();
        if in_string && character == '\\' {
            let (escape, replacement) = mend_escape(rest);
            repaired.push_str(replacement.unwrap_or(escape));
            changed |= replacement.is_some();
            rest = &rest[escape.len()..];
            continue;
        }
        if character == '"' {
            in_string = !in_string;
        }
        if in_string && character < ' ' {
            repaired.push(' ');
            changed = true;
        } else {
            repaired.push(character);
        }
        rest = &rest[width..];
    }
    changed.then_some(repaired)
}

/// The escape sequence at the start of `text` (a surrogate pair counts as one), and what has to stand in its place.
fn mend_escape(text: &str) -> (&str, Option<&'static str>) {
    const UNIT: usize = "\\u0000".len();
    let unit = |at: usize| {
        let escape = text.get(at..at + UNIT)?;
        u16::from_str_radix(escape.strip_prefix("\\u")?, 16).ok()
    };
    match unit(0) {
        Some(0xD800..=0xDBFF) if matches!(unit(UNIT), Some(0xDC00..=0xDFFF)) => (&text[..2 * UNIT], None),
        Some(0xD800..=0xDFFF) => (&text[..UNIT], Some("\\ufffd")),
        Some(_) => (&text[..UNIT], None),
        None => {
            let end = text.char_indices().nth(2).map_or(text.len(), |(at, _)| at);
            (&text[..end], None)
        }
    }
}

/// A scalar in whatever JSON type it came.
enum Scalar {
    Text(String),
    Integer(i64),
    Float(f64),
    Flag(bool),
    Absent,
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ScalarVisitor;

        impl<'de> Visitor<'de> for ScalarVisitor {
            type Value = Scalar;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("any JSON value")
            }

            fn visit_str<E>(self, value: &str) -> Result<Scalar, E> {
                Ok(Scalar::Text(value.to_owned()))
            }

            fn visit_string<E>(self, value: String) -> Result<Scalar, E> {
                Ok(Scalar::Text(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Scalar, E> {
                Ok(Scalar::Integer(value))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Scalar, E> {
                Ok(Scalar::Integer(i64::try_from(value).unwrap_or(i64::MAX)))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Scalar, E> {
                Ok(Scalar::Float(value))
            }

            fn visit_bool<E>(self, value: bool) -> Result<Scalar, E> {
                Ok(Scalar::Flag(value))
            }

            fn visit_unit<E>(self) -> Result<Scalar, E> {
                Ok(Scalar::Absent)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Scalar, A::Error> {
                while sequence.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Scalar::Absent)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scalar, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Scalar::Absent)
            }
        }

        deserializer.deserialize_any(ScalarVisitor)
    }
}

impl Scalar {
    fn into_text(self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text).filter(|text| !text.is_empty()),
            Self::Integer(number) => Some(number.to_string()),
            Self::Float(number) => Some(number.to_string()),
            Self::Flag(flag) => Some(flag.to_string()),
            Self::Absent => None,
        }
    }

    fn into_integer(self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(number),
            Self::Float(number) => float_to_integer(number),
            Self::Text(text) => {
                let text = text.trim();
                text.parse().ok().or_else(|| float_to_integer(text.parse().ok()?))
            }
            Self::Flag(_) | Self::Absent => None,
        }
    }

    fn into_flag(self) -> Option<bool> {
        match self {
            Self::Flag(flag) => Some(flag),
            Self::Integer(0) => Some(false),
            Self::Integer(1) => Some(true),
            Self::Text(text) => match text.trim().to_ascii_lowercase().as_str() {
                "true" | "1" => Some(true),
                "false" | "0" => Some(false),
                _ => None,
            },
            Self::Integer(_) | Self::Float(_) | Self::Absent => None,
        }
    }
}

/// A whole number that was written as a float, such as `1.763e17`; saturates at the ends of the range.
fn float_to_integer(number: f64) -> Option<i64> {
    (number.is_finite() && number.fract() == 0.0).then_some(number as i64)
}

/// A text, whatever type it came in. "" is "not given".
pub fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Scalar::deserialize(deserializer).map(Scalar::into_text)
}

/// An integer up to 2^63, as a number or as a text.
pub fn integer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    Scalar::deserialize(deserializer).map(Scalar::into_integer)
}

/// A boolean, also as 0 and 1 or as a text.
pub fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    Scalar::deserialize(deserializer).map(Scalar::into_flag)
}

/// A JSON document inside a string, or the document itself: its text either way.
pub fn document<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let raw = Box::<RawValue>::deserialize(deserializer)?;
    let text = match raw.get() {
        "null" => return Ok(None),
        quoted if quoted.starts_with('"') => {
            serde_json::from_str::<String>(quoted).map_err(D::Error::custom)?
        }
        document => document.to_owned(),
    };
    Ok(Some(text).filter(|text| !text.is_empty()))
}

/// One element of a list of scalars; an element that cannot be read is left out.
pub trait Element: Sized {
    #[doc(hidden)]
    fn from_text(text: String) -> Option<Self>;
}

impl Element for String {
    fn from_text(text: String) -> Option<Self> {
        Some(text).filter(|text| !text.is_empty())
    }
}

impl Element for i64 {
    fn from_text(text: String) -> Option<Self> {
        Scalar::Text(text).into_integer()
    }
}

/// A list of ids: an array, one scalar, or a text such as `[2,3]` or `2,3`. `None` where the field is null.
pub fn ids<'de, D: Deserializer<'de>, T: Element>(deserializer: D) -> Result<Option<Vec<T>>, D::Error> {
    struct IdsVisitor<T>(PhantomData<T>);

    impl<'de, T: Element> Visitor<'de> for IdsVisitor<T> {
        type Value = Option<Vec<T>>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a list of ids")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
            let mut ids = Vec::new();
            while let Some(scalar) = sequence.next_element::<Scalar>()? {
                ids.extend(scalar.into_text().and_then(T::from_text));
            }
            Ok(Some(ids))
        }

        fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
            let list = value.trim().trim_start_matches('[').trim_end_matches(']');
            let ids = list.split(',').map(|id| id.trim().trim_matches('"').to_owned());
            Ok(Some(ids.filter_map(T::from_text).collect()))
        }

        fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
            Ok(Some(T::from_text(value.to_string()).into_iter().collect()))
        }

        fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
            Ok(Some(T::from_text(value.to_string()).into_iter().collect()))
        }

        fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
            Ok(Some(T::from_text(value.to_string()).into_iter().collect()))
        }

        fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
            Ok(Some(Vec::new()))
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            Ok(None)
        }
    }

    deserializer.deserialize_any(IdsVisitor(PhantomData))
}

/// A list of objects, or one object in its place, or a text that holds either. An element that cannot be read is left
/// out.
pub fn objects<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let raw = Box::<RawValue>::deserialize(deserializer)?;
    let text = match raw.get() {
        quoted if quoted.starts_with('"') => serde_json::from_str::<String>(quoted).unwrap_or_default(),
        plain => plain.to_owned(),
    };
    Ok(serde_json::from_str::<Vec<T>>(&text).unwrap_or_else(|_| readable_ones(&text)))
}

fn readable_ones<T: DeserializeOwned>(text: &str) -> Vec<T> {
    match serde_json::from_str::<Vec<&RawValue>>(text) {
        Ok(elements) => {
            elements.into_iter().filter_map(|element| from_slice(element.get().as_bytes()).ok()).collect()
        }
        Err(_) => from_slice(text.as_bytes()).into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Page {
        #[serde(default, deserialize_with = "objects")]
        list: Vec<Item>,
    }

    #[derive(Debug, Deserialize)]
    struct Item {
        #[serde(default, deserialize_with = "text")]
        name: Option<String>,
    }

    fn names(json: &str) -> Vec<String> {
        let page: Page = from_slice(json.as_bytes()).unwrap();
        page.list.into_iter().map(|item| item.name.unwrap_or_default()).collect()
    }

    #[test]
    fn a_lone_surrogate_costs_a_character_and_no_element() {
        let json = r#"{"list":[{"name":"a"},{"name":"x\ud83dy"},{"name":"\ud83d\ude00"},{"name":5}]}"#;
        assert_eq!(names(json), ["a", "x\u{fffd}y", "😀", "5"]);
    }

    #[test]
    fn lists_come_as_lists_as_one_element_and_as_texts_of_either() {
        assert_eq!(names(r#"{"list":{"name":"a"}}"#), ["a"]);
        assert_eq!(names(r#"{"list":"[{\"name\":\"a\"},{\"name\":\"b\"}]"}"#), ["a", "b"]);
        assert_eq!(names(r#"{"list":[1,{"name":"a"},null]}"#), ["a"]);
        assert_eq!(names(r#"{"list":null}"#), Vec::<String>::new());
        assert_eq!(names("{}"), Vec::<String>::new());
    }
}
