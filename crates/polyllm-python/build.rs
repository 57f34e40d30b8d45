//! The arguments with which the linker leaves Python's symbols to the interpreter (macOS).

fn main() {
    pyo3_build_config::add_extension_module_link_args();
}
