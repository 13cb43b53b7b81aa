//! Types, names and layout.

use super::TableColumn;
use crate::store::Dialect;

/// What a column can hold, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    /// Up to 32 bits.
    ShortNumber,
    Number,
    Flag,
    Uuid,
    Other,
}

impl Kind {
    pub(super) fn of(column: &TableColumn) -> Self {
        let said = column.type_text.to_ascii_lowercase();
        let starts = |words: &[&str]| words.iter().any(|word| said.starts_with(word));
        if starts(&["bool", "tinyint(1)", "bit"]) {
            Self::Flag
        } else if starts(&["bigint", "numeric", "decimal", "number", "int8"]) {
            Self::Number
        } else if starts(&["int", "tinyint", "smallint", "mediumint"]) {
            Self::ShortNumber
        } else if starts(&["uuid"]) {
            Self::Uuid
        } else if said.contains("char") || said.contains("text") || said.is_empty() {
            Self::Text
        } else {
            Self::Other
        }
    }
}

/// The number in a type such as `varchar(30)`.
pub(super) fn length(type_text: &str) -> Option<u32> {
    type_text.split(['(', ')', ',']).nth(1)?.trim().parse().ok()
}

pub(super) fn is_id(column: &TableColumn) -> bool {
    column.name.to_ascii_lowercase().ends_with("id")
}

pub(super) fn empty_key(is_text: bool) -> &'static str {
    if is_text { "''" } else { "0" }
}

/// Columns or values, some on a line.
pub(super) fn wrapped(items: &[String]) -> String {
    let mut text = String::new();
    let mut width = 0;
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            let fits = width + item.len() < 96;
            text.push_str(if fits { ", " } else { ",\n  " });
            width = if fits { width + 2 } else { 0 };
        }
        text.push_str(item);
        width += item.len();
    }
    text
}

/// Words that are SQL's, on one of the engines.
const RESERVED: &str = "add all alter and any as asc between by case check column condition constraint create current_user \
    default delete desc distinct drop else end exists false fetch for foreign from function grant group groups having if in \
    index insert interval into is join key keys left like limit lock match not null of offset on option or order out over \
    primary procedure range rank read references release rename replace require right role row rows schema select session_user \
    set system table then to trigger true union unique update usage use user using values when where window with write";

/// A name as the engine takes it.
pub(super) fn quoted(engine: Dialect, name: &str) -> String {
    let is_plain = name.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_')
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    let is_folded = engine == Dialect::Postgres && name.chars().any(|letter| letter.is_ascii_uppercase());
    let is_reserved = RESERVED.split_whitespace().any(|word| word.eq_ignore_ascii_case(name));
    match engine {
        _ if is_plain && !is_folded && !is_reserved => name.to_owned(),
        Dialect::Mysql => format!("`{}`", name.replace('`', "``")),
        Dialect::Sqlite | Dialect::Postgres => format!("\"{}\"", name.replace('"', "\"\"")),
    }
}
