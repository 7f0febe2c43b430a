//! Tests of TLS with an authority of our own.

use std::{fs, net::SocketAddr};

use platform::chance::Chance;
use poem::{Route, Server, get, handler, listener::Acceptor};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{ClientConfig, RootCertStore, pki_types::ServerName},
};

use super::*;
use crate::listen;

/// An authority of the test's own.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Returns a new certificate for loopback and its key, in PEM.
    fn issue(&self) -> (String, String) {
        self.issue_until(3000)
    }

    /// Returns one that ends with the beginning of a year.
    fn issue_until(&self, year: i32) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        params.not_after = date_time_ymd(year, 1, 1);
        let cert = params.signed_by(&key, &self.0).unwrap();
        (cert.pem(), key.serialize_pem())
    }

    /// Connects over TLS, and trusts this authority only.
    async fn connect(&self, address: SocketAddr) -> io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), HTTP.to_vec()];
        let name = ServerName::from(address.ip());
        let tcp = TcpStream::connect(address).await?;
        TlsConnector::from(Arc::new(config))
            .connect(name, tcp)
            .await
    }
}

/// Two files that are removed after the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let folder = store::testing::environment::temporary_folder();
        let path = folder.join(Chance::system().session_code());
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn files(&self) -> TlsFiles {
        TlsFiles {
            cert: self.0.join("cert.pem"),
            key: self.0.join("key.pem"),
        }
    }

    fn write(&self, (cert, key): &(String, String)) {
        fs::write(self.files().cert, cert).unwrap();
        fs::write(self.files().key, key).unwrap();
    }

    async fn load(&self) -> Result<Tls, TlsError> {
        Tls::load(self.files(), Clock::system()).await
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

#[handler]
fn hello(request: &poem::Request) -> String {
    format!("hello by {}", request.scheme())
}

/// Serves with a certificate on a free port; returns the address.
async fn serve(tls: &Tls) -> SocketAddr {
    let any_port = "127.0.0.1:0".parse().unwrap();
    let acceptor = listen::bind(any_port).await.unwrap().secured(tls);
    let address = acceptor.address();
    let routes = Route::new().at("/", get(hello));
    tokio::spawn(Server::new_with_acceptor(acceptor).run(routes));
    address
}

/// Returns the certificate that the server shows.
async fn shown(authority: &Authority, address: SocketAddr) -> Vec<u8> {
    let stream = authority.connect(address).await.unwrap();
    let (_, connection) = stream.get_ref();
    connection.peer_certificates().unwrap()[0].to_vec()
}

fn der(cert: &str) -> Vec<u8> {
    let read = CertificateDer::from_pem_slice(cert.as_bytes());
    read.unwrap().to_vec()
}

#[tokio::test]
async fn who_trusts_the_authority_is_answered_over_tls_and_nobody_else() {
    let (authority, folder) = (Authority::new(), Folder::new());
    folder.write(&authority.issue());
    let tls = folder.load().await.unwrap();
    let address = serve(&tls).await;
    let ask = b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n";

    let mut stream = authority.connect(address).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(HTTP));
    stream.write_all(ask).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(answer.ends_with("hello by https"), "{answer}");

    assert!(Authority::new().connect(address).await.is_err());
    let mut plain = TcpStream::connect(address).await.unwrap();
    plain.write_all(ask).await.unwrap();
    let mut answer = Vec::new();
    // An alert at most, and the end.
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!answer.windows(5).any(|part| part == b"hello"));
    // Such clients leave no mark.
    assert!(authority.connect(address).await.is_ok());
}

#[tokio::test]
async fn a_renewed_certificate_is_for_new_connections_and_old_ones_go_on() {
    let (authority, folder) = (Authority::new(), Folder::new());
    let (first, second) = (authority.issue(), authority.issue());
    folder.write(&first);
    let mut tls = folder.load().await.unwrap();
    let address = serve(&tls).await;
    let mut old = authority.connect(address).await.unwrap();
    assert_eq!(shown(&authority, address).await, der(&first.0));
    assert_eq!(tls.look().await, None);
    folder.write(&second);
    assert_eq!(tls.look().await, Some(Ok(())));
    assert_eq!(tls.look().await, None);
    assert_eq!(shown(&authority, address).await, der(&second.0));
    old.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let mut answer = [0; 15];
    old.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
}

#[tokio::test]
async fn a_renewal_that_cannot_be_used_is_told_once_and_the_old_certificate_stays() {
    let (authority, folder) = (Authority::new(), Folder::new());
    let (first, second) = (authority.issue(), authority.issue());
    folder.write(&first);
    let mut tls = folder.load().await.unwrap();
    let address = serve(&tls).await;
    // The certificate is written before its key.
    fs::write(folder.files().cert, &second.0).unwrap();
    let refused = tls.look().await.unwrap().unwrap_err();
    assert_eq!(refused.setting, KEY);
    assert_eq!(tls.look().await, None);
    assert_eq!(shown(&authority, address).await, der(&first.0));
    fs::write(folder.files().key, &second.1).unwrap();
    assert_eq!(tls.look().await, Some(Ok(())));
    assert_eq!(shown(&authority, address).await, der(&second.0));
    // One of the files is gone for a while.
    fs::remove_file(folder.files().cert).unwrap();
    assert_eq!(tls.look().await.unwrap().unwrap_err().setting, CERT);
    assert_eq!(tls.look().await, None);
    assert_eq!(shown(&authority, address).await, der(&second.0));
    folder.write(&first);
    assert_eq!(tls.look().await, Some(Ok(())));
    assert_eq!(shown(&authority, address).await, der(&first.0));
}

#[tokio::test]
async fn a_certificate_that_has_ended_replaces_none_that_has_not() {
    let (authority, folder) = (Authority::new(), Folder::new());
    let clock = Clock::manual("2026-11-20T12:00:00Z".parse().unwrap());
    let load = async || Tls::load(folder.files(), clock.clone()).await.unwrap();
    let metrics = Metrics::new();
    folder.write(&authority.issue_until(2027));
    let mut tls = load().await;
    tls.tell_end(&metrics);
    assert_eq!(metrics.tls_certificate_ends_seconds.get(), 1_798_761_600);
    folder.write(&authority.issue_until(2026));
    let refused = tls.look().await.unwrap().unwrap_err();
    assert_eq!(refused.setting, CERT);
    // It is better than none, and than another one that has ended.
    let mut tls = load().await;
    folder.write(&authority.issue_until(2025));
    assert_eq!(tls.look().await, Some(Ok(())));
    folder.write(&authority.issue_until(2028));
    assert_eq!(tls.look().await, Some(Ok(())));
}

#[tokio::test]
async fn what_is_no_certificate_with_its_key_is_refused_by_its_setting_alone() {
    let (authority, folder) = (Authority::new(), Folder::new());
    let ((cert, key), other) = (authority.issue(), authority.issue());
    let cut_off = |text: &str| text[..text.len() / 2].to_owned();
    let nothing = "-----BEGIN CERTIFICATE-----\nAAECAwQF\n-----END CERTIFICATE-----\n";
    for (cert, key, setting) in [
        (String::new(), key.clone(), CERT),
        (key.clone(), key.clone(), CERT),
        (cut_off(&cert), key.clone(), CERT),
        (nothing.to_owned(), key.clone(), CERT),
        ("x".repeat((1 << 20) + 1), key.clone(), CERT),
        (cert.clone(), String::new(), KEY),
        (cert.clone(), cert.clone(), KEY),
        (cert.clone(), cut_off(&key), KEY),
        (cert.clone(), other.1.clone(), KEY),
        (
            cert.clone(),
            nothing.replace("CERTIFICATE", "PRIVATE KEY"),
            KEY,
        ),
    ] {
        folder.write(&(cert, key.clone()));
        let refused = folder.load().await.unwrap_err();
        assert_eq!(refused.setting, setting, "{refused}");
        let told = refused.to_string();
        assert!(told.starts_with(setting) && told.lines().count() == 1);
        let secret = key.lines().nth(1);
        assert!(!secret.is_some_and(|line| told.contains(line)), "{told}");
    }
    for missing in [folder.files().key, folder.files().cert] {
        folder.write(&authority.issue());
        fs::remove_file(&missing).unwrap();
        let told = folder.load().await.unwrap_err().to_string();
        assert!(told.contains("cannot be read: No such file"), "{told}");
        assert!(!told.contains(missing.to_str().unwrap()), "{told}");
    }
    // A chain, and both in one file.
    let chain = format!("{cert}{}{key}", authority.0.pem());
    folder.write(&(chain.clone(), chain));
    folder.load().await.unwrap();
}

#[tokio::test]
async fn a_handshake_and_a_head_in_tls_must_come_in_time() {
    let (authority, folder) = (Authority::new(), Folder::new());
    folder.write(&authority.issue());
    let tls = folder.load().await.unwrap();
    // Long enough for a handshake on a busy machine.
    let soon = Duration::from_secs(4);
    let any_port = "127.0.0.1:0".parse().unwrap();
    let acceptor = listen::bind(any_port).await.unwrap().secured(&tls);
    let mut acceptor = acceptor.bounded(soon, 10);
    let address = acceptor.address();
    let mut buffer = [0; 100];

    let mut silent = TcpStream::connect(address).await.unwrap();
    let (mut accepted, _, _, scheme) = acceptor.accept().await.unwrap();
    assert_eq!(scheme.as_str(), "https");
    // The beginning of a handshake, and no more.
    silent.write_all(b"\x16\x03\x01").await.unwrap();
    let late = accepted.read(&mut buffer).await.unwrap_err();
    assert_eq!(late.kind(), io::ErrorKind::TimedOut);

    let connecting = authority.connect(address);
    let accepting = async {
        let (mut accepted, ..) = acceptor.accept().await.unwrap();
        let read = accepted.read(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..read], b"GET / HT");
        accepted.read(&mut buffer).await.unwrap_err()
    };
    let sending = async {
        let mut client = connecting.await.unwrap();
        client.write_all(b"GET / HT").await.unwrap();
        client.flush().await.unwrap();
        client
    };
    let (late, _client) = tokio::join!(accepting, sending);
    assert_eq!(late.kind(), io::ErrorKind::TimedOut);
}
