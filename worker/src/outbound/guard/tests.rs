//! URLs that the guard accepts and refuses, with a fake resolver.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use store::testing::{TEST_TIMEOUT, noon};
use tokio::sync::watch;

use super::*;

fn url(text: &str) -> Url {
    text.parse().unwrap()
}

fn resolving_to(answer: io::Result<Vec<&'static str>>) -> Lookup {
    let answer: Result<Vec<IpAddr>, String> = answer
        .map(|texts| texts.iter().map(|text| text.parse().unwrap()).collect())
        .map_err(|error| error.to_string());
    Box::new(move |_| std::future::ready(answer.clone().map_err(io::Error::other)).boxed())
}

fn guard(allow_networks: &[&str], lookup: Lookup) -> Guard {
    let networks = allow_networks.iter().map(|text| text.parse().unwrap());
    Guard::with_lookup(
        networks.collect(),
        PlainHttp::Nowhere,
        Duration::from_millis(50),
        Clock::manual(noon()),
        lookup,
    )
}

async fn vet(guard: &Guard, text: &str) -> Result<(), VetError> {
    guard.vet(&url(text)).await.map(drop)
}

#[tokio::test]
async fn a_name_leads_to_its_allowed_addresses_at_the_urls_port() {
    let guard = guard(&[], resolving_to(Ok(vec!["127.0.0.1", "8.8.8.8", "::1"])));
    for (text, expected) in [
        ("https://kitchen.example/x", "8.8.8.8:443"),
        ("https://kitchen.example:8443/", "8.8.8.8:8443"),
        ("https://[2606:4700::1]/", "[2606:4700::1]:443"),
    ] {
        let vetted = guard.vet(&url(text)).await.unwrap();
        assert_eq!(vetted, [expected.parse().unwrap()], "{text}");
    }
}

#[tokio::test]
async fn a_name_with_forbidden_addresses_only_is_refused() {
    let guard = guard(&[], resolving_to(Ok(vec!["10.0.0.1"])));
    assert_eq!(
        vet(&guard, "https://kitchen.example/").await,
        Err(VetError::Forbidden("10.0.0.1".parse().unwrap()))
    );
}

#[tokio::test]
async fn an_address_in_place_of_a_name_is_vetted_however_it_is_written() {
    let guard = guard(&["10.20.0.0/16"], resolving_to(Ok(vec![])));
    for text in [
        "https://127.0.0.1/",
        "https://127.1/",
        "https://0x7f000001/",
        "https://2130706433/",
        "https://0177.0.0.1/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[fe80::1]/",
        "https://10.21.0.1/",
    ] {
        let refused = vet(&guard, text).await;
        assert!(
            matches!(refused, Err(VetError::Forbidden(_))),
            "{text}: {refused:?}"
        );
    }
    for text in [
        "https://8.8.8.8/",
        "https://10.20.1.1/",
        "https://[::ffff:10.20.1.1]/",
    ] {
        assert_eq!(vet(&guard, text).await, Ok(()), "{text}");
    }
}

#[tokio::test]
async fn plain_http_needs_its_setting_and_other_schemes_never_pass() {
    let strict = guard(&[], resolving_to(Ok(vec!["8.8.8.8"])));
    let loose = Guard::with_lookup(
        vec![],
        PlainHttp::Anywhere,
        Duration::from_millis(50),
        Clock::manual(noon()),
        resolving_to(Ok(vec!["8.8.8.8"])),
    );
    let refused = |scheme: &str| Err(VetError::Scheme(scheme.to_owned()));
    assert_eq!(vet(&strict, "http://a.example/").await, refused("http"));
    assert_eq!(vet(&loose, "http://a.example/").await, Ok(()));
    assert_eq!(vet(&loose, "ftp://a.example/").await, refused("ftp"));
    assert_eq!(vet(&loose, "file:///etc/passwd").await, refused("file"));
}

#[tokio::test]
async fn the_own_address_is_the_only_one_of_this_machine_that_is_reached() {
    let own = |address: &str| {
        guard(&[], resolving_to(Ok(vec!["127.0.0.1"]))).and_own(Some(address.parse().unwrap()))
    };
    let here = own("127.0.0.1:8080");
    assert_eq!(
        vet(&here, "http://127.0.0.1:8080/kitchen/orders").await,
        Ok(())
    );
    assert_eq!(
        vet(&here, "http://0x7f.1:8080/").await,
        Ok(()),
        "the same address"
    );
    assert_eq!(vet(&own("[::1]:80"), "http://[::1]/kitchen").await, Ok(()));
    for other in [
        "http://127.0.0.1:8081/",
        "http://127.0.0.2:8080/",
        "http://[::1]:8080/",
        "http://localhost:8080/",
        "https://127.0.0.1:8080/",
        "http://[::ffff:127.0.0.1]:8080/",
        "https://a.example:8080/",
    ] {
        assert!(vet(&here, other).await.is_err(), "{other}");
    }
}

#[tokio::test]
async fn plain_http_on_loopback_leads_to_no_other_address_that_is_allowed() {
    let networks = ["127.0.0.0/8", "::1/128", "10.0.0.0/8"].map(|text| text.parse().unwrap());
    let guard = |addresses| {
        Guard::with_lookup(
            networks.to_vec(),
            PlainHttp::OnLoopback,
            Duration::from_millis(50),
            Clock::manual(noon()),
            resolving_to(Ok(addresses)),
        )
    };
    let here = guard(vec!["127.0.0.1", "::1"]);
    for text in [
        "http://127.0.0.1:8080/",
        "http://[::1]/",
        "http://a.example/",
        "https://10.1.1.1/",
    ] {
        assert_eq!(vet(&here, text).await, Ok(()), "{text}");
    }
    let refused = Err(VetError::Scheme("http".to_owned()));
    for text in ["http://10.1.1.1/", "http://8.8.8.8/"] {
        assert_eq!(vet(&here, text).await, refused, "{text}");
    }
    let elsewhere_too = guard(vec!["127.0.0.1", "10.1.1.1"]);
    assert_eq!(vet(&elsewhere_too, "http://a.example/").await, refused);
}

#[tokio::test]
async fn an_unknown_name_is_the_integrators_and_a_silent_resolver_is_our_own_trouble() {
    let unknown = "failed to lookup address information: Name or service not known";
    let again = "failed to lookup address information: Temporary failure in name resolution";
    let outcome = async |lookup| vet(&guard(&[], lookup), "https://a.example/").await;
    assert!(matches!(
        outcome(resolving_to(Err(io::Error::other(unknown)))).await,
        Err(VetError::HostNotFound { .. })
    ));
    assert!(matches!(
        outcome(resolving_to(Ok(vec![]))).await,
        Err(VetError::HostNotFound { .. })
    ));
    assert!(matches!(
        outcome(resolving_to(Err(io::Error::other(again)))).await,
        Err(VetError::ResolverUnavailable { .. })
    ));
    let silent: Lookup = Box::new(|_| std::future::pending().boxed());
    assert!(matches!(
        outcome(silent).await,
        Err(VetError::ResolverUnavailable { .. })
    ));
}

#[tokio::test]
async fn a_name_is_asked_for_again_after_a_while_and_a_change_is_vetted_anew() {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let rebinding: Lookup = Box::new(|_| {
        let first = ASKED.fetch_add(1, Ordering::Relaxed) == 0;
        let address = if first { "8.8.8.8" } else { "127.0.0.1" };
        std::future::ready(Ok(vec![address.parse().unwrap()])).boxed()
    });
    let guard = guard(&[], rebinding);
    let url = url("https://rebind.example/");
    guard.vet(&url).await.unwrap();
    guard.vet(&url).await.unwrap();
    assert_eq!(ASKED.load(Ordering::Relaxed), 1);
    guard.0.clock.advance(REFRESH_AFTER);
    assert!(guard.vet(&url).await.is_err());
}

#[tokio::test]
async fn a_name_whose_resolver_hangs_is_asked_for_once_however_often_it_is_wanted() {
    let asked = Arc::new(AtomicUsize::new(0));
    let (answers, hangs) = (watch::Sender::new(false), Arc::clone(&asked));
    let answered = answers.subscribe();
    let guard = guard(
        &[],
        Box::new(move |_| {
            hangs.fetch_add(1, Ordering::Relaxed);
            let mut answered = answered.clone();
            async move {
                let _ = answered.wait_for(|answered| *answered).await;
                Ok(vec!["8.8.8.8".parse().unwrap()])
            }
            .boxed()
        }),
    );
    let url = url("https://hangs.example/");
    for _ in 0..3 {
        for vetted in join_all((0..5).map(|_| guard.vet(&url))).await {
            assert!(
                matches!(vetted, Err(VetError::ResolverUnavailable { .. })),
                "{vetted:?}"
            );
        }
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    answers.send_replace(true);
    tokio::time::timeout(TEST_TIMEOUT, async {
        while guard.vet(&url).await.is_err() {}
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn no_more_names_are_resolved_at_one_time_than_leave_threads_for_others() {
    let guard = guard(&[], Box::new(|_| std::future::pending().boxed()));
    let names = (0..=MAX_LOOKUPS).map(|n| url(&format!("https://{n}.example/")));
    let names: Vec<Url> = names.collect();
    join_all(names.iter().map(|name| guard.vet(name))).await;
    assert_eq!(guard.0.lookups.lock().len(), MAX_LOOKUPS);
    let refused = guard.vet(&names[MAX_LOOKUPS]).await;
    assert!(
        matches!(&refused, Err(VetError::ResolverUnavailable { error, .. }) if error.contains("too many")),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_clock_that_is_set_back_keeps_no_address_longer() {
    let guard = guard(&[], resolving_to(Ok(vec!["8.8.8.8"])));
    let url = url("https://a.example/");
    guard.vet(&url).await.unwrap();
    guard.0.clock.set(noon() - Duration::from_secs(3600));
    assert_eq!(guard.fresh("a.example"), None);
}
