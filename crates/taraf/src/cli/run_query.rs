//! [pure] The words of `taraf run list`: `status=faulted since=24h`, or text to find.

use taraf_base::Timestamp;

use super::flow_name::FlowName;

/// What to ask the server for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    /// Parameters as the server names them.
    pub(crate) parameters: Vec<(&'static str, String)>,
    /// The namespace of the flow may still be unknown.
    pub(crate) flow: Option<FlowName>,
}

/// Reads the words. A time is RFC 3339, or how long ago.
pub(crate) fn parse(words: &[String], now: Timestamp) -> Result<Filter, String> {
    const STATUSES: [&str; 7] = [
        "pending",
        "running",
        "waiting",
        "suspended",
        "cancelled",
        "faulted",
        "completed",
    ];
    let mut filter = Filter::default();
    let mut texts: Vec<&str> = Vec::new();
    // Words may come one an argument or several in quotes.
    for word in words.iter().flat_map(|words| words.split_whitespace()) {
        match word.split_once('=') {
            Some(("status", status)) => {
                // Another spelling that people expect.
                let status = if status == "failed" {
                    "faulted"
                } else {
                    status
                };
                if !STATUSES.contains(&status) {
                    return Err(format!("`{status}` is not one of {}", STATUSES.join(", ")));
                }
                filter.parameters.push(("status", status.to_owned()));
            }
            Some(("flow", flow)) => filter.flow = Some(flow.parse()?),
            Some(("owner", owner)) => filter.parameters.push(("owner", owner.to_owned())),
            Some(("since", time)) => filter.parameters.push(("since", moment(time, now)?)),
            Some(("until", time)) => filter.parameters.push(("until", moment(time, now)?)),
            Some((name, _)) => {
                return Err(format!(
                    "`{name}` cannot be asked for; there are status, flow, owner, since, until"
                ));
            }
            None => texts.push(word),
        }
    }
    if !texts.is_empty() {
        filter.parameters.push(("q", texts.join(" ")));
    }
    Ok(filter)
}

fn moment(text: &str, now: Timestamp) -> Result<String, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time.to_string());
    }
    let ago = taraf_base::duration::parse(text)
        .map_err(|_no_duration| format!("`{text}` is neither a time nor how long ago"))?;
    let ago = i64::try_from(ago.as_millis()).unwrap_or(i64::MAX);
    let then = Timestamp::from_millis(now.as_millis().saturating_sub(ago));
    Ok(then.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Filter, String> {
        let now = Timestamp::from_millis(3_600_000);
        parse(&[text.to_owned()], now)
    }

    #[test]
    fn words_become_parameters_and_the_rest_is_text() {
        let filter = read("status=failed since=1h acme  inc flow=order").unwrap();
        let parameters = [
            ("status", "faulted".to_owned()),
            ("since", "1970-01-01T00:00:00.000Z".to_owned()),
            ("q", "acme inc".to_owned()),
        ];
        assert_eq!(filter.parameters, parameters);
        assert_eq!(filter.flow, Some("order".parse().unwrap()));
        assert_eq!(read(""), Ok(Filter::default()));
    }

    #[test]
    fn a_wrong_word_is_named() {
        for (text, part) in [
            ("status=dancing", "`dancing`"),
            ("colour=red", "`colour`"),
            ("since=tomorrow", "`tomorrow`"),
            ("flow=a/b/c", "NAMESPACE"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
