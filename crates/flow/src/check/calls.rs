//! [pure] `call`: protocols and functions.

use std::sync::Arc;

use super::reader::{At, Checker};
use super::values::Vars;
use crate::auth::Authentication;
use crate::finding::nearest;
use crate::tasks::{
    A2aCall, AsyncApiCall, Call, FunctionCall, GrpcCall, HttpCall, HttpOutput, Kind, McpCall,
    OpenApiCall,
};
use crate::template::Template;
use crate::yaml::Value;

const PROTOCOLS: [&str; 6] = ["a2a", "asyncapi", "grpc", "http", "mcp", "openapi"];
const ASYNC_PROTOCOLS: [&str; 19] = [
    "amqp",
    "amqp1",
    "anypointmq",
    "googlepubsub",
    "http",
    "ibmmq",
    "jms",
    "kafka",
    "mercure",
    "mqtt",
    "mqtt5",
    "nats",
    "pulsar",
    "redis",
    "sns",
    "solace",
    "sqs",
    "stomp",
    "ws",
];
const A2A_METHODS: [&str; 11] = [
    "message/send",
    "message/stream",
    "tasks/get",
    "tasks/list",
    "tasks/cancel",
    "tasks/resubscribe",
    "tasks/pushNotificationConfig/set",
    "tasks/pushNotificationConfig/get",
    "tasks/pushNotificationConfig/list",
    "tasks/pushNotificationConfig/delete",
    "agent/getAuthenticatedExtendedCard",
];
const MCP_METHODS: [&str; 7] = [
    "tools/list",
    "tools/call",
    "prompts/list",
    "prompts/get",
    "resources/list",
    "resources/read",
    "resources/templates/list",
];

impl Checker {
    pub(super) fn call(
        &mut self,
        at: &At<'_>,
        name_at: &At<'_>,
        vars: &Vars,
        locals: &Vars,
    ) -> Option<Kind> {
        let name = self.string(name_at, "`call`")?;
        let vars = &vars.sealed();
        if name != "http" {
            let what = format!("`call: {name}`");
            self.cannot_run(name_at.node.span, &name_at.pointer, &what);
        }
        if !PROTOCOLS.contains(&name) {
            let call = self.function(at, name_at, name, vars)?;
            return Some(Kind::Call(Box::new(Call::Function(call))));
        }
        let with = self.required(at, &format!("a call of `{name}`"), "with")?;
        if !self.map(&with, "`with`") {
            return None;
        }
        let call = match name {
            "http" => self.http(&with, vars).map(Call::Http),
            "openapi" => self.openapi(&with, vars).map(Call::OpenApi),
            "grpc" => self.grpc(&with, vars).map(Call::Grpc),
            "asyncapi" => self.asyncapi(&with, vars, locals).map(Call::AsyncApi),
            "a2a" => self.a2a(&with, vars).map(Call::A2a),
            _ => self.mcp(&with, vars).map(Call::Mcp),
        };
        call.map(|call| Kind::Call(Box::new(call)))
    }

    fn function(
        &mut self,
        at: &At<'_>,
        name_at: &At<'_>,
        name: &str,
        vars: &Vars,
    ) -> Option<FunctionCall> {
        if let Some(with) = at.member("with") {
            self.map(&with, "`with`");
        }
        let (versioned, catalog) = match name.split_once('@') {
            Some((versioned, catalog)) => (versioned, Some(catalog)),
            None => (name, None),
        };
        let known = self.names.functions.iter().any(|known| known == name);
        if !known && !name.contains("://") {
            if let Some(catalog) = catalog {
                let defined = self.names.catalogs.iter().any(|known| known == catalog);
                if !defined && catalog != "default" {
                    let message = format!("catalog `{catalog}` is not defined under use.catalogs");
                    self.error_at("T0301", name_at, message);
                }
            } else if !versioned.contains(':') {
                self.error_at(
                    "T0304",
                    name_at,
                    format!("function `{name}` is not defined"),
                );
                let names = self.names.functions.iter().map(String::as_str);
                let near = nearest(name, names.chain(PROTOCOLS)).map(str::to_owned);
                self.help(near.map(|near| format!("did you mean `{near}`?")));
            }
        }
        let with = at.member("with").map(|with| self.template(&with, vars));
        Some(FunctionCall {
            name: name.to_owned(),
            with: match with {
                None => None,
                Some(with) => Some(with?),
            },
        })
    }

    /// A map of strings, or an expression for a map.
    fn strings(&mut self, at: &At<'_>, key: &str, vars: &Vars) -> Option<Template> {
        let member = at.member(key)?;
        let what = format!("`{key}`");
        match &member.node.value {
            Value::Object(_) => {
                for (name, _, item) in member.members() {
                    self.string(&item, &format!("`{name}` of {what}"));
                }
            }
            Value::String(text) if text.trim().starts_with("${") => {}
            _ => self.wrong(&member, &what, "a map or an expression"),
        }
        self.template(&member, vars)
    }

    fn http_output(&mut self, at: &At<'_>) -> (HttpOutput, bool) {
        let output = at
            .member("output")
            .and_then(|output| self.word(&output, "`output`", &["raw", "content", "response"]));
        let output = match output {
            Some("raw") => HttpOutput::Raw,
            Some("response") => HttpOutput::Response,
            _ => HttpOutput::Content,
        };
        (output, self.flag(at, "redirect", false))
    }

    fn http(&mut self, at: &At<'_>, vars: &Vars) -> Option<HttpCall> {
        let known = [
            "method", "endpoint", "headers", "query", "body", "output", "redirect",
        ];
        self.object(at, "a call of `http`", &known);
        let method = self
            .required(at, "a call of `http`", "method")
            .and_then(|method| {
                self.string(&method, "`method`")?;
                self.template(&method, vars)
            });
        let endpoint = self.required(at, "a call of `http`", "endpoint");
        let endpoint = endpoint.and_then(|endpoint| self.endpoint(&endpoint, vars));
        let headers = self.strings(at, "headers", vars);
        let query = self.strings(at, "query", vars);
        let body = self.data(at, "body", vars);
        let (output, redirect) = self.http_output(at);
        Some(HttpCall {
            method: method?,
            endpoint: endpoint?,
            headers,
            query,
            body,
            output,
            redirect,
        })
    }

    fn authentication_in(&mut self, at: &At<'_>, vars: &Vars) -> Option<Arc<Authentication>> {
        let member = at.member("authentication")?;
        self.authentication(&member, vars)
    }

    fn openapi(&mut self, at: &At<'_>, vars: &Vars) -> Option<OpenApiCall> {
        let what = "a call of `openapi`";
        let known = [
            "document",
            "operationId",
            "parameters",
            "authentication",
            "output",
            "redirect",
        ];
        self.object(at, what, &known);
        let document = self.required(at, what, "document");
        let document = document.and_then(|document| self.resource(&document, vars));
        let operation = self
            .required(at, what, "operationId")
            .and_then(|operation| {
                self.string(&operation, "`operationId`")?;
                self.template(&operation, vars)
            });
        if let Some(parameters) = at.member("parameters") {
            self.map(&parameters, "`parameters`");
        }
        let (output, redirect) = self.http_output(at);
        Some(OpenApiCall {
            parameters: self.data(at, "parameters", vars),
            authentication: self.authentication_in(at, vars),
            document: document?,
            operation_id: operation?,
            output,
            redirect,
        })
    }

    fn grpc(&mut self, at: &At<'_>, vars: &Vars) -> Option<GrpcCall> {
        let what = "a call of `grpc`";
        self.object(at, what, &["proto", "service", "method", "arguments"]);
        let proto = self.required(at, what, "proto");
        let proto = proto.and_then(|proto| self.resource(&proto, vars));
        let mut authentication = None;
        if let Some(service) = self.required(at, what, "service") {
            self.object(
                &service,
                "`service`",
                &["name", "host", "port", "authentication"],
            );
            for key in ["name", "host"] {
                if let Some(member) = self.required(&service, "`service`", key) {
                    self.string(&member, &format!("`{key}`"));
                }
            }
            if let Some(port) = service.member("port") {
                let number = port.node.as_i64();
                if !number.is_some_and(|number| (0..=65_535).contains(&number)) {
                    self.wrong(&port, "`port`", "a whole number up to 65535");
                }
            }
            authentication = self.authentication_in(&service, vars);
        }
        if let Some(method) = self.required(at, what, "method") {
            self.string(&method, "`method`");
        }
        if let Some(arguments) = at.member("arguments") {
            self.map(&arguments, "`arguments`");
        }
        Some(GrpcCall {
            with: self.template(at, vars)?,
            proto: proto?,
            authentication,
        })
    }

    fn asyncapi(&mut self, at: &At<'_>, vars: &Vars, locals: &Vars) -> Option<AsyncApiCall> {
        let what = "a call of `asyncapi`";
        let known = [
            "document",
            "channel",
            "operation",
            "server",
            "protocol",
            "message",
            "subscription",
            "authentication",
        ];
        self.object(at, what, &known);
        let document = self.required(at, what, "document");
        let document = document.and_then(|document| self.resource(&document, vars));
        self.exactly_one(at, what, &["channel", "operation"]);
        self.exactly_one(at, what, &["message", "subscription"]);
        for key in ["channel", "operation"] {
            self.text(at, key);
        }
        if let Some(server) = at.member("server") {
            self.object(&server, "`server`", &["name", "variables"]);
            self.required(&server, "`server`", "name");
        }
        if let Some(protocol) = at.member("protocol") {
            self.word(&protocol, "`protocol`", &ASYNC_PROTOCOLS);
        }
        if let Some(message) = at.member("message") {
            self.object(&message, "`message`", &["payload", "headers"]);
            for (key, _, member) in message.members() {
                self.map(&member, &format!("`{key}`"));
            }
        }
        if let Some(subscription) = at.member("subscription") {
            self.subscription(&subscription, vars, locals);
        }
        let authentication = self.authentication_in(at, vars);
        // What is subscribed to has its own places; the rest is data.
        let with = match at.member("message") {
            Some(message) => self.template(&message, vars),
            None => Some(Template::literal(at.node.to_data())),
        };
        Some(AsyncApiCall {
            document: document?,
            with: with?,
            authentication,
        })
    }

    fn subscription(&mut self, at: &At<'_>, vars: &Vars, locals: &Vars) {
        let what = "`subscription`";
        self.object(at, what, &["filter", "consume", "foreach"]);
        self.condition(at, "filter", vars);
        if let Some(foreach) = at.member("foreach") {
            self.foreach(&foreach, locals, vars);
        }
        let Some(consume) = self.required(at, what, "consume") else {
            return;
        };
        self.object(&consume, "`consume`", &["amount", "while", "until", "for"]);
        self.duration_in(&consume, "for", vars);
        match self.exactly_one(&consume, "`consume`", &["amount", "while", "until"]) {
            Some("amount") => {
                if let Some(amount) = consume.member("amount")
                    && amount.node.as_i64().is_none()
                {
                    self.wrong(&amount, "`amount`", "a whole number");
                }
            }
            Some(key) => {
                self.condition(&consume, key, vars);
            }
            None => {}
        }
    }

    fn a2a(&mut self, at: &At<'_>, vars: &Vars) -> Option<A2aCall> {
        let what = "a call of `a2a`";
        self.object(at, what, &["method", "agentCard", "server", "parameters"]);
        let method = self.required(at, what, "method");
        let method = method.and_then(|method| self.word(&method, "`method`", &A2A_METHODS));
        if at.node.get("agentCard").is_none() && at.node.get("server").is_none() {
            let message = format!("{what} needs one of agentCard, server");
            self.error_at("T0420", at, message);
        }
        let card = at.member("agentCard");
        let card = card.and_then(|card| self.resource(&card, vars));
        let server = at.member("server");
        let server = server.and_then(|server| self.endpoint(&server, vars));
        if let Some(parameters) = at.member("parameters")
            && parameters.node.as_object().is_some_and(<[_]>::is_empty)
        {
            let message = "`parameters` needs at least one member".to_owned();
            self.error_at("T0105", &parameters, message);
        }
        Some(A2aCall {
            method: method?.to_owned(),
            agent_card: card,
            server,
            parameters: self.parameters(at, vars),
        })
    }

    /// A map, or an expression for one.
    fn parameters(&mut self, at: &At<'_>, vars: &Vars) -> Option<Template> {
        let member = at.member("parameters")?;
        if !matches!(member.node.value, Value::Object(_) | Value::String(_)) {
            self.wrong(&member, "`parameters`", "a map or an expression");
        }
        self.template(&member, vars)
    }

    fn mcp(&mut self, at: &At<'_>, vars: &Vars) -> Option<McpCall> {
        let what = "a call of `mcp`";
        let known = [
            "protocolVersion",
            "method",
            "parameters",
            "timeout",
            "transport",
            "client",
        ];
        self.object(at, what, &known);
        self.text(at, "protocolVersion");
        let method = self.required(at, what, "method");
        let method = method.and_then(|method| self.word(&method, "`method`", &MCP_METHODS));
        self.duration_in(at, "timeout", vars);
        if let Some(transport) = self.required(at, what, "transport") {
            self.transport(&transport, vars);
        }
        if let Some(client) = at.member("client") {
            self.object(&client, "`client`", &["name", "version", "description"]);
            for key in ["name", "version"] {
                self.required(&client, "`client`", key);
            }
        }
        self.parameters(at, vars);
        Some(McpCall {
            method: method?.to_owned(),
            with: self.template(at, vars)?,
        })
    }

    fn transport(&mut self, at: &At<'_>, vars: &Vars) {
        self.object(at, "`transport`", &["http", "stdio", "options"]);
        match self.exactly_one(at, "`transport`", &["http", "stdio"]) {
            Some("http") => {
                let Some(http) = at.member("http") else {
                    return;
                };
                self.object(&http, "`http`", &["endpoint", "headers"]);
                if let Some(endpoint) = self.required(&http, "`http`", "endpoint") {
                    self.endpoint(&endpoint, vars);
                }
                self.strings(&http, "headers", vars);
            }
            Some(_) => {
                let Some(stdio) = at.member("stdio") else {
                    return;
                };
                self.object(&stdio, "`stdio`", &["command", "arguments", "environment"]);
                self.required(&stdio, "`stdio`", "command");
                self.arguments(&stdio);
                self.strings(&stdio, "environment", vars);
            }
            None => {}
        }
    }

    pub(super) fn arguments(&mut self, at: &At<'_>) {
        let Some(arguments) = at.member("arguments") else {
            return;
        };
        match &arguments.node.value {
            Value::Array(_) => {
                for item in arguments.items() {
                    self.string(&item, "an argument");
                }
            }
            Value::Object(_) => {
                let message = "`arguments` is a list since 1.0.3, no map".to_owned();
                self.error_at("T0424", &arguments, message);
                self.help(Some("write each argument as an item: `- value`".to_owned()));
            }
            Value::String(text) if text.trim().starts_with("${") => {
                let message = "`arguments` is a list; its items may be expressions".to_owned();
                self.error_at("T0103", &arguments, message);
            }
            _ => self.wrong(&arguments, "`arguments`", "a list"),
        }
    }
}
