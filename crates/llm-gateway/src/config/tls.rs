//! `ssl_certfile` and `ssl_keyfile`: TLS of the server.

use super::reader::{Reader, Section};
use crate::TlsFiles;

/// The files that the file names.
pub(super) fn tls(reader: &mut Reader<'_>, general: Option<&mut Section>) -> Option<TlsFiles> {
    let general = general?;
    let certificate = reader.take_text(general, "ssl_certfile");
    let key = reader.take_text(general, "ssl_keyfile");
    match (certificate, key) {
        (Some((certificate, _)), Some((key, _))) => Some(TlsFiles::new(certificate, key)),
        (Some((_, at)), None) => {
            reader.error(
                at,
                "`ssl_certfile` needs the private key: set `ssl_keyfile`, too",
            );
            None
        }
        (None, Some((_, at))) => {
            reader.error(
                at,
                "`ssl_keyfile` needs the certificate: set `ssl_certfile`, too",
            );
            None
        }
        (None, None) => None,
    }
}
