//! [pure] The gateway's own pages, present in every route table.

use http::Method;

use super::{AccountView, Auth, Route, Target};

const REGISTER: &str = "/account/register";

/// A page of the gateway itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Builtin {
    /// The public page.
    Portal,
    /// The aggregated OpenAPI document.
    OpenApi,
    /// The process lives.
    Live,
    /// Calls can be taken.
    Ready,
    /// A run that the caller's account started.
    Run,
}

/// The pages beside the `given` routes. A given route may take the place of the registration, as an
/// application that can send mail has a better one.
pub(super) fn routes(given: &[Route]) -> Vec<Route> {
    let pages = [
        ("portal", "/", Builtin::Portal, Auth::Open),
        ("openapi", "/openapi.json", Builtin::OpenApi, Auth::Open),
        ("health live", "/health/live", Builtin::Live, Auth::Open),
        ("health ready", "/health/ready", Builtin::Ready, Auth::Open),
        ("run", "/runs/{id}", Builtin::Run, Auth::Key),
    ];
    let mut routes: Vec<_> = pages
        .into_iter()
        .map(|(name, path, page, auth)| {
            // Asking how a call goes on is part of that call: it costs nothing.
            own(
                name,
                Route::new(Method::GET, path, Target::Builtin(page)),
                auth,
            )
        })
        .collect();
    if given
        .iter()
        .all(|route| route.path.trim_end_matches('/') != REGISTER)
    {
        let target = Target::Account(AccountView::Register);
        let register = Route::new(Method::POST, REGISTER, target);
        routes.push(own("register", register, Auth::Open));
    }
    routes
}

fn own(name: &str, route: Route, auth: Auth) -> Route {
    Route {
        id: format!("gateway: {name}"),
        auth,
        cost: 0,
        ..route
    }
}
