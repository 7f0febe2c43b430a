//! TLS to MySQL, against a server that speaks only the first words of the protocol.

use std::{path::PathBuf, sync::Arc, time::Duration};

use rcgen::{CertifiedKey, KeyPair};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, pki_types::PrivateKeyDer},
};

use crate::{Db, DbOptions, testing};
use platform::chance::Chance;

const SSL: u16 = 0x0800;

/// Returns the first packet of a MySQL server (protocol 10) with these capabilities.
fn greeting(offers: u16) -> Vec<u8> {
    let mut body = b"\x0a8.0.0-test\0\x01\0\0\0".to_vec();
    body.extend_from_slice(b"saltsalt\0");
    // With a database, protocol 4.1, a password in the newer form.
    body.extend_from_slice(&(0x8208 | offers).to_le_bytes());
    body.extend_from_slice(b"\x2d\x02\0\x08\0\x15");
    body.extend_from_slice(&[0; 10]);
    body.extend_from_slice(b"saltsaltsalt\0mysql_native_password\0");
    let length = u8::try_from(body.len()).unwrap();
    [&[length, 0, 0, 0], body.as_slice()].concat()
}

/// Deed of a client after the greeting.
#[derive(Debug, PartialEq, Eq)]
enum Did {
    SpokeTls,
    RefusedTls,
    /// Sent its password, or nothing, without TLS.
    SpokePlain,
    Left,
}

/// Starts a server; returns its port, and what its clients do.
async fn server(certified: &CertifiedKey<KeyPair>, offers: u16) -> (u16, mpsc::Receiver<Did>) {
    let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (did, clients) = mpsc::channel(16);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            client.write_all(&greeting(offers)).await.unwrap();
            let mut asked = [0; 36];
            let done = match client.read_exact(&mut asked).await {
                Err(_) => Did::Left,
                // The short answer with the flag for TLS comes before anything secret.
                Ok(_) if asked[0] != 32 || asked[5] & 0x08 == 0 => Did::SpokePlain,
                Ok(_) => {
                    let spoke = async { acceptor.accept(client).await?.read_u8().await };
                    match spoke.await {
                        Ok(_) => Did::SpokeTls,
                        Err(_) => Did::RefusedTls,
                    }
                }
            };
            let _ = did.send(done).await;
        }
    });
    (port, clients)
}

fn certificate() -> CertifiedKey<KeyPair> {
    rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap()
}

fn file(certified: &CertifiedKey<KeyPair>) -> PathBuf {
    let name = format!("{}.pem", Chance::system().session_code());
    let path = testing::environment::temporary_folder().join(name);
    std::fs::write(&path, certified.cert.pem()).unwrap();
    path
}

#[tokio::test]
async fn the_urls_options_of_tls_are_kept_and_an_untrusted_server_is_sent_no_password() {
    let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
    let (ours, others) = (certificate(), certificate());
    let (ca, other_ca) = (file(&ours), file(&others));
    let (tls_port, mut tls_clients) = server(&ours, SSL).await;
    let (plain_port, mut plain_clients) = server(&ours, 0).await;
    let connect = async |host: &str, port: u16, options: &str| {
        let url = format!("mysql://me:secret@{host}:{port}/x?{options}");
        let options = DbOptions {
            connect_timeout: Duration::from_secs(5),
            ..DbOptions::new(url)
        };
        // It never gets further than the greeting.
        Db::connect(&options).await.unwrap_err()
    };
    for (host, options, did) in [
        (
            "127.0.0.1",
            format!("ssl-mode=VERIFY_CA&ssl-ca={}", ca.display()),
            Did::SpokeTls,
        ),
        (
            "127.0.0.1",
            format!("ssl-mode=VERIFY_IDENTITY&ssl-ca={}", ca.display()),
            Did::SpokeTls,
        ),
        (
            "localhost",
            format!("ssl-mode=VERIFY_IDENTITY&ssl-ca={}", ca.display()),
            Did::RefusedTls,
        ),
        // sqlx means to forgive another name here, but not in the form in which rustls tells it now.
        (
            "localhost",
            format!("ssl-mode=VERIFY_CA&ssl-ca={}", ca.display()),
            Did::RefusedTls,
        ),
        (
            "127.0.0.1",
            format!("ssl-mode=VERIFY_CA&ssl-ca={}", other_ca.display()),
            Did::RefusedTls,
        ),
        (
            "127.0.0.1",
            "ssl-mode=VERIFY_CA".to_owned(),
            Did::RefusedTls,
        ),
        ("127.0.0.1", "ssl-mode=REQUIRED".to_owned(), Did::SpokeTls),
        ("127.0.0.1", "ssl-mode=DISABLED".to_owned(), Did::SpokePlain),
    ] {
        let error = connect(host, tls_port, &options).await;
        assert_eq!(tls_clients.recv().await, Some(did), "{options}: {error}");
    }
    let refused = connect("127.0.0.1", plain_port, "ssl-mode=REQUIRED").await;
    assert_eq!(plain_clients.recv().await, Some(Did::Left), "{refused}");
    for path in [ca, other_ca] {
        std::fs::remove_file(path).unwrap();
    }
}
