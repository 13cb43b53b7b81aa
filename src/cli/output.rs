//! Results on stdout. A reader that goes away (`| head`) is no error.

use std::fmt::Display;
use std::io::Write;

use super::exit::Failure;

/// Prints a line.
pub(super) fn line(text: impl AsRef<str>) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    match writeln!(stdout, "{}", text.as_ref()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Prints a value as JSON.
pub(super) fn json(value: &impl serde::Serialize) -> Result<(), Failure> {
    line(serde_json::to_string_pretty(value)?)
}

/// Prints rows in columns that line up.
pub(super) fn table<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> Result<(), Failure> {
    let mut widths = [0; COLUMNS];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(display_width(cell));
        }
    }
    for row in rows {
        let mut text = String::new();
        for (at, (cell, width)) in row.iter().zip(widths).enumerate() {
            if at + 1 < COLUMNS {
                text.push_str(&padded(cell, width + 2));
            } else {
                text.push_str(cell);
            }
        }
        line(text.trim_end())?;
    }
    Ok(())
}

/// `text`, filled up with spaces to so many columns of a terminal.
pub(super) fn padded(text: &str, columns: usize) -> String {
    let missing = columns.saturating_sub(display_width(text));
    format!("{text}{}", " ".repeat(missing))
}

/// The first line of `text`, in so many columns of a terminal at most; `…` stands for what is left out.
pub(super) fn brief(text: &str, columns: usize) -> String {
    let text = text.trim();
    let first = text.lines().next().unwrap_or_default().trim_end();
    if first.len() == text.len() && display_width(first) <= columns {
        return first.to_owned();
    }
    let mut brief = String::new();
    let mut left = columns.saturating_sub(1);
    for character in first.chars() {
        let width = display_width(character.encode_utf8(&mut [0; 4]));
        if width > left {
            break;
        }
        left -= width;
        brief.push(character);
    }
    brief.push('…');
    brief
}

/// So many of something: `1 change`, `2 changes`.
pub(super) fn counted(count: impl Display, what: &str) -> String {
    let count = count.to_string();
    let plural = if count == "1" { "" } else { "s" };
    format!("{count} {what}{plural}")
}

/// Columns on a terminal: Chinese characters take two.
fn display_width(text: &str) -> usize {
    text.chars().map(|character| if character >= '\u{1100}' { 2 } else { 1 }).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_not_several() {
        assert_eq!([counted(0, "row"), counted(1, "row"), counted(2, "row")], ["0 rows", "1 row", "2 rows"]);
    }

    #[test]
    fn a_long_text_is_its_beginning() {
        assert_eq!(brief("main.db", 10), "main.db");
        assert_eq!(brief("\nSELECT 1\n", 10), "SELECT 1");
        assert_eq!(brief("INSERT INTO a\nVALUES (1)", 60), "INSERT INTO a…");
        assert_eq!(brief("INSERT INTO sys_user", 10), "INSERT IN…");
        assert_eq!(brief("销售部的人", 10), "销售部的人");
        assert_eq!(brief("销售部的人们", 10), "销售部的…");
    }
}
