//! The README's table of keys is the program's.

use std::fmt::Write as _;

use dingsync::config::KEYS;

const README: &str = include_str!("../README.md");

fn table() -> String {
    let mut table = String::from("| key | default | meaning |\n|---|---|---|\n");
    for key in KEYS {
        let default = match key.default {
            "" => String::new(),
            default => format!("`{default}`"),
        };
        let secret = if key.kind.is_secret() { " *(secret)*" } else { "" };
        let meaning = key.meaning.replace('|', "\\|");
        writeln!(table, "| `{}` | {default} | {meaning}{secret} |", key.path).expect("a text grows");
    }
    table
}

#[test]
fn the_table_of_keys_is_the_program_s() {
    let table = table();
    assert!(README.contains(&table), "replace the table in README.md by this one:\n{table}");
}

#[test]
fn the_two_commands_stand_where_a_newcomer_looks() {
    let start: String = README.lines().take(45).flat_map(|line| [line, "\n"]).collect();
    for command in ["cargo run --release -- demo", "tests/run.sh"] {
        assert!(start.contains(command), "{command} is missing in the first lines");
    }
}
