//! One table of answers: status, headers, framing and end of the transport, with the outcome of each, over every
//! transport.

use domain::handoff::{AttemptOutcome, outcome, parse_reference};
use store::testing::TEST_TIMEOUT;

use super::{
    says::{End, Framing, Says, WHOLE},
    *,
};
use crate::testing::scripted::{Script, Scripted, Step, Transport, frame};
use AttemptOutcome::{Acknowledged, Gone, Refused, Retry, Unknown};

/// The part of an answer that comes before the trouble.
const PART: &str = r#"{"reference":"R-7","items":[{"na"#;

const ENDS: [End; 4] = [End::Close, End::Hang, End::Drip, End::Pour];

/// Outcome and reference of one attempt.
type Heard = (AttemptOutcome, Option<String>);

/// Makes one attempt; a minute passes before it is given up, so that a test fails that waits for the time-out.
async fn attempt(transport: Transport, script: Script, timeout: Duration) -> Heard {
    let server = Scripted::start(transport, vec![script], false).await;
    let outbound = outbound_with(|settings| {
        settings.attempt_timeout = timeout;
        settings.body_grace = Duration::from_millis(100);
    });
    let attempt = Outgoing {
        leased_until: noon() + Duration::from_secs(7200),
        ..outgoing(server.url())
    };
    let sent = tokio::time::timeout(TEST_TIMEOUT, outbound.attempt(&attempt)).await;
    let sent = sent.expect("nobody waits for the whole time-out");
    assert_eq!(server.requests(), [0], "it was sent once");
    let AttemptResult::SendResult { heard, answer, .. } = sent else {
        panic!("{sent:?}");
    };
    let reference = answer.and_then(|answer| parse_reference(&answer, None));
    (outcome(&heard, false), reference)
}

const LONG: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(300);

async fn check(
    name: &str,
    says: &Says,
    timeout: Duration,
    expected: (AttemptOutcome, Option<&str>),
) {
    for transport in Transport::ALL {
        let heard = attempt(transport, says.script(transport), timeout).await;
        let heard = (heard.0, heard.1.as_deref());
        assert_eq!(heard, expected, "{name}, {transport:?}: {says:?}");
    }
}

#[tokio::test]
async fn a_whole_answer_counts_by_its_status() {
    for (statuses, outcome) in [
        (&[200, 201, 202, 226, 299][..], Acknowledged),
        (
            &[
                301, 307, 400, 401, 403, 404, 405, 409, 413, 421, 422, 451, 499,
            ],
            Refused,
        ),
        (&[408, 425, 429, 500, 502, 503, 504, 599], Retry),
        (&[410], Gone),
        (&[600, 999], Refused),
    ] {
        for status in statuses {
            let says = Says::whole(*status);
            check("whole", &says, LONG, (outcome, Some("R-7"))).await;
        }
    }
    for framing in [Framing::Chunked, Framing::UntilClose] {
        let says = Says::whole(201).body(framing, WHOLE, End::Complete);
        check("whole", &says, LONG, (Acknowledged, Some("R-7"))).await;
    }
    let empty = Says::whole(204).body(Framing::Length(0), "", End::Complete);
    check("no content", &empty, LONG, (Acknowledged, None)).await;
}

#[tokio::test]
async fn a_body_that_never_comes_to_its_end_costs_nothing_but_its_rest() {
    for (status, outcome) in [
        (201, Acknowledged),
        (422, Refused),
        (503, Retry),
        (410, Gone),
    ] {
        for framing in [
            Framing::Length(60_000),
            Framing::Length(10_000_000_000),
            Framing::Chunked,
            Framing::UntilClose,
        ] {
            for end in ENDS {
                let says = Says::whole(status).body(framing, PART, end);
                check("unfinished", &says, LONG, (outcome, Some("R-7"))).await;
            }
        }
    }
}

#[tokio::test]
async fn a_body_that_never_begins_is_left() {
    for framing in [Framing::Length(7), Framing::UntilClose] {
        for end in [End::Close, End::Hang] {
            let says = Says::whole(201).body(framing, "", end);
            check("no body", &says, LONG, (Acknowledged, None)).await;
        }
    }
}

#[tokio::test]
async fn a_head_that_never_ends_has_a_status() {
    for end in ENDS {
        for (status, outcome) in [
            (201, Acknowledged),
            (404, Refused),
            (500, Retry),
            (410, Gone),
        ] {
            let says = Says::whole(status).line("x-why: 1").cut_head(end);
            check("unfinished head", &says, LONG, (outcome, None)).await;
        }
    }
}

#[tokio::test]
async fn odd_header_lines_cost_neither_the_status_nor_the_reference() {
    for odd in [
        "x-why : 1",
        "x why: 1",
        "x\tw: 1",
        " folded",
        "\tfolded: 1",
        "this is no header",
        "nothing",
        ": 1",
        "x(y): 1",
        "\u{e9}t\u{e9}: 1",
        "connection: keep-alive",
        "upgrade: h2c",
        "te: gzip",
    ] {
        let says = Says::whole(201).line("x-a: 1").line(odd).line("x-b: 2");
        for transport in Transport::ALL {
            let heard = attempt(transport, says.script(transport), LONG).await;
            assert_eq!(heard.0, Acknowledged, "{odd:?}, {transport:?}");
            // HTTP/2 ends the stream because of such a header, and nothing of the body is handed on.
            if transport != Transport::Http2 {
                assert_eq!(heard.1.as_deref(), Some("R-7"), "{odd:?}, {transport:?}");
            }
        }
    }
    for odd in [
        "x-why: \u{e9}",
        "x-why:",
        "x-why:  \t ",
        "content-type: application/json;;",
        "date: yesterday",
        "retry-after: soon",
        "content-encoding: gzip",
        "set-cookie: a=b",
    ] {
        let says = Says::whole(201).line(odd).line(odd);
        check(odd, &says, LONG, (Acknowledged, Some("R-7"))).await;
    }
}

#[tokio::test]
async fn a_head_may_have_many_lines_and_long_ones() {
    let many =
        |count| (0..count).fold(Says::whole(201), |says, n| says.line(format!("x-{n}: {n}")));
    for count in [99, 100, 101, 150, 1000] {
        check("many", &many(count), LONG, (Acknowledged, Some("R-7"))).await;
    }
    let long = Says::whole(201).line(format!("x-long: {}", "x".repeat(10_000)));
    check("long", &long, LONG, (Acknowledged, Some("R-7"))).await;
}

#[tokio::test]
async fn a_length_that_is_wrong_or_none_costs_only_the_body() {
    let shorter = Says::whole(201).body(Framing::Length(2), WHOLE, End::Complete);
    check("shorter", &shorter, LONG, (Acknowledged, None)).await;
    for length in ["x", "-1", "+19", "19, 20", "1e3", ""] {
        let says = Says::whole(201)
            .line(format!("content-length: {length}"))
            .body(Framing::UntilClose, WHOLE, End::Close);
        for transport in Transport::ALL {
            let heard = attempt(transport, says.script(transport), LONG).await;
            assert_eq!(heard.0, Acknowledged, "{length:?}, {transport:?}");
            if transport != Transport::Http2 {
                assert_eq!(heard.1.as_deref(), Some("R-7"), "{length:?}, {transport:?}");
            }
        }
    }
}

#[tokio::test]
async fn informational_answers_are_not_the_answer() {
    let early = |informational, says: Says| Says {
        informational,
        ..says
    };
    for informational in [&[100][..], &[103], &[100, 102, 103, 103]] {
        let then = early(informational, Says::whole(201));
        check("early hints", &then, LONG, (Acknowledged, Some("R-7"))).await;
        for end in [End::Close, End::Hang] {
            let silent = Says {
                status: None,
                end,
                ..Says::whole(201)
            };
            let only = early(informational, silent);
            check("only early", &only, SHORT, (Unknown, None)).await;
        }
    }
}

#[tokio::test]
async fn without_a_status_the_outcome_is_unknown() {
    for end in [End::Close, End::Hang] {
        let says = Says {
            status: None,
            end,
            ..Says::whole(201)
        };
        check("silent", &says, SHORT, (Unknown, None)).await;
    }
    for said in [
        "HTTP/1.1 20",
        "HTTP/1.1 201 Crea",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n",
        "HTTP/1.1 OK\r\n\r\n",
        "SSH-2.0-x\r\n\r\n",
        "<html>201 Created</html>\r\n",
    ] {
        for transport in [Transport::Plain, Transport::Tls] {
            let script = vec![Step::Say(said.as_bytes().to_vec()), Step::Close];
            let heard = attempt(transport, script, SHORT).await;
            assert_eq!(heard, (Unknown, None), "{said}, {transport:?}");
        }
    }
    let garbage = vec![
        Step::Say(frame(99, 0xff, 0, &[0xff; 100])),
        Step::Say(vec![0xff; 100]),
    ];
    let heard = attempt(Transport::Http2, garbage, SHORT).await;
    assert_eq!(heard, (Unknown, None));
}

#[tokio::test]
async fn chunks_that_are_wrong_end_the_body_where_they_are() {
    let head = "HTTP/1.1 201 x\r\ntransfer-encoding: chunked\r\n\r\n";
    let length = PART.len();
    for wrong in [
        format!("{length:x}\r\n{PART}\r\nnonsense\r\n"),
        format!("{length:x}\r\n{PART}\r\n-1\r\n"),
        format!("{length:x}\r\n{PART}more than that\r\n0\r\n\r\n"),
        format!("{length:x};name=\"value\"\n{PART}\n"),
        format!("fffffffffffffffffff\r\n{PART}"),
    ] {
        for transport in [Transport::Plain, Transport::Tls] {
            for end in [Step::Close, Step::Hang] {
                let script = vec![Step::Say(format!("{head}{wrong}").into_bytes()), end];
                let heard = attempt(transport, script, LONG).await;
                let expected = (Acknowledged, Some("R-7".to_owned()));
                assert_eq!(heard, expected, "{wrong}, {transport:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_connection_that_is_reset_after_the_answer_has_an_outcome() {
    for transport in Transport::ALL {
        let says = Says::whole(201).body(Framing::Length(60_000), PART, End::Close);
        // The pause lets the answer arrive before the reset takes the rest of it away.
        let mut script = says.script(transport);
        let close = script.pop().unwrap();
        script.extend([Step::Pause(Duration::from_millis(20)), close]);
        let server = Scripted::start(transport, vec![script], true).await;
        let sent = outbound().attempt(&outgoing(server.url())).await;
        assert_eq!(heard(&sent), &answer(201), "{transport:?}");
    }
}

#[tokio::test]
async fn an_http2_stream_that_is_reset_counts_by_what_came_before() {
    const RST_STREAM: u8 = 3;
    const NO_ERROR: u8 = 0;
    const INTERNAL_ERROR: u8 = 2;
    const REFUSED_STREAM: u8 = 7;
    const HTTP_1_1_REQUIRED: u8 = 13;
    let reset = |reason| Step::Frame(RST_STREAM, 0, vec![0, 0, 0, reason]);
    let answered = Says::whole(201).body(Framing::UntilClose, PART, End::Complete);
    let answered = || {
        let mut script = answered.script(Transport::Http2);
        let last = script.len() - 1;
        let Step::Frame(_, flags, _) = &mut script[last] else {
            panic!("there is a body");
        };
        *flags = 0;
        script
    };
    for reason in [NO_ERROR, INTERNAL_ERROR, REFUSED_STREAM] {
        let mut script = answered();
        script.push(reset(reason));
        let heard = attempt(Transport::Http2, script, LONG).await;
        assert_eq!(heard.0, Acknowledged, "{reason}");
    }
    for (reason, expected) in [
        (REFUSED_STREAM, Retry),
        (HTTP_1_1_REQUIRED, Retry),
        (INTERNAL_ERROR, Unknown),
        (NO_ERROR, Unknown),
    ] {
        let heard = attempt(Transport::Http2, vec![reset(reason)], SHORT).await;
        assert_eq!(heard, (expected, None), "{reason}");
    }
}

#[tokio::test]
async fn an_http2_server_that_goes_away_says_what_it_has_processed() {
    const GOAWAY: u8 = 7;
    let leave = |last: u8, reason: u8| frame(GOAWAY, 0, 0, &[0, 0, 0, last, 0, 0, 0, reason]);
    for reason in [0, 2, 11] {
        for end in [Step::Close, Step::Hang] {
            let script = vec![Step::Say(leave(0, reason)), end.clone()];
            let heard = attempt(Transport::Http2, script, SHORT).await;
            assert_eq!(heard, (Retry, None), "none processed, {reason}, {end:?}");
            let script = vec![Step::Say(leave(1, reason)), end.clone()];
            let heard = attempt(Transport::Http2, script, SHORT).await;
            assert_eq!(heard, (Unknown, None), "ours processed, {reason}, {end:?}");
        }
    }
    let mut script = vec![Step::Say(leave(1, 0))];
    script.extend(Says::whole(201).script(Transport::Http2));
    let heard = attempt(Transport::Http2, script, LONG).await;
    assert_eq!(heard, (Acknowledged, Some("R-7".to_owned())));
}
