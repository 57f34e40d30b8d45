use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use llm_provider::{
    Capability, Error, ErrorKind, INVALID_ENVIRONMENT, Provider, Registry, Result, Settings,
};
use llm_types::completions::CompletionRequest;
use llm_types::embeddings::EmbeddingRequest;
use llm_types::rerank::{RerankDocument, RerankRequest};
use llm_types::{ChatRequest, ModelList, TextInput};
use prompt_templates::{Template, TemplateRegistry};

use crate::patterns::Templates;
use crate::request::{
    ChatBuilder, CompletionBuilder, EmbeddingBuilder, RequestBuilder, RerankBuilder,
};

/// A client that calls models by name.
///
/// It creates a provider when a model name first needs it, and keeps it. Clones share the providers
/// that exist.
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
#[derive(Clone, Debug)]
pub struct Client {
    registry: Registry,
    /// The provider of every model, in place of the registry.
    provider: Option<Arc<dyn Provider>>,
    settings: BTreeMap<&'static str, Settings>,
    templates: Templates,
    drop_params: bool,
    accounts: Arc<Mutex<BTreeMap<&'static str, Arc<dyn Provider>>>>,
}

impl Client {
    /// Creates a client of the enabled providers, with keys and addresses from the environment.
    ///
    /// A missing key is an error only when a model of its provider is called, since most programs
    /// use one provider.
    ///
    /// # Errors
    /// If a variable is set but invalid, for any provider: an address that is not a URL
    /// ([`InvalidRequest`]), or a key that is not a valid header value ([`Auth`]). The error names
    /// the variable, and its code is [`INVALID_ENVIRONMENT`](llm_provider::INVALID_ENVIRONMENT).
    ///
    /// [`Auth`]: llm_provider::ErrorKind::Auth
    /// [`InvalidRequest`]: llm_provider::ErrorKind::InvalidRequest
    pub fn from_env() -> Result<Self> {
        let client = Self::new(crate::registry());
        for provider in client.registry.names() {
            if let Err(error) = client.account(provider)
                && error.code() == Some(INVALID_ENVIRONMENT)
            {
                return Err(error);
            }
        }
        Ok(client)
    }

    /// Creates a client of the providers in `registry`. The environment is read when a model of a
    /// provider is first called, and only for values that its settings leave out.
    pub fn new(registry: Registry) -> Self {
        Self {
            registry,
            provider: None,
            settings: BTreeMap::new(),
            templates: Templates::default(),
            drop_params: false,
            accounts: Arc::default(),
        }
    }

    /// Creates a client of one provider, such as a router. Model names are those of the provider,
    /// without a prefix.
    ///
    /// ```
    /// # #[cfg(feature = "router")]
    /// # fn example() -> polyllm::Result<()> {
    /// use polyllm::Settings;
    /// use polyllm::router::{Deployment, Router};
    ///
    /// let together = polyllm::registry().build("together_ai", Settings::new())?;
    /// let deployment = Deployment::new("small", together, "meta-llama/Llama-3.2-3B-Instruct-Turbo");
    /// let client = polyllm::Client::from_provider(Router::new([deployment]));
    /// let chat = client.chat("small").with_user("What is Rust?");
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_provider(provider: impl Provider + 'static) -> Self {
        Self {
            provider: Some(Arc::new(provider)),
            ..Self::new(Registry::new())
        }
    }

    /// Creates a client of the models in a `config.yaml` in LiteLLM's format. Model names are those
    /// of its `model_list`, without a prefix.
    ///
    /// The master key of the configuration has no effect, since nothing is served.
    ///
    /// ```no_run
    /// # fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let config = polyllm::gateway::Config::load("config.yaml".as_ref(), &polyllm::registry())?;
    /// for warning in &config.warnings {
    ///     eprintln!("{warning}");
    /// }
    /// let client = polyllm::Client::from_config(&config);
    /// let chat = client.chat("llama-3").with_user("What is Rust?");
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "gateway")]
    pub fn from_config(config: &llm_gateway::Config) -> Self {
        Self::from_provider(config.build_router()).with_drop_params(config.drop_params)
    }

    /// Sets whether requests leave out parameters that the provider does not support; by default,
    /// such a call fails.
    #[must_use]
    pub fn with_drop_params(mut self, drop_params: bool) -> Self {
        self.drop_params = drop_params;
        self
    }

    /// Sets the settings of one provider, such as `together_ai`: its key, address and so on.
    /// Invalid values are reported by the first call.
    ///
    /// # Errors
    /// [`NotFound`](llm_provider::ErrorKind::NotFound) for an unknown provider; the message names
    /// the closest one. [`InvalidRequest`](llm_provider::ErrorKind::InvalidRequest) for a client
    /// [of one provider](Self::from_provider), which has its settings already.
    pub fn with_settings(mut self, provider: impl AsRef<str>, settings: Settings) -> Result<Self> {
        self.require_registry()?;
        let provider = self.registry.find(provider.as_ref())?;
        self.settings.insert(provider, settings);
        self.close_accounts();
        Ok(self)
    }

    /// Registers a prompt template for a model, like LiteLLM's `register_prompt_template`. On
    /// Replicate, it renders the prompt of the prediction. On Together AI, the model's chats are
    /// sent to `/completions`.
    ///
    /// `model` is a model name, with or without provider and version (`:version`). In it, `*`
    /// matches any characters. An exact name wins over wildcards, and of the wildcards the one
    /// registered first wins. Registering the same name again replaces the template.
    ///
    /// ```
    /// use polyllm::templates::{CustomTemplate, Family, RoleMarkers};
    ///
    /// # fn example() -> polyllm::Result<()> {
    /// let markers = RoleMarkers::new("USER: ", " ASSISTANT:");
    /// let client = polyllm::Client::new(polyllm::registry())
    ///     .with_template("replicate/replicate/vicuna-13b", CustomTemplate::new().with_role("user", markers))?
    ///     .with_template("together_ai/acme/*", Family::CHATML)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`InvalidRequest`](llm_provider::ErrorKind::InvalidRequest) if it would never be used: no
    /// model can have this name, an earlier wildcard matches all of its models, or the client is
    /// [of one provider](Self::from_provider), which has its templates already.
    pub fn with_template(
        mut self,
        model: impl AsRef<str>,
        template: impl Into<Template>,
    ) -> Result<Self> {
        self.require_registry()?;
        let (model, template) = (model.as_ref(), template.into());
        self.templates.register(&self.registry, model, &template)?;
        self.close_accounts();
        Ok(self)
    }

    /// Starts a chat request to `model`.
    ///
    /// ```no_run
    /// # async fn example() -> polyllm::Result<()> {
    /// let client = polyllm::Client::from_env()?;
    /// let response = client
    ///     .chat("together_ai/openai/gpt-oss-20b")
    ///     .with_user("What is Rust?")
    ///     .with_max_tokens(100)
    ///     .await?;
    /// println!("{}", response.text().unwrap_or_default());
    /// # Ok(())
    /// # }
    /// ```
    pub fn chat(&self, model: impl Into<String>) -> ChatBuilder<'_> {
        RequestBuilder::new(self, model, ChatRequest::new("", Vec::new()))
    }

    /// Starts a text completion request to `model`.
    pub fn complete(
        &self,
        model: impl Into<String>,
        prompt: impl Into<TextInput>,
    ) -> CompletionBuilder<'_> {
        RequestBuilder::new(self, model, CompletionRequest::new("", prompt))
    }

    /// Starts an embeddings request to `model`.
    pub fn embed(
        &self,
        model: impl Into<String>,
        input: impl Into<TextInput>,
    ) -> EmbeddingBuilder<'_> {
        RequestBuilder::new(self, model, EmbeddingRequest::new("", input))
    }

    /// Starts a rerank request to `model`: sorts documents by relevance to a query.
    pub fn rerank<D: Into<RerankDocument>>(
        &self,
        model: impl Into<String>,
        query: impl Into<String>,
        documents: impl IntoIterator<Item = D>,
    ) -> RerankBuilder<'_> {
        RequestBuilder::new(self, model, RerankRequest::new("", query, documents))
    }

    /// Lists the models of `provider`, such as `together_ai`, under the provider's own names;
    /// prefix a name with `together_ai/` to call it. The provider of a client of model groups is
    /// `router`. Other facts, such as prices and the context
    /// length, are in [`Model::extra`](llm_types::Model::extra).
    ///
    /// # Errors
    /// Those of the provider; `NotFound` for an unknown one, and `Unsupported` if it does not list
    /// models.
    pub async fn models(&self, provider: &str) -> Result<ModelList> {
        let account = match &self.provider {
            Some(only) if only.name() == provider => Arc::clone(only),
            _ => self.account(self.registry.find(provider)?)?,
        };
        account
            .capabilities()
            .require(Capability::Models, account.name())?;
        account.models().await
    }

    /// Starts a request of Anthropic's Messages API, which is converted to a chat.
    #[cfg(feature = "adapters")]
    pub fn messages(
        &self,
        request: llm_types::messages::MessagesRequest,
    ) -> crate::adapted::MessagesBuilder<'_> {
        crate::adapted::AdaptedBuilder::new(self, request)
    }

    /// Starts a request of OpenAI's Responses API, which is converted to a chat.
    #[cfg(feature = "adapters")]
    pub fn responses(
        &self,
        request: llm_types::responses::ResponsesRequest,
    ) -> crate::adapted::ResponsesBuilder<'_> {
        crate::adapted::AdaptedBuilder::new(self, request)
    }

    pub(crate) fn drops_params(&self) -> bool {
        self.drop_params
    }

    /// The provider that serves the model `name`, and the model's name at that provider: for
    /// requests that are not built here, such as bodies from another program.
    ///
    /// # Errors
    /// [`NotFound`](llm_provider::ErrorKind::NotFound) if the name has no known provider, and the
    /// provider's errors for its settings, such as a missing key.
    pub fn resolve<'m>(&self, name: &'m str) -> Result<(Arc<dyn Provider>, &'m str)> {
        if let Some(provider) = &self.provider {
            return Ok((Arc::clone(provider), name));
        }
        let (provider, model) = self.registry.split(name)?;
        Ok((self.account(provider)?, model))
    }

    /// The account at `provider`, created when it is first needed.
    fn account(&self, provider: &'static str) -> Result<Arc<dyn Provider>> {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(account) = accounts.get(provider) {
            return Ok(Arc::clone(account));
        }
        let mut settings = self.settings.get(provider).cloned().unwrap_or_default();
        if let Some(templates) = self.templates.of(provider) {
            let all: &mut TemplateRegistry = settings.extensions.get_or_insert_default();
            all.register_all(templates);
        }
        let account = self.registry.build(provider, settings)?;
        accounts.insert(provider, Arc::clone(&account));
        Ok(account)
    }

    /// Forgets the accounts, which were created with other settings. Clones keep theirs.
    fn close_accounts(&mut self) {
        self.accounts = Arc::default();
    }

    fn require_registry(&self) -> Result<()> {
        let Some(provider) = &self.provider else {
            return Ok(());
        };
        let message = "the provider of this client is already built: set it up before `Client::from_provider`";
        Err(Error::new(ErrorKind::InvalidRequest, message).with_provider(provider.name()))
    }
}
