//! Tests of the judgement of a host, by its variables and on real servers.

use super::*;

/// Judges a server with these variables and these members: asked, state, role.
fn judged(
    changed: &[(&str, &str)],
    members: Option<&[(bool, &str, &str)]>,
) -> Result<String, String> {
    let mut named: HashMap<String, String> = HashMap::new();
    let usual = [
        ("read_only", "0"),
        ("innodb_read_only", "OFF"),
        ("innodb_flush_log_at_trx_commit", "1"),
        ("sync_binlog", "1"),
        ("log_bin", "ON"),
        ("server_id", "7"),
        ("hostname", "db1"),
        ("port", "3306"),
    ];
    for (name, value) in usual.iter().chain(changed) {
        named.insert((*name).to_owned(), (*value).to_owned());
    }
    let members: Option<Vec<Member>> = members.map(|members| {
        let owned = members.iter().map(|(is_asked, state, role)| Member {
            is_asked: *is_asked,
            state: (*state).to_owned(),
            role: (*role).to_owned(),
        });
        owned.collect()
    });
    judge(&named, members.as_deref(), false)
}

#[test]
fn a_server_alone_takes_writes_unless_it_says_that_it_only_reads() {
    assert_eq!(judged(&[], None), Ok("/7/db1/3306".to_owned()));
    for (name, value) in [
        ("read_only", "1"),
        ("read_only", "ON"),
        ("read_only", "NO_LOCK_NO_ADMIN"),
        ("super_read_only", "1"),
        ("innodb_read_only", "ON"),
    ] {
        assert_eq!(judged(&[(name, value)], None), Err(format!("{name} is on")));
    }
}

#[test]
fn a_host_that_may_lose_a_commit_in_a_power_cut_is_not_used_either() {
    for (name, value, is_refused) in [
        ("innodb_flush_log_at_trx_commit", "2", true),
        ("innodb_flush_log_at_trx_commit", "0", true),
        ("sync_binlog", "0", true),
        ("sync_binlog", "1", false),
    ] {
        let refused = judged(&[(name, value)], None);
        assert_eq!(refused.is_err(), is_refused, "{name} = {value}");
    }
    assert!(judged(&[("sync_binlog", "0"), ("log_bin", "OFF")], None).is_ok());
    let weak = HashMap::from([("innodb_flush_log_at_trx_commit".to_owned(), "2".to_owned())]);
    assert!(judge(&weak, None, true).is_ok());
}

#[test]
fn a_galera_node_takes_writes_if_it_is_ready_in_the_primary_component_and_synced() {
    let node = |ready: &str, status: &str, state: &str| {
        let named = [
            ("wsrep_on", "ON"),
            ("wsrep_ready", ready),
            ("wsrep_cluster_status", status),
            ("wsrep_local_state", state),
            ("wsrep_local_state_comment", "as it says"),
            ("wsrep_cluster_state_uuid", "the-cluster"),
        ];
        judged(&named, None)
    };
    assert_eq!(node("ON", "Primary", "4"), Ok("the-cluster".to_owned()));
    for (ready, status, state, named) in [
        ("OFF", "Primary", "4", "wsrep_ready"),
        ("ON", "non-Primary", "4", "wsrep_cluster_status"),
        ("ON", "Disconnected", "4", "wsrep_cluster_status"),
        ("ON", "Primary", "1", "wsrep_local_state"),
        ("ON", "Primary", "2", "wsrep_local_state"),
        ("ON", "Primary", "3", "wsrep_local_state"),
    ] {
        let why = node(ready, status, state).unwrap_err();
        assert!(why.contains(named), "{why}");
    }
    let without_status = judged(&[("wsrep_on", "ON")], None);
    assert!(without_status.is_err());
}

#[test]
fn a_member_of_a_group_takes_writes_if_it_is_its_primary_and_reaches_a_majority() {
    let group = [("group_replication_group_name", "the-group")];
    let primary = (true, "ONLINE", "PRIMARY");
    let (other, lost) = (
        (false, "ONLINE", "SECONDARY"),
        (false, "UNREACHABLE", "SECONDARY"),
    );
    for members in [
        &[primary][..],
        &[primary, other, other],
        &[other, primary, lost],
        &[primary, (false, "RECOVERING", "SECONDARY"), lost],
    ] {
        let judged = judged(&group, Some(members));
        assert_eq!(judged, Ok("the-group".to_owned()), "{members:?}");
    }
    for members in [
        &[][..],
        &[other, other],
        &[primary, lost],
        &[primary, lost, lost],
        &[(true, "ONLINE", "SECONDARY"), other],
        &[(true, "RECOVERING", "PRIMARY"), other],
        &[(true, "OFFLINE", "")],
        &[(true, "ERROR", "PRIMARY"), other],
    ] {
        assert!(judged(&group, Some(members)).is_err(), "{members:?}");
    }
    // A primary that was set to read-only by hand.
    let read_only = [group[0], ("super_read_only", "ON")];
    assert!(judged(&read_only, Some(&[primary])).is_err());
}

#[tokio::test]
async fn a_server_is_asked_again_over_a_new_connection_when_the_kept_one_died() {
    let Some(fresh) = crate::testing::fresh_mysql().await else {
        return;
    };
    let options: MySqlConnectOptions = fresh.url().parse().unwrap();
    let mut prober = Prober::new(options, Duration::from_secs(10), true);
    let first = prober.ask().await.unwrap();
    assert!(!first.set.is_empty() && !first.is_galera, "{first:?}");
    let asked = "SELECT CAST(CONNECTION_ID() AS SIGNED)";
    let kept = &mut prober.kept.as_mut().unwrap().connection;
    let id: i64 = sqlx::query_scalar(asked).fetch_one(kept).await.unwrap();
    let mut killer = fresh
        .url()
        .parse::<MySqlConnectOptions>()
        .unwrap()
        .connect()
        .await
        .unwrap();
    killer.execute(format!("KILL {id}").as_str()).await.unwrap();
    let second = prober.ask().await.unwrap();
    assert_eq!(second.set, first.set);
    // The server tells whole seconds.
    assert!(second.uptime + Duration::from_secs(1) >= first.uptime);
    let third = prober.ask().await.unwrap();
    assert_eq!(third.set, first.set);
    fresh.end().await;
}

#[tokio::test]
async fn a_host_that_cannot_be_reached_is_silent_and_one_that_refuses_is_not() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let to = |port| MySqlConnectOptions::new().host("127.0.0.1").port(port);
    // The backlog accepts it, and nobody answers.
    let mut hanging = Prober::new(to(port), Duration::from_millis(20), true);
    let unfit = hanging.ask().await.unwrap_err();
    assert!(unfit.is_silent && unfit.why.contains("20 ms"), "{unfit:?}");
    drop(listener);
    let mut gone = Prober::new(to(port), Duration::from_secs(10), true);
    assert!(gone.ask().await.unwrap_err().is_silent);

    let Some(fresh) = crate::testing::fresh_mysql().await else {
        return;
    };
    let stranger: MySqlConnectOptions = fresh.url().parse().unwrap();
    let stranger = stranger.username("nobody").password("hunter2");
    let mut refusing = Prober::new(stranger, Duration::from_secs(10), true);
    let unfit = refusing.ask().await.unwrap_err();
    assert!(!unfit.is_silent && unfit.why.contains("1045"), "{unfit:?}");
    assert!(!unfit.why.contains("hunter2"), "{unfit:?}");
    fresh.end().await;
}
