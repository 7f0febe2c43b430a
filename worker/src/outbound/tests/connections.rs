//! Connections between attempts: how long they are kept, and what becomes of a request that meets a closed one.

use std::net::IpAddr;

use domain::handoff::{AttemptOutcome, outcome};
use parking_lot::Mutex;
use store::testing::TEST_TIMEOUT;

use super::*;
use crate::testing::scripted::{Script, Scripted, Step, Transport, acceptor, frame, header_block};

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;
const END_STREAM_AND_HEADERS: u8 = 5;

/// Answers `201` and keeps the connection.
fn created(transport: Transport) -> Script {
    match transport {
        Transport::Plain | Transport::Tls => {
            vec![Step::Say(
                b"HTTP/1.1 201 x\r\ncontent-length: 0\r\n\r\n".to_vec(),
            )]
        }
        Transport::Http2 => {
            let block = header_block(&[(":status", "201")]);
            vec![Step::Frame(HEADERS, END_STREAM_AND_HEADERS, block)]
        }
    }
}

fn then(mut script: Script, steps: impl IntoIterator<Item = Step>) -> Script {
    script.extend(steps);
    script
}

async fn until_closed(server: &Scripted, count: usize) {
    let closed = async {
        while server.closed() < count {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(TEST_TIMEOUT, closed).await.unwrap();
}

async fn outcome_of(outbound: &Outbound, server: &Scripted) -> AttemptOutcome {
    let attempt = Outgoing {
        leased_until: noon() + Duration::from_secs(7200),
        ..outgoing(server.url())
    };
    outcome(heard(&outbound.attempt(&attempt).await), false)
}

#[tokio::test]
async fn a_connection_is_used_again_until_it_was_idle_for_a_second_and_a_half() {
    for transport in Transport::ALL {
        let server = Scripted::start(transport, vec![created(transport)], false).await;
        let outbound = outbound();
        for wait_ms in [0, 0, 1499, 1500] {
            outbound.clock.advance(Duration::from_millis(wait_ms));
            let outcome = outcome_of(&outbound, &server).await;
            assert_eq!(outcome, AttemptOutcome::Acknowledged, "{transport:?}");
        }
        assert_eq!(server.requests(), [0, 0, 0, 1], "{transport:?}");
    }
}

#[tokio::test]
async fn a_connection_that_is_never_idle_is_replaced_after_a_minute() {
    for transport in Transport::ALL {
        let server = Scripted::start(transport, vec![created(transport)], false).await;
        let outbound = outbound();
        for _ in 0..130 {
            outcome_of(&outbound, &server).await;
            outbound.clock.advance(Duration::from_secs(1));
        }
        let connections = server.requests();
        let expected: Vec<usize> = (0..130).map(|second| second / 60).collect();
        assert_eq!(connections, expected, "{transport:?}");
    }
}

#[tokio::test]
async fn an_integrator_that_has_moved_is_found_within_a_minute_although_orders_flow() {
    for transport in Transport::ALL {
        let script = vec![created(transport)];
        let old = Scripted::start(transport, script.clone(), false).await;
        let there = format!("127.0.0.2:{}", old.address.port());
        let new = Scripted::start_at(&there, transport, script, false).await;
        let mut outbound = outbound();
        let address: Arc<Mutex<IpAddr>> = Arc::new(Mutex::new(old.address.ip()));
        let current = Arc::clone(&address);
        let lookup: Lookup =
            Box::new(move |_| std::future::ready(Ok(vec![*current.lock()])).boxed());
        outbound.post.guard = Guard::with_lookup(
            vec!["127.0.0.0/8".parse().unwrap()],
            PlainHttp::Anywhere,
            Duration::from_secs(2),
            outbound.clock.clone(),
            lookup,
        );
        let mut url = old.url();
        url.set_host(Some("moved.example")).unwrap();
        for second in 0..90 {
            if second == 10 {
                *address.lock() = new.address.ip();
            }
            let attempt = outgoing(url.clone());
            let attempt = Outgoing {
                leased_until: noon() + Duration::from_secs(7200),
                ..attempt
            };
            assert_eq!(heard(&outbound.attempt(&attempt).await), &answer(201));
            outbound.clock.advance(Duration::from_secs(1));
        }
        let counts = (old.requests().len(), new.requests().len());
        assert_eq!(counts, (60, 30), "{transport:?}");
    }
}

#[tokio::test]
async fn a_request_that_meets_a_closed_connection_goes_out_once_on_a_fresh_one() {
    for transport in Transport::ALL {
        let closes = then(created(transport), [Step::Close]);
        let server = Scripted::start(transport, vec![closes], false).await;
        let outbound = outbound();
        for count in 1..=3 {
            let outcome = outcome_of(&outbound, &server).await;
            assert_eq!(outcome, AttemptOutcome::Acknowledged, "{transport:?}");
            until_closed(&server, count).await;
        }
        assert_eq!(server.requests(), [0, 1, 2], "{transport:?}");
    }
}

#[tokio::test]
async fn a_connection_that_closes_after_the_request_leaves_an_unknown_outcome() {
    for transport in Transport::ALL {
        let scripts = vec![created(transport), vec![Step::Close], created(transport)];
        let server = Scripted::start(transport, scripts, false).await;
        let outbound = outbound();
        outcome_of(&outbound, &server).await;
        let outcome = outcome_of(&outbound, &server).await;
        assert_eq!(outcome, AttemptOutcome::Unknown, "{transport:?}");
        assert_eq!(
            server.requests(),
            [0, 0],
            "{transport:?}: it was sent again"
        );
    }
}

#[tokio::test]
async fn a_request_that_http2_says_was_not_processed_goes_out_once_more_and_no_oftener() {
    let refused = || vec![Step::Frame(RST_STREAM, 0, vec![0, 0, 0, 7])];
    let left = || vec![Step::Say(frame(GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0]))];
    let created = || created(Transport::Http2);
    for unprocessed in [refused(), left()] {
        let scripts = vec![created(), unprocessed.clone(), created()];
        let server = Scripted::start(Transport::Http2, scripts, false).await;
        let outbound = outbound();
        outcome_of(&outbound, &server).await;
        let outcome = outcome_of(&outbound, &server).await;
        assert_eq!(outcome, AttemptOutcome::Acknowledged, "{unprocessed:?}");
        assert_eq!(server.requests(), [0, 0, 1], "{unprocessed:?}");
    }
    let scripts = vec![created(), refused()];
    let server = Scripted::start(Transport::Http2, scripts, false).await;
    let outbound = outbound();
    outcome_of(&outbound, &server).await;
    let outcome = outcome_of(&outbound, &server).await;
    assert_eq!(outcome, AttemptOutcome::Retry);
    assert_eq!(server.requests(), [0, 0, 1]);
}

#[tokio::test]
async fn an_http2_server_that_compresses_its_heads_is_understood() {
    const STATUSES: [u16; 8] = [201, 200, 201, 429, 429, 503, 418, 201];
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let serving = async {
        let (tcp, _) = listener.accept().await.unwrap();
        let tls = acceptor(&[b"h2"]).accept(tcp).await.unwrap();
        let mut connection = h2::server::handshake(tls).await.unwrap();
        let mut statuses = STATUSES.into_iter();
        while let Some(request) = connection.accept().await {
            let (_, mut respond) = request.unwrap();
            let head = http::Response::builder()
                .status(statuses.next().unwrap())
                .header("retry-after", "7")
                .header("x-same", "again and again")
                .body(());
            let mut stream = respond.send_response(head.unwrap(), false).unwrap();
            let body = Bytes::from_static(b"{}");
            stream.send_data(body, true).unwrap();
        }
    };
    let outbound = outbound();
    let asking = async {
        for status in STATUSES {
            let sent = outbound.attempt(&outgoing(url.parse().unwrap())).await;
            let expected = SendResult::Answer {
                status,
                retry_after: Some(RetryAfter::After(Duration::from_secs(7))),
            };
            assert_eq!(heard(&sent), &expected);
        }
    };
    tokio::select! {
        () = serving => panic!("the connection is kept"),
        () = asking => {}
    }
}

#[tokio::test]
async fn a_connection_that_said_more_than_its_answer_is_not_used_again() {
    for transport in [Transport::Plain, Transport::Tls] {
        for said in [
            "HTTP/1.1 201 x\r\ncontent-length: 2\r\n\r\n{}HTTP/1.1 422 x\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 201 x\r\ncontent-length : 2\r\n\r\n{}",
            "HTTP/1.1 201 x\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}",
            "HTTP/1.0 201 x\r\ncontent-length: 2\r\n\r\n{}",
            "HTTP/1.1 204 x\r\ncontent-length: 2\r\n\r\n",
        ] {
            let script = vec![Step::Say(said.as_bytes().to_vec())];
            let server = Scripted::start(transport, vec![script], false).await;
            let outbound = outbound();
            for _ in 0..2 {
                let outcome = outcome_of(&outbound, &server).await;
                assert_eq!(outcome, AttemptOutcome::Acknowledged, "{said}");
            }
            assert_eq!(server.requests(), [0, 1], "{said}");
        }
    }
}

#[tokio::test]
async fn http2_requests_at_one_time_share_a_connection_and_one_that_hangs_is_left() {
    let hangs = vec![Step::Hang];
    let scripts = vec![created(Transport::Http2), hangs, created(Transport::Http2)];
    let server = Scripted::start(Transport::Http2, scripts, false).await;
    let outbound = impatient();
    outcome_of(&outbound, &server).await;
    let at_once = [0; 3].map(|_| outcome_of(&outbound, &server));
    for outcome in futures_util::future::join_all(at_once).await {
        assert_eq!(outcome, AttemptOutcome::Unknown);
    }
    let outcome = outcome_of(&outbound, &server).await;
    assert_eq!(outcome, AttemptOutcome::Acknowledged);
    // The server reads no more requests while it hangs.
    assert_eq!(server.requests(), [0, 0, 1]);
}

/// Stops the worker some time after the request has arrived.
async fn outcome_when_stopped(
    transport: Transport,
    script: Script,
    after: Duration,
) -> AttemptOutcome {
    let server = Scripted::start(transport, vec![script], false).await;
    let outbound = outbound_with(|settings| settings.body_grace = TEST_TIMEOUT * 2);
    let cut = outbound.post.cut.clone();
    let (outcome, ()) = tokio::join!(outcome_of(&outbound, &server), async {
        while server.requests().is_empty() {
            tokio::task::yield_now().await;
        }
        tokio::time::sleep(after).await;
        cut.cancel();
    });
    outcome
}

#[tokio::test]
async fn a_stop_before_the_status_leaves_an_unknown_outcome_and_one_after_it_an_answer() {
    for transport in Transport::ALL {
        let head = match transport {
            Transport::Http2 => Step::Frame(HEADERS, 4, header_block(&[(":status", "201")])),
            _ => Step::Say(b"HTTP/1.1 201 x\r\ncontent-length: 9\r\n\r\n".to_vec()),
        };
        let silent = outcome_when_stopped(transport, vec![Step::Hang], Duration::ZERO).await;
        assert_eq!(silent, AttemptOutcome::Unknown, "{transport:?}");
        // Nobody sees from outside when the status has arrived: wait longer until it has.
        let answered = async {
            let script = vec![head, Step::Hang];
            let mut after = Duration::from_millis(1);
            while outcome_when_stopped(transport, script.clone(), after).await
                != AttemptOutcome::Acknowledged
            {
                after *= 2;
            }
        };
        let answered = tokio::time::timeout(TEST_TIMEOUT, answered).await;
        assert!(answered.is_ok(), "{transport:?}");
    }
}

#[tokio::test]
async fn a_large_request_is_sent_whole_and_an_answer_in_the_middle_of_it_counts() {
    let body = Bytes::from(vec![b'x'; 1 << 20]);
    for transport in Transport::ALL {
        let server = Scripted::start(transport, vec![created(transport)], false).await;
        let attempt = Outgoing {
            body: body.clone(),
            ..outgoing(server.url())
        };
        let sent = outbound().attempt(&attempt).await;
        assert_eq!(heard(&sent), &answer(201), "{transport:?}");
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let attempt = Outgoing {
        body: Bytes::from(vec![b'x'; 64 << 20]),
        ..outgoing(url.parse().unwrap())
    };
    let refusing = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let said = b"HTTP/1.1 413 x\r\ncontent-length: 0\r\n\r\n";
        tokio::io::AsyncWriteExt::write_all(&mut stream, said)
            .await
            .unwrap();
        stream
    };
    let outbound = outbound();
    let (sent, _stream) = tokio::join!(outbound.attempt(&attempt), refusing);
    assert_eq!(heard(&sent), &answer(413));
}

#[tokio::test]
async fn a_retry_after_date_is_relative_to_the_answers_own_date() {
    let dates =
        "date: Fri, 15 Jan 2027 09:00:00 GMT\r\nretry-after: Fri, 15 Jan 2027 09:00:07 GMT\r\n";
    let integrator = Integrator::start([Reply::with(503, dates, "")]).await;
    let sent = outbound().attempt(&outgoing(integrator.url())).await;
    let expected = SendResult::Answer {
        status: 503,
        retry_after: Some(RetryAfter::After(Duration::from_secs(7))),
    };
    assert_eq!(heard(&sent), &expected);
}
