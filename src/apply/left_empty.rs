//! What the mapping uses although `mirror.exclude_fields` leaves it empty: it is NULL for everybody, so that a `find`
//! by it finds nobody and a `when` on it admits nobody.

use super::run::Applier;

impl Applier {
    /// What is to be told of it, a sentence for each value.
    pub fn left_empty(&self) -> Vec<String> {
        let excluded = self.store.excluded();
        let mut told = Vec::new();
        let mut note = |place: &str, name: &str, column: &str| {
            let text = format!(
                "{place} uses {name}, which is always NULL: `mirror.exclude_fields` leaves `{column}` out"
            );
            if excluded.contains(column) && !told.contains(&text) {
                told.push(text);
            }
        };
        for (part, mapping) in self.mapping.parts() {
            for statement in mapping.statements() {
                for name in statement.parameters() {
                    note(statement.name(), &format!(":{name}"), column_of(name));
                }
            }
            for column in mapping.conditions() {
                note(&format!("{}.when", part.label()), &format!("`{column}`"), column_of(column));
            }
        }
        told
    }
}

/// The column of `ding_employee` that a parameter is taken from.
fn column_of(parameter: &str) -> &str {
    match parameter.strip_prefix("old_").unwrap_or(parameter) {
        "manager_mobile" => "mobile",
        "manager_email" => "email",
        name => name,
    }
}
