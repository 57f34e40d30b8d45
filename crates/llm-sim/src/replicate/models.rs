//! Public models, with their versions, readmes and examples; collections; search.

use serde_json::{Value, json};

use crate::http::{Answer, Call, full};
use crate::replicate::api::{Api, json_answer};
use crate::replicate::catalog::Model;
use crate::replicate::create::example;
use crate::replicate::pages::page;
use crate::replicate::prediction::View;
use crate::replicate::problem::Problem;

impl Api {
    pub(crate) fn model(&self, owner: &str, name: &str) -> Result<Model, Problem> {
        let model = Model::find(owner, name).ok_or_else(Problem::not_found)?;
        self.versions.note(&model, &model.latest());
        Ok(model)
    }

    pub(crate) fn list_models(&self, call: &Call) -> Result<Answer, Problem> {
        models(call, &Model::all())
    }

    /// `QUERY /v1/models`: the body is the query, as plain text.
    pub(crate) fn search_models(&self, call: &Call) -> Result<Answer, Problem> {
        models(call, &found(&String::from_utf8_lossy(&call.body)))
    }

    pub(crate) fn get_model(
        &self,
        call: &Call,
        owner: &str,
        name: &str,
    ) -> Result<Answer, Problem> {
        Ok(json_answer(
            200,
            &self.model(owner, name)?.entry(&call.base),
        ))
    }

    pub(crate) fn readme(&self, owner: &str, name: &str) -> Result<Answer, Problem> {
        let model = self.model(owner, name)?;
        let text = format!(
            "# {}\n\n{}. Nothing of what it says was computed by a model.\n",
            model.full_name(),
            model.description()
        );
        Ok(full(200, "text/plain; charset=utf-8", text))
    }

    /// The example prediction on a model's page.
    pub(crate) fn examples(&self, call: &Call, owner: &str, name: &str) -> Result<Answer, Problem> {
        let shared = &self.shared;
        let example = example(
            self.model(owner, name)?,
            shared.clock.origin(),
            &shared.options,
        );
        page(
            call,
            &[example],
            |one| one.id.clone(),
            |one| one.body(View::Example, &shared.clock, &call.base),
        )
    }

    pub(crate) fn list_versions(
        &self,
        call: &Call,
        owner: &str,
        name: &str,
    ) -> Result<Answer, Problem> {
        let model = self.model(owner, name)?;
        page(call, &model.versions(), String::clone, |id| {
            model.version(id)
        })
    }

    pub(crate) fn get_version(&self, owner: &str, name: &str, id: &str) -> Result<Answer, Problem> {
        let model = self.model(owner, name)?;
        if !model.has_version(id) {
            return Err(Problem::not_found());
        }
        Ok(json_answer(200, &model.version(id)))
    }

    pub(crate) fn list_collections(&self, call: &Call) -> Result<Answer, Problem> {
        page(
            call,
            COLLECTIONS,
            |one| one.slug.to_owned(),
            Collection::entry,
        )
    }

    pub(crate) fn get_collection(&self, call: &Call, slug: &str) -> Result<Answer, Problem> {
        let found = COLLECTIONS.iter().find(|one| one.slug == slug);
        let collection = found.ok_or_else(Problem::not_found)?;
        let mut body = collection.entry();
        let models = Model::all();
        let models = models.iter().filter(|model| (collection.has)(model));
        body["models"] = models.map(|model| model.entry(&call.base)).collect();
        Ok(json_answer(200, &body))
    }

    /// `GET /v1/search?query=…`: models, collections and pages.
    pub(crate) fn search(&self, call: &Call) -> Result<Answer, Problem> {
        let query = call.query("query").unwrap_or_default();
        let models = found(&query);
        let models = models
            .iter()
            .map(|model| json!({"model": model.entry(&call.base), "metadata": {}}));
        let collections = COLLECTIONS
            .iter()
            .filter(|one| matches(&format!("{} {}", one.name, one.description), &query));
        let body = json!({
            "query": query,
            "models": models.collect::<Value>(),
            "collections": collections.map(Collection::entry).collect::<Value>(),
            "pages": [],
        });
        Ok(json_answer(200, &body))
    }
}

#[derive(Debug)]
struct Collection {
    slug: &'static str,
    name: &'static str,
    description: &'static str,
    has: fn(&Model) -> bool,
}

impl Collection {
    fn entry(&self) -> Value {
        json!({"name": self.name, "slug": self.slug, "description": self.description})
    }
}

fn models(call: &Call, models: &[Model]) -> Result<Answer, Problem> {
    page(call, models, Model::full_name, |model| {
        model.entry(&call.base)
    })
}

fn found(query: &str) -> Vec<Model> {
    let mut models = Model::all();
    models.retain(|model| {
        matches(
            &format!("{} {}", model.full_name(), model.description()),
            query,
        )
    });
    models
}

/// Whether the text contains every word of the query, ignoring case. Quotation marks are ignored:
/// replicate-javascript sends its query as JSON, whatever its content type says.
fn matches(text: &str, query: &str) -> bool {
    let text = text.to_lowercase();
    query
        .to_lowercase()
        .split([' ', '"'])
        .all(|word| text.contains(word))
}

static COLLECTIONS: &[Collection] = &[
    Collection {
        slug: "language-models",
        name: "Language models",
        description: "Simulated models that take a prompt and give text",
        has: Model::gives_tokens,
    },
    Collection {
        slug: "official",
        name: "Official models",
        description: "Simulated models that need no version",
        has: |model| model.listed.official,
    },
];
