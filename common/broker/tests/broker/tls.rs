//! Cases over TLS: a terminator with a certificate of its own stands before the test's RabbitMQ.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use broker::{BrokerState, ConnectError, Message};
use platform::chance::Chance;
use rcgen::CertifiedKey;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{ServerConfig, pki_types::PrivateKeyDer};

use crate::ground::{Ground, connected, hear, heard, next, publish, within};

fn certificate() -> CertifiedKey<rcgen::KeyPair> {
    rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap()
}

/// Decrypts connections to a free port and forwards them; returns the port's address.
async fn terminator(certified: &CertifiedKey<rcgen::KeyPair>, target: String) -> SocketAddr {
    let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let chain = vec![certified.cert.der().clone()];
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (acceptor, target) = (acceptor.clone(), target.clone());
            tokio::spawn(async move {
                let mut client = acceptor.accept(client).await?;
                let mut server = TcpStream::connect(target).await?;
                tokio::io::copy_bidirectional(&mut client, &mut server).await
            });
        }
    });
    address
}

/// Returns the place of a file with this text.
fn file(text: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("{}.pem", Chance::system().session_code()));
    std::fs::write(&path, text).unwrap();
    path
}

/// Returns a namespace on RabbitMQ over TLS, and the certificate of its server.
async fn rabbit_over_tls() -> Option<(Ground, CertifiedKey<rcgen::KeyPair>)> {
    let mut ground = Ground::rabbit()?;
    let certified = certificate();
    let url = ground.options.url.replacen("amqp://", "amqps://", 1);
    let (account, rest) = url.split_once('@').unwrap();
    let (target, vhost) = rest.split_once('/').unwrap();
    let address = terminator(&certified, target.to_owned()).await;
    ground.options.url = format!("{account}@{address}/{vhost}");
    Some((ground, certified))
}

#[tokio::test]
async fn a_server_whose_authority_is_in_the_file_is_spoken_to_over_tls() {
    let Some((mut ground, certified)) = rabbit_over_tls().await else {
        return;
    };
    let path = file(&certified.cert.pem());
    ground.options.ca_file = Some(path.clone());
    let broker = ground.broker().await;
    std::fs::remove_file(path).unwrap();
    connected(&*broker).await;
    let (mut worker, mut subscriber) = (broker.work(1).await, broker.feed().await);
    publish(&*broker, vec![Message::work("due"), Message::feed("new")]).await;
    assert_eq!(next(&mut worker).await.body, "due");
    assert_eq!(hear(&mut subscriber).await, heard("new"));
    within(broker.close()).await;
}

#[tokio::test]
async fn a_server_that_nobody_we_trust_vouches_for_is_sent_no_password() {
    let Some((mut ground, _)) = rabbit_over_tls().await else {
        return;
    };
    for trusted in [None, Some(file(&certificate().cert.pem()))] {
        ground.options.ca_file.clone_from(&trusted);
        let broker = ground.connect();
        let mut state = broker.state();
        let away = state.wait_for(|state| match state {
            BrokerState::Away { error, .. } => error.to_lowercase().contains("certificate"),
            _ => false,
        });
        within(away).await.unwrap();
        within(broker.close()).await;
        if let Some(path) = trusted {
            std::fs::remove_file(path).unwrap();
        }
    }
}

#[tokio::test]
async fn a_file_of_authorities_that_cannot_be_used_is_named() {
    let mut ground = Ground::at("amqps://user:secret@localhost");
    let good = certificate().cert.pem();
    let (begin, end) = ("-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----");
    let files = [
        "no certificate".to_owned(),
        // Cut off, no base64, no certificate, and all of them behind a good one.
        good.replace(end, ""),
        good.replacen(begin, &format!("{begin}\n!!!!"), 1),
        format!("{begin}\nAAECAwQF\n{end}\n"),
        format!("{good}{begin}\nAAECAwQF\n{end}\n"),
    ]
    .map(|text| file(&text));
    let nowhere = PathBuf::from("/nowhere/ca.pem");
    for path in files.iter().chain([&nowhere]) {
        ground.options.ca_file = Some(path.clone());
        let error = broker::connect(&ground.options, Chance::system()).unwrap_err();
        assert!(matches!(&error, ConnectError::CaFile { path: named, .. } if named == path));
    }
    let good = file(&good);
    ground.options.ca_file = Some(good.clone());
    assert!(broker::connect(&ground.options, Chance::system()).is_ok());
    for path in files.iter().chain([&good]) {
        std::fs::remove_file(path).unwrap();
    }
}
