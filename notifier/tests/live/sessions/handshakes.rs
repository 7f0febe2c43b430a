//! Opening handshakes of sockets, as they stand on the wire.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_asked_over_http_1_0_or_badly_is_a_problem_with_a_request_id() {
    on_sqlite(|house| async move {
        let table = Table::new(house).await;
        let good = [
            "Connection: keep-alive, Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        ];
        let asked = async |version: &str, lines: &[&str]| {
            let lines = lines.join("\r\n");
            let head = format!(
                "GET {} {version}\r\nHost: a\r\n{lines}\r\n\r\n",
                table.path()
            );
            head_of(table.served.address, &head).await
        };
        assert!(asked("HTTP/1.1", &good).await.starts_with("HTTP/1.1 101"));
        let mut refused = vec![asked("HTTP/1.0", &good).await];
        for missing in 0..good.len() {
            let mut lines = good.to_vec();
            lines[missing] = "Sec-WebSocket-Version: 8";
            refused.push(asked("HTTP/1.1", &lines).await);
        }
        for head in refused {
            assert!(
                head.contains(" 400 ") && head.contains("application/problem+json"),
                "{head}"
            );
            assert!(
                head.contains("x-request-id: ") && head.contains("sec-websocket-version: 13"),
                "{head}"
            );
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subprotocol_is_answered_if_it_is_ours() {
    on_sqlite(|house| async move {
    let table = Table::new(house).await;
    for (asked, answered) in [
        ("expediter.live.v1", true),
        ("graphql-ws, expediter.live.v1", true),
        ("graphql-ws\r\nSec-WebSocket-Protocol: expediter.live.v1", true),
        ("graphql-ws", false),
        ("Expediter.Live.V1", false),
        ("expediter.live.v10", false),
    ] {
        let head = format!(
            "GET {} HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: {asked}\r\n\r\n",
            table.path()
        );
        let head = head_of(table.served.address, &head).await;
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        assert_eq!(head.contains("sec-websocket-protocol: expediter.live.v1"), answered, "{asked}: {head}");
    }
    }).await;
}

/// Sends the head of a request as it stands; returns the head of the answer.
async fn head_of(address: std::net::SocketAddr, head: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = async {
        while !answer.windows(4).any(|end| end == b"\r\n\r\n") {
            answer.push(stream.read_u8().await.unwrap());
        }
    };
    timeout(TEST_TIMEOUT, read).await.expect("a head");
    String::from_utf8(answer).unwrap()
}
