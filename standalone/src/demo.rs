//! Demonstration store: created on an empty database, and reused at every start.

mod kept; // data/demo.json
mod make; // store, accounts, the kitchen and the courier as integrators
mod menu; // the pizzeria's menu, hours and capacity
mod shown; // GET /demo.json and /demo/handoffs.json

use std::sync::Arc;

use api::http::problem::Problem;

use courier::Courier;
use domain::{
    ids::{ProductId, StoreId},
    session::{Session, SessionState},
};
use kitchen::Kitchen;
use ledger::{ChangeError, Ledger, sessions::SessionRefused};
use poem::{Endpoint, IntoResponse, Request, Response, http::header};
use runtime::config::Settings;
use url::{Host, Url};

pub(crate) use self::{
    kept::{Login, SavedDemo},
    make::{DemoBuilder, make},
    shown::{DEMO_PATH, HANDOFFS_PATH, ShownDemo, ShownHandoff, ShownProduct, mount},
};
use crate::{data_dir::DataDir, refusal::Refusal};

/// Path below which the kitchen is served.
const KITCHEN_PATH: &str = "/kitchen";
/// Path below which the courier is served.
const COURIER_PATH: &str = "/courier";
const TABLE: &str = "Table 1";
/// Maximum number of open sessions searched for the demonstration's table.
const MAX_SESSIONS: u32 = 100;

/// Demonstration of a running process. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Demo {
    ledger: Ledger,
    store: StoreId,
    public_url: Arc<str>,
    kitchen: Kitchen,
    courier: Courier,
    logins: Arc<[Login]>,
}

/// State of a data directory's demonstration, whose logins are printed at every start.
#[derive(Debug)]
pub(crate) enum DemoState {
    /// Created completely or partly by an earlier start.
    SavedDemo(Box<SavedDemo>),
    /// No demonstration yet; this start creates it if the database is empty.
    Perhaps,
    No,
}

impl DemoState {
    /// Reads the state. Refuses to listen beyond loopback, because the logins are printed on the terminal.
    pub(crate) fn of(settings: &Settings, data_dir: &DataDir) -> Result<Self, Refusal> {
        let kept = SavedDemo::read(data_dir)?;
        let listen = settings.http.api_listen;
        if (settings.demo.enabled || kept.is_some()) && !listen.ip().is_loopback() {
            return Err(Refusal::DemoBeyondLoopback { listen });
        }
        let http = &settings.http;
        if settings.demo.enabled && http.tls_files().is_some() {
            return Err(Refusal::DemoOverTls);
        }
        for (key, url) in [
            ("http.public_url", &http.public_url),
            ("http.callback_url", &http.callback_url),
        ] {
            if let Some(url) = url
                && (settings.demo.enabled || kept.is_some())
                && !is_loopback(url.url())
            {
                let url = url.to_string();
                return Err(Refusal::DemoInPublic { key, url });
            }
        }
        Ok(match kept {
            _ if !settings.demo.enabled => Self::No,
            Some(kept) => Self::SavedDemo(Box::new(kept)),
            None => Self::Perhaps,
        })
    }
}

/// Returns true if an URL's host is on this machine, by an address or by the name that browsers take for it.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.to_canonical().is_loopback(),
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            name == "localhost" || name.ends_with(".localhost")
        }
        None => false,
    }
}

/// Middleware of a process with the demonstration: refuses requests for any host but this machine. The page of another
/// site may have its own name lead here (DNS rebinding), and the browser would take it for the same site.
pub(crate) async fn only_for_this_machine<E: Endpoint>(
    next: Arc<E>,
    request: Request,
) -> poem::Result<Response> {
    let host = request.header(header::HOST);
    let host = host.or_else(|| request.uri().authority().map(|it| it.as_str()));
    let asked = host.and_then(|host| Url::parse(&format!("http://{host}/")).ok());
    if !asked.is_some_and(|url| is_loopback(&url)) {
        let refused = Problem::forbidden().detail(
            "A process with the demonstration answers to 127.0.0.1 and localhost only; see demo.enabled.",
        );
        return Err(refused.into());
    }
    next.call(request).await.map(IntoResponse::into_response)
}

impl Demo {
    pub(crate) fn kitchen(&self) -> &Kitchen {
        &self.kitchen
    }

    pub(crate) fn courier(&self) -> &Courier {
        &self.courier
    }

    pub(crate) fn logins(&self) -> &[Login] {
        &self.logins
    }

    /// Returns the table's code and the first product of the menu.
    pub(crate) async fn first_order(&self) -> anyhow::Result<(String, Option<ProductId>)> {
        let code = self.table().await?.code;
        let menu = self.ledger.menu(self.store).await?;
        let first = menu.and_then(|read| read.menu.products.into_iter().next());
        let product = first.map(|one| one.product.id);
        Ok((code, product))
    }

    /// Returns the open session of the table, opening a new one if it was closed.
    async fn table(&self) -> ledger::ChangeResult<Session, SessionRefused> {
        if let Some(open) = self.open_table().await? {
            return Ok(open);
        }
        match self.ledger.open_session(self.store, TABLE).await {
            Err(ChangeError::Refused(SessionRefused::NameTaken)) => {
                // Another request has just opened it.
                let open = self.open_table().await?;
                open.ok_or(ChangeError::Refused(SessionRefused::NameTaken))
            }
            opened => opened,
        }
    }

    async fn open_table(&self) -> ledger::Result<Option<Session>> {
        let sessions =
            self.ledger
                .sessions_of_store(self.store, SessionState::Open, None, MAX_SESSIONS);
        let open = sessions.await?;
        Ok(open.into_iter().find(|session| session.name == TABLE))
    }
}

#[cfg(test)]
mod tests {
    use poem::{EndpointExt, http::StatusCode};

    use super::*;

    #[test]
    fn only_what_browsers_take_for_this_machine_is_loopback() {
        for (url, here) in [
            ("http://127.0.0.1:8080", true),
            ("http://127.9.9.9", true),
            ("http://[::1]:8080", true),
            ("http://[::ffff:127.0.0.1]", true),
            ("http://LOCALHOST", true),
            ("http://localhost.:8080", true),
            ("http://shop.localhost", true),
            ("http://0x7f000001/", true),
            ("https://order.example", false),
            ("http://192.168.1.7:8080", false),
            ("http://0.0.0.0:8080", false),
            ("http://localhost.evil.example", false),
            ("http://notlocalhost", false),
        ] {
            assert_eq!(is_loopback(&url.parse().unwrap()), here, "{url}");
        }
    }

    #[tokio::test]
    async fn the_page_of_a_name_that_leads_here_is_answered_nothing() {
        let app = poem::endpoint::make_sync(|_| "the logins").around(only_for_this_machine);
        let status = async |host: Option<&str>| {
            let request = host.map_or_else(Request::builder, |host| {
                Request::builder().header("host", host)
            });
            match app.call(request.finish()).await {
                Ok(response) => response.status(),
                Err(error) => error.status(),
            }
        };
        for host in [
            "127.0.0.1:8080",
            "localhost:8080",
            "[::1]:8080",
            "localhost",
        ] {
            assert_eq!(status(Some(host)).await, StatusCode::OK, "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:8080",
            "127.0.0.1.evil.example",
            "localhost@evil.example",
            "10.0.0.1",
            "",
        ] {
            assert_eq!(status(Some(host)).await, StatusCode::FORBIDDEN, "{host}");
        }
        assert_eq!(status(None).await, StatusCode::FORBIDDEN);
    }
}
