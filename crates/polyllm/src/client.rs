use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use llm_provider::{
    Call, ChatStream, Error, ErrorKind, Json, Provider, Registry, Reply, Result, Settings,
};
use llm_types::{ChatRequest, ChatResponse, Content, Message};
use prompt_templates::CustomTemplate;
use serde_json::{Map, Value};

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

/// A chat being put together; [`send`](Self::send) or [`stream`](Self::stream) it.
#[derive(Debug)]
#[must_use = "nothing happens until it is sent"]
pub struct Chat<'c> {
    client: &'c Client,
    model: String,
    request: ChatRequest,
    drop_params: bool,
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
    /// `register_prompt_template` does. It counts where prompts are rendered: on Replicate.
    #[must_use]
    pub fn with_template(mut self, model: impl Into<String>, template: CustomTemplate) -> Self {
        self.templates.insert(model.into(), template);
        self
    }

    /// Begins a chat with `model`.
    pub fn chat(&self, model: impl Into<String>) -> Chat<'_> {
        Chat {
            client: self,
            model: model.into(),
            request: ChatRequest::new("", Vec::new()),
            drop_params: false,
        }
    }

    /// The account that serves `name`, which is `provider`'s `model`.
    fn account(
        &self,
        name: &str,
        provider: &'static str,
        model: &str,
    ) -> Result<Arc<dyn Provider>> {
        let template = self
            .templates
            .get_key_value(name)
            .or_else(|| self.templates.get_key_value(model));
        let key = AccountKey {
            provider,
            template: template.map(|(name, _)| name.clone()),
        };
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(account) = accounts.get(&key) {
            return Ok(Arc::clone(account));
        }
        let mut settings = self.settings.get(provider).cloned().unwrap_or_default();
        if let Some((_, template)) = template {
            settings.extra.extend(as_settings(template)?);
        }
        let account = self.registry.build(provider, settings)?;
        accounts.insert(key, Arc::clone(&account));
        Ok(account)
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

impl Chat<'_> {
    /// Adds a system message.
    pub fn with_system(self, text: impl Into<Content>) -> Self {
        self.with_messages([Message::system(text)])
    }

    /// Adds a user message: text, or parts with images.
    pub fn with_user(self, text: impl Into<Content>) -> Self {
        self.with_messages([Message::user(text)])
    }

    /// Adds messages.
    pub fn with_messages(mut self, messages: impl IntoIterator<Item = Message>) -> Self {
        self.request.messages.extend(messages);
        self
    }

    /// Limits the answer's length in tokens.
    pub fn with_max_tokens(mut self, max_tokens: u64) -> Self {
        self.request.max_tokens = Some(max_tokens);
        self
    }

    /// Sets the sampling temperature.
    pub fn with_temperature(mut self, temperature: f64) -> Self {
        self.request.temperature = Some(temperature.into());
        self
    }

    /// Changes anything in the request: tools, response format, stop sequences, seed.
    pub fn with_request(mut self, change: impl FnOnce(&mut ChatRequest)) -> Self {
        change(&mut self.request);
        self
    }

    /// Sets a parameter that is no part of OpenAI's schema, such as `top_k` or `min_tokens`.
    pub fn with_param(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.request.extra.insert(name.into(), value.into());
        self
    }

    /// Leaves out what the provider cannot honour, instead of failing.
    pub fn with_drop_params(mut self) -> Self {
        self.drop_params = true;
        self
    }

    /// Sends the chat and waits for the whole answer.
    ///
    /// # Errors
    /// Those of the provider.
    pub async fn send(self) -> Result<ChatResponse> {
        let reply = self.reply().await?;
        let Reply { body, metadata, .. } = reply;
        body.into_value().map_err(|error| {
            Error::new(
                ErrorKind::UnexpectedBody,
                format!("the answer is not a chat: {error}"),
            )
            .with_provider(metadata.provider)
            .with_model(metadata.model)
            .with_source(error)
        })
    }

    /// Sends the chat and waits for the whole answer and what is told beside it.
    ///
    /// # Errors
    /// Those of the provider.
    pub async fn reply(self) -> Result<Reply<ChatResponse>> {
        let (provider, call) = self.prepare()?;
        provider.chat(call).await
    }

    /// Sends the chat and returns the answer as it arrives.
    ///
    /// # Errors
    /// Those of the provider up to its first sign of life.
    pub async fn stream(self) -> Result<ChatStream> {
        let (provider, call) = self.prepare()?;
        provider.chat_stream(call).await
    }

    fn prepare(self) -> Result<(Arc<dyn Provider>, Call<ChatRequest>)> {
        let (provider, model) = self.client.registry.split(&self.model)?;
        let provider = self.client.account(&self.model, provider, model)?;
        let mut request = self.request;
        request.model = model.to_owned();
        let call = Call::new(Json::from_value(request)).with_drop_params(self.drop_params);
        Ok((provider, call))
    }
}
