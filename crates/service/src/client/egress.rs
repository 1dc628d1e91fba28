//! [pure] Where a URL leads: to a service, or to a host outside that the policy allows.

use http::Uri;
use http::uri::{PathAndQuery, Scheme};

use super::{Config, Egress, Rewrite};
use crate::CallError;
use crate::descriptor::DOMAIN_SUFFIX;

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    /// A service of the directory.
    Service(String),
    /// A host outside it.
    Origin { host: String, port: u16, tls: bool },
}

/// Reads where a URL leads, after replacing its beginning. What replaces a beginning is the
/// operator's word and so needs no leave of the policy.
pub(crate) fn destination(uri: &Uri, config: &Config) -> Result<(Destination, Uri), CallError> {
    let (uri, is_rewritten) = match rewrite(uri, &config.rewrites)? {
        Some(rewritten) => (rewritten, true),
        None => (uri.clone(), false),
    };
    let invalid = |what: &str| CallError::Invalid(format!("{what} in `{uri}`"));
    let tls = match uri.scheme() {
        Some(scheme) if *scheme == Scheme::HTTPS => true,
        Some(scheme) if *scheme == Scheme::HTTP => false,
        Some(_) => return Err(invalid("a scheme that is not http or https")),
        None => return Err(invalid("no scheme")),
    };
    let host = uri.host().filter(|host| !host.is_empty());
    let host = host.ok_or_else(|| invalid("no host"))?.to_ascii_lowercase();
    if let Some(name) = host.strip_suffix(DOMAIN_SUFFIX) {
        return Ok((Destination::Service(name.to_owned()), uri));
    }
    let host = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .to_owned();
    let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
    if !is_rewritten && !is_allowed(&config.egress, &host, port) {
        return Err(CallError::Denied(host));
    }
    Ok((Destination::Origin { host, port, tls }, uri))
}

/// The path and query alone, as a request line carries them.
pub(crate) fn origin_form(uri: &Uri) -> Uri {
    let path = uri.path_and_query().cloned();
    Uri::from(path.unwrap_or_else(|| PathAndQuery::from_static("/")))
}

fn rewrite(uri: &Uri, rewrites: &[Rewrite]) -> Result<Option<Uri>, CallError> {
    if rewrites.is_empty() {
        return Ok(None);
    }
    let text = uri.to_string();
    let longest = rewrites
        .iter()
        .filter(|rewrite| begins_with(&text, &rewrite.from))
        .max_by_key(|rewrite| rewrite.from.len());
    let Some(Rewrite { from, to }) = longest else {
        return Ok(None);
    };
    let rewritten = format!("{to}{}", &text[from.len()..]);
    match rewritten.parse() {
        Ok(uri) => Ok(Some(uri)),
        Err(error) => Err(CallError::Invalid(format!("`{rewritten}`: {error}"))),
    }
}

/// A beginning that stops within the host must stop at its end: `http://a.ro` does not begin
/// `http://a.ro.example/`.
fn begins_with(url: &str, beginning: &str) -> bool {
    let Some(rest) = url.strip_prefix(beginning) else {
        return false;
    };
    let after_scheme = beginning.split_once("://").map_or("", |(_, rest)| rest);
    after_scheme.contains('/') || rest.is_empty() || rest.starts_with(['/', '?'])
}

fn is_allowed(egress: &Egress, host: &str, port: u16) -> bool {
    let fits = |pattern: &String| {
        let (name, wanted) = match pattern.rsplit_once(':') {
            Some((name, digits)) if digits.parse::<u16>().is_ok() => {
                (name, digits.parse::<u16>().ok())
            }
            _without_port => (pattern.as_str(), None),
        };
        let name = name.trim_start_matches('[').trim_end_matches(']');
        let is_host = match name.strip_prefix('.') {
            Some(domain) => host
                .strip_suffix(domain)
                .is_some_and(|label| label.ends_with('.')),
            None => host.eq_ignore_ascii_case(name),
        };
        is_host && wanted.is_none_or(|wanted| wanted == port)
    };
    match egress {
        Egress::Any => true,
        Egress::None => false,
        Egress::Only(patterns) => patterns.iter().any(fits),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(rewrites: &[(&str, &str)], egress: Egress) -> Config {
        let rewrite = |&(from, to): &(&str, &str)| Rewrite {
            from: from.to_owned(),
            to: to.to_owned(),
        };
        Config {
            rewrites: rewrites.iter().map(rewrite).collect(),
            egress,
            ..Config::default()
        }
    }

    fn check(config: &Config, url: &str, expected: &str) {
        let found = match destination(&url.parse().unwrap(), config) {
            Ok((Destination::Service(name), uri)) => format!("{name} {}", origin_form(&uri)),
            Ok((Destination::Origin { host, port, tls }, uri)) => {
                format!("{host} {port} {tls} {}", origin_form(&uri))
            }
            Err(CallError::Denied(host)) => format!("denied {host}"),
            Err(_) => "invalid".to_owned(),
        };
        assert_eq!(found, expected, "{url}");
    }

    #[test]
    fn hosts_are_services_or_origins() {
        let config = config(&[], Egress::Any);
        check(
            &config,
            "http://rates.service/api/x?y=1",
            "rates /api/x?y=1",
        );
        check(&config, "http://Rates.Service", "rates /");
        check(&config, "http://rates.service:8080/", "rates /");
        check(&config, "https://example.org/a", "example.org 443 true /a");
        check(
            &config,
            "http://u:p@example.org:81",
            "example.org 81 false /",
        );
        check(&config, "http://[::1]:7/", "::1 7 false /");
        check(&config, "/only/a/path", "invalid");
        check(&config, "ftp://example.org/", "invalid");
    }

    #[test]
    fn the_longest_beginning_is_replaced() {
        let config = config(
            &[
                ("https://anaf.ro", "http://127.0.0.1:9"),
                ("https://anaf.ro/api", "http://127.0.0.1:8/x"),
                ("http://rates.service", "http://other.service"),
            ],
            Egress::None,
        );
        check(&config, "https://anaf.ro/y?z", "127.0.0.1 9 false /y?z");
        check(&config, "https://anaf.ro", "127.0.0.1 9 false /");
        check(&config, "https://anaf.ro/api/v1", "127.0.0.1 8 false /x/v1");
        check(&config, "https://anaf.ro.evil/", "denied anaf.ro.evil");
        check(&config, "http://rates.service/q", "other /q");
    }

    #[test]
    fn the_policy_names_hosts_subdomains_and_ports() {
        let patterns = ["example.org", ".bnr.ro", "localhost:80", "[::1]:7"];
        let only = Egress::Only(patterns.map(str::to_owned).to_vec());
        let config = config(&[], only);
        check(&config, "http://EXAMPLE.org/", "example.org 80 false /");
        check(&config, "http://a.bnr.ro/", "a.bnr.ro 80 false /");
        check(&config, "http://bnr.ro/", "denied bnr.ro");
        check(&config, "http://evilbnr.ro/", "denied evilbnr.ro");
        check(&config, "http://localhost/", "localhost 80 false /");
        check(&config, "http://localhost:81/", "denied localhost");
        check(&config, "http://[::1]:7/", "::1 7 false /");
        check(&config, "http://inner.service/", "inner /");
    }
}
