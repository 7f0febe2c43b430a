//! The line itself: what it carries, cuts, freezes and loses.

use super::*;

/// Starts a server that echoes everything twice.
async fn start_echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut heard, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut word = [0; 4];
                while heard.read_exact(&mut word).await.is_ok() {
                    heard.write_all(&word).await.unwrap();
                }
            });
        }
    });
    address
}

async fn says(stream: &mut TcpStream) -> bool {
    let mut back = [0; 4];
    stream.write_all(b"word").await.is_ok()
        && stream.read_exact(&mut back).await.is_ok()
        && &back == b"word"
}

#[tokio::test]
async fn a_line_carries_until_it_is_cut_and_lets_in_again() {
    let line = Line::to(vec![start_echo().await]).await;
    let mut stands = TcpStream::connect(line.address).await.unwrap();
    assert!(says(&mut stands).await);
    line.set(Traffic::Refused);
    assert!(!says(&mut stands).await);
    let mut refused = TcpStream::connect(line.address).await.unwrap();
    assert!(!says(&mut refused).await);
    line.set(Traffic::Open);
    let mut new = TcpStream::connect(line.address).await.unwrap();
    assert!(says(&mut new).await);
    line.cut();
    assert!(!says(&mut new).await);
}

#[tokio::test]
async fn when_a_client_vanishes_its_server_is_told_nothing_and_new_clients_get_through() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let line = Line::to(vec![server.local_addr().unwrap()]).await;
    let mut client = TcpStream::connect(line.address).await.unwrap();
    let (mut serves, _) = server.accept().await.unwrap();
    client.write_all(b"word").await.unwrap();
    let mut heard = [0; 4];
    serves.read_exact(&mut heard).await.unwrap();
    line.vanish();
    // Sent after the vanishing or, in case the line has not noticed yet, before the next client.
    let mut next = TcpStream::connect(line.address).await.unwrap();
    let (mut serves_next, _) = server.accept().await.unwrap();
    next.write_all(b"next").await.unwrap();
    serves_next.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"next");
    client.write_all(b"word").await.unwrap();
    drop(client);
    let told = tokio::time::timeout(Duration::from_millis(50), serves.read_u8()).await;
    assert!(told.is_err(), "{told:?}");
    serves.write_all(b"word").await.unwrap();
}

#[tokio::test]
async fn what_is_said_into_a_frozen_line_arrives_when_it_thaws() {
    let line = Line::to(vec![start_echo().await]).await;
    let mut stream = TcpStream::connect(line.address).await.unwrap();
    assert!(says(&mut stream).await);
    line.set(Traffic::Frozen);
    let frozen = tokio::time::timeout(Duration::from_millis(50), says(&mut stream)).await;
    assert!(frozen.is_err());
    line.set(Traffic::Open);
    let mut back = [0; 4];
    stream.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"word");
}

#[tokio::test]
async fn a_line_with_several_ends_goes_round_those_that_answer() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = gone.local_addr().unwrap();
    drop(gone);
    let line = Line::to(vec![nobody, start_echo().await]).await;
    for _ in 0..4 {
        let mut stream = TcpStream::connect(line.address).await.unwrap();
        assert!(says(&mut stream).await);
    }
}

#[tokio::test]
async fn one_commit_is_lost_or_its_answer_and_no_other() {
    for (fault, arrives) in [(CommitFault::AnswerLost, true), (CommitFault::Lost, false)] {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let line = Line::to(vec![server.local_addr().unwrap()]).await;
        line.fail_next_commit(fault);
        let mut client = TcpStream::connect(line.address).await.unwrap();
        let (mut serves, _) = server.accept().await.unwrap();
        client.write_all(b"COMMIT").await.unwrap();
        serves.write_all(b"word").await.unwrap();
        let answer = tokio::time::timeout(Duration::from_millis(50), client.read_u8()).await;
        assert!(answer.is_err(), "{fault:?}");
        assert!(line.has_failed_commit(), "{fault:?}");
        drop(client);
        let mut heard = Vec::new();
        serves.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard == b"COMMIT", arrives, "{fault:?}");

        let mut client = TcpStream::connect(line.address).await.unwrap();
        let (mut serves, _) = server.accept().await.unwrap();
        client.write_all(b"COMMIT").await.unwrap();
        let mut heard = [0; 6];
        serves.read_exact(&mut heard).await.unwrap();
        serves.write_all(b"word").await.unwrap();
        let mut answer = [0; 4];
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!((&heard, &answer), (b"COMMIT", b"word"), "{fault:?}");
    }
}

#[tokio::test]
async fn a_late_commit_arrives_though_its_client_has_gone() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let line = Line::to(vec![server.local_addr().unwrap()]).await;
    line.fail_next_commit(CommitFault::Late(Duration::from_millis(50)));
    let mut client = TcpStream::connect(line.address).await.unwrap();
    let (mut server, _) = server.accept().await.unwrap();
    client.write_all(b"COMMIT").await.unwrap();
    drop(client);
    let mut heard = Vec::new();
    server.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard, b"COMMIT");
}

#[tokio::test]
async fn what_is_injected_comes_through_a_frozen_line() {
    let line = Line::to(vec![start_echo().await]).await;
    let mut stream = TcpStream::connect(line.address).await.unwrap();
    assert!(says(&mut stream).await);
    line.set(Traffic::Frozen);
    line.inject(b"news".to_vec());
    let mut heard = [0; 4];
    stream.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"news");
}
