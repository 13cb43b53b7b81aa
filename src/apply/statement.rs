//! A statement of the mapping: SQL with named parameters, such as `:name`.
//!
//! Values are always bound, never written into the text. So the text is read only as far as it takes to tell a parameter
//! from what looks like one: in a string, in a quoted name, in a comment.

use thiserror::Error;

use crate::store::Dialect;

/// The first words of what writes or reads rows.
const VERBS: [&str; 8] = ["INSERT", "UPDATE", "DELETE", "REPLACE", "MERGE", "WITH", "SELECT", "CALL"];

/// A statement as its engine takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    name: String,
    sql: String,
    parameters: Vec<String>,
    verb: &'static str,
}

/// A text that is no statement of the mapping.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the statement {statement} {fault}")]
pub struct StatementError {
    /// Which one, such as `employee.upsert`.
    statement: String,
    fault: Fault,
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
enum Fault {
    #[error("is empty: write SQL, or leave the key out")]
    Empty,
    #[error("has {what} in line {line} that does not end: close it")]
    Unterminated { what: &'static str, line: usize },
    #[error("has the placeholder `{found}` in line {line}: write a named parameter such as :name")]
    Placeholder { found: String, line: usize },
    #[error(
        "goes on after its `;` in line {line}: it is to be one statement; for several of them write a list"
    )]
    Several { line: usize },
    #[error("begins with `{found}`: it must begin with one of {}", VERBS.join(", "))]
    Verb { found: String },
}

impl Statement {
    /// Reads `text`, which is called `name` in errors.
    pub fn parse(name: &str, text: &str, engine: Dialect) -> Result<Self, StatementError> {
        Lexer::new(text, engine)
            .run()
            .and_then(|read| {
                let verb = verb_of(&read.first_word)?;
                Ok(Self { name: name.to_owned(), sql: read.sql, parameters: read.parameters, verb })
            })
            .map_err(|fault| StatementError { statement: name.to_owned(), fault })
    }

    /// What it is called: the entity and what it does there, such as `employee.upsert`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text with the engine's placeholders: `?`, on PostgreSQL `$1`, `$2`, … Each place of a parameter is a placeholder
    /// of its own, so that it may be of another type there.
    pub fn sql(&self) -> &str {
        &self.sql
    }

    /// The names of the parameters in the order of the placeholders.
    pub fn parameters(&self) -> &[String] {
        &self.parameters
    }

    /// The first keyword, in capitals.
    pub fn verb(&self) -> &str {
        self.verb
    }
}

fn verb_of(first_word: &str) -> Result<&'static str, Fault> {
    let known = VERBS.into_iter().find(|verb| verb.eq_ignore_ascii_case(first_word));
    known.ok_or_else(|| Fault::Verb { found: first_word.to_owned() })
}

/// What the lexer has found.
struct Read {
    sql: String,
    parameters: Vec<String>,
    first_word: String,
}

struct Lexer<'text> {
    text: &'text str,
    engine: Dialect,
    /// Up to here the text is read.
    at: usize,
    /// From here on it is not in `sql` yet.
    copied: usize,
    sql: String,
    parameters: Vec<String>,
    /// The last string took backslash escapes and nothing but space and comments came since: on PostgreSQL a string right
    /// after it is its continuation.
    continues_escapes: bool,
}

impl<'text> Lexer<'text> {
    fn new(text: &'text str, engine: Dialect) -> Self {
        Self {
            text,
            engine,
            at: 0,
            copied: 0,
            sql: String::with_capacity(text.len()),
            parameters: Vec::new(),
            continues_escapes: false,
        }
    }

    fn run(mut self) -> Result<Read, Fault> {
        self.skip_quiet()?;
        let first_word = self.first_word()?;
        while let Some(next) = self.next() {
            match next {
                _ if self.is_quiet() => {
                    self.skip_quiet()?;
                    continue;
                }
                '\'' => {
                    let escapes = self.takes_escapes();
                    self.quoted("a string", '\'', escapes)?;
                    self.continues_escapes = escapes;
                    continue;
                }
                '"' if self.engine == Dialect::Mysql => self.quoted("a string", '"', true)?,
                '"' => self.quoted("a quoted name", '"', false)?,
                '`' if self.engine != Dialect::Postgres => self.quoted("a quoted name", '`', false)?,
                '[' if self.engine == Dialect::Sqlite => {
                    self.at = self.end_of("a quoted name", "]", self.at + 1)?;
                }
                '$' if self.engine == Dialect::Postgres && !self.follows_word() => self.dollar()?,
                '?' if self.engine != Dialect::Postgres => return Err(self.placeholder()),
                '$' | '@' if self.engine == Dialect::Sqlite && !self.follows_word() => {
                    return Err(self.placeholder());
                }
                ':' => self.colon(),
                ';' => return self.finish(first_word),
                other => self.at += other.len_utf8(),
            }
            self.continues_escapes = false;
        }
        self.finish(first_word)
    }

    fn next(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn rest(&self) -> &'text str {
        &self.text[self.at..]
    }

    fn before(&self) -> Option<char> {
        self.text[..self.at].chars().next_back()
    }

    /// Whether a name or a number ends here.
    fn follows_word(&self) -> bool {
        self.before().is_some_and(is_of_word)
    }

    fn line(&self) -> usize {
        1 + self.text[..self.at].matches('\n').count()
    }

    /// Whether space or a comment comes next.
    fn is_quiet(&self) -> bool {
        let rest = self.rest();
        rest.starts_with(char::is_whitespace) || rest.starts_with("/*") || self.is_line_comment()
    }

    fn is_line_comment(&self) -> bool {
        match self.rest().strip_prefix("--") {
            // There `5--1` is six.
            Some(after) if self.engine == Dialect::Mysql => {
                after.chars().next().is_none_or(|next| next.is_whitespace() || next.is_control())
            }
            Some(_) => true,
            None => self.engine == Dialect::Mysql && self.rest().starts_with('#'),
        }
    }

    fn skip_quiet(&mut self) -> Result<(), Fault> {
        while self.is_quiet() {
            if self.rest().starts_with("/*") {
                self.skip_comment()?;
            } else if self.is_line_comment() {
                self.at += self.rest().find('\n').unwrap_or(self.rest().len());
            } else {
                self.at += self.rest().len() - self.rest().trim_start().len();
            }
        }
        Ok(())
    }

    fn skip_comment(&mut self) -> Result<(), Fault> {
        const WHAT: &str = "a comment";
        let mut depth = 1;
        let mut end = self.at + 2;
        while depth > 0 {
            let close = self.end_of(WHAT, "*/", end)?;
            match self.text[end..close].find("/*") {
                Some(inner) if self.engine == Dialect::Postgres => {
                    depth += 1;
                    end += inner + 2;
                }
                _ => {
                    depth -= 1;
                    end = close;
                }
            }
        }
        self.at = end;
        Ok(())
    }

    fn first_word(&mut self) -> Result<String, Fault> {
        let rest = self.rest();
        if rest.trim_start_matches(|next: char| next == ';' || next.is_whitespace()).is_empty() {
            return Err(Fault::Empty);
        }
        let word: String = rest.chars().take_while(|&next| is_of_word(next)).collect();
        self.at += word.len();
        Ok(if word.is_empty() { rest.chars().take(1).collect() } else { word })
    }

    /// Whether a backslash in the string that begins here takes the next character for the string.
    fn takes_escapes(&self) -> bool {
        match self.engine {
            Dialect::Mysql => true,
            Dialect::Sqlite => false,
            Dialect::Postgres => {
                let mut before = self.text[..self.at].chars().rev();
                let marked =
                    matches!(before.next(), Some('e' | 'E')) && !before.next().is_some_and(is_of_word);
                marked || self.continues_escapes
            }
        }
    }

    /// Skips what stands between two `quote`s; two of them stand for one.
    fn quoted(&mut self, what: &'static str, quote: char, escapes: bool) -> Result<(), Fault> {
        let mut inside = self.rest().char_indices().skip(1).peekable();
        while let Some((offset, next)) = inside.next() {
            if escapes && next == '\\' {
                inside.next();
            } else if next == quote && inside.next_if(|&(_, after)| after == quote).is_none() {
                self.at += offset + quote.len_utf8();
                return Ok(());
            }
        }
        Err(Fault::Unterminated { what, line: self.line() })
    }

    /// Where the next `close` at or after `from` ends.
    fn end_of(&self, what: &'static str, close: &str, from: usize) -> Result<usize, Fault> {
        let found = self.text[from..].find(close).map(|offset| from + offset + close.len());
        found.ok_or_else(|| Fault::Unterminated { what, line: self.line() })
    }

    /// Skips `$tag$ … $tag$`.
    fn dollar(&mut self) -> Result<(), Fault> {
        let after = &self.rest()[1..];
        if after.starts_with(|next: char| next.is_ascii_digit()) {
            return Err(self.placeholder());
        }
        let tag_ends = after.find(|next: char| next != '_' && !next.is_alphanumeric());
        self.at = match tag_ends.filter(|&end| after[end..].starts_with('$')) {
            Some(end) => {
                let tag = &self.rest()[..end + 2];
                self.end_of("a dollar-quoted string", tag, self.at + tag.len())?
            }
            None => self.at + 1,
        };
        Ok(())
    }

    fn placeholder(&self) -> Fault {
        let more = self.rest().chars().skip(1).take_while(|&next| is_of_word(next));
        let found = self.rest().chars().take(1).chain(more).collect();
        Fault::Placeholder { found, line: self.line() }
    }

    /// A parameter, a cast, an assignment, or a mere colon.
    fn colon(&mut self) {
        let after = &self.rest()[1..];
        if after.starts_with(':') {
            self.at += 2;
            return;
        }
        let is_parameter = after.starts_with(|next: char| next == '_' || next.is_alphabetic())
            && !self.follows_word()
            && self.before() != Some(':');
        if !is_parameter {
            self.at += 1;
            return;
        }
        let end = after.find(|next: char| next != '_' && !next.is_alphanumeric()).unwrap_or(after.len());
        self.sql.push_str(&self.text[self.copied..self.at]);
        self.parameters.push(after[..end].to_owned());
        match self.engine {
            Dialect::Postgres => {
                self.sql.push('$');
                self.sql.push_str(&self.parameters.len().to_string());
            }
            Dialect::Sqlite | Dialect::Mysql => self.sql.push('?'),
        }
        self.at += 1 + end;
        self.copied = self.at;
    }

    /// Ends the statement here; no second one may follow.
    fn finish(mut self, first_word: String) -> Result<Read, Fault> {
        self.sql.push_str(&self.text[self.copied..self.at]);
        while self.rest().starts_with(';') {
            self.at += 1;
            self.skip_quiet()?;
        }
        if !self.rest().is_empty() {
            return Err(Fault::Several { line: self.line() });
        }
        Ok(Read { sql: self.sql.trim().to_owned(), parameters: self.parameters, first_word })
    }
}

fn is_of_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_' || letter == '$'
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ENGINES: [Dialect; 3] = [Dialect::Sqlite, Dialect::Postgres, Dialect::Mysql];

    fn parsed(text: &str, engine: Dialect) -> Statement {
        Statement::parse("employee.upsert", text, engine).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn refusal(text: &str, engine: Dialect) -> String {
        let error = Statement::parse("employee.upsert", text, engine).expect_err(text).to_string();
        assert!(error.starts_with("the statement employee.upsert "), "{error}");
        error
    }

    /// The text passes as it is.
    fn unchanged(text: &str, engine: Dialect) {
        let statement = parsed(text, engine);
        assert_eq!(statement.sql(), text, "{engine:?}");
        assert!(statement.parameters().is_empty(), "{engine:?} {text}: {:?}", statement.parameters());
    }

    #[test]
    fn parameters_become_placeholders_one_for_each_place() {
        let text = "INSERT INTO t (a, b, c) VALUES (:name,:oa_id, lower( :name))";
        let statement = parsed(text, Dialect::Postgres);
        assert_eq!(statement.sql(), "INSERT INTO t (a, b, c) VALUES ($1,$2, lower( $3))");
        assert_eq!(statement.parameters(), ["name", "oa_id", "name"]);
        assert_eq!((statement.name(), statement.verb()), ("employee.upsert", "INSERT"));
        for engine in [Dialect::Sqlite, Dialect::Mysql] {
            let statement = parsed(text, engine);
            assert_eq!(statement.sql(), "INSERT INTO t (a, b, c) VALUES (?,?, lower( ?))");
            assert_eq!(statement.parameters(), ["name", "oa_id", "name"]);
        }
        assert_eq!(parsed("select :_a1-:B", Dialect::Sqlite).parameters(), ["_a1", "B"]);
        assert_eq!(parsed("SELECT :工号", Dialect::Mysql).parameters(), ["工号"]);
    }

    #[test]
    fn what_stands_in_quotes_and_comments_is_none() {
        for engine in ENGINES {
            unchanged("SELECT ':a', 'it''s :b', '' , \"x:y\", 'q?$1;'", engine);
            unchanged("SELECT \"a \"\" :b\" FROM t", engine);
            unchanged("/* :a 'open */ SELECT 1 -- :b 'open ; x\n, 2 /* ? ; */", engine);
            unchanged("-- first\nSELECT 1 --", engine);
        }
        for engine in [Dialect::Sqlite, Dialect::Mysql] {
            unchanged("SELECT `a:b ``:c`", engine);
            assert_eq!(parsed("SELECT /* /* */ :a", engine).parameters(), ["a"]);
        }
        unchanged("SELECT [a :b '] FROM t", Dialect::Sqlite);
        unchanged("SELECT /* /* :a */ :b */ 1", Dialect::Postgres);
        unchanged("SELECT 1 # :a 'open", Dialect::Mysql);
    }

    #[test]
    fn backslashes_escape_where_the_engine_has_it_so() {
        unchanged(r"SELECT 'a\' :b', '\\', 1", Dialect::Mysql);
        unchanged(r#"SELECT "a\" :b""#, Dialect::Mysql);
        unchanged(r"SELECT E'a\' :b', e'\\'", Dialect::Postgres);
        unchanged("SELECT E'a' -- more\n 'b\\' :c'", Dialect::Postgres);
        assert_eq!(parsed(r"SELECT 'a\', :b", Dialect::Postgres).parameters(), ["b"]);
        assert_eq!(parsed(r"SELECT name'a\', :b", Dialect::Postgres).parameters(), ["b"]);
        assert_eq!(parsed(r"SELECT E'a', 'a\', :b", Dialect::Postgres).parameters(), ["b"]);
        assert_eq!(parsed(r"SELECT 'a\', :b", Dialect::Sqlite).parameters(), ["b"]);
    }

    #[test]
    fn dollar_quotes_are_postgresql_s() {
        unchanged("SELECT $$ :a ' $$, $t$ $$ :b ; $t$, a$b FROM x$y$z", Dialect::Postgres);
        assert!(refusal("SELECT $t$ :a $$", Dialect::Postgres).contains("a dollar-quoted string in line 1"));
        assert_eq!(parsed("SELECT a$x, :b", Dialect::Mysql).sql(), "SELECT a$x, ?");
    }

    #[test]
    fn colons_of_the_engines_are_no_parameters() {
        unchanged("SELECT a::text, b::numeric(3), c [1:2], x[i:j]", Dialect::Postgres);
        assert_eq!(parsed("SELECT :a::text", Dialect::Postgres).sql(), "SELECT $1::text");
        assert_eq!(parsed("SELECT @a := :b, @c:=1", Dialect::Mysql).sql(), "SELECT @a := ?, @c:=1");
        for engine in ENGINES {
            unchanged("SELECT 12:30, a:b, 1:", engine);
        }
    }

    #[test]
    fn operators_and_arithmetic_survive() {
        unchanged("SELECT a ? 'b', a ?| b, a @> c, d `e", Dialect::Postgres);
        assert_eq!(parsed("SELECT 5--:a", Dialect::Mysql).sql(), "SELECT 5--?");
        unchanged("SELECT 5--:a", Dialect::Sqlite);
        assert_eq!(parsed("SELECT a[:b]", Dialect::Postgres).sql(), "SELECT a[$1]");
        unchanged("SELECT a # b, a $ b", Dialect::Postgres);
    }

    #[test]
    fn placeholders_without_a_name_are_refused() {
        for (text, engine, found) in [
            ("SELECT ?", Dialect::Mysql, "`?`"),
            ("SELECT\n a = ?2", Dialect::Sqlite, "`?2` in line 2"),
            ("SELECT @name", Dialect::Sqlite, "`@name`"),
            ("SELECT $name", Dialect::Sqlite, "`$name`"),
            ("SELECT ($12)", Dialect::Postgres, "`$12`"),
        ] {
            let text = refusal(text, engine);
            assert!(text.contains(found) && text.contains("such as :name"), "{text}");
        }
    }

    #[test]
    fn it_is_one_statement() {
        for engine in ENGINES {
            assert_eq!(parsed("\n DELETE FROM t ; ;\n -- done\n", engine).sql(), "DELETE FROM t");
            assert_eq!(parsed("\nDELETE FROM t\n", engine).sql(), "DELETE FROM t");
            let text = refusal("DELETE FROM t;\nDELETE FROM u", engine);
            assert!(text.contains("in line 2") && text.contains("write a list"), "{text}");
            for empty in ["", " \n", "-- nothing\n", ";", "/* a */ ; ;"] {
                assert!(refusal(empty, engine).contains("is empty"), "{empty}");
            }
        }
    }

    #[test]
    fn what_does_not_end_is_named_with_its_line() {
        for (text, named) in [
            ("SELECT 1,\n 'a''", "a string in line 2"),
            ("SELECT /* a", "a comment in line 1"),
            ("/* a", "a comment in line 1"),
            ("SELECT 1; /* a", "a comment in line 1"),
        ] {
            for engine in ENGINES {
                assert!(refusal(text, engine).contains(named), "{text}");
            }
        }
        assert!(refusal("SELECT /* /* */", Dialect::Postgres).contains("a comment"));
        assert!(refusal("SELECT \"a", Dialect::Postgres).contains("a quoted name"));
        assert!(refusal("SELECT \"a\\\"", Dialect::Mysql).contains("a string"));
        assert!(refusal("SELECT `a", Dialect::Mysql).contains("a quoted name"));
        assert!(refusal("SELECT [a", Dialect::Sqlite).contains("a quoted name"));
        assert!(refusal("SELECT 'a\\'", Dialect::Mysql).contains("a string"));
    }

    #[test]
    fn only_what_writes_or_reads_rows_is_taken() {
        for verb in VERBS {
            let text = format!("{} x", verb.to_lowercase());
            assert_eq!(parsed(&text, Dialect::Postgres).verb(), verb);
        }
        for (text, found) in [
            ("DROP TABLE t", "`DROP`"),
            ("SET time_zone = 'x'", "`SET`"),
            ("INSERTS", "`INSERTS`"),
            ("(SELECT 1)", "`(`"),
            ("COMMIT", "`COMMIT`"),
        ] {
            let text = refusal(text, Dialect::Mysql);
            assert!(text.contains(found) && text.contains("INSERT, UPDATE"), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_text_without_colons_passes_unchanged(rest in "[^:]*", at in 0..3_usize) {
            let text = format!("UPDATE {rest}");
            if let Ok(statement) = Statement::parse("x", &text, ENGINES[at]) {
                let whole = text.trim();
                prop_assert!(whole.starts_with(statement.sql()));
                prop_assert!(statement.parameters().is_empty());
                let dropped = &whole[statement.sql().len()..];
                prop_assert!(dropped.is_empty() || dropped.trim_start().starts_with(';'), "{dropped}");
            }
        }

        #[test]
        fn quoted_text_is_never_touched(inside in "[^'\\\\]*", at in 0..3_usize) {
            let quoted = format!("'{inside}'");
            let statement = parsed(&format!("SELECT {quoted}, :a"), ENGINES[at]);
            let begins = format!("SELECT {quoted}, ");
            prop_assert!(statement.sql().starts_with(&begins));
            prop_assert_eq!(statement.parameters(), ["a"]);
        }

        #[test]
        fn no_text_is_too_odd(text in "(SELECT )?[-:;?$#@'\"`E\\[\\]/*\\\\\na1é ]*", at in 0..3_usize) {
            drop(Statement::parse("x", &text, ENGINES[at]));
        }
    }
}
