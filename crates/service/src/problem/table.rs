//! [pure] Every problem that the platform answers; the reference is made from this table.

use super::Kind;

macro_rules! kinds {
    ($($name:ident { $code:literal, $status:literal, $title:literal, $meaning:literal, $help:literal })*) => {
        $(
            #[doc = $meaning]
            pub const $name: Kind = Kind {
                code: $code,
                status: $status,
                title: $title,
                meaning: $meaning,
                help: $help,
            };
        )*

        /// All kinds, by status.
        pub const TABLE: &[Kind] = &[$($name),*];
    };
}

kinds! {
    BAD_REQUEST {
        "bad_request", 400, "Bad request",
        "The request cannot be understood.",
        "Correct what the detail names."
    }
    VALIDATION_FAILED {
        "validation_failed", 400, "Validation failed",
        "A value of the request breaks the rules of its place.",
        "Correct the values that the detail or `errors` names."
    }
    API_KEY_MISSING {
        "api_key_missing", 401, "API key missing",
        "The call carries no key.",
        "Send the key in `x-api-key`, or as `Authorization: Bearer`."
    }
    UNAUTHORIZED {
        "unauthorized", 401, "Not authenticated",
        "The call does not say who makes it, or not believably.",
        "Send valid credentials."
    }
    API_KEY_INVALID {
        "api_key_invalid", 403, "API key not valid",
        "The key is unknown or was revoked.",
        "Use another key, or have one made."
    }
    FORBIDDEN {
        "forbidden", 403, "Not allowed",
        "The caller is known but may not do this.",
        "Ask the operator for the right to."
    }
    EGRESS_DENIED {
        "egress_denied", 403, "Outgoing call not allowed",
        "The configuration forbids calls to this host.",
        "Add the host to the egress policy if the call is meant."
    }
    NOT_FOUND {
        "not_found", 404, "Not found",
        "Nothing answers at this path, or the thing asked for does not exist.",
        "Check the path and the identifier."
    }
    RUN_NOT_FOUND {
        "run_not_found", 404, "Run not found",
        "There is no such run, or it belongs to another account.",
        "Check the id; finished runs are kept as long as their flow says."
    }
    METHOD_NOT_ALLOWED {
        "method_not_allowed", 405, "Method not allowed",
        "The path exists but does not take this method.",
        "Use a method that the `Allow` header lists."
    }
    NOT_ACCEPTABLE {
        "not_acceptable", 406, "Not acceptable",
        "No form that the request accepts can be answered.",
        "Accept `application/json`."
    }
    REQUEST_TIMEOUT {
        "request_timeout", 408, "Request timeout",
        "The request did not arrive in the time allowed.",
        "Send it again, without pauses."
    }
    CONFLICT {
        "conflict", 409, "Conflict",
        "The request contradicts what is stored.",
        "Read the present state and decide anew."
    }
    IDEMPOTENCY_CONFLICT {
        "idempotency_conflict", 409, "Idempotency key used for another request",
        "The `Idempotency-Key` was sent before with other content.",
        "Use a new key for a new request."
    }
    LENGTH_REQUIRED {
        "length_required", 411, "Length required",
        "The body's length must be known before it is taken.",
        "Send `Content-Length`."
    }
    PAYLOAD_TOO_LARGE {
        "payload_too_large", 413, "Payload too large",
        "The body is longer than the limit.",
        "Send less at a time."
    }
    URI_TOO_LONG {
        "uri_too_long", 414, "URI too long",
        "The path and query are longer than the limit.",
        "Shorten them."
    }
    UNSUPPORTED_MEDIA_TYPE {
        "unsupported_media_type", 415, "Unsupported media type",
        "The body's type is not one that is read here.",
        "Send the type that the API document names."
    }
    MISDIRECTED_REQUEST {
        "misdirected_request", 421, "Misdirected request",
        "The `Host` header names no service that is served here.",
        "Send `Host: NAME.service` with a name served here."
    }
    UNPROCESSABLE {
        "unprocessable", 422, "Unprocessable content",
        "The body is well-formed but its content cannot be used.",
        "Correct what the detail names."
    }
    RATE_LIMITED {
        "rate_limited", 429, "Too many requests",
        "More requests came at once than the plan allows.",
        "Wait as long as `Retry-After` says."
    }
    QUOTA_EXCEEDED {
        "quota_exceeded", 429, "Quota exceeded",
        "The plan's calls for this period are used up.",
        "Wait for the next period, or choose a larger plan."
    }
    HEADERS_TOO_LARGE {
        "headers_too_large", 431, "Request headers too large",
        "The headers are too many or too long.",
        "Send fewer or shorter headers."
    }
    CLIENT_CLOSED_REQUEST {
        "client_closed_request", 499, "Client closed request",
        "The caller went away before the answer; seen in metrics and traces only.",
        "Nothing; if it is frequent, callers wait less than answers take."
    }
    INTERNAL {
        "internal", 500, "Internal error",
        "Something failed here that should not.",
        "Try again; if it stays, give the operator the `x-request-id`."
    }
    FLOW_FAULTED {
        "flow_faulted", 500, "Flow faulted",
        "The flow ended with an error of its own.",
        "Read `error` for what the flow says."
    }
    NOT_IMPLEMENTED {
        "not_implemented", 501, "Not implemented",
        "The request asks for something that is not built.",
        "Do without it."
    }
    UPSTREAM_UNREACHABLE {
        "upstream_unreachable", 502, "Service not reachable",
        "No connection to the service could be made.",
        "Try again later."
    }
    UPSTREAM_BROKEN {
        "upstream_broken", 502, "Service answered badly",
        "The service's answer broke off or made no sense.",
        "Try again; an effect may have happened."
    }
    TRANSFORM_FAILED {
        "transform_failed", 502, "Answer could not be transformed",
        "The route changes the service's answer, and this one could not be changed.",
        "Tell the operator what the detail says; an effect may have happened."
    }
    SERVICE_UNAVAILABLE {
        "service_unavailable", 503, "Service unavailable",
        "The service has no endpoint that could answer now.",
        "Try again later."
    }
    NOT_READY {
        "not_ready", 503, "Not ready",
        "The service runs but cannot do its work now.",
        "Try again later; `reasons` says what is missing."
    }
    BREAKER_OPEN {
        "breaker_open", 503, "Service left alone",
        "Every endpoint of the service failed lately and is left alone for a while.",
        "Try again after some seconds."
    }
    OVERLOADED {
        "overloaded", 503, "Overloaded",
        "There is more to do than can be done now.",
        "Try again after a pause, less often."
    }
    STOPPING {
        "stopping", 503, "Stopping",
        "The server is stopping and takes no new work.",
        "Send the request again; another node will answer."
    }
    UPSTREAM_TIMEOUT {
        "upstream_timeout", 504, "Service too slow",
        "The service did not answer in the time allowed.",
        "Try again; an effect may have happened."
    }
}
