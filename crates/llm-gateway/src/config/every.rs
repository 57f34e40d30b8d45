//! LiteLLM's entry for every model, `model_name: "*"` with `model: "*"`: its clients name the provider.

use llm_provider::Registry;

use super::yaml::{Entry, Node, Yaml};

/// An entry of `model_list`.
pub(super) struct Item {
    pub(super) node: Node,
    /// Whether it is one of the entries that an entry for every model stands for. A provider of such an
    /// entry that has no key is left out.
    pub(super) is_one_of_all: bool,
}

/// Replaces an entry for every model by one for the models of each provider.
pub(super) fn expand(items: Vec<Node>, registry: &Registry) -> impl Iterator<Item = Item> {
    items.into_iter().flat_map(move |mut node| {
        if !is_every_model(&mut node) {
            let is_one_of_all = false;
            return vec![Item {
                node,
                is_one_of_all,
            }];
        }
        let of_provider = |provider| {
            let mut node = node.clone();
            let name = format!("{provider}/*");
            for path in PATHS {
                if let Some(Yaml::Text(text)) = member(&mut node, path) {
                    text.clone_from(&name);
                }
            }
            Item {
                node,
                is_one_of_all: true,
            }
        };
        registry.names().map(of_provider).collect()
    })
}

fn is_every_model(node: &mut Node) -> bool {
    let is_star = |value: Option<&mut Yaml>| matches!(value, Some(Yaml::Text(text)) if text == "*");
    PATHS.into_iter().all(|path| is_star(member(node, path)))
}

fn member<'n>(node: &'n mut Node, path: &[&str]) -> Option<&'n mut Yaml> {
    path.iter().try_fold(&mut node.value, |value, key| {
        let Yaml::Map(entries) = value else {
            return None;
        };
        let mut entries = entries.iter_mut();
        let entry: Option<&mut Entry> = entries.find(|entry| entry.key == *key);
        entry.map(|entry| &mut entry.value.value)
    })
}

const PATHS: [&[&str]; 2] = [&["model_name"], &["litellm_params", "model"]];
