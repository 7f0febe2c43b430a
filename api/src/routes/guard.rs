//! Stands before every operation: holds the table's rule before anything of the request is read, and turns errors and
//! panics into problems while the route's pattern is still known.

use std::{collections::HashMap, panic::AssertUnwindSafe};

use futures_util::FutureExt;
use http::Method;
use poem::{Endpoint, EndpointExt, Request, Response, Result, endpoint::BoxEndpoint};
use poem_openapi::{
    OpenApi,
    registry::{MetaApi, Registry},
};

use super::Access;
use crate::{
    auth::Caller,
    front::{RequestId, RoutePattern},
    problem::Problem,
    state::ApiState,
};

/// The resources behind their rules.
pub(super) struct Guarded<T> {
    pub(super) resources: T,
    pub(super) state: ApiState,
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
        for (path, methods) in inside {
            for (method, endpoint) in methods {
                let rule = super::access(&method, &path);
                let operation = Operation {
                    // Not in the table: nobody may.
                    access: rule.map(|(access, _)| access),
                    pattern: rule.map_or("not listed", |(_, pattern)| pattern),
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
    pattern: &'static str,
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
        let done = AssertUnwindSafe(self.serve(request)).catch_unwind().await;
        let problem = |problem: Problem| problem.answer(&request_id, self.pattern);
        let mut response = match done {
            Ok(Ok(response)) => response,
            Ok(Err(error)) if error.is_from_response() => error.into_response(),
            Ok(Err(error)) => problem(Problem::of_framework(error, &path)),
            // The panic itself was logged by its hook.
            Err(_) => problem(Problem::internal("a panic")),
        };
        response.set_data(RoutePattern(self.pattern));
        Ok(response)
    }
}

impl Operation {
    async fn serve(&self, mut request: Request) -> Result<Response> {
        let Some(access) = self.access else {
            return Err(Problem::forbidden().into());
        };
        if let Some(caller) = self.caller(access, &request).await? {
            request.extensions_mut().insert(caller);
        }
        self.endpoint.call(request).await
    }

    async fn caller(&self, access: Access, request: &Request) -> Result<Option<Caller>, Problem> {
        if matches!(access, Access::Anyone | Access::Keyholder) {
            return Ok(None);
        }
        let caller = self.state.doorkeeper.caller(request.headers()).await?;
        match caller {
            None if access == Access::Perhaps => Ok(None),
            None => Err(Problem::new(crate::problem::Reason::IncorrectCredentials)),
            Some(caller) if !caller.may(access) => Err(Problem::forbidden()),
            Some(caller) => Ok(Some(caller)),
        }
    }
}
