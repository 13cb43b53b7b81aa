//! A rehearsal: every statement is prepared on the OA's database, and some objects are written in a transaction that is
//! taken back.

use serde::Serialize;

use super::effects::LinkChange;
use super::fault::{ApplyError, Fault};
use super::left_out::LeftOut;
use super::mapping::Part;
use super::object::{Links, Object};
use super::one::Turn;
use super::run::{Applier, WALK};
use super::statement::Statement;
use super::tree::Tree;
use crate::store::{Entity, Link, OaAnswer, OaConn, OaError, OaValue};

/// How many objects are looked at for one that the mapping does not leave out.
const CANDIDATES: usize = 200;

/// What was found out.
#[derive(Debug, Serialize)]
pub struct CheckReport {
    /// Where the OA's tables are, for people.
    pub place: String,
    /// Every statement.
    pub statements: Vec<StatementCheck>,
    /// Whom `when` leaves out, for each kind that has one.
    pub left_out: Vec<LeftOut>,
    /// Values that are used although they are always NULL, a sentence for each.
    pub left_empty: Vec<String>,
    /// What would have been written; nothing was.
    pub trials: Vec<Trial>,
    /// True where nothing is wrong.
    pub is_fine: bool,
}

/// A statement, and whether it fits the tables.
#[derive(Debug, Serialize)]
pub struct StatementCheck {
    /// Such as `employee.upsert`.
    pub statement: String,
    /// The names of its parameters, each once.
    pub parameters: Vec<String>,
    /// What the database says against it.
    pub problem: Option<String>,
}

/// One object that was tried.
#[derive(Debug, Serialize)]
pub struct Trial {
    /// What it is.
    pub entity: &'static str,
    /// Its id in DingTalk; `None` where the mirror has none that the mapping writes.
    pub id: Option<String>,
    /// The key of its row.
    pub oa_id: Option<String>,
    /// The statements in their order.
    pub ran: Vec<Ran>,
    /// Why it would be parked, or why nothing was tried.
    pub problem: Option<String>,
}

/// A statement that ran.
#[derive(Debug, Clone, Serialize)]
pub struct Ran {
    /// Such as `employee.upsert`.
    pub statement: String,
    /// Its parameters, with their values as they were bound.
    pub arguments: Vec<(String, Option<String>)>,
    /// Rows that it brought: a `find`'s are those that it found.
    pub rows: usize,
    /// Rows that it wrote.
    pub affected: u64,
    /// The database refused it.
    pub is_refused: bool,
}

/// What a rehearsal takes for granted, and what it has run.
#[derive(Debug, Default)]
pub(super) struct Rehearsal {
    pub(super) links: Links,
    ran: Vec<Ran>,
}

impl Rehearsal {
    pub(super) fn note(&mut self, statement: &Statement, arguments: &[OaValue], answer: Option<&OaAnswer>) {
        let shown = |value: &OaValue| match value {
            OaValue::Null => None,
            OaValue::Integer(number) => Some(number.to_string()),
            OaValue::Text(text) | OaValue::Loose(text) => Some(text.clone()),
        };
        let mut pairs: Vec<(String, Option<String>)> = Vec::new();
        for (name, value) in statement.parameters().iter().zip(arguments) {
            if pairs.iter().all(|(known, _)| known != name) {
                pairs.push((name.clone(), shown(value)));
            }
        }
        self.ran.push(Ran {
            statement: statement.name().to_owned(),
            arguments: pairs,
            rows: answer.map_or(0, |answer| answer.rows.len()),
            affected: answer.map_or(0, |answer| answer.affected),
            is_refused: answer.is_none(),
        });
    }
}

impl Applier {
    /// Tries the mapping: on the object that is named, else on the first one of each kind.
    pub async fn check(&self, object: Option<(Entity, String)>) -> Result<CheckReport, ApplyError> {
        let mut oa = self.open().await?;
        let statements = self.check_statements(&mut oa).await?;
        let tree = self.tree().await?;
        let mut trials = Vec::new();
        if statements.iter().all(|statement| statement.problem.is_none()) {
            match object {
                Some((entity, id)) => trials.push(self.rehearse(&mut oa, &tree, entity, &id).await?),
                None => {
                    for entity in WALK {
                        if self.mapping.part(part_of(entity)).is_some() {
                            trials.push(self.rehearse_first(&mut oa, &tree, entity).await?);
                        }
                    }
                }
            }
        }
        let is_fine = statements.iter().all(|statement| statement.problem.is_none())
            && trials.iter().all(|trial| trial.problem.is_none());
        let mut left_out = Vec::new();
        for entity in WALK {
            left_out.extend(self.rehearsing(&mut oa, &tree).left_out(entity).await?);
        }
        let left_empty = self.left_empty();
        Ok(CheckReport { place: oa.place().to_owned(), statements, left_out, left_empty, trials, is_fine })
    }

    async fn check_statements(&self, oa: &mut OaConn) -> Result<Vec<StatementCheck>, ApplyError> {
        let mut checks = Vec::new();
        for (_, part) in self.mapping.parts() {
            for statement in part.statements() {
                let mut parameters: Vec<String> = Vec::new();
                for name in statement.parameters() {
                    if !parameters.contains(name) {
                        parameters.push(name.clone());
                    }
                }
                let problem = match oa.prepare(statement.sql()).await {
                    Ok(_) => None,
                    Err(error) if is_about_statement(&error) => Some(error.to_string()),
                    Err(error) => return Err(ApplyError::of(statement.name(), error)),
                };
                checks.push(StatementCheck { statement: statement.name().to_owned(), parameters, problem });
            }
        }
        Ok(checks)
    }

    /// The first object of a kind that is there and that the mapping writes.
    async fn rehearse_first(
        &self,
        oa: &mut OaConn,
        tree: &Tree,
        entity: Entity,
    ) -> Result<Trial, ApplyError> {
        let ids =
            self.store.reader().await?.object_ids_after(&self.corp_id, entity, None, CANDIDATES).await?;
        for id in ids {
            let mut turn = self.rehearsing(oa, tree);
            let object = turn.look(entity, &id, None).await?;
            if object.is_current && turn.is_wanted(&object) {
                return self.rehearse(oa, tree, entity, &id).await;
            }
        }
        let problem = "none of those that were looked at is written: the mirror has none yet, or `when` leaves them out";
        let problem = Some(problem.to_owned());
        Ok(Trial { entity: entity.label(), id: None, oa_id: None, ran: Vec::new(), problem })
    }

    async fn rehearse(
        &self,
        oa: &mut OaConn,
        tree: &Tree,
        entity: Entity,
        id: &str,
    ) -> Result<Trial, ApplyError> {
        oa.begin().await?;
        let mut turn = self.rehearsing(oa, tree);
        let tried = turn.rehearse(entity, id).await;
        let rehearsal = turn.rehearsal.take().unwrap_or_default();
        oa.roll_back().await?;
        let problem = match tried {
            Ok(problem) => problem,
            Err(Fault::Refused(refusal)) => Some(format!("{}: {}", refusal.statement, refusal.message)),
            Err(Fault::All(ApplyError::Oa { statement, error })) if is_about_statement(&error) => {
                let name = statement.unwrap_or_default();
                Some(format!("{name}: {error}"))
            }
            Err(Fault::All(error)) => return Err(error),
        };
        let oa_id = rehearsal.links.get(&(entity, id.to_owned())).map(|link| link.oa_id.clone());
        Ok(Trial { entity: entity.label(), id: Some(id.to_owned()), oa_id, ran: rehearsal.ran, problem })
    }

    /// For a rehearsal the whole log has been applied.
    fn rehearsing<'a>(&'a self, oa: &'a mut OaConn, tree: &'a Tree) -> Turn<'a> {
        let rehearsal = Some(Rehearsal::default());
        Turn { rehearsal, ..self.turn(oa, tree, i64::MAX, true) }
    }
}

impl Turn<'_> {
    /// Writes an object, and those first whose keys it needs, without a note of it anywhere. Brings what is wrong.
    async fn rehearse(&mut self, entity: Entity, id: &str) -> Result<Option<String>, Fault> {
        let mut object = self.look(entity, id, None).await?;
        if !object.is_current {
            return Ok(Some(format!("the mirror has no {} {id} that is there", entity.label())));
        }
        if !self.is_wanted(&object) {
            return Ok(Some("the mapping leaves it out: see its `when`".to_owned()));
        }
        self.waiting.push((entity, id.to_owned()));
        for (entity, id) in self.needed(&object) {
            Box::pin(self.rehearse(entity, &id)).await?;
        }
        self.waiting.pop();
        object = self.look(entity, id, None).await?;
        let mut effects = self.effects(&object, None);
        self.write(&mut object, None, &mut effects).await?;
        let oa_id = match effects.link {
            Some(LinkChange::Linked { oa_id, .. }) => oa_id,
            _ => object.link.as_ref().map(|link| link.oa_id.clone()).unwrap_or_default(),
        };
        let problem = self.finds_again(&object, &oa_id).await?;
        if let Some(rehearsal) = &mut self.rehearsal {
            let link = Link { ding_id: id.to_owned(), oa_id, linked_by: None, since: None, removed_at: None };
            rehearsal.links.insert((entity, id.to_owned()), link);
        }
        Ok(problem)
    }

    /// Whether `find` brings the row that was just written: if the process dies before it has noted the row's key in another
    /// database, nothing else does.
    async fn finds_again(&mut self, object: &Object, oa_id: &str) -> Result<Option<String>, Fault> {
        let mapping = self.mapping;
        let Some(part) = object.part().and_then(|part| mapping.part(part)) else { return Ok(None) };
        let Some(find) = &part.find else { return Ok(None) };
        let found = self.find(find, part, object).await?;
        if found.as_deref() == Some(oa_id) || self.oa.is_own() {
            return Ok(None);
        }
        Ok(Some(format!(
            "{} does not bring the row {oa_id} that was just written: should the process die at that moment, it would \
             be written twice. Let it look for what `upsert` writes as well",
            find.name()
        )))
    }
}

fn part_of(entity: Entity) -> Part {
    Part::of(entity).unwrap_or(Part::Employee)
}

/// Whether it is the statement that is wrong, and not the way to the database.
fn is_about_statement(error: &OaError) -> bool {
    ["mismatch", "denied", "refused"].contains(&error.kind_label())
}
