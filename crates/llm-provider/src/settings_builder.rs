//! The builder methods of the settings that few programs change.

use std::path::PathBuf;
use std::time::Duration;

use crate::{ExtraHeaders, Settings};

impl Settings {
    /// Sets the time limit of a streamed call until the head of its response; `timeout` by default.
    #[must_use]
    pub fn with_stream_timeout(mut self, timeout: Duration) -> Self {
        self.stream_timeout = Some(timeout);
        self
    }

    /// Sets the time limit of connecting; 10 seconds by default.
    #[must_use]
    pub fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = Some(timeout);
        self
    }

    /// Sets the time limit of each attempt until the head of its response; none by default.
    #[must_use]
    pub fn with_first_byte_timeout(mut self, timeout: Duration) -> Self {
        self.first_byte_timeout = Some(timeout);
        self
    }

    /// Sets the time limit of each wait for bytes of a response; that of the call by default.
    #[must_use]
    pub fn with_idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = Some(timeout);
        self
    }

    /// Sets whether a call that may have been billed is sent again; `false` by default.
    #[must_use]
    pub fn with_retry_billed(mut self, retry_billed: bool) -> Self {
        self.retry_billed = retry_billed;
        self
    }

    /// Sets a PEM file of certificate authorities to trust besides the system's.
    #[must_use]
    pub fn with_ca_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.ca_file = Some(file.into());
        self
    }

    /// Sets the headers to add to each request.
    #[must_use]
    pub fn with_extra_headers(mut self, headers: ExtraHeaders) -> Self {
        self.extra_headers = headers;
        self
    }

    /// Adds a value of a Rust type that only some providers read, such as a
    /// `prompt_templates::TemplateRegistry`. A value of the same type is replaced.
    #[must_use]
    pub fn with_extension<T: Clone + Send + Sync + 'static>(mut self, value: T) -> Self {
        self.extensions.insert(value);
        self
    }
}
