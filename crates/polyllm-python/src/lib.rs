//! polyllm for Python: the native part of the package `polyllm`. The README describes the package;
//! `python/polyllm/_native.pyi` lists what is here.

mod accounts;
mod arguments;
mod call;
mod errors;
mod router;
mod runtime;
mod sse;
mod stream;
mod tasks;
mod templates;
mod to_json;
mod to_python;
mod verbose;

use pyo3::prelude::*;

#[pymodule]
mod _native {
    #[pymodule_export]
    use crate::call::{call, start};
    #[pymodule_export]
    use crate::router::Router;
    #[pymodule_export]
    use crate::runtime::shutdown;
    #[pymodule_export]
    use crate::sse::{Decoder, encode, encode_comment};
    #[pymodule_export]
    use crate::stream::{Stream, join};
    #[pymodule_export]
    use crate::tasks::{Results, Task};
    #[pymodule_export]
    use crate::templates::{Template, families, register_template};
}
