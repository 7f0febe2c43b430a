//! TLS by settings: requests, sockets, and a renewal while the process runs.

use std::{fs, path::PathBuf, sync::Arc};

use e2e::{Expediter, Folder, SOON, until};
use futures_util::StreamExt;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::ServerName},
};

use super::{is_refused_with, launch};

/// An authority of the test's own, and the folder with the process's certificate.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
}

impl Authority {
    fn new(folder: &Folder) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self {
            issuer: CertifiedIssuer::self_signed(params, key).unwrap(),
            folder: folder.path().to_owned(),
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Writes a new certificate for loopback with its key; returns it.
    fn issue(&self) -> Vec<u8> {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        fs::write(self.file("cert.pem"), cert.pem()).unwrap();
        fs::write(self.file("key.pem"), key.serialize_pem()).unwrap();
        cert.der().to_vec()
    }

    async fn connect(&self, url: &str) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let address = url.strip_prefix("https://").unwrap();
        let tcp = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        connector.connect(name, tcp).await.unwrap()
    }

    /// Returns the certificate that the process shows.
    async fn shown(&self, url: &str) -> Vec<u8> {
        let stream = self.connect(url).await;
        let (_, connection) = stream.get_ref();
        connection.peer_certificates().unwrap()[0].to_vec()
    }
}

/// Returns the code of a new table's session.
async fn a_table(running: &Expediter, password: &str) -> String {
    let post = async |path: &str, body: Value| {
        let request = running.request(Method::POST, path).json(&body);
        let (status, made) = running
            .answer(request.basic_auth("olga", Some(password)))
            .await;
        assert_eq!(status, 201, "{made}");
        made
    };
    let store = json!({"name": "Shop", "timezone": "Europe/Berlin", "currency": "EUR"});
    let store = post("/api/v1/stores", store).await;
    let session = json!({"store_id": store["id"], "name": "Table 1"});
    let session = post("/api/v1/sessions", session).await;
    session["code"].as_str().unwrap().to_owned()
}

async fn is_refused(running: &Expediter) -> Option<bool> {
    let metrics = running.request(Method::GET, "/metrics").send().await;
    let text = metrics.unwrap().text().await.unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("expediter_tls_renewal_refused "));
    Some(line? == "1")
}

#[tokio::test]
async fn with_a_certificate_all_is_served_over_tls_also_after_its_renewal() {
    let folder = Folder::new();
    let authority = Authority::new(&folder);
    let first = authority.issue();
    let secured = launch(&folder)
        .set("demo.enabled", false)
        .set("http.tls_cert_file", authority.file("cert.pem").display())
        .set("http.tls_key_file", authority.file("key.pem").display())
        .trusting(&authority.issuer.pem());
    let made = secured.clone().argument("operator").argument("olga");
    let made = made.run().await;
    assert_eq!(made.code, Some(0), "{made:?}");
    let running = secured.start().await;
    assert!(running.url.starts_with("https://"), "{}", running.said);
    assert_eq!(running.get("/readyz").await.0, 200);
    assert_eq!(authority.shown(&running.url).await, first);

    let code = a_table(&running, made.stdout.trim()).await;
    let stream = authority.connect(&running.url).await;
    let url = format!(
        "{}/ws/sessions/{code}",
        running.url.replacen("http", "ws", 1)
    );
    let (mut channel, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
    let hello = timeout(SOON, channel.next()).await.unwrap();
    let hello = hello.unwrap().unwrap();
    let hello: Value = serde_json::from_str(hello.to_text().unwrap()).unwrap();
    assert_eq!(hello["type"], "hello");

    // A renewal that went wrong, and then the right one.
    fs::write(authority.file("cert.pem"), "nothing").unwrap();
    until("the refusal of the renewal", || async {
        is_refused(&running).await?.then_some(())
    })
    .await;
    assert_eq!(authority.shown(&running.url).await, first);
    let second = authority.issue();
    until("the renewed certificate", || async {
        (authority.shown(&running.url).await == second).then_some(())
    })
    .await;
    until("the end of the refusal", || async {
        (!is_refused(&running).await?).then_some(())
    })
    .await;
    let log = running.launch().log();
    assert!(log.contains("http.tls_cert_file names a file"), "{log}");
    // The channel from before lives on.
    let code = format!("/api/v1/sessions/{code}");
    assert_eq!(running.get(&code).await.0, 200);
    channel.close(None).await.unwrap();
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_or_is_half_set_refuses_the_start() {
    let folder = Folder::new();
    let authority = Authority::new(&folder);
    authority.issue();
    let cert = authority.file("cert.pem").display().to_string();
    let without_demo = || launch(&folder).set("demo.enabled", false);
    let half = without_demo().set("http.tls_cert_file", &cert).run().await;
    is_refused_with(&half, &["http.tls_key_file is not set"]);
    let both = |key: &str| {
        without_demo()
            .set("http.tls_cert_file", &cert)
            .set("http.tls_key_file", key)
    };
    let nowhere = both("/nowhere/key.pem").run().await;
    is_refused_with(&nowhere, &["http.tls_key_file", "cannot be read"]);
    let no_key = both(&cert).run().await;
    is_refused_with(&no_key, &["http.tls_key_file", "without a private key"]);
    let key = authority.file("key.pem").display().to_string();
    let with_demo = both(&key).set("demo.enabled", true).run().await;
    is_refused_with(&with_demo, &["demonstration", "http.tls_cert_file"]);
}
