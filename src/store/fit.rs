//! Values as an engine can hold them. What it cannot hold is brought to the closest that it can, before it is compared
//! and stored: else a value would differ from itself for ever.
//!
//! PostgreSQL's texts know no U+0000. The JSON types of PostgreSQL and MySQL hold documents alone and give them back in
//! an order and with spaces of their own; what is no document is a JSON string there. MySQL's columns have lengths.

use std::borrow::Cow;

use serde_json::Value as Document;

use super::dialect::Dialect;

/// MySQL takes documents of a hundred levels.
const DEEPEST: usize = 90;
/// Characters of MySQL's `VARCHAR` columns, and of its `TEXT` columns.
const SHORT: usize = 255;
const LONG: usize = 16_000;
/// The columns that are `TEXT` there.
const LONG_COLUMNS: [&str; 3] = ["remark", "avatar", "brief"];

/// A text for `column`.
pub(super) fn text(dialect: Dialect, column: &str, text: &mut String) {
    match dialect {
        Dialect::Sqlite => {}
        Dialect::Postgres => {
            if text.contains('\0') {
                *text = without_nul(text).into_owned();
            }
        }
        Dialect::Mysql => {
            let longest = if LONG_COLUMNS.contains(&column) { LONG } else { SHORT };
            if let Some((end, _)) = text.char_indices().nth(longest) {
                text.truncate(end);
            }
        }
    }
}

/// A document, or a text that stands in its place.
pub(super) fn json(dialect: Dialect, text: &mut String) {
    if dialect != Dialect::Sqlite {
        *text = canonical(text);
    }
}

/// The text without U+0000, which becomes the replacement character.
pub(super) fn without_nul(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}

/// The one way in which a document is written: keys in order, no spaces, each number in its shortest form. A JSON string
/// that holds no document stands for its content; what is no document stays as it is.
pub(super) fn canonical(text: &str) -> String {
    match parsed(text) {
        Some(Document::String(content)) if parsed(&content).is_none() => without_nul(&content).into_owned(),
        Some(document) => {
            let mut canonical = String::with_capacity(text.len());
            write(&document, &mut canonical);
            canonical
        }
        None => without_nul(text).into_owned(),
    }
}

/// What a column of a JSON type is given.
pub(super) fn document(text: &str) -> String {
    let canonical = canonical(text);
    match parsed(&canonical) {
        Some(_) => canonical,
        None => Document::String(canonical).to_string(),
    }
}

fn parsed(text: &str) -> Option<Document> {
    serde_json::from_str(text).ok().filter(|document| depth(document) <= DEEPEST)
}

fn depth(document: &Document) -> usize {
    match document {
        Document::Array(items) => 1 + items.iter().map(depth).max().unwrap_or_default(),
        Document::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or_default(),
        _ => 1,
    }
}

fn write(document: &Document, out: &mut String) {
    match document {
        Document::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        Document::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(key, _)| *key);
            out.push('{');
            for (at, (key, value)) in fields.into_iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                string(key, out);
                out.push(':');
                write(value, out);
            }
            out.push('}');
        }
        Document::String(text) => string(text, out),
        Document::Number(number) => match number.as_f64() {
            // 1e2 and 100.0 come back as 100.
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 9e15 => {
                out.push_str(&(float as i64).to_string());
            }
            _ => out.push_str(&number.to_string()),
        },
        Document::Null | Document::Bool(_) => out.push_str(&document.to_string()),
    }
}

fn string(text: &str, out: &mut String) {
    out.push_str(&Document::String(without_nul(text).into_owned()).to_string());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_what_it_is_after_a_column_has_held_it() {
        for text in [
            r#"{"b": 1.0, "a": [1e2, "x\u0000y"], "a2": null}"#,
            "[3, 1 , 2]",
            r#""a string""#,
            "no document at all",
            "{\"broken\": ",
            r#""[1]""#,
            "1.50",
            "",
        ] {
            let once = canonical(text);
            assert_eq!(canonical(&once), once, "{text}");
            assert_eq!(canonical(&document(text)), once, "{text}");
        }
        assert_eq!(canonical(r#"{"b": 1.0, "a": [1e2]}"#), r#"{"a":[100],"b":1}"#);
        assert_eq!(document("no document"), r#""no document""#);
    }

    #[test]
    fn a_document_that_is_too_deep_is_a_text() {
        let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
        assert_eq!(canonical(&deep), deep);
        assert!(document(&deep).starts_with('"'));
    }

    #[test]
    fn texts_are_cut_where_an_engine_cannot_hold_them() {
        let fitted = |dialect, column, given: &str| {
            let mut value = given.to_owned();
            text(dialect, column, &mut value);
            value
        };
        let long = "长".repeat(300);
        assert_eq!(fitted(Dialect::Sqlite, "name", "a\0b"), "a\0b");
        assert_eq!(fitted(Dialect::Postgres, "name", "a\0b"), "a\u{fffd}b");
        assert_eq!(fitted(Dialect::Mysql, "name", &long).chars().count(), 255);
        assert_eq!(fitted(Dialect::Mysql, "remark", &long), long);
        assert_eq!(fitted(Dialect::Postgres, "name", &long), long);
    }
}
