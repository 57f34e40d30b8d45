//! llm-gateway
