//! llm-provider
