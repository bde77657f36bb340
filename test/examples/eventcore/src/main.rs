// As many transfers as are asked for, one after the other, of 1 cent, 2 cents and
// so on: transfer FROM TO COUNT, and PGHOST and the like say where.
mod transfer;

use std::env;
use tokio_postgres::{Config, NoTls};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (from, to, count) = match &arguments[..] {
        [from, to, count] => (from, to, count.parse()?),
        _ => return Err("usage: transfer FROM TO COUNT".into()),
    };
    let (db, connection) = Config::new()
        .host(&env::var("PGHOST")?)
        .port(env::var("PGPORT")?.parse()?)
        .user(&env::var("PGUSER")?)
        .dbname(&env::var("PGDATABASE")?)
        .application_name("transfer")
        .connect(NoTls)
        .await?;

    tokio::spawn(connection);
    for cents in 1..=count {
        transfer::transfer(&db, from, to, cents).await?;
    }
    Ok(())
}
