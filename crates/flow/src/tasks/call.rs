//! [pure] `call`: the six built-in protocols, and functions.

use std::sync::Arc;

use crate::auth::Authentication;
use crate::template::Template;
use crate::uri::Endpoint;

/// What is called.
#[derive(Debug)]
pub enum Call {
    /// An HTTP request.
    Http(HttpCall),
    /// An operation of an OpenAPI document.
    OpenApi(OpenApiCall),
    /// A gRPC method.
    Grpc(GrpcCall),
    /// A message of an AsyncAPI document.
    AsyncApi(AsyncApiCall),
    /// A method of an agent.
    A2a(A2aCall),
    /// A method of a Model Context Protocol server.
    Mcp(McpCall),
    /// A function by name.
    Function(FunctionCall),
}

impl Call {
    /// The word after `call:`.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Http(_) => "http",
            Self::OpenApi(_) => "openapi",
            Self::Grpc(_) => "grpc",
            Self::AsyncApi(_) => "asyncapi",
            Self::A2a(_) => "a2a",
            Self::Mcp(_) => "mcp",
            Self::Function(function) => &function.name,
        }
    }
}

/// What a call answers with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HttpOutput {
    /// The decoded body.
    #[default]
    Content,
    /// The body's bytes in base64.
    Raw,
    /// Request, status, headers and content.
    Response,
}

/// Whether redirects are followed.
pub type Redirect = bool;

/// An HTTP request.
#[derive(Debug)]
pub struct HttpCall {
    /// The method, a data place.
    pub method: Template,
    /// Where to.
    pub endpoint: Endpoint,
    /// Headers: an object, or an expression for one.
    pub headers: Option<Template>,
    /// Query parameters: an object, or an expression for one.
    pub query: Option<Template>,
    /// The body.
    pub body: Option<Template>,
    /// What the call answers with.
    pub output: HttpOutput,
    /// Whether redirects are followed and 3xx is no error.
    pub redirect: Redirect,
}

/// An operation of an OpenAPI document.
#[derive(Debug)]
pub struct OpenApiCall {
    /// Where the document lies.
    pub document: Endpoint,
    /// The operation, a data place.
    pub operation_id: Template,
    /// Its parameters.
    pub parameters: Option<Template>,
    /// How the caller proves who it is.
    pub authentication: Option<Arc<Authentication>>,
    /// What the call answers with.
    pub output: HttpOutput,
    /// Whether redirects are followed and 3xx is no error.
    pub redirect: Redirect,
}

/// A gRPC method.
#[derive(Debug)]
pub struct GrpcCall {
    /// Where the protocol file lies.
    pub proto: Endpoint,
    /// `service`, `method`, `arguments` as one template of an object.
    pub with: Template,
    /// How the caller proves who it is.
    pub authentication: Option<Arc<Authentication>>,
}

/// A message of an AsyncAPI document, sent or awaited.
#[derive(Debug)]
pub struct AsyncApiCall {
    /// Where the document lies.
    pub document: Endpoint,
    /// All other members as one template of an object.
    pub with: Template,
    /// How the caller proves who it is.
    pub authentication: Option<Arc<Authentication>>,
}

/// A method of an agent.
#[derive(Debug)]
pub struct A2aCall {
    /// The method.
    pub method: String,
    /// Where the agent's card lies.
    pub agent_card: Option<Endpoint>,
    /// Where the agent answers.
    pub server: Option<Endpoint>,
    /// The parameters.
    pub parameters: Option<Template>,
}

/// A method of a Model Context Protocol server.
#[derive(Debug)]
pub struct McpCall {
    /// The method.
    pub method: String,
    /// All members as one template of an object.
    pub with: Template,
}

/// A function by name.
#[derive(Debug)]
pub struct FunctionCall {
    /// The name as written: of `use.functions`, of a catalog, or a URL.
    pub name: String,
    /// What it is given; absent: the caller's input.
    pub with: Option<Template>,
}
