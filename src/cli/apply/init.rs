//! `dingsync apply init`: a first draft of a mapping, from the OA's tables as they are.

use clap::Args;

use crate::apply::{catalogue_columns, catalogue_query, propose};
use crate::cli::exit::{Exit, Failure};
use crate::cli::subject::only_corp;
use crate::cli::{App, output};
use crate::config::Needs;
use crate::store::{OaConn, OaError, OaValue, Store};

/// It only reads names.
const ANY_ZONE: &str = "+00:00";

#[derive(Debug, Args)]
pub(in crate::cli) struct InitArgs {
    /// A table of the OA's, such as `sys_user`; again for each further one
    #[arg(long = "from-table", value_name = "TABLE", required = true)]
    tables: Vec<String>,
    /// The OA's database [default: that of the configuration's `[apply.NAME]`, else the mirror's]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
}

pub(super) async fn init(app: App, args: InitArgs) -> Result<Exit, Failure> {
    let mut oa = open(&app, args.url.as_deref()).await?;
    let mut missing: Vec<&str> = Vec::new();
    if args.url.is_none() {
        output::line("# Further keys of [apply.oa], such as `url`, are in the README.\n")?;
    }
    for table in &args.tables {
        let rows = oa.run(catalogue_query(oa.engine()), &[OaValue::Text(table.clone())]).await;
        match catalogue_columns(rows.map_err(failure)?.rows) {
            Some((comment, columns)) => {
                output::line(propose(oa.engine(), table, &comment, &columns).to_string())?;
            }
            None => {
                output::line(format!("# There is no table {table} in {}.\n", oa.place()))?;
                missing.push(table);
            }
        }
    }
    if missing.is_empty() {
        return Ok(Exit::Done);
    }
    Err(Failure::failed(anyhow::anyhow!(
        "there is no table {} in {}: check the name, and choose the OA's database with --url, or with `url` of \
         [apply.NAME] in the configuration",
        missing.join(", "),
        oa.place()
    )))
}

/// With a URL no configuration is needed: there may be none yet.
async fn open(app: &App, url: Option<&str>) -> Result<OaConn, Failure> {
    if let Some(url) = url {
        let (store, _writer) = Store::open(url)?;
        return store.open_oa(Some(url), ANY_ZONE).await.map_err(failure);
    }
    let config = app.config(Needs::Draft)?;
    let apply = only_corp(&config)?.apply.as_ref();
    let url = apply.and_then(|apply| apply.url.as_ref()).unwrap_or(&config.database_url);
    let url = url.with(str::to_owned);
    let (store, _writer) = Store::open(&url)?;
    store.open_oa(Some(&url), ANY_ZONE).await.map_err(failure)
}

fn failure(error: OaError) -> Failure {
    let exit = match error.kind_label() {
        "away" | "busy" => Exit::TryLater,
        _ => Exit::Failed,
    };
    Failure::new(exit, error)
}
