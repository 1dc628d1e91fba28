//! [pure] JSON text to values: strict, with limits, keeping the text of decimal numbers.

use jaq_json::{Map, Num, Val};

use super::{DataError, MAX_BYTES, MAX_DEPTH, MAX_DIGITS};

/// Reads one JSON document.
pub(crate) fn parse(bytes: &[u8]) -> Result<Val, DataError> {
    if bytes.len() > MAX_BYTES {
        return Err(DataError::TooLarge);
    }
    let mut reader = Reader { bytes, at: 0 };
    let value = reader.value(0)?;
    reader.space();
    if reader.at < bytes.len() {
        return Err(reader.error("the end"));
    }
    Ok(value)
}

/// A number from text that has a number's form.
pub(crate) fn number(text: &str) -> Val {
    let whole = Num::from_str_radix(text, 10);
    Val::Num(whole.unwrap_or_else(|| Num::Dec(text.to_owned().into())))
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn error(&self, what: &'static str) -> DataError {
        DataError::Syntax { at: self.at, what }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn value(&mut self, depth: usize) -> Result<Val, DataError> {
        if depth > MAX_DEPTH {
            return Err(DataError::TooDeep);
        }
        self.space();
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => self.string(),
            Some(b't') => self.word(b"true", Val::Bool(true)),
            Some(b'f') => self.word(b"false", Val::Bool(false)),
            Some(b'n') => self.word(b"null", Val::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(self.error("a value")),
        }
    }

    fn word(&mut self, word: &'static [u8], value: Val) -> Result<Val, DataError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        if !rest.starts_with(word) {
            return Err(self.error("true, false or null"));
        }
        self.at += word.len();
        Ok(value)
    }

    fn array(&mut self, depth: usize) -> Result<Val, DataError> {
        self.at += 1;
        let mut items = Vec::new();
        self.space();
        if self.take(b']') {
            return Ok(items.into_iter().collect());
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.space();
            if self.take(b']') {
                return Ok(items.into_iter().collect());
            }
            if !self.take(b',') {
                return Err(self.error("`,` or `]`"));
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Val, DataError> {
        self.at += 1;
        let mut members = Map::default();
        self.space();
        if self.take(b'}') {
            return Ok(Val::obj(members));
        }
        loop {
            self.space();
            if self.peek() != Some(b'"') {
                return Err(self.error("a member's name"));
            }
            let key = self.string()?;
            self.space();
            if !self.take(b':') {
                return Err(self.error("`:`"));
            }
            members.insert(key, self.value(depth + 1)?);
            self.space();
            if self.take(b'}') {
                return Ok(Val::obj(members));
            }
            if !self.take(b',') {
                return Err(self.error("`,` or `}`"));
            }
        }
    }

    fn digits(&mut self) -> Result<(), DataError> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if start == self.at {
            return Err(self.error("a digit"));
        }
        Ok(())
    }

    fn number(&mut self) -> Result<Val, DataError> {
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        let mut whole = true;
        if self.take(b'.') {
            whole = false;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            whole = false;
            self.at += 1;
            if !self.take(b'-') {
                self.take(b'+');
            }
            self.digits()?;
        }
        let text = self.bytes.get(start..self.at).unwrap_or_default();
        let text = String::from_utf8_lossy(text);
        if text.len() > MAX_DIGITS {
            return Err(DataError::Number(
                text.chars().take(20).collect::<String>() + "…",
            ));
        }
        if !whole && text.parse().is_ok_and(f64::is_infinite) {
            return Err(DataError::Number(text.into_owned()));
        }
        Ok(number(&text))
    }

    fn string(&mut self) -> Result<Val, DataError> {
        self.at += 1;
        let start = self.at;
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => return self.escaped(start),
                Some(0..=0x1f) | None => return Err(self.error("the end of a string")),
                Some(_) => self.at += 1,
            }
        }
        let text = self.utf8(start)?;
        let value = Val::utf8_str(text.as_bytes().to_vec());
        self.at += 1;
        Ok(value)
    }

    fn utf8(&self, start: usize) -> Result<&'a str, DataError> {
        let part = self.bytes.get(start..self.at).unwrap_or_default();
        std::str::from_utf8(part).map_err(|_not_utf8| DataError::Syntax {
            at: start,
            what: "UTF-8",
        })
    }

    /// The rest of a string whose first escape is at hand.
    fn escaped(&mut self, start: usize) -> Result<Val, DataError> {
        let mut text = self.utf8(start)?.to_owned();
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Val::utf8_str(text.into_bytes()));
                }
                Some(b'\\') => {
                    self.at += 1;
                    text.push(self.escape()?);
                }
                Some(0..=0x1f) | None => return Err(self.error("the end of a string")),
                Some(_) => {
                    let start = self.at;
                    while !matches!(self.peek(), Some(b'"' | b'\\' | 0..=0x1f) | None) {
                        self.at += 1;
                    }
                    text.push_str(self.utf8(start)?);
                }
            }
        }
    }

    fn escape(&mut self) -> Result<char, DataError> {
        let byte = self.peek().ok_or_else(|| self.error("an escape"))?;
        self.at += 1;
        Ok(match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => self.unicode()?,
            _ => return Err(self.error("an escape")),
        })
    }

    fn hex(&mut self) -> Result<u32, DataError> {
        let digits = self.bytes.get(self.at..self.at + 4);
        let digits = digits.filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let code = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let code = code.ok_or_else(|| self.error("four hexadecimal digits"))?;
        self.at += 4;
        Ok(code)
    }

    /// A lone surrogate becomes the replacement character, as in jq.
    fn unicode(&mut self) -> Result<char, DataError> {
        let first = self.hex()?;
        if !(0xd800..0xdc00).contains(&first) {
            return Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        if !rest.starts_with(b"\\u") {
            return Ok(char::REPLACEMENT_CHARACTER);
        }
        let back = self.at;
        self.at += 2;
        let second = self.hex()?;
        if !(0xdc00..0xe000).contains(&second) {
            self.at = back;
            return Ok(char::REPLACEMENT_CHARACTER);
        }
        let code = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
    }
}
