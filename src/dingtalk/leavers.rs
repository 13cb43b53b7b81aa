//! Who left within a window (`contacts-api.md §5.2`).

use jiff::Timestamp;
use serde::Deserialize;

use super::client::{Client, Parameters};
use super::endpoint;
use super::envelope::Payload;
use super::error::ApiError;
use super::lenient;
use crate::lane::Lane;

const LARGEST_PAGE: u32 = 50;
/// Times are asked for in whole seconds, as the samples do.
const TIME: &str = "%Y-%m-%dT%H:%M:%SZ";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Records {
    #[serde(default, deserialize_with = "lenient::objects")]
    records: Vec<Record>,
    #[serde(default, deserialize_with = "lenient::text")]
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    #[serde(default, deserialize_with = "lenient::text")]
    user_id: Option<String>,
}

impl Client {
    /// A page of those who left from `since` up to `until`, at most a year, and where the next page starts. The first one
    /// starts at `0`.
    pub async fn leavers(
        &self,
        lane: Lane,
        (since, until): (Timestamp, Timestamp),
        start: &str,
    ) -> Result<(Vec<String>, Option<String>), ApiError> {
        let query = vec![
            ("startTime", since.strftime(TIME).to_string()),
            ("endTime", until.strftime(TIME).to_string()),
            ("nextToken", start.to_owned()),
            ("maxResults", LARGEST_PAGE.to_string()),
        ];
        let page: Records =
            self.call(endpoint::LEAVERS, Payload::TopLevel, lane, Parameters::Query(query)).await?;
        let userids = page.records.into_iter().filter_map(|record| record.user_id).collect();
        // Without an end of its own form, the list would be read for ever.
        Ok((userids, page.next_token.filter(|next| next != "0" && next != start)))
    }
}
