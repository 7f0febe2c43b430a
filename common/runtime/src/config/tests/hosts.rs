//! Lists of hosts in the URLs of the database and the broker.

use super::*;

#[test]
fn a_list_of_hosts_is_taken_and_shown_without_its_password() {
    let settings = Settings::with(&[
        (
            "database.url",
            "mysql://me:hunter2@a:3306,b:3306,[::1]/x?ssl-mode=REQUIRED",
        ),
        ("broker.url", "amqps://me:hunter2@mq1,mq2:5671/%2f"),
    ])
    .unwrap();
    let (database, broker) = (&settings.database, &settings.broker);
    assert_eq!(
        database.url.to_string(),
        "mysql://me:***@a:3306,b:3306,[::1]/x"
    );
    assert_eq!(broker.url.to_string(), "amqps://me:***@mq1,mq2:5671/%2f");
    assert_eq!(database.kind(), DatabaseKind::MySql);
    assert_eq!(broker.kind(), BrokerKind::RabbitMq);
    assert!(
        database
            .url
            .expose()
            .contains("hunter2@a:3306,b:3306,[::1]")
    );
    let printed = format!("{settings:?}");
    assert!(!printed.contains("hunter2"), "{printed}");
    let plain = Settings::with(&[("database.url", "mysql://me@a,b:1/x")]).unwrap();
    assert_eq!(plain.database.url.to_string(), "mysql://me@a,b:1/x");
}

#[test]
fn a_bad_list_of_hosts_is_refused_by_the_name_of_its_setting() {
    for (key, url, what) in [
        ("database.url", "mysql://me:hunter2@a,/x", "has no name"),
        ("database.url", "mysql://me:hunter2@a,a/x", "is twice"),
        ("database.url", "mysql://me:hunter2@a,b:0/x", "port"),
        ("database.url", "mysql://me:hunter2@a,::1/x", "in brackets"),
        ("broker.url", "amqp://me:hunter2@a, b/x", "without spaces"),
        ("broker.url", "amqps://me:hunter2@a,b:q/x", "port"),
        (
            "database.url",
            "mysql://me:hunter2@a,b/x?socket=/s",
            "a socket",
        ),
        (
            "database.url",
            "mysql://me:hunter2@a,b/x?tls=1",
            "unknown option",
        ),
    ] {
        let refused = refused(&[(key, url)]);
        assert!(
            refused.contains(key) && refused.contains(what),
            "{url}: {refused}"
        );
        assert!(!refused.contains("hunter2"), "{refused}");
    }
}

#[test]
fn the_checks_of_hosts_leave_one_that_hangs_within_five_seconds() {
    let checked = |interval, timeout| {
        Settings::with(&[
            ("database.host_check_interval_ms", interval),
            ("database.host_check_timeout_ms", timeout),
        ])
    };
    assert!(checked("1000", "2000").is_ok());
    assert!(checked("3000", "1000").is_ok());
    let refused = checked("1001", "2000").unwrap_err().to_string();
    assert!(refused.contains("host_check_interval_ms"), "{refused}");
    assert!(checked("0", "1000").is_err() && checked("1000", "0").is_err());
}
