//! [pure] What a script finds: its environment and its standard input (Serf 0.9.4).

use crate::rpc::event::{Event, Member};

/// What is added to the environment of the agent. Where a variable comes twice, the last counts.
pub(super) fn environment(own: &Member, event: &Event) -> Vec<(String, String)> {
    let mut variables = vec![
        ("SERF_EVENT".to_owned(), event.kind().to_owned()),
        ("SERF_SELF_NAME".to_owned(), own.name.to_string()),
        ("SERF_SELF_ROLE".to_owned(), own.role().to_owned()),
    ];
    let tags = own.tags.iter();
    variables
        .extend(tags.map(|(key, value)| (format!("SERF_TAG_{}", variable(key)), value.clone())));
    let mut add = |name: &str, value: String| variables.push((name.to_owned(), value));
    match event {
        Event::Members(..) => {}
        Event::User(event) => {
            add("SERF_USER_EVENT", event.name.to_string());
            add("SERF_USER_LTIME", event.ltime.to_string());
        }
        Event::Query(query) => {
            add("SERF_QUERY_NAME", query.name.to_string());
            add("SERF_QUERY_LTIME", query.key.ltime.to_string());
        }
    }
    // A zero byte ends a variable: with one in it no script could be run at all.
    for (_, value) in &mut variables {
        value.retain(|character| character != '\0');
    }
    variables
}

/// The name of a tag as the name of a variable: in capitals, and `_` for what is neither letter nor digit.
fn variable(tag: &str) -> String {
    let upper = tag.to_uppercase();
    let is_fit = |character: char| character.is_ascii_uppercase() || character.is_ascii_digit();
    let fitting = |character| if is_fit(character) { character } else { '_' };
    upper.chars().map(fitting).collect()
}

/// What stands on the standard input: a line for each member, or the payload, which then ends with a line end.
pub(super) fn input(event: &Event) -> Vec<u8> {
    let payload = match event {
        Event::Members(_, members) => {
            return members.iter().map(line).collect::<String>().into_bytes();
        }
        Event::User(event) => &event.payload,
        Event::Query(query) => &query.payload,
    };
    let mut input = payload.to_vec();
    if !input.is_empty() && !input.ends_with(b"\n") {
        input.push(b'\n');
    }
    input
}

fn line(member: &Member) -> String {
    let address = match &member.address {
        Some(address) => address.to_string(),
        None => "<nil>".to_owned(),
    };
    let pairs: Vec<String> = member
        .tags
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let (name, role, tags) = (member.name.text(), member.role(), pairs.join(","));
    format!(
        "{}\t{address}\t{}\t{}\n",
        clean(&name),
        clean(role),
        clean(&tags)
    )
}

/// So that a value is one field of one line.
fn clean(value: &str) -> String {
    value.replace('\t', "\\t").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::rpc::event::{MemberChange, UserEvent};
    use crate::wire::Address;

    fn own() -> Member {
        let tags = [("role", "web"), ("data-center", "b\0uc"), ("ünit", "1")];
        Member {
            name: "a1".into(),
            address: Some(Address::Four([127, 0, 0, 2])),
            tags: tags
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            ..Member::default()
        }
    }

    fn user(payload: &'static [u8]) -> Event {
        let payload = Bytes::from_static(payload);
        Event::User(UserEvent {
            ltime: 7,
            name: "deploy".into(),
            payload,
            coalesce: true,
        })
    }

    #[test]
    fn a_script_finds_the_event_its_own_member_and_its_tags_in_the_environment() {
        let variables = environment(&own(), &user(b""));
        let expected = [
            ("SERF_EVENT", "user"),
            ("SERF_SELF_NAME", "a1"),
            ("SERF_SELF_ROLE", "web"),
            ("SERF_TAG_DATA_CENTER", "buc"),
            ("SERF_TAG_ROLE", "web"),
            ("SERF_TAG__NIT", "1"),
            ("SERF_USER_EVENT", "deploy"),
            ("SERF_USER_LTIME", "7"),
        ];
        let found: Vec<_> = variables
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn the_payload_ends_with_a_line_end_unless_it_is_empty() {
        assert_eq!(input(&user(b"")), b"");
        assert_eq!(input(&user(b"v2")), b"v2\n");
        assert_eq!(input(&user(b"v2\n")), b"v2\n");
    }

    #[test]
    fn each_member_is_a_line_whatever_is_in_its_tags() {
        let odd = Member {
            name: "b\t2".into(),
            address: Some(Address::Four([127, 0, 0, 3]).to_sixteen()),
            tags: [("k".to_owned(), "1\n2".to_owned())].into(),
            ..Member::default()
        };
        let event = Event::Members(MemberChange::Join, vec![own(), odd]);
        let expected =
            "a1\t127.0.0.2\tweb\tdata-center=b\0uc,role=web,ünit=1\nb\\t2\t127.0.0.3\t\tk=1\\n2\n";
        assert_eq!(String::from_utf8(input(&event)).unwrap(), expected);
    }
}
