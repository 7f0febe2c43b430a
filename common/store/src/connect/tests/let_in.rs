//! Tests of a server that lets nobody in any more.

use url::Url;

use super::*;

/// Covers a password that was changed; a host that MySQL has blocked (1129) fails the same way.
#[tokio::test]
async fn who_is_not_let_in_any_more_is_told_that_the_database_cannot_be_used() {
    let Some(fresh) = testing::fresh_mysql().await else {
        return;
    };
    let mut admin = MySqlConnection::connect(&fresh.url()).await.unwrap();
    let user = format!("u{}", &fresh.url().rsplit('_').next().unwrap()[..12]);
    let name: String = sqlx::query_scalar("SELECT CAST(DATABASE() AS CHAR)")
        .fetch_one(&mut admin)
        .await
        .unwrap();
    for statement in [
        format!("CREATE USER '{user}'@'%' IDENTIFIED BY 'first'"),
        format!("GRANT ALL ON {name}.* TO '{user}'@'%'"),
    ] {
        admin.execute(statement.as_str()).await.unwrap();
    }
    let mut url: Url = fresh.url().parse().unwrap();
    url.set_username(&user).unwrap();
    url.set_password(Some("first")).unwrap();
    let options = DbOptions {
        allow_weak_durability: true,
        ..DbOptions::new(url)
    };
    let db = Db::connect(&options).await.unwrap();
    let Db::MySql(hosts) = &db else {
        unreachable!("it was asked for");
    };
    // Those that the checks at the start have used come back by and by.
    let back = async {
        while hosts.writers().num_idle() < hosts.writers().size() as usize {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(testing::TEST_TIMEOUT, back)
        .await
        .unwrap();
    // More than are opened at startup, so that none is free.
    let mut held = Vec::new();
    for _ in 0..8 {
        held.extend([db.begin().await.unwrap(), db.read().await.unwrap()]);
    }
    let changed = format!("ALTER USER '{user}'@'%' IDENTIFIED BY 'second'");
    admin.execute(changed.as_str()).await.unwrap();
    for refused in [
        db.begin().await.err(),
        db.read().await.err(),
        db.anchor(&Clock::system()).await.err(),
        db.ping().await.err(),
    ] {
        assert!(
            matches!(&refused, Some(StoreError::Unavailable(why)) if why.contains("1045")),
            "{refused:?}"
        );
    }
    drop(held);
    db.close().await;
    let dropped = format!("DROP USER '{user}'@'%'");
    admin.execute(dropped.as_str()).await.unwrap();
    fresh.end().await;
}
