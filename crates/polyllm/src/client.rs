use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use llm_provider::{Capability, Error, ErrorKind, Provider, Registry, Result, Settings};
use llm_types::completions::CompletionRequest;
use llm_types::embeddings::EmbeddingRequest;
use llm_types::rerank::{Document, RerankRequest};
use llm_types::{ChatRequest, ModelList, TextInput};
use prompt_templates::CustomTemplate;
use serde_json::{Map, Value};

use crate::request::{Chat, Completion, Embedding, Request, Rerank};

/// A caller of models by name.
///
/// It opens an account at a provider when a model name first asks for it, and keeps it.
///
/// ```no_run
/// # async fn example() -> polyllm::Result<()> {
/// let client = polyllm::Client::from_env()?;
/// let mut stream = client
///     .chat("replicate/meta/meta-llama-3-8b-instruct")
///     .with_system("Be a good human!")
///     .with_user("What do you know about earth?")
///     .stream()
///     .await?;
/// while let Some(text) = stream.next_text().await? {
///     print!("{text}");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Client {
    registry: Registry,
    settings: BTreeMap<String, Settings>,
    templates: BTreeMap<String, CustomTemplate>,
    accounts: Mutex<BTreeMap<AccountKey, Arc<dyn Provider>>>,
}

/// An account serves all models of its provider, or those whose template is registered under
/// one name.
#[derive(Debug, Eq, Ord, PartialEq, PartialOrd)]
struct AccountKey {
    provider: &'static str,
    template: Option<String>,
}

impl Client {
    /// A client of the enabled providers, with keys and addresses from the environment.
    ///
    /// # Errors
    /// None now: a key that is missing is told when a model asks for it, since most programs
    /// use one provider only.
    pub fn from_env() -> Result<Self> {
        Ok(Self::new(crate::registry()))
    }

    /// A client of the providers in `registry`.
    pub fn new(registry: Registry) -> Self {
        Self {
            registry,
            settings: BTreeMap::new(),
            templates: BTreeMap::new(),
            accounts: Mutex::default(),
        }
    }

    /// Sets key, address and the like for one provider.
    #[must_use]
    pub fn with_settings(mut self, provider: impl Into<String>, settings: Settings) -> Self {
        self.settings.insert(provider.into(), settings);
        self
    }

    /// Registers a prompt template for a model, named with or without its provider, as LiteLLM's
    /// `register_prompt_template` does. On Replicate the prompt is the prediction's; on Together AI
    /// the model's chats go to `/completions`.
    #[must_use]
    pub fn with_template(mut self, model: impl Into<String>, template: CustomTemplate) -> Self {
        self.templates.insert(model.into(), template);
        self
    }

    /// Begins a chat with `model`.
    pub fn chat(&self, model: impl Into<String>) -> Chat<'_> {
        Request::new(self, model, ChatRequest::new("", Vec::new()))
    }

    /// Has `model` go on from a text.
    pub fn complete(
        &self,
        model: impl Into<String>,
        prompt: impl Into<TextInput>,
    ) -> Completion<'_> {
        Request::new(self, model, CompletionRequest::new("", prompt))
    }

    /// Has `model` turn texts into vectors.
    pub fn embed(&self, model: impl Into<String>, input: impl Into<TextInput>) -> Embedding<'_> {
        Request::new(self, model, EmbeddingRequest::new("", input))
    }

    /// Has `model` sort documents by how well they answer a query.
    pub fn rerank<D: Into<Document>>(
        &self,
        model: impl Into<String>,
        query: impl Into<String>,
        documents: impl IntoIterator<Item = D>,
    ) -> Rerank<'_> {
        Request::new(self, model, RerankRequest::new("", query, documents))
    }

    /// The models of `provider`, such as `together_ai`, by the names that it knows them by: put
    /// `together_ai/` before one to ask for it. What else it tells of each, such as prices and
    /// the context length, is in [`Model::extra`](llm_types::Model::extra).
    ///
    /// # Errors
    /// Those of the provider; [`ErrorKind::Unsupported`] when it lists no models.
    pub async fn models(&self, provider: &str) -> Result<ModelList> {
        let known = self.registry.names().find(|name| *name == provider);
        let provider = known.ok_or_else(|| self.no_such_provider(provider))?;
        let account = self.account(provider, None)?;
        account
            .capabilities()
            .require(Capability::Models, provider)?;
        account.models().await
    }

    /// The account that serves `name`, and the model as its provider knows it.
    pub(crate) fn resolve<'m>(&self, name: &'m str) -> Result<(Arc<dyn Provider>, &'m str)> {
        let (provider, model) = self.registry.split(name)?;
        let mut names = [name, model].into_iter();
        let template = names.find(|name| self.templates.contains_key(*name));
        Ok((self.account(provider, template)?, model))
    }

    /// The account at `provider` for the models whose template is registered under this name.
    fn account(&self, provider: &'static str, template: Option<&str>) -> Result<Arc<dyn Provider>> {
        let key = AccountKey {
            provider,
            template: template.map(str::to_owned),
        };
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(account) = accounts.get(&key) {
            return Ok(Arc::clone(account));
        }
        let mut settings = self.settings.get(provider).cloned().unwrap_or_default();
        if let Some(template) = template.and_then(|name| self.templates.get(name)) {
            settings.extra.extend(as_settings(template)?);
        }
        let account = self.registry.build(provider, settings)?;
        accounts.insert(key, Arc::clone(&account));
        Ok(account)
    }

    fn no_such_provider(&self, name: &str) -> Error {
        let known: Vec<&str> = self.registry.names().collect();
        let message = format!(
            "there is no provider \"{name}\"; there are: {}",
            known.join(", ")
        );
        Error::new(ErrorKind::NotFound, message)
    }
}

/// A template under the keys that `config.yaml` gives it.
fn as_settings(template: &CustomTemplate) -> Result<Map<String, Value>> {
    match serde_json::to_value(template) {
        Ok(Value::Object(settings)) => Ok(settings),
        _ => Err(Error::new(
            ErrorKind::InvalidRequest,
            "the prompt template cannot be written",
        )),
    }
}
