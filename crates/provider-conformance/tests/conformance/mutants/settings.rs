//! Time limits, retries and cancellation.

use std::time::Duration;

use super::Mutant;
use crate::mutant::Mutation::{Call, Detached, Hasty, Settings};

pub(super) const MUTANTS: &[Mutant] = &[
    (
        "ignores the call's timeout",
        "timeouts",
        Call(|_, timeout| *timeout = None),
    ),
    (
        "ignores the call's timeout elsewhere",
        "operation_errors",
        Call(|_, timeout| {
            *timeout = Some(Duration::from_secs(600));
        }),
    ),
    (
        "ignores timeout",
        "timeouts",
        Settings(|settings| settings.timeout = None),
    ),
    (
        "ignores first_byte_timeout",
        "timeouts",
        Settings(|settings| {
            settings.first_byte_timeout = None;
        }),
    ),
    (
        "ignores idle_timeout",
        "timeouts",
        Settings(|settings| settings.idle_timeout = None),
    ),
    (
        "waits for a first chunk without limit",
        "timeouts",
        Settings(|settings| {
            let idle = settings.idle_timeout;
            settings.idle_timeout = idle.or(Some(Duration::from_secs(600)));
        }),
    ),
    (
        "impatient",
        "timeouts",
        Settings(|settings| {
            settings.idle_timeout = Some(Duration::from_secs(1));
        }),
    ),
    (
        "never retries",
        "retries",
        Settings(|settings| settings.max_retries = Some(0)),
    ),
    (
        "retries once too often",
        "retries",
        Settings(|settings| {
            settings.max_retries = settings.max_retries.map(|retries| retries + 1);
        }),
    ),
    (
        "retries what may be billed",
        "retries",
        Settings(|settings| settings.retry_billed = true),
    ),
    (
        "ignores retry_billed",
        "retries",
        Settings(|settings| settings.retry_billed = false),
    ),
    (
        "accepts undeclared settings",
        "declared_settings",
        Settings(|settings| settings.extra.clear()),
    ),
    (
        "rejects a declared setting",
        "declared_settings",
        Settings(|settings| {
            if let Some(region) = settings.extra.shift_remove("region") {
                settings.extra.insert("zone".to_owned(), region);
            }
        }),
    ),
    ("ignores retry-after", "retry_advice", Hasty),
    ("goes on when it is dropped", "cancelling", Detached),
];
