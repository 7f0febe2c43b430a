//! Servers that abuse HTTP/2: each attempt ends in time with the outcome that the frames leave, and no socket stays.

use domain::handoff::AttemptOutcome;
use store::testing::TEST_TIMEOUT;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    hostile::{attempt, hasty, patient},
    *,
};
use crate::testing::scripted::{Script, Scripted, Step, Transport, acceptor, frame, header_block};
use AttemptOutcome::{Acknowledged, Retry, Unknown};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn status(status: &str) -> Vec<u8> {
    header_block(&[(":status", status)])
}

/// Answers `201` whole.
fn created() -> Script {
    vec![Step::Frame(
        HEADERS,
        END_STREAM | END_HEADERS,
        status("201"),
    )]
}

/// Answers `201`, whose body is to come.
fn begun() -> Step {
    Step::Frame(HEADERS, END_HEADERS, status("201"))
}

fn flood(frames: &[Step]) -> Step {
    let many = frames.iter().cycle().take(frames.len() * 200).cloned();
    Step::Repeat(many.collect(), Duration::ZERO)
}

fn connection_frame(kind: u8, flags: u8, payload: &[u8]) -> Step {
    Step::Say(frame(kind, flags, 0, payload))
}

/// Makes an attempt that ends as expected, and another one that is answered: nobody's trouble stays.
async fn check(name: &str, script: Script, expected: AttemptOutcome) {
    let server = Scripted::start(Transport::Http2, vec![script, created()], false).await;
    let mut outbound = if expected == Unknown {
        hasty()
    } else {
        patient()
    };
    let heard = attempt(&outbound, server.url()).await;
    assert_eq!(heard.0, expected, "{name}");
    outbound.attempt_timeout = TEST_TIMEOUT;
    let again = attempt(&outbound, server.url()).await;
    assert_eq!(again.0, Acknowledged, "after {name}");
    assert_eq!(server.requests().len(), 2, "{name}: each was sent once");
}

#[tokio::test]
async fn a_reset_counts_by_its_code_unless_there_was_a_status() {
    let reset = |code: u32| Step::Frame(RST_STREAM, 0, code.to_be_bytes().to_vec());
    for code in (0..=14).chain([99, u32::MAX]) {
        let expected = if matches!(code, 7 | 13) {
            Retry
        } else {
            Unknown
        };
        check(&format!("reset {code}"), vec![reset(code)], expected).await;
        let answered = vec![begun(), reset(code)];
        check(&format!("201, then reset {code}"), answered, Acknowledged).await;
    }
    let short = vec![Step::Frame(RST_STREAM, 0, vec![7])];
    check("a reset that is cut short", short, Unknown).await;
}

#[tokio::test]
async fn a_goaway_counts_by_its_last_stream_whenever_it_comes() {
    let leave = |last: u32, reason: u32, text: &[u8]| {
        let payload = [&last.to_be_bytes()[..], &reason.to_be_bytes(), text].concat();
        connection_frame(GOAWAY, 0, &payload)
    };
    let all = i32::MAX as u32;
    let text = [b'\xff'; 16_000];
    for (name, script, expected) in [
        ("none", vec![leave(0, 0, b""), Step::Close], Retry),
        (
            "none, loudly",
            vec![leave(0, 11, &text), Step::Close],
            Retry,
        ),
        (
            "all, then none",
            vec![leave(all, 0, b""), leave(0, 0, b""), Step::Close],
            Retry,
        ),
        (
            "all, then ours",
            vec![leave(all, 0, b""), leave(1, 0, b""), Step::Close],
            Unknown,
        ),
        ("all", vec![leave(all, 0, b""), Step::Close], Unknown),
        ("ours", vec![leave(1, 2, &text), Step::Close], Unknown),
        (
            "201, then none",
            vec![begun(), leave(0, 1, b""), Step::Close],
            Acknowledged,
        ),
        (
            "all, then 201",
            [vec![leave(all, 0, b"")], created()].concat(),
            Acknowledged,
        ),
        (
            "cut short",
            vec![connection_frame(GOAWAY, 0, &[0; 7]), Step::Close],
            Unknown,
        ),
    ] {
        check(&format!("goaway: {name}"), script, expected).await;
    }
}

#[tokio::test]
async fn frames_that_break_the_rules_leave_what_was_known_before_them() {
    let reserved = connection_frame(200, 0xff, &[0; 50]);
    let cases = [
        ("data before the head", Step::Frame(DATA, 0, vec![0; 9])),
        (
            "a head without a status",
            Step::Frame(HEADERS, END_HEADERS, header_block(&[("x", "y")])),
        ),
        (
            "a status of 099",
            Step::Frame(HEADERS, END_HEADERS, status("099")),
        ),
        (
            "a status of 1000",
            Step::Frame(HEADERS, END_HEADERS, status("1000")),
        ),
        (
            "a status in letters",
            Step::Frame(HEADERS, END_HEADERS, status("abc")),
        ),
        (
            "a block that is no block",
            Step::Frame(HEADERS, END_HEADERS, vec![0xff; 40]),
        ),
        (
            "padding that is longer than the frame",
            Step::Frame(HEADERS, END_HEADERS | 8, vec![200, 0x88]),
        ),
        (
            "a push",
            Step::Frame(
                PUSH_PROMISE,
                END_HEADERS,
                [&[0, 0, 0, 2][..], &status("201")].concat(),
            ),
        ),
        (
            "an answer that nobody asked for",
            Step::Say(frame(HEADERS, END_HEADERS, 99, &status("201"))),
        ),
        (
            "an answer on no stream",
            connection_frame(HEADERS, END_HEADERS, &status("201")),
        ),
        (
            "a frame that is too long",
            Step::Frame(DATA, 0, vec![0; 20_000]),
        ),
        (
            "a window that overflows",
            connection_frame(WINDOW_UPDATE, 0, &[0x7f, 0xff, 0xff, 0xff]),
        ),
        (
            "settings that are none",
            connection_frame(SETTINGS, 0, &[0, 4, 0xff, 0xff, 0xff, 0xff]),
        ),
        (
            "settings of an odd length",
            connection_frame(SETTINGS, 0, &[0; 5]),
        ),
        (
            "a continuation of nothing",
            Step::Frame(CONTINUATION, END_HEADERS, status("201")),
        ),
        (
            "HTTP/1.1",
            Step::Say(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()),
        ),
    ];
    for (name, odd) in cases {
        check(name, vec![odd.clone(), Step::Close], Unknown).await;
        let answered = vec![begun(), odd.clone(), Step::Close];
        check(&format!("201, then {name}"), answered, Acknowledged).await;
    }
    let ignored = [vec![reserved], created()].concat();
    check("a frame of an unknown kind", ignored, Acknowledged).await;
}

#[tokio::test]
async fn floods_end_with_the_attempt_and_cost_no_status() {
    let early = Step::Frame(HEADERS, END_HEADERS, status("103"));
    let more = Step::Frame(CONTINUATION, 0, header_block(&[("x", &"y".repeat(1000))]));
    for (name, frames) in [
        ("settings", vec![connection_frame(SETTINGS, 0, &[])]),
        (
            "changing windows",
            vec![
                connection_frame(SETTINGS, 0, &[0, 4, 0, 0, 0, 0]),
                connection_frame(SETTINGS, 0, &[0, 4, 0, 1, 0, 0]),
            ],
        ),
        ("pings", vec![connection_frame(PING, 0, &[7; 8])]),
        (
            "priorities",
            vec![Step::Frame(PRIORITY, 0, vec![0, 0, 0, 0, 7])],
        ),
        ("unknown frames", vec![connection_frame(99, 0, &[0; 100])]),
        ("informational answers", vec![early]),
        (
            "window updates",
            vec![Step::Frame(WINDOW_UPDATE, 0, vec![0, 0, 0, 1])],
        ),
    ] {
        let silent = vec![flood(&frames)];
        check(&format!("a flood of {name}"), silent, Unknown).await;
    }
    for (name, frames) in [
        ("empty data", vec![Step::Frame(DATA, 0, Vec::new())]),
        (
            "padding",
            vec![Step::Frame(DATA, 8, [&[255][..], &[0; 255]].concat())],
        ),
        ("small data", vec![Step::Frame(DATA, 0, vec![b' '])]),
        ("pings", vec![connection_frame(PING, 0, &[7; 8])]),
    ] {
        let answered = vec![begun(), flood(&frames)];
        check(
            &format!("201, then a flood of {name}"),
            answered,
            Acknowledged,
        )
        .await;
    }
    let head = |block: Vec<u8>| Step::Frame(HEADERS, 0, block);
    let endless = vec![head(status("201")), flood(&[more.clone()])];
    check("a head without an end", endless, Acknowledged).await;
    let no_status = vec![head(header_block(&[("x", "y")])), flood(&[more.clone()])];
    check("a head without an end or a status", no_status, Unknown).await;
    let empty = vec![
        head(status("201")),
        flood(&[Step::Frame(CONTINUATION, 0, Vec::new())]),
    ];
    check("continuations of nothing", empty, Acknowledged).await;
}

#[tokio::test]
async fn a_head_may_be_huge_and_cut_anywhere() {
    let more = Step::Frame(CONTINUATION, 0, header_block(&[("x", &"y".repeat(10_000))]));
    let last = Step::Frame(CONTINUATION, END_HEADERS, Vec::new());
    for count in [1, 20, 25, 27, 40, 200] {
        let mut script = vec![Step::Frame(HEADERS, END_STREAM, status("201"))];
        script.extend(std::iter::repeat_n(more.clone(), count));
        script.push(last.clone());
        check(&format!("{count} parts"), script, Acknowledged).await;
    }
    // A header that `h2` refuses, so that the status is known from the frames alone.
    let block = header_block(&[(":status", "201"), ("x y", "z")]);
    for cut in 0..=block.len() {
        let (first, rest) = block.split_at(cut);
        let script = vec![
            Step::Frame(HEADERS, END_STREAM, first.to_vec()),
            Step::Frame(CONTINUATION, END_HEADERS, rest.to_vec()),
        ];
        check(&format!("cut at {cut}"), script, Acknowledged).await;
    }
}

#[tokio::test]
async fn wherever_an_answer_is_cut_its_status_counts_once_its_frame_was_read() {
    let head = frame(HEADERS, END_HEADERS, 1, &status("201"));
    let answer = [
        head.clone(),
        frame(DATA, END_STREAM, 1, b"{\"reference\":\"R-7\"}"),
    ]
    .concat();
    let cut = async |cut: usize, end: Step| {
        let part = vec![Step::Say(answer[..cut].to_vec()), end.clone()];
        let server = Scripted::start(Transport::Http2, vec![part], false).await;
        let is_silent = cut < head.len() && matches!(end, Step::Hang);
        let outbound = if is_silent { hasty() } else { patient() };
        let heard = attempt(&outbound, server.url()).await;
        let outcome = if cut < head.len() {
            Unknown
        } else {
            Acknowledged
        };
        let reference = (cut == answer.len()).then(|| "R-7".to_owned());
        assert_eq!(heard, (outcome, reference), "at {cut}, {end:?}");
    };
    for end in [Step::Close, Step::Finish, Step::Hang] {
        let cuts = (0..=answer.len()).map(|at| cut(at, end.clone()));
        futures_util::future::join_all(cuts).await;
    }
}

#[tokio::test]
async fn a_server_that_never_reads_keeps_no_socket_open() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url: Url = format!("https://{}/", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    let outbound = outbound_with(|settings| settings.attempt_timeout = TEST_TIMEOUT);
    let cut = outbound.post.cut.clone();
    let serving = async {
        let (tcp, _) = listener.accept().await.unwrap();
        let mut tls = acceptor(&[b"h2"]).accept(tcp).await.unwrap();
        tls.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
        tls.read_exact(&mut [0; 24]).await.unwrap();
        // The answers to these fill the buffers of both, and nothing moves any more.
        let pings = frame(PING, 0, 0, &[7; 8]).repeat(1000);
        let still = Duration::from_millis(300);
        while let Ok(wrote) = tokio::time::timeout(still, tls.write_all(&pings)).await {
            wrote.unwrap();
        }
        cut.cancel();
        while tls.write_all(&pings).await.is_ok() {}
    };
    let both = async { tokio::join!(serving, attempt(&outbound, url)) };
    let ((), heard) = tokio::time::timeout(TEST_TIMEOUT, both)
        .await
        .expect("the client closes");
    assert_eq!(heard.0, Unknown);
}
