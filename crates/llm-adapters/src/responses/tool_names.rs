//! [`ToolNames`]: the names of tools that chat requests cannot express.

use std::collections::BTreeMap;

/// The tools whose calls are not plain function calls, by their names in the chat request.
///
/// A tool of a namespace is a function `namespace__tool`. A custom tool is a function with one
/// string, `input`.
#[derive(Clone, Debug, Default)]
pub(super) struct ToolNames(BTreeMap<String, ToolName>);

/// The tool of the client that a function of the chat request stands for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct ToolName {
    pub(super) namespace: Option<String>,
    pub(super) name: String,
    pub(super) is_custom: bool,
}

impl ToolNames {
    pub(super) fn insert(&mut self, chat_name: String, name: ToolName) {
        self.0.insert(chat_name, name);
    }

    /// The client's name of a function.
    pub(super) fn resolve(&self, chat_name: &str) -> ToolName {
        let plain = || ToolName {
            name: chat_name.to_owned(),
            ..ToolName::default()
        };
        self.0.get(chat_name).cloned().unwrap_or_else(plain)
    }

    /// The name in the chat request of a tool that the client names without its namespace.
    pub(super) fn find(&self, name: &str) -> Option<&str> {
        let mut tools = self.0.iter().filter(|(_, tool)| tool.name == name);
        let (chat_name, _) = tools.next()?;
        tools.next().is_none().then_some(chat_name)
    }
}

/// The name in the chat request.
pub(super) fn chat_name(namespace: Option<&str>, name: &str) -> String {
    match namespace.filter(|namespace| !namespace.is_empty()) {
        Some(namespace) => format!("{namespace}__{name}"),
        None => name.to_owned(),
    }
}
