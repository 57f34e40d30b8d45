//! A slow and simple decoder: it takes the whole stream and follows WHATWG HTML, 9.2.6, word by
//! word. It shares no code with the crate.

use sse_codec::{Decoder, Event, Kind, LimitExceeded, Limits};

/// An item that owns its parts, for comparison.
pub(crate) type Item = Result<Owned, LimitExceeded>;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Owned {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) data: Vec<u8>,
    pub(crate) id: String,
    pub(crate) retry: Option<u64>,
}

impl From<Event<'_>> for Owned {
    fn from(event: Event<'_>) -> Self {
        Self {
            kind: event.kind(),
            name: event.name().to_owned(),
            data: event.data().to_vec(),
            id: event.id().to_owned(),
            retry: event.retry(),
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    pub(crate) comments: bool,
    pub(crate) empty_events: bool,
    pub(crate) limits: Limits,
}

impl Options {
    pub(crate) fn decoder(self) -> Decoder {
        Decoder::new()
            .with_comments(self.comments)
            .with_empty_events(self.empty_events)
            .with_limits(self.limits)
    }
}

#[derive(Debug, Default, PartialEq)]
pub(crate) struct Decoded {
    pub(crate) items: Vec<Item>,
    pub(crate) tail: Option<Item>,
    pub(crate) last_id: String,
    /// The state before the incomplete end.
    pub(crate) retry: Option<u64>,
}

pub(crate) fn decode(input: &[u8], options: Options) -> Decoded {
    let Limits {
        line: line_limit,
        event: event_limit,
        ..
    } = options.limits;
    let mut decoded = Decoded::default();
    let mut block = Block::default();
    let mut skipping = false;
    let (lines, rest) = lines(input);
    for line in lines {
        if line.is_empty() {
            if !std::mem::take(&mut skipping) {
                if let Some(id) = &block.id {
                    decoded.last_id.clone_from(id);
                }
                if let Some(event) = block.event(Kind::Message, options, &decoded.last_id) {
                    decoded.items.push(Ok(event));
                }
            }
            block = Block::default();
        } else if skipping {
            continue;
        } else if line.len() > line_limit {
            skipping = true;
            decoded
                .items
                .push(Err(LimitExceeded::Line { limit: line_limit }));
        } else if let [b':', text @ ..] = &line[..] {
            if options.comments {
                let text = text.strip_prefix(b" ").unwrap_or(text);
                decoded.items.push(Ok(Owned {
                    kind: Kind::Comment,
                    name: String::new(),
                    data: text.to_vec(),
                    id: decoded.last_id.clone(),
                    retry: None,
                }));
            }
        } else {
            block.add(&line);
            decoded.retry = block.retry.or(decoded.retry);
            if block.len() > event_limit {
                skipping = true;
                decoded
                    .items
                    .push(Err(LimitExceeded::Event { limit: event_limit }));
            }
        }
    }
    if skipping {
        return decoded;
    }
    if rest.len() > line_limit {
        decoded
            .items
            .push(Err(LimitExceeded::Line { limit: line_limit }));
    } else {
        block.add(&rest);
        decoded.tail = if block.len() > event_limit {
            Some(Err(LimitExceeded::Event { limit: event_limit }))
        } else {
            let id = block.id.as_ref().unwrap_or(&decoded.last_id);
            block.event(Kind::Incomplete, options, id).map(Ok)
        };
    }
    decoded
}

/// Every complete line, and the rest after the last one.
fn lines(input: &[u8]) -> (Vec<Vec<u8>>, Vec<u8>) {
    let mut bytes = input
        .strip_prefix(b"\xEF\xBB\xBF")
        .unwrap_or(input)
        .iter()
        .peekable();
    let mut lines = Vec::new();
    let mut line = Vec::new();
    while let Some(&byte) = bytes.next() {
        if byte == b'\r' || byte == b'\n' {
            if byte == b'\r' {
                bytes.next_if_eq(&&b'\n');
            }
            lines.push(std::mem::take(&mut line));
        } else {
            line.push(byte);
        }
    }
    (lines, line)
}

#[derive(Default)]
struct Block {
    data: Vec<Vec<u8>>,
    id: Option<String>,
    name: Option<String>,
    retry: Option<u64>,
}

impl Block {
    fn add(&mut self, line: &[u8]) {
        let colon = line.iter().position(|byte| *byte == b':');
        let (field, value) = match colon {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &[][..]),
        };
        let value = if value.first() == Some(&b' ') {
            &value[1..]
        } else {
            value
        };
        let text = String::from_utf8_lossy(value).into_owned();
        if field == b"data" {
            self.data.push(value.to_vec());
        } else if field == b"event" {
            self.name = Some(text);
        } else if field == b"id" && !value.contains(&0) {
            self.id = Some(text);
        } else if field == b"retry" && !text.is_empty() && text.chars().all(|c| c.is_ascii_digit())
        {
            self.retry = Some(text.parse().unwrap_or(u64::MAX));
        }
    }

    fn len(&self) -> usize {
        self.data.join(&b'\n').len()
    }

    fn event(&self, kind: Kind, options: Options, id: &str) -> Option<Owned> {
        let fields = self.id.is_some() || self.name.is_some() || self.retry.is_some();
        let kind = match (self.data.is_empty(), kind) {
            (false, kind) | (true, kind @ Kind::Incomplete) => kind,
            (true, _) => Kind::Empty,
        };
        let reported = !self.data.is_empty() || (options.empty_events && fields);
        reported.then(|| Owned {
            kind,
            name: match self.name.as_deref() {
                None | Some("") => "message".to_owned(),
                Some(name) => name.to_owned(),
            },
            data: self.data.join(&b'\n'),
            id: id.to_owned(),
            retry: self.retry,
        })
    }
}
