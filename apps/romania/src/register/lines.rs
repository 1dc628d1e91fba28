//! Lines of a published file, one at a time, with their numbers and within a length.

use std::io::{self, BufRead};

/// Longest line that is read: the longest published ones have some 600 bytes.
const MAX_LINE: usize = 16 * 1024;
const MARK: &[u8] = "\u{feff}".as_bytes();

/// Where reading goes on: behind the lines that were read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Place {
    /// Bytes from the beginning of the file.
    pub(crate) offset: u64,
    /// Lines before it.
    pub(crate) line: u64,
}

/// One line, without its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    Text(&'a str),
    /// Not UTF-8.
    NotText,
    TooLong,
}

/// A reader of lines.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    input: R,
    place: Place,
    buffer: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    /// Reads from `place`, where `input` stands.
    pub(crate) fn new(input: R, place: Place) -> Self {
        Self {
            input,
            place,
            buffer: Vec::new(),
        }
    }

    /// Behind the line that was answered last; that line's number is `place().line`.
    pub(crate) const fn place(&self) -> Place {
        self.place
    }

    /// The next line, or nothing at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.buffer.clear();
        let mut is_too_long = false;
        let mut is_ended = false;
        let before = self.place.offset;
        while !is_ended {
            let available = match self.input.fill_buf() {
                Ok(available) => available,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if available.is_empty() {
                break;
            }
            let end = available.iter().position(|byte| *byte == b'\n');
            let part = available.get(..end.unwrap_or(available.len()));
            let part = part.unwrap_or_default();
            // What follows the limit is passed over, never kept.
            is_too_long |= self.buffer.len() + part.len() > MAX_LINE;
            if !is_too_long {
                self.buffer.extend_from_slice(part);
            }
            let used = part.len() + usize::from(end.is_some());
            is_ended = end.is_some();
            self.place.offset += u64::try_from(used).unwrap_or(u64::MAX);
            self.input.consume(used);
        }
        if self.place.offset == before {
            return Ok(None);
        }
        self.place.line += 1;
        if is_too_long {
            return Ok(Some(Line::TooLong));
        }
        let mut text = self.buffer.as_slice();
        if before == 0 {
            text = text.strip_prefix(MARK).unwrap_or(text);
        }
        text = text.strip_suffix(b"\r").unwrap_or(text);
        Ok(Some(
            std::str::from_utf8(text).map_or(Line::NotText, Line::Text),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Vec<(u64, u64, String)> {
        // A tiny buffer: lines and their ends fall across its edges.
        let input = io::BufReader::with_capacity(3, bytes);
        let mut lines = Lines::new(input, Place::default());
        let mut all = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            let text = match line {
                Line::Text(text) => text.to_owned(),
                other => format!("{other:?}"),
            };
            all.push((lines.place().line, lines.place().offset, text));
        }
        all
    }

    fn check(bytes: &[u8], expected: &[&str]) {
        let texts: Vec<String> = read(bytes).into_iter().map(|(_, _, text)| text).collect();
        assert_eq!(texts, expected);
    }

    #[test]
    fn marks_and_line_ends_are_taken_off() {
        check(b"", &[]);
        check("\u{feff}a^b\r\nc\n".as_bytes(), &["a^b", "c"]);
        check(b"a\n\nb", &["a", "", "b"]);
        check(b"\xff\nok\n", &["NotText", "ok"]);
    }

    #[test]
    fn a_line_without_an_end_within_the_limit_is_passed_over() {
        let mut bytes = vec![b'x'; MAX_LINE + 1];
        bytes.extend(b"\nnext\n");
        check(&bytes, &["TooLong", "next"]);
        let whole = "y".repeat(MAX_LINE);
        check(whole.as_bytes(), &[&whole]);
    }

    #[test]
    fn reading_goes_on_at_a_place() {
        let bytes = b"one\r\ntwo\nthree";
        assert_eq!(
            read(bytes)
                .iter()
                .map(|(line, offset, _)| (*line, *offset))
                .collect::<Vec<_>>(),
            [(1, 5), (2, 9), (3, 14)]
        );
        let place = Place { offset: 5, line: 1 };
        let mut lines = Lines::new(&bytes[5..], place);
        assert_eq!(lines.next().unwrap(), Some(Line::Text("two")));
        assert_eq!(lines.place(), Place { offset: 9, line: 2 });
    }
}
