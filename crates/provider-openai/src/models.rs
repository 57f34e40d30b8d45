use llm_types::{Field, ModelList};
use serde_json::Value;

/// A list in which every model has the members that OpenAI's clients need.
pub(crate) fn normalize(mut list: ModelList) -> ModelList {
    "list".clone_into(&mut list.object);
    for model in &mut list.data {
        model.object = "model".into();
        if !model.created.is_value() {
            model.created = Field::Value(0_u64.into());
        }
        if !model.owned_by.is_value() {
            let owner = model.extra.get("organization").and_then(Value::as_str);
            let owner = owner.filter(|owner| !owner.is_empty());
            let owner = owner.or_else(|| Some(model.id.split_once('/')?.0));
            model.owned_by = owner.unwrap_or("unknown").into();
        }
    }
    list
}
