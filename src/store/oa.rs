//! stub
#![allow(missing_docs, clippy::unused_async, clippy::unused_self)]
use super::{Conn, Dialect, Store};
use thiserror::Error;
#[derive(Debug, Clone, PartialEq)]
pub enum OaValue {
    Null,
    Integer(i64),
    Text(String),
    Loose(String),
}
#[derive(Debug, Default)]
pub struct OaAnswer {
    pub rows: Vec<Vec<Option<String>>>,
    pub affected: u64,
    pub generated: Option<String>,
}
#[derive(Debug)]
pub struct OaPrepared {
    pub parameters: usize,
    pub columns: Vec<String>,
}
#[derive(Debug, Clone, Error)]
pub enum OaError {
    #[error("{message}")]
    Refused { code: String, message: String },
    #[error("{0}")]
    Away(String),
}
impl OaError {
    pub fn kind_label(&self) -> &'static str {
        "away"
    }
}
#[derive(Debug)]
pub struct OaConn(Conn);
impl Store {
    pub async fn open_oa(&self, _url: Option<&str>, _time_zone: &str) -> Result<OaConn, OaError> {
        Err(OaError::Away(String::new()))
    }
    pub fn engine_of(_url: &str) -> Result<Dialect, OaError> {
        Ok(Dialect::Sqlite)
    }
    pub fn engine(&self) -> Dialect {
        Dialect::Sqlite
    }
}
impl OaConn {
    pub async fn lock(&mut self, _n: &str) -> Result<bool, OaError> {
        Ok(true)
    }
    pub async fn begin(&mut self) -> Result<(), OaError> {
        Ok(())
    }
    pub async fn commit(&mut self) -> Result<(), OaError> {
        Ok(())
    }
    pub async fn roll_back(&mut self) -> Result<(), OaError> {
        Ok(())
    }
    pub async fn prepare(&mut self, _s: &str) -> Result<OaPrepared, OaError> {
        Err(OaError::Away(String::new()))
    }
    pub async fn run(&mut self, _s: &str, _a: &[OaValue]) -> Result<OaAnswer, OaError> {
        Ok(OaAnswer::default())
    }
    pub fn is_own(&self) -> bool {
        true
    }
    pub fn place(&self) -> String {
        String::new()
    }
    pub fn own(&mut self) -> Option<&mut Conn> {
        Some(&mut self.0)
    }
}
