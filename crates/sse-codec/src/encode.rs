use bytes::BufMut;
use memchr::memchr2;

/// Writes one event: its type, its id and its data, with a `data` line for each line of the data.
///
/// `None` for `event` leaves the default type, `message`. Any line end in `data` (LF, CR or CRLF)
/// starts a new line, which a decoder returns as LF. A name or an id is a single line: a line end
/// in it, or a NUL in an id, is written as a space, so that no input can forge another field.
///
/// ```
/// let mut out = Vec::new();
/// sse_codec::encode_event(&mut out, Some("output"), Some("7"), "two\nlines");
/// assert_eq!(out, b"event: output\nid: 7\ndata: two\ndata: lines\n\n");
/// ```
///
/// # Panics
///
/// If `out` is a slice that is too small; `Vec` and `BytesMut` grow.
pub fn encode_event(
    out: &mut impl BufMut,
    event: Option<&str>,
    id: Option<&str>,
    data: impl AsRef<[u8]>,
) {
    if let Some(event) = event {
        put_field(out, "event: ", event.split(['\n', '\r']));
    }
    if let Some(id) = id {
        put_field(out, "id: ", id.split(['\n', '\r', '\0']));
    }
    put_lines(out, "data: ", data.as_ref());
    out.put_u8(b'\n');
}

/// Writes a comment and a blank line, which keep a connection alive.
///
/// ```
/// let mut out = Vec::new();
/// sse_codec::encode_comment(&mut out, "ping");
/// assert_eq!(out, b": ping\n\n");
/// ```
///
/// # Panics
///
/// As [`encode_event`].
pub fn encode_comment(out: &mut impl BufMut, text: &str) {
    put_lines(out, ": ", text.as_bytes());
    out.put_u8(b'\n');
}

/// Writes the time in milliseconds that a client waits before it reconnects.
///
/// ```
/// let mut out = Vec::new();
/// sse_codec::encode_retry(&mut out, 3000);
/// assert_eq!(out, b"retry: 3000\n\n");
/// ```
///
/// # Panics
///
/// As [`encode_event`].
pub fn encode_retry(out: &mut impl BufMut, millis: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    let mut rest = millis;
    loop {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.put_slice(b"retry: ");
    out.put_slice(&digits[start..]);
    out.put_slice(b"\n\n");
}

fn put_field<'a>(out: &mut impl BufMut, prefix: &str, parts: impl Iterator<Item = &'a str>) {
    let mut before = prefix;
    for part in parts {
        out.put_slice(before.as_bytes());
        out.put_slice(part.as_bytes());
        before = " ";
    }
    out.put_u8(b'\n');
}

fn put_lines(out: &mut impl BufMut, prefix: &str, mut text: &[u8]) {
    loop {
        out.put_slice(prefix.as_bytes());
        let Some(end) = memchr2(b'\n', b'\r', text) else {
            out.put_slice(text);
            out.put_u8(b'\n');
            return;
        };
        out.put_slice(&text[..end]);
        out.put_u8(b'\n');
        text = match &text[end..] {
            [b'\r', b'\n', rest @ ..] | [_, rest @ ..] => rest,
            [] => &[],
        };
    }
}
