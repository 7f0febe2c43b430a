//! Answers in HTTP/1.1 that are meant to be understood otherwise: none costs its status, and none the next answer.

use domain::handoff::{AttemptOutcome, outcome, parse_reference};
use store::testing::TEST_TIMEOUT;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::Notify,
};

use super::{says::WHOLE, *};
use crate::testing::{
    read_request,
    scripted::{Script, Scripted, Step, Transport, acceptor},
};
use AttemptOutcome::{Acknowledged, Refused, Retry, Unknown};

const HTTP1: [Transport; 2] = [Transport::Plain, Transport::Tls];
const GOOD: &[u8] = b"HTTP/1.1 201 x\r\ncontent-length: 19\r\n\r\n{\"reference\":\"R-7\"}";

/// Outcome and reference of one attempt.
type Heard = (AttemptOutcome, Option<String>);

/// Waits for as long as a test may; the rest of an answer is left after a moment.
pub(super) fn patient() -> Outbound {
    outbound_with(|settings| {
        settings.attempt_timeout = TEST_TIMEOUT;
        settings.body_grace = Duration::from_millis(100);
    })
}

/// Waits shortly for a status that never comes.
pub(super) fn hasty() -> Outbound {
    Outbound {
        attempt_timeout: Duration::from_secs(1),
        ..patient()
    }
}

pub(super) async fn attempt(outbound: &Outbound, url: Url) -> Heard {
    let attempt = Outgoing {
        leased_until: noon() + Duration::from_secs(7200),
        ..outgoing(url)
    };
    let sent = tokio::time::timeout(TEST_TIMEOUT, outbound.attempt(&attempt)).await;
    let AttemptResult::SendResult { heard, answer, .. } = sent.expect("it ends in time") else {
        panic!("it was not sent");
    };
    (
        outcome(&heard, false),
        answer
            .as_deref()
            .and_then(|answer| parse_reference(answer, None)),
    )
}

fn known(reference: &str) -> Option<String> {
    Some(reference.to_owned())
}

/// Gets the answer, and then a good one, which must count whatever came before. Returns the first, and true if the
/// connection was used again.
async fn followed_by_a_good_one(transport: Transport, script: Script) -> (Heard, bool) {
    let good = vec![Step::Say(GOOD.to_vec())];
    let server = Scripted::start(transport, vec![script, good], false).await;
    let outbound = patient();
    let first = attempt(&outbound, server.url()).await;
    let second = attempt(&outbound, server.url()).await;
    assert_eq!(second, (Acknowledged, known("R-7")), "after {first:?}");
    let connections = server.requests();
    assert_eq!(connections.len(), 2, "each was sent once");
    (first, connections == [0, 0])
}

/// Checks for each answer what is heard of it, and that its connection is used again only where that is certain.
async fn check(answers: &[(&[u8], AttemptOutcome, Option<&str>, bool)]) {
    for (said, outcome, reference, is_reused) in answers {
        for transport in HTTP1 {
            let script = vec![Step::Say(said.to_vec())];
            let (heard, reused) = followed_by_a_good_one(transport, script).await;
            let what = String::from_utf8_lossy(&said[..said.len().min(300)]).into_owned();
            assert_eq!(heard.0, *outcome, "{what:?}, {transport:?}");
            assert_eq!(heard.1.as_deref(), *reference, "{what:?}, {transport:?}");
            assert_eq!(reused, *is_reused, "{what:?}, {transport:?}");
        }
    }
}

#[tokio::test]
async fn a_status_line_is_read_if_it_has_a_status() {
    let body = "\r\ncontent-length: 19\r\n\r\n{\"reference\":\"R-7\"}";
    for (line, outcome, is_reused) in [
        ("HTTP/1.1 201", Acknowledged, true),
        ("HTTP/1.1 201 ", Acknowledged, true),
        ("HTTP/1.1 201 HTTP/1.1 500 x", Acknowledged, true),
        ("HTTP/1.0 201 x", Acknowledged, false),
        ("HTTP/1.2 201 x", Acknowledged, false),
        ("HTTP/0.9 201 x", Acknowledged, false),
        ("HTTP/1.1 201 a\0b", Acknowledged, false),
        ("HTTP/1.1 201 a\rb", Acknowledged, false),
        ("\r\n\r\nHTTP/1.1 201 x", Acknowledged, false),
        ("\nHTTP/1.1 503 x", Retry, false),
        ("HTTP/1.1 099 x", Unknown, false),
        ("HTTP/1.1 1000 x", Unknown, false),
        ("HTTP/1.1 2 01 x", Unknown, false),
        ("HTTP/1.1 +20 x", Unknown, false),
        ("HTTP/1.1 0x1 x", Unknown, false),
        ("HTTP/1.1 \u{662}\u{660}\u{661} x", Unknown, false),
        ("HTTP/1.1 ", Unknown, false),
        ("HTTP/1.1", Unknown, false),
        ("", Unknown, false),
        ("ICY 200 OK", Unknown, false),
        ("stray text\r\nHTTP/1.1 201 x", Unknown, false),
        ("\u{feff}HTTP/1.1 201 x", Unknown, false),
    ] {
        let said = format!("{line}{body}");
        let reference = (outcome != Unknown).then_some("R-7");
        check(&[(said.as_bytes(), outcome, reference, is_reused)]).await;
    }
    let old = b"{\"reference\":\"R-7\"} as HTTP/0.9 would answer\n";
    check(&[(old, Unknown, None, false)]).await;
}

#[tokio::test]
async fn framings_that_differ_by_reader_cost_the_connection_only() {
    let chunked = "13\r\n{\"reference\":\"R-7\"}\r\n0\r\n\r\n";
    for (head, body, is_reused) in [
        ("content-length: 19, 19", WHOLE, true),
        ("content-length: 0019", WHOLE, true),
        ("content-length: 19\r\ncontent-length: 2", WHOLE, false),
        ("content-length: 19\r\ncontent-length: -1", WHOLE, false),
        ("content-length: 18446744073709551616", WHOLE, false),
        ("content-length: 18446744073709551615", WHOLE, false),
        ("content-length: 19\ncontent-length: 19", WHOLE, false),
        ("content-length:\r\n 19", WHOLE, false),
        ("content-length: 1\r\n 9", WHOLE, false),
        ("x: y\0\r\ncontent-length: 19", WHOLE, false),
        ("x: y\rz: 1\r\ncontent-length: 19", WHOLE, false),
        ("\u{b}content-length: 19", WHOLE, false),
        ("transfer-encoding: chunked", chunked, true),
        (
            "transfer-encoding: chunked\r\ncontent-length: 2",
            chunked,
            false,
        ),
        (
            "content-length: 2\r\ntransfer-encoding: chunked",
            chunked,
            false,
        ),
        ("transfer-encoding: chunked, chunked", chunked, false),
        (
            "transfer-encoding: x\r\ntransfer-encoding: chunked",
            chunked,
            false,
        ),
        (
            "transfer-encoding: identity\r\ncontent-length: 19",
            WHOLE,
            false,
        ),
        ("transfer-encoding : chunked", chunked, false),
        ("trailer: x\r\nconnection: keep-alive, close", WHOLE, false),
    ] {
        let said = format!("HTTP/1.1 201 x\r\n{head}\r\n\r\n{body}");
        check(&[(said.as_bytes(), Acknowledged, Some("R-7"), is_reused)]).await;
    }
    // Not even a bare line feed lets a part of the head be the body for one and the head for another.
    let split =
        b"HTTP/1.1 201 x\r\nx: y\ncontent-length: 0\n\nHTTP/1.1 422 x\r\ncontent-length: 0\r\n\r\n";
    check(&[(split, Acknowledged, None, false)]).await;
}

#[tokio::test]
async fn chunks_may_have_extensions_and_trailers_and_any_odd_one_ends_the_body() {
    for (body, reference, is_reused) in [
        (
            "13;a=b;c=\"d;e\"\r\n{\"reference\":\"R-7\"}\r\n0;f\r\n\r\n",
            true,
            true,
        ),
        (
            "0000000013\r\n{\"reference\":\"R-7\"}\r\n000\r\n\r\n",
            true,
            true,
        ),
        (
            "A\r\n{\"referenc\r\n9\r\ne\":\"R-7\"}\r\n0\r\nx: y\r\ncontent-length: 7\r\n\r\n",
            true,
            true,
        ),
        ("13\n{\"reference\":\"R-7\"}\n0\n\n", true, false),
        (
            "13\r\n{\"reference\":\"R-7\"}\r\n0\r\n\r\nrest",
            true,
            false,
        ),
        ("13\r\n{\"reference\":\"R-7\"}13\r\n0\r\n\r\n", true, false),
        ("13\r\n{\"reference\":\"R-7\"}\r\n-0\r\n\r\n", true, false),
        (
            "13\r\n{\"reference\":\"R-7\"}\r\n10000000000000000000\r\n\r\n",
            true,
            false,
        ),
        (
            "7fffffffffffffff\r\n{\"reference\":\"R-7\"}\r\n0\r\n\r\n",
            true,
            false,
        ),
        ("-13\r\n{\"reference\":\"R-7\"}\r\n0\r\n\r\n", false, false),
        ("0x13\r\n{\"reference\":\"R-7\"}\r\n0\r\n\r\n", false, false),
        ("\r\n{\"reference\":\"R-7\"}\r\n0\r\n\r\n", false, false),
        ("{\"reference\":\"R-7\"}", false, false),
    ] {
        let said = format!("HTTP/1.1 201 x\r\ntransfer-encoding: chunked\r\n\r\n{body}");
        let reference = reference.then_some("R-7");
        check(&[(said.as_bytes(), Acknowledged, reference, is_reused)]).await;
    }
}

#[tokio::test]
async fn a_body_where_none_may_be_is_nobodys_answer() {
    for (head, is_reused) in [
        ("HTTP/1.1 204 x\r\n", true),
        ("HTTP/1.1 204 x\r\ncontent-length: 0\r\n", true),
        ("HTTP/1.1 204 x\r\ncontent-length: 5\r\n", false),
        ("HTTP/1.1 204 x\r\ntransfer-encoding: chunked\r\n", false),
        ("HTTP/1.1 205 x\r\ncontent-length: 0\r\n", true),
        ("HTTP/1.1 304 x\r\ncontent-length: 5\r\n", false),
        ("HTTP/1.1 304 x\r\ntransfer-encoding: chunked\r\n", false),
    ] {
        let outcome = if head.contains("304") {
            Refused
        } else {
            Acknowledged
        };
        let said = format!("{head}\r\n");
        check(&[(said.as_bytes(), outcome, None, is_reused)]).await;
    }
    let with_body = b"HTTP/1.1 204 x\r\n\r\n0\r\n\r\n";
    check(&[(with_body, Acknowledged, None, false)]).await;
}

#[tokio::test]
async fn informational_answers_may_be_many_and_odd_but_not_endless() {
    let hints = "HTTP/1.1 103 x\r\nlink: y\r\n\r\n".repeat(2000);
    let good = String::from_utf8(GOOD.to_vec()).unwrap();
    for (before, is_reused) in [
        (&*hints, true),
        ("HTTP/1.1 100 Continue\r\n\r\n", true),
        ("HTTP/1.1 100 Continue\r\n", false),
        ("HTTP/1.1 100 Continue\r\nHTTP/1.1 103 x\r\nx: y\r\n", false),
        ("HTTP/1.1 199\n\n", false),
    ] {
        let said = format!("{before}{good}");
        check(&[(said.as_bytes(), Acknowledged, Some("R-7"), is_reused)]).await;
    }
    for endless in [
        "HTTP/1.1 100 x\r\n\r\n",
        "HTTP/1.1 100 x\r\nx: y\r\n",
        "\r\n",
        "x: y\r\n",
        "x",
    ] {
        let unending = vec![Step::Repeat(
            vec![Step::Say(endless.repeat(1000).into_bytes())],
            Duration::ZERO,
        )];
        for transport in HTTP1 {
            let server = Scripted::start(transport, vec![unending.clone()], false).await;
            // The number of bytes ends it, long before the time-out.
            let heard = attempt(&patient(), server.url()).await;
            assert_eq!(heard, (Unknown, None), "{endless:?}");
        }
    }
}

#[tokio::test]
async fn wherever_an_answer_is_cut_its_status_counts_once_it_was_read() {
    let line = "HTTP/1.1 201 x\r\n".len();
    let whole = GOOD.len();
    let cut = async |transport, cut: usize, end: Step, is_pooled: bool| {
        let good = vec![Step::Say(GOOD.to_vec())];
        let part = vec![Step::Say(GOOD[..cut].to_vec()), end.clone()];
        let scripts = if is_pooled {
            vec![good, part]
        } else {
            vec![part]
        };
        let server = Scripted::start(transport, scripts, false).await;
        let is_silent = cut < line && matches!(end, Step::Hang);
        let outbound = if is_silent { hasty() } else { patient() };
        if is_pooled {
            attempt(&outbound, server.url()).await;
        }
        let heard = attempt(&outbound, server.url()).await;
        let expected = if cut < line { Unknown } else { Acknowledged };
        let reference = (cut + 1 >= whole).then(|| "R-7".to_owned());
        let what = format!("{transport:?} {end:?} at {cut}, pooled {is_pooled}");
        assert_eq!(heard, (expected, reference), "{what}");
        let requests = if is_pooled { vec![0, 0] } else { vec![0] };
        assert_eq!(server.requests(), requests, "{what}: it was sent once");
    };
    for transport in HTTP1 {
        for end in [Step::Close, Step::Finish] {
            for is_pooled in [false, true] {
                let cuts = (0..=whole).map(|at| cut(transport, at, end.clone(), is_pooled));
                futures_util::future::join_all(cuts).await;
            }
        }
        let hanging = (0..=whole).map(|at| cut(transport, at, Step::Hang, false));
        futures_util::future::join_all(hanging).await;
    }
}

#[tokio::test]
async fn an_answer_that_comes_a_byte_at_a_time_is_whole() {
    for transport in HTTP1 {
        let script = GOOD.iter().map(|byte| Step::Say(vec![*byte])).collect();
        let (heard, is_reused) = followed_by_a_good_one(transport, script).await;
        assert_eq!(heard, (Acknowledged, known("R-7")), "{transport:?}");
        assert!(is_reused, "{transport:?}");
    }
}

/// Accepts a connection, answers its request, and says something more once it was told; then closes all others.
async fn says_more(
    listener: TcpListener,
    transport: Transport,
    more: &[u8],
    first: Arc<Notify>,
    said: Arc<Notify>,
) {
    let (tcp, _) = listener.accept().await.unwrap();
    let mut stream: Box<dyn Stream> = if transport == Transport::Plain {
        Box::new(tcp)
    } else {
        Box::new(acceptor(&[b"http/1.1"]).accept(tcp).await.unwrap())
    };
    read_request(&mut stream, &mut Vec::new(), 0).await.unwrap();
    stream.write_all(GOOD).await.unwrap();
    stream.flush().await.unwrap();
    first.notified().await;
    stream.write_all(more).await.unwrap();
    stream.flush().await.unwrap();
    said.notify_one();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.ok();
    assert!(rest.is_empty(), "nothing more is sent on this connection");
    let (mut fresh, _) = listener.accept().await.unwrap();
    fresh.shutdown().await.unwrap();
}

trait Stream: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin {}
impl<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin> Stream for S {}

#[tokio::test]
async fn a_second_answer_to_one_request_is_never_taken_for_that_to_the_next() {
    for transport in HTTP1 {
        for more in [
            &b"HTTP/1.1 422 x\r\ncontent-length: 0\r\n\r\n"[..],
            b"\r\n",
            b"H",
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let scheme = if transport == Transport::Plain {
                "http"
            } else {
                "https"
            };
            let url: Url = format!("{scheme}://{}/", listener.local_addr().unwrap())
                .parse()
                .unwrap();
            let (first, said) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
            let serving = says_more(
                listener,
                transport,
                more,
                Arc::clone(&first),
                Arc::clone(&said),
            );
            let outbound = patient();
            let asking = async {
                assert_eq!(attempt(&outbound, url.clone()).await.0, Acknowledged);
                first.notify_one();
                said.notified().await;
                // The fresh connection is closed at once: the request is lost there, and not answered by the first one.
                let heard = attempt(&outbound, url.clone()).await;
                assert_ne!(heard.0, Refused, "{transport:?} {more:?}");
                assert_ne!(heard.0, Acknowledged, "{transport:?} {more:?}");
            };
            let both = async { tokio::join!(serving, asking) };
            tokio::time::timeout(TEST_TIMEOUT, both).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_tls_connection_that_breaks_in_an_answer_leaves_what_was_read() {
    for (broken, name) in [
        (
            &b"\x15\x03\x03\x00\x02\x02\x28"[..],
            "an alert in the clear",
        ),
        (
            b"\x17\x03\x03\x00\x20aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "a record that nobody can decrypt",
        ),
        (b"HTTP/1.1 422 x\r\n\r\n", "no TLS"),
        (b"\x17\x03\x03\xff\xff", "a record that is too long"),
        (b"", "the end without close_notify"),
    ] {
        for (said, expected) in [
            (&b""[..], Unknown),
            (b"HTTP/1.1 20", Unknown),
            (b"HTTP/1.1 201 x\r\n", Acknowledged),
            (b"HTTP/1.1 201 x\r\n\r\n{", Acknowledged),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url: Url = format!("https://{}/", listener.local_addr().unwrap())
                .parse()
                .unwrap();
            let serving = async {
                let (tcp, _) = listener.accept().await.unwrap();
                let mut tls = acceptor(&[b"http/1.1"]).accept(tcp).await.unwrap();
                read_request(&mut tls, &mut Vec::new(), 0).await.unwrap();
                tls.write_all(said).await.unwrap();
                tls.flush().await.unwrap();
                tls.get_mut().0.write_all(broken).await.unwrap();
            };
            let outbound = patient();
            let ((), heard) = tokio::join!(serving, attempt(&outbound, url));
            assert_eq!(heard.0, expected, "{name} after {said:?}");
        }
    }
}
