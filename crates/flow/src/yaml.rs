//! [pure] YAML 1.2 and JSON with positions: strict about keys, bounded in size, depth and aliases.

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Parser, ScalarStyle, Span as ParserSpan, Tag};

use crate::finding::Finding;

mod node;

use node::Layout;
pub use node::{Member, Node, Span, Value};

/// The largest text.
pub const MAX_BYTES: usize = 1024 * 1024;
/// The deepest nesting.
pub const MAX_DEPTH: usize = 64;
/// The most nodes that aliases may stand for.
pub const MAX_ALIAS_NODES: usize = 10_000;

/// Reads one document.
///
/// # Errors
/// All that is wrong with the text, each with its place.
pub fn parse(text: &str) -> Result<Node, Vec<Finding>> {
    let start = Span {
        line: 1,
        column: 1,
        length: 1,
    };
    if text.len() > MAX_BYTES {
        let message = format!("the document is larger than {MAX_BYTES} bytes");
        return Err(vec![Finding::error("T0004", start, "", message)]);
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader {
        text,
        parser: Parser::new_from_str(text),
        anchors: HashMap::new(),
        alias_nodes: 0,
        findings: Vec::new(),
    };
    let node = reader.document();
    match node {
        Ok(node) if reader.findings.is_empty() => Ok(node),
        Ok(_) => Err(reader.findings),
        Err(last) => {
            reader.findings.push(*last);
            Err(reader.findings)
        }
    }
}

struct Reader<'t> {
    text: &'t str,
    parser: Parser<'t, saphyr_parser::StrInput<'t>>,
    /// The node of each anchor, with the number of its nodes.
    anchors: HashMap<usize, (Node, usize)>,
    alias_nodes: usize,
    findings: Vec<Finding>,
}

type Step<T> = Result<T, Box<Finding>>;

fn place(span: ParserSpan) -> Span {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX - 1);
    let same_line = span.start.line() == span.end.line();
    let length = span.end.col().saturating_sub(span.start.col());
    Span {
        line: number(span.start.line()).max(1),
        column: number(span.start.col()) + 1,
        length: number(if same_line { length.max(1) } else { 1 }),
    }
}

fn fail(code: &'static str, span: Span, pointer: &str, message: impl Into<String>) -> Box<Finding> {
    Box::new(Finding::error(code, span, pointer, message.into()))
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Step<(Event<'t>, ParserSpan)> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => {
                let marker = *error.marker();
                let span = self.within(place(ParserSpan::new(marker, marker)));
                Err(fail(
                    "T0001",
                    span,
                    "",
                    format!("not YAML: {}", error.info()),
                ))
            }
            None => {
                let lines = u32::try_from(lines_of(self.text).count()).unwrap_or(1);
                let span = Span {
                    line: lines.max(1),
                    column: 1,
                    length: 1,
                };
                Err(fail("T0001", span, "", "not YAML: the text ends too early"))
            }
        }
    }

    /// A place behind the last line is the end of that line.
    fn within(&self, span: Span) -> Span {
        let lines = u32::try_from(lines_of(self.text).count()).unwrap_or(u32::MAX);
        if span.line <= lines.max(1) {
            return span;
        }
        let last = lines_of(self.text).last().unwrap_or_default();
        Span {
            line: lines.max(1),
            column: u32::try_from(last.chars().count()).unwrap_or(0) + 1,
            length: 1,
        }
    }

    fn document(&mut self) -> Step<Node> {
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamStart | Event::DocumentStart(_) | Event::Nothing => {}
                Event::StreamEnd => {
                    return Err(fail("T0006", place(span), "", "the document is empty"));
                }
                event => {
                    let (node, _) = self.node(event, span, 0, "")?;
                    self.end()?;
                    return Ok(node);
                }
            }
        }
    }

    fn end(&mut self) -> Step<()> {
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(()),
                Event::DocumentEnd | Event::Nothing => {}
                _ => {
                    let message = "a file holds one document; another one begins here";
                    return Err(fail("T0006", place(span), "", message));
                }
            }
        }
    }

    /// Reads the node that begins with that event; says how many nodes it has.
    fn node(
        &mut self,
        event: Event<'t>,
        at: ParserSpan,
        depth: usize,
        pointer: &str,
    ) -> Step<(Node, usize)> {
        let span = place(at);
        if depth > MAX_DEPTH {
            let message = format!("nested deeper than {MAX_DEPTH}");
            return Err(fail("T0004", span, pointer, message));
        }
        let (anchor, value, layout, count) = match event {
            Event::Alias(anchor) => return self.alias(anchor, span, pointer),
            Event::Scalar(text, style, anchor, tag) => {
                let value = self.scalar(&text, style, tag.as_deref(), span, pointer);
                (anchor, value, self.layout(style, at), 1)
            }
            Event::SequenceStart(anchor, _) => {
                let (items, count) = self.array(depth, pointer)?;
                (anchor, Value::Array(items), Layout::Plain, count)
            }
            Event::MappingStart(anchor, _) => {
                let (members, count) = self.object(depth, pointer)?;
                (anchor, Value::Object(members), Layout::Plain, count)
            }
            _ => {
                return Err(fail(
                    "T0001",
                    span,
                    pointer,
                    "not YAML: a value is expected",
                ));
            }
        };
        let node = Node {
            value,
            span,
            layout,
        };
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), count));
        }
        Ok((node, count))
    }

    fn alias(&mut self, anchor: usize, span: Span, pointer: &str) -> Step<(Node, usize)> {
        let Some((node, count)) = self.anchors.get(&anchor) else {
            return Err(fail(
                "T0005",
                span,
                pointer,
                "the alias stands within its own anchor",
            ));
        };
        self.alias_nodes += count;
        if self.alias_nodes > MAX_ALIAS_NODES {
            let message = format!("aliases stand for more than {MAX_ALIAS_NODES} nodes");
            return Err(fail("T0004", span, pointer, message));
        }
        let mut node = node.clone();
        node.span = span;
        Ok((node, *count))
    }

    fn array(&mut self, depth: usize, pointer: &str) -> Step<(Vec<Node>, usize)> {
        let (mut items, mut count) = (Vec::new(), 1);
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                return Ok((items, count));
            }
            let pointer = format!("{pointer}/{}", items.len());
            let (item, nodes) = self.node(event, span, depth + 1, &pointer)?;
            items.push(item);
            count += nodes;
        }
    }

    fn object(&mut self, depth: usize, pointer: &str) -> Step<(Vec<Member>, usize)> {
        let (mut members, mut count) = (Vec::<Member>::new(), 1);
        let mut known = HashSet::new();
        loop {
            let (event, at) = self.next()?;
            let span = place(at);
            let key = match event {
                Event::MappingEnd => return Ok((members, count)),
                Event::Scalar(text, style, _, _) => {
                    if text == "<<" && style == ScalarStyle::Plain {
                        let message = "merge keys (`<<`) are not part of YAML 1.2";
                        self.findings.push(*fail("T0003", span, pointer, message));
                    }
                    text.into_owned()
                }
                _ => return Err(fail("T0005", span, pointer, "a key is text")),
            };
            let inner = format!("{pointer}/{}", escape(&key));
            if !known.insert(key.clone()) {
                let message = format!("the key `{key}` occurs twice");
                self.findings.push(*fail("T0002", span, &inner, message));
            }
            let (event, at) = self.next()?;
            let (node, nodes) = self.node(event, at, depth + 1, &inner)?;
            members.push(Member { key, span, node });
            count += nodes + 1;
        }
    }

    fn layout(&self, style: ScalarStyle, at: ParserSpan) -> Layout {
        match style {
            ScalarStyle::Plain => Layout::Plain,
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => Layout::Quoted,
            ScalarStyle::Literal | ScalarStyle::Folded => {
                let header = at.start.line().saturating_sub(1);
                let mut lines = lines_of(self.text).enumerate().skip(header);
                let first = lines.next().map(|(_, line)| line).unwrap_or_default();
                let mark = first.chars().nth(at.start.col());
                let on_header = matches!(mark, Some('|' | '>'));
                let mut lines = lines_of(self.text)
                    .enumerate()
                    .skip(header + usize::from(on_header));
                let content = lines.find(|(_, line)| !line.trim().is_empty());
                let (index, line) = content.unwrap_or_default();
                let indent = line.len() - line.trim_start_matches(' ').len();
                Layout::Block {
                    first: u32::try_from(index + 1).unwrap_or(1),
                    indent: u32::try_from(indent).unwrap_or(0),
                }
            }
        }
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        tag: Option<&Tag>,
        span: Span,
        pointer: &str,
    ) -> Value {
        let tagged_text = tag.is_some_and(|tag| tag.is_yaml_core_schema() && tag.suffix == "str");
        if style != ScalarStyle::Plain || tagged_text {
            return Value::String(text.to_owned());
        }
        match text {
            "" | "~" | "null" | "Null" | "NULL" => Value::Null,
            "true" | "True" | "TRUE" => Value::Bool(true),
            "false" | "False" | "FALSE" => Value::Bool(false),
            ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF" | "-.inf" | "-.Inf" | "-.INF"
            | "+.inf" => {
                let message = format!("`{text}` has no form in JSON");
                self.findings.push(*fail("T0001", span, pointer, message));
                Value::Null
            }
            _ => number(text).map_or_else(|| Value::String(text.to_owned()), Value::Number),
        }
    }
}

/// Lines as YAML breaks them (YAML 1.2.2 §5.4): at CR LF, LF, and CR alone.
pub(crate) fn lines_of(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text).filter(|text| !text.is_empty());
    std::iter::from_fn(move || {
        let all = rest?;
        let end = all.find(['\r', '\n']).unwrap_or(all.len());
        let (line, after) = all.split_at(end);
        let after = after
            .strip_prefix("\r\n")
            .or_else(|| after.strip_prefix(['\r', '\n']));
        rest = after.filter(|after| !after.is_empty());
        Some(line)
    })
}

/// A key as a part of a JSON Pointer.
#[must_use]
pub fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// The JSON text of a number in the core schema of YAML 1.2.
fn number(text: &str) -> Option<String> {
    let radix = |digits: Option<&str>, radix| {
        let digits = digits.filter(|digits| !digits.is_empty())?;
        u64::from_str_radix(digits, radix)
            .ok()
            .map(|n| n.to_string())
    };
    if let Some(number) = radix(text.strip_prefix("0x"), 16) {
        return Some(number);
    }
    if let Some(number) = radix(text.strip_prefix("0o"), 8) {
        return Some(number);
    }
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (rest, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let fraction_digits = fraction.unwrap_or_default();
    if !digits(whole) || !digits(fraction_digits) || whole.len() + fraction_digits.len() == 0 {
        return None;
    }
    let whole = whole.trim_start_matches('0');
    let mut json = format!("{sign}{}", if whole.is_empty() { "0" } else { whole });
    if !fraction_digits.is_empty() {
        json = format!("{json}.{fraction_digits}");
    }
    if let Some(exponent) = exponent {
        let plain = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        if plain.is_empty() || !digits(plain) {
            return None;
        }
        json = format!("{json}e{exponent}");
    }
    let finite = json.parse::<f64>().is_ok_and(f64::is_finite);
    finite.then_some(json)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value as Json;
    use serde_json::json;

    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "tables read better")]
    fn check(text: &str, expected: Json) {
        assert_eq!(parse(text).unwrap().to_json(), expected, "{text}");
    }

    fn refused(text: &str, code: &str, line: u32, column: u32) {
        let findings = parse(text).unwrap_err();
        let first = &findings[0];
        assert_eq!(
            (first.code, first.line, first.column),
            (code, line, column),
            "{text}"
        );
    }

    #[test]
    fn yaml_1_2_is_read() {
        check(
            "a: 1\nb: [x, 'y', \"z\\n\"]",
            json!({"a": 1, "b": ["x", "y", "z\n"]}),
        );
        check(
            "{\"a\": null, \"b\": 1.5e3}",
            json!({"a": null, "b": 1500.0}),
        );
        check(
            "[yes, no, on, off, y]",
            json!(["yes", "no", "on", "off", "y"]),
        );
        check("on: true", json!({"on": true}));
        check(
            "[0x1F, 0o17, 007, +3, -0.50, .5, 1e3x]",
            json!([31, 15, 7, 3, -0.5, 0.5, "1e3x"]),
        );
        check("a: &x {b: 1}\nc: *x", json!({"a": {"b": 1}, "c": {"b": 1}}));
        check("a: |\n  x\n  y\n", json!({"a": "x\ny\n"}));
        check("!!str 1", json!("1"));
        check("200: ok", json!({"200": "ok"}));
    }

    #[test]
    fn what_is_refused_has_its_place() {
        refused("a: 1\nb: 2\na: 3", "T0002", 3, 1);
        refused("a: &x {b: 1}\nc:\n  <<: *x", "T0003", 3, 3);
        refused("a: [1", "T0001", 1, 6);
        refused("", "T0006", 1, 1);
        refused("a: 1\n---\nb: 2", "T0006", 2, 1);
        refused("a: .nan", "T0001", 1, 4);
        refused("? [a]\n: 1", "T0005", 1, 3);
    }

    #[test]
    fn a_carriage_return_alone_ends_a_line() {
        let check = |text: &str, expected: &[&str]| {
            assert_eq!(lines_of(text).collect::<Vec<_>>(), expected, "{text:?}");
        };
        check("a\r\nb\rc\n\nd\n", &["a", "b", "c", "", "d"]);
        check("a\r\r\nb\r\r", &["a", "", "b", ""]);
        check("", &[]);
        for line_end in ["\n", "\r\n", "\r"] {
            let text = ["a: 1", "b: |", "  x y", ""].join(line_end);
            let node = parse(&text).unwrap();
            let place = node.get("b").unwrap().span_at(2);
            assert_eq!((place.line, place.column), (3, 5), "{text:?}");
        }
        let findings = parse("a: 1\r\rb: [\r").unwrap_err();
        assert_eq!(findings.first().map(|finding| finding.line), Some(3));
    }

    #[test]
    fn limits_hold() {
        refused(&"[".repeat(100), "T0004", 1, 66);
        let bomb = "a: &a [1,1,1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n\
                    c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]";
        assert_eq!(parse(bomb).unwrap_err()[0].code, "T0004");
        assert_eq!(
            parse(&"a".repeat(MAX_BYTES + 1)).unwrap_err()[0].code,
            "T0004"
        );
    }

    #[test]
    fn characters_of_strings_are_found_again() {
        let node = parse("a: xyz\nb: 'xyz'\nc: |\n    xy\n    z\n").unwrap();
        let at = |key: &str, byte| {
            let span = node.get(key).unwrap().span_at(byte);
            (span.line, span.column)
        };
        assert_eq!(at("a", 2), (1, 6));
        assert_eq!(at("b", 2), (2, 7));
        assert_eq!(at("c", 3), (5, 5));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "[a-z:\\- \\n{}\\[\\],&*'\"|>#!%@0-9.]{0,80}") {
            let _either = parse(&text);
        }
    }
}
