//! Names from clients and configurations: their maximum length, and suggestions for unknown names.

/// The longest model name, in bytes.
///
/// The longest usual names, those of Replicate with a version, have about 100 bytes. A server
/// rejects longer ones, so that no later step has to handle a name of megabytes.
pub const MAX_MODEL_NAME: usize = 256;

/// Up to `count` of the names in `known`, the most similar to `name` first.
///
/// Case is ignored. `name` may come from a client, so the work is limited: names longer than
/// [`MAX_MODEL_NAME`] are not compared, and of many names only those of a similar length are.
///
/// ```
/// use llm_provider::nearest_names;
///
/// let known = ["llama-3", "mixtral", "gpt-oss"];
/// assert_eq!(nearest_names("lama-3", known, 1), ["llama-3"]);
/// ```
pub fn nearest_names<'k>(
    name: &str,
    known: impl IntoIterator<Item = &'k str>,
    count: usize,
) -> Vec<&'k str> {
    let mut names = distances(name, known);
    names.sort_unstable();
    names.truncate(count);
    names.into_iter().map(|(_, name)| name).collect()
}

/// The name in `known` that differs from `name` by a typing mistake.
///
/// One mistake is allowed in a short name, and up to three in one of twelve characters or more.
/// The work is limited as in [`nearest_names`].
///
/// ```
/// use llm_provider::similar_name;
///
/// assert_eq!(similar_name("api_kye", ["api_base", "api_key"]), Some("api_key"));
/// assert_eq!(similar_name("seed", ["api_base", "api_key"]), None);
/// ```
pub fn similar_name<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let length = name.chars().count();
    let allowed = (length / 4).clamp(1, 3);
    // Each mistake changes the length by one at most. This excludes most names at little cost.
    let is_near = |known: &&str| known.chars().count().abs_diff(length) <= allowed;
    let known = known.into_iter().filter(is_near);
    let (distance, nearest) = distances(name, known).into_iter().min()?;
    (distance <= allowed).then_some(nearest)
}

/// The compared names, each with its edit distance from `name`.
fn distances<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Vec<(usize, &'k str)> {
    let compared = compared(name, known);
    let name = name.to_lowercase();
    let distance = |known: &str| strsim::osa_distance(&name, &known.to_lowercase());
    let compared = compared.into_iter();
    compared.map(|known| (distance(known), known)).collect()
}

/// The names of `known` to compare with `name`: those whose length differs least, as many as
/// [`MAX_WORK`] allows. The edit distance is at least the difference in length.
fn compared<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Vec<&'k str> {
    if name.len() > MAX_MODEL_NAME {
        return Vec::new();
    }
    let is_short = |known: &&str| known.len() <= MAX_MODEL_NAME;
    let mut names: Vec<&str> = known.into_iter().filter(is_short).collect();
    names.sort_by_key(|known| known.len().abs_diff(name.len()));
    let mut work = 0;
    let within = names.iter().take_while(|known| {
        work += work_of(name, known);
        work <= MAX_WORK
    });
    let count = within.count();
    names.truncate(count);
    names
}

/// The cost of comparing two names: the cells of the table of distances.
fn work_of(one: &str, other: &str) -> usize {
    (one.len() + 1) * (other.len() + 1)
}

/// The maximum number of cells for one name: about 1,000 names of 30 characters, in a few
/// milliseconds.
const MAX_WORK: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_most_similar_names_come_first() {
        let known = ["mixtral", "Llama-3", "llama-2", "gpt-oss"];
        assert_eq!(nearest_names("LAMA-3", known, 2), ["Llama-3", "llama-2"]);
        assert_eq!(nearest_names("", [], 2), [""; 0]);
    }

    #[test]
    fn only_a_typing_mistake_is_similar() {
        let known = ["replicate", "together_ai"];
        assert_eq!(similar_name("replciate", known), Some("replicate"));
        assert_eq!(similar_name("togetherai", known), Some("together_ai"));
        assert_eq!(similar_name("openai", known), None);
        let known = ["api_key", "model", "temperature", "top_p"];
        for (name, similar) in [
            ("temprature", Some("temperature")),
            ("Temperature", Some("temperature")),
            ("api-key", Some("api_key")),
            ("modell", Some("model")),
            ("tpo_p", Some("top_p")),
            ("watermark", None),
            ("", None),
        ] {
            assert_eq!(similar_name(name, known), similar, "{name}");
        }
    }

    #[test]
    fn a_long_name_is_not_compared() {
        let long = "a".repeat(MAX_MODEL_NAME + 1);
        assert_eq!(nearest_names(&long, ["a"], 5), [""; 0]);
        assert_eq!(nearest_names("a", [&*long, "b"], 5), ["b"]);
    }

    #[test]
    fn of_many_names_those_of_a_similar_length_are_compared() {
        let name = "x".repeat(MAX_MODEL_NAME);
        let many: Vec<String> = (0..10_000).map(|n| format!("{n:0250}")).collect();
        let typo = "x".repeat(MAX_MODEL_NAME - 1);
        let known = many.iter().map(String::as_str).chain([&*typo]);
        assert_eq!(nearest_names(&name, known.clone(), 1), [&*typo]);
        assert!(compared(&name, known).len() < 20);
    }

    proptest! {
        #[test]
        fn the_work_has_a_limit(
            name in 0..1000_usize,
            known in vec(0..1000_usize, 0..2000),
        ) {
            let name = "n".repeat(name);
            let known: Vec<String> = known.into_iter().map(|len| "k".repeat(len)).collect();
            let compared = compared(&name, known.iter().map(String::as_str));
            let work: usize = compared.iter().map(|known| work_of(&name, known)).sum();
            prop_assert!(work <= MAX_WORK);
            prop_assert!(compared.iter().all(|known| known.len() <= MAX_MODEL_NAME));
        }
    }
}
