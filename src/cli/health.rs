//! `dingsync health`: what a container's health check runs, because its image has no other program to ask with.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;

use super::App;
use super::exit::{Exit, Failure};
use crate::config::Needs;

const PATIENCE: Duration = Duration::from_secs(3);

#[derive(Debug, Args)]
pub(super) struct HealthArgs {
    /// Ask whether a callback could be committed now, instead of whether the daemon lives
    #[arg(long)]
    ready: bool,
}

pub(super) async fn health(app: &App, args: &HealthArgs) -> Result<Exit, Failure> {
    let config = app.config(Needs::CallbacksAlone)?;
    let path = if args.ready { "readyz" } else { "healthz" };
    ask(&config.ops.listen, path).await.map_err(Failure::failed)?;
    Ok(Exit::Done)
}

async fn ask(listen: &str, path: &str) -> anyhow::Result<()> {
    let mut found =
        tokio::net::lookup_host(listen).await.with_context(|| format!("`ops.listen`, {listen}"))?;
    let address = found.next().with_context(|| format!("`ops.listen`, {listen}, is no address"))?;
    let url = format!("http://{}/{path}", reachable(address));
    let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?;
    let answer = client.get(&url).send().await?;
    let status = answer.status();
    if !status.is_success() {
        bail!("{url} answers {status}: {}", answer.text().await.unwrap_or_default());
    }
    Ok(())
}

/// An address that stands for all of a machine's is asked at its loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_every_address_is_asked_at_the_loopback() {
        let asked = |listen: &str| reachable(listen.parse().unwrap()).to_string();
        assert_eq!(asked("0.0.0.0:8081"), "127.0.0.1:8081");
        assert_eq!(asked("[::]:8081"), "[::1]:8081");
        assert_eq!(asked("10.1.2.3:8081"), "10.1.2.3:8081");
    }
}
