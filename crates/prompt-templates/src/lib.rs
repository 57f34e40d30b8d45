//! prompt-templates
