//! What only database servers bring: several daemons on one database, outages, schemas side by side.

mod catch_up;
mod feed;
mod oa;
mod outage;
mod replicas;
mod schema;
mod servers;

/// The engines that there are servers for. PostgreSQL and MariaDB must be there; MySQL is not to be had everywhere.
fn engines() -> Vec<&'static str> {
    let mut engines = vec!["postgres", "mariadb"];
    if std::env::var("TEST_MYSQL_URL").is_ok_and(|url| !url.is_empty()) {
        engines.push("mysql");
    }
    engines
}
