use tokio_postgres::{Client, Error};

pub async fn transfer(db: &Client, from: &str, to: &str, cents: i64) -> Result<(), Error> {
    loop {
        let seen = db
            .query_one("SELECT nvent.stream_version($1), nvent.stream_version($2)", &[&from, &to])
            .await?;
        let (from_version, to_version): (i64, i64) = (seen.get(0), seen.get(1));
        let appends = serde_json::json!([
            {"subject": from, "expected": from_version, "events": [{"type": "withdrawn", "data": {"cents": cents}}]},
            {"subject": to, "expected": to_version, "events": [{"type": "deposited", "data": {"cents": cents}}]},
        ]);
        match db.execute("SELECT nvent.stream_append_many($1)", &[&appends]).await {
            Err(e) if e.code().map(|code| code.code()) == Some("NV001") => continue,
            done => return done.map(|_| ()),
        }
    }
}
