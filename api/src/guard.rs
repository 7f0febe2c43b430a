//! A wrapper around every operation: checks the access rule and the query before the request is read, and turns errors
//! and panics into problems while the route's pattern is still known.

use std::{collections::HashMap, panic::AssertUnwindSafe};

use domain::{
    actor::Actor,
    api_key::{ApiKey, KeyAction},
};
use futures_util::FutureExt;
use http::Method;
use ledger::actor::acting_from;
use poem::{Endpoint, EndpointExt, Request, Response, Result, endpoint::BoxEndpoint};
use poem_openapi::{
    OpenApi,
    registry::{MetaApi, Registry},
};
use runtime::request_id::RequestId;

use crate::{
    access::{self, Access},
    auth::{Caller, Claimed},
    http::{
        front::RoutePattern,
        limits::{AnonymousBucket, AppliedLimits, ClientAddress},
        problem::{FieldError, Problem, Reason},
        query::{self, QueryParameters},
    },
    state::ApiState,
};

/// Headers that change the meaning of a request. poem ignores values that are not ASCII: an order could be placed
/// twice, or an edit could overwrite someone else's. Such requests are refused.
const ASCII_ONLY_HEADERS: [&str; 4] = [
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    "Expediter-Guest",
];

/// Resources wrapped in their access rules.
pub(crate) struct Guarded<T> {
    pub(crate) resources: T,
    pub(crate) state: ApiState,
}

type Table = HashMap<String, HashMap<Method, BoxEndpoint<'static>>>;

impl<T: OpenApi> OpenApi for Guarded<T> {
    fn meta() -> Vec<MetaApi> {
        T::meta()
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn add_routes(self, table: &mut Table) {
        let mut inside = Table::new();
        self.resources.add_routes(&mut inside);
        let mut queries = query::parameters_of::<T>();
        for (path, methods) in inside {
            for (method, endpoint) in methods {
                let rule = access::access(&method, &path);
                let operation = Operation {
                    // Nobody may call an operation that is not in the table.
                    access: rule.map(|(access, _)| access),
                    for_integrators: rule
                        .is_some_and(|(_, pattern)| access::is_for_integrators(&method, pattern)),
                    for_keys: rule
                        .and_then(|(_, pattern)| access::for_keys(method.as_str(), pattern)),
                    pattern: rule.map_or("not listed", |(_, pattern)| pattern),
                    query: rule
                        .and_then(|(_, pattern)| {
                            queries.remove(&(method.clone(), pattern.to_owned()))
                        })
                        .unwrap_or_default(),
                    endpoint,
                    state: self.state.clone(),
                };
                table
                    .entry(path.clone())
                    .or_default()
                    .insert(method, operation.boxed());
            }
        }
    }
}

struct Operation {
    access: Option<Access>,
    /// True if integrators' accounts may call it.
    for_integrators: bool,
    /// Action that an API key needs; `None` if no key may call it.
    for_keys: Option<Option<KeyAction>>,
    pattern: &'static str,
    query: QueryParameters,
    endpoint: BoxEndpoint<'static>,
    state: ApiState,
}

impl Endpoint for Operation {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        let request_id = request
            .extensions()
            .get::<RequestId>()
            .cloned()
            .unwrap_or_default();
        let path = request.uri().path().to_owned();
        let mut counted = AppliedLimits::default();
        let done = AssertUnwindSafe(self.serve(request, &mut counted))
            .catch_unwind()
            .await;
        let problem = |problem: Problem| problem.answer(&request_id, self.pattern);
        let mut response = match done {
            Ok(Ok(response)) => response,
            Ok(Err(error)) if error.is_from_response() => error.into_response(),
            Ok(Err(error)) => problem(Problem::from_framework(error, &path)),
            // The panic hook has logged the panic itself.
            Err(_) => problem(Problem::internal("handler panicked")),
        };
        counted.tell(response.headers_mut());
        response.set_data(RoutePattern(self.pattern));
        Ok(response)
    }
}

impl Operation {
    async fn serve(&self, mut request: Request, counted: &mut AppliedLimits) -> Result<Response> {
        let Some(access) = self.access else {
            return Err(Problem::forbidden().into());
        };
        let caller = self.caller(access, &request, counted).await?;
        let actor = self.actor(caller.as_ref());
        if let Some(caller) = caller {
            request.extensions_mut().insert(caller);
        }
        let non_ascii = ASCII_ONLY_HEADERS.iter().filter(|name| {
            let mut values = request.headers().get_all(**name).iter();
            values.any(|value| value.to_str().is_err())
        });
        let mut errors: Vec<_> = non_ascii
            .map(|name| FieldError::new(*name, "must be visible ASCII"))
            .collect();
        errors.extend(self.query.errors(request.uri().query()));
        if !errors.is_empty() {
            return Err(Problem::invalid(errors).into());
        }
        let address = ClientAddress::of(&request).0;
        acting_from(actor, address, self.endpoint.call(request)).await
    }

    /// Returns whom the changes of this request are noted as made by.
    fn actor(&self, caller: Option<&Caller>) -> Actor {
        match caller {
            Some(caller) => Actor::account(&caller.account),
            None if self.pattern.starts_with("/sessions/") => Actor::GUEST,
            None => Actor::SYSTEM,
        }
    }

    async fn caller(
        &self,
        access: Access,
        request: &Request,
        counted: &mut AppliedLimits,
    ) -> Result<Option<Caller>, Problem> {
        let limits = &self.state.limits;
        if matches!(access, Access::Anyone | Access::Keyholder) {
            let counting = AnonymousBucket::of(access, self.pattern);
            limits.count_anonymous(counting, request, counted)?;
            return Ok(None);
        }
        let address = ClientAddress::of(request);
        // A caller who is over the limit costs no statement.
        let claimed = self.state.authenticator.claimed(request.headers());
        match claimed {
            Claimed::Account(id) => limits.count_account(id, counted)?,
            Claimed::UnknownKey => limits.check_address(address)?,
            Claimed::Nobody => {}
        }
        let found = self.state.authenticator.caller(request.headers(), address);
        let caller = match found.await {
            Ok(Some(caller)) => caller,
            nobody => {
                limits.count_anonymous(AnonymousBucket::Address, request, counted)?;
                return match nobody? {
                    None if access == Access::Perhaps => Ok(None),
                    _ => Err(Problem::new(Reason::IncorrectCredentials)),
                };
            }
        };
        if !matches!(claimed, Claimed::Account(_)) {
            limits.count_account(caller.id(), counted)?;
        }
        if let Some(key) = &caller.key {
            self.check_key(key)?;
        }
        if caller.may(access, self.for_integrators) {
            Ok(Some(caller))
        } else {
            Err(Problem::forbidden())
        }
    }

    fn check_key(&self, key: &ApiKey) -> Result<(), Problem> {
        match self.for_keys {
            None => Err(Problem::forbidden().detail("No API key may call this operation.")),
            Some(Some(action)) if !key.may(action) => Err(Problem::forbidden()
                .detail(format!("The API key is not allowed the action {action}."))),
            Some(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ledger::testing::on_sqlite;
    use platform::metrics::Metrics;
    use poem::IntoEndpoint;
    use poem_openapi::OpenApiService;
    use runtime::config::Settings;

    use super::*;

    struct Odd;

    #[OpenApi]
    impl Odd {
        #[oai(path = "/ping", method = "get")]
        async fn panics(&self) -> poem_openapi::payload::PlainText<String> {
            panic!("the password is swordfish")
        }

        #[oai(path = "/not/listed", method = "get")]
        async fn not_listed(&self) -> poem_openapi::payload::PlainText<String> {
            poem_openapi::payload::PlainText("open".into())
        }
    }

    async fn ask(path: &'static str) -> (u16, String) {
        let (answer, answered) = tokio::sync::oneshot::channel();
        on_sqlite(async |house| {
            let settings = Arc::new(Settings::with(&[]).unwrap());
            let keys = Arc::new(house.keys.clone());
            let state = ApiState::new(house.ledger.clone(), keys, settings, Metrics::new());
            let guarded = Guarded {
                resources: Odd,
                state,
            };
            let service = OpenApiService::new(guarded, "", "").into_endpoint();
            let request = Request::builder().uri_str(path).finish();
            let response = service.get_response(request).await;
            let status = response.status().as_u16();
            let text = response.into_body().into_string().await.unwrap();
            answer.send((status, text)).unwrap();
        })
        .await;
        answered.await.unwrap()
    }

    #[tokio::test]
    async fn what_the_table_does_not_list_is_refused() {
        assert_eq!(ask("/not/listed").await.0, 403);
    }

    #[tokio::test]
    async fn a_handlers_panic_is_a_500_that_tells_nothing_of_the_inside() {
        let (status, text) = ask("/ping").await;
        assert_eq!(status, 500);
        assert!(
            text.contains("\"internal\"") && !text.contains("swordfish"),
            "{text}"
        );
    }
}
