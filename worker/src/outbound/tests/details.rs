//! Details of an answer, and changed headers: both for checks of integrators.

use super::{
    says::{End, Framing, Says, WHOLE},
    *,
};
use crate::testing::scripted::{Script, Scripted, Step, Transport};

async fn details(transport: Transport, script: Script) -> AnswerDetails {
    let server = Scripted::start(transport, vec![script], false).await;
    let quick = outbound_with(|settings| settings.body_grace = Duration::from_millis(200));
    let probed = quick.probe(&outgoing(server.url()), |_| {}).await;
    assert_eq!(heard(&probed.result), &answer(200));
    probed.details.unwrap()
}

#[tokio::test]
async fn the_end_of_an_answer_is_told_over_every_transport() {
    let longer = Framing::Length(100_000);
    for (says, end) in [
        (Says::whole(200), AnswerEnd::Complete),
        (
            Says::whole(200).body(longer, WHOLE, End::Hang),
            AnswerEnd::Missing,
        ),
        (
            Says::whole(200).body(longer, WHOLE, End::Close),
            AnswerEnd::CutShort,
        ),
        (
            Says::whole(200).body(Framing::Length(1 << 30), "", End::Pour),
            AnswerEnd::TooLong,
        ),
        (Says::whole(200).cut_head(End::Hang), AnswerEnd::Missing),
    ] {
        for transport in Transport::ALL {
            let told = details(transport, says.script(transport)).await;
            assert_eq!(told.end, end, "{transport:?}: {says:?}");
        }
    }
}

#[tokio::test]
async fn type_and_location_are_told_over_every_transport() {
    let says = Says::whole(200)
        .line("content-type: text/html")
        .line("location: /elsewhere");
    for transport in Transport::ALL {
        let told = details(transport, says.script(transport)).await;
        assert_eq!(told.content_type.as_deref(), Some("text/html"));
        assert_eq!(told.location.as_deref(), Some("/elsewhere"));
        assert_eq!((told.oddity, told.has_surplus), (None, false));
    }
}

#[tokio::test]
async fn a_body_without_a_length_ends_with_its_connection() {
    let says = Says::whole(200).body(Framing::UntilClose, WHOLE, End::Close);
    let told = details(Transport::Plain, says.script(Transport::Plain)).await;
    assert_eq!((told.end, told.oddity), (AnswerEnd::Complete, None));
}

#[tokio::test]
async fn an_odd_head_and_surplus_bytes_are_told() {
    for (line, oddity) in [
        ("stray text", "it has a line that is not `name: value`"),
        (
            "content-length: 3",
            "its Content-Length is not a number, or there are several",
        ),
        (
            "transfer-encoding: chunked",
            "it has both Transfer-Encoding and Content-Length",
        ),
    ] {
        let says = Says::whole(200).line(line);
        let told = details(Transport::Plain, says.script(Transport::Plain)).await;
        assert_eq!(told.oddity, Some(oddity), "{line}");
    }
    let mut more = Says::whole(200).script(Transport::Plain);
    if let Some(Step::Say(bytes)) = more.first_mut() {
        bytes.extend_from_slice(b"surplus");
    }
    assert!(details(Transport::Plain, more).await.has_surplus);
}

#[tokio::test]
async fn a_probe_sends_the_headers_as_they_were_changed() {
    let integrator = Integrator::start([Reply::status(200)]).await;
    let (outbound, outgoing) = (outbound(), outgoing(integrator.url()));
    let probing = outbound.probe(&outgoing, |headers| {
        headers.remove("webhook-signature");
    });
    assert_eq!(heard(&probing.await.result), &answer(200));
    let received = integrator.received();
    assert_eq!(received[0].header("webhook-signature"), "");
    assert!(!received[0].header("webhook-timestamp").is_empty());
}
