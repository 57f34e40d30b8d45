//! Calls: from Python's arguments to a reply.

use std::sync::Arc;
use std::time::Instant;

use llm_provider::endpoint::ENDPOINTS;
use llm_provider::{Call, Document, Endpoint, Error, Metadata, Provider, Reply, ReplyStream};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde_json::{Map, Value};

use crate::arguments::Arguments;
use crate::router::Router;
use crate::stream::Stream;
use crate::tasks::{Results, Task};
use crate::{errors, runtime, to_json, to_python, verbose};

/// Sends a call and waits for the reply, or for the start of a streamed one.
///
/// `path` is the path of the endpoint, `content` has the members of the request that are not
/// keyword arguments, and `given` has the keyword arguments.
#[pyfunction]
#[pyo3(signature = (path, model, content, given, router = None))]
pub(crate) fn call<'py>(
    py: Python<'py>,
    path: &str,
    model: &str,
    content: &Bound<'py, PyDict>,
    given: &Bound<'py, PyDict>,
    router: Option<&Router>,
) -> PyResult<Bound<'py, PyAny>> {
    let prepared = Prepared::new(py, path, model, content, given, router)?;
    let runtime = runtime::get(py)?;
    let context = prepared.context.clone();
    let outcome = runtime::wait(py, &runtime, prepared.send())?;
    context.convert(py, outcome)
}

/// Starts a call, whose result `future` receives.
#[pyfunction]
#[pyo3(signature = (results, future, path, model, content, given, router = None))]
#[allow(
    clippy::too_many_arguments,
    reason = "those of `call`, and where the result goes"
)]
pub(crate) fn start<'py>(
    py: Python<'py>,
    results: &Results,
    future: Bound<'py, PyAny>,
    path: &str,
    model: &str,
    content: &Bound<'py, PyDict>,
    given: &Bound<'py, PyDict>,
    router: Option<&Router>,
) -> PyResult<Task> {
    let prepared = Prepared::new(py, path, model, content, given, router)?;
    let context = prepared.context.clone();
    let work = prepared.send();
    results.spawn(py, future, async move {
        let outcome = work.await;
        Box::new(move |py: Python<'_>| Ok(context.convert(py, outcome)?.unbind()))
    })
}

/// A call that is ready to be sent.
struct Prepared {
    provider: Arc<dyn Provider>,
    call: Call,
    stream: bool,
    context: Context,
}

/// What the conversion of a reply needs to know about its call.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) endpoint: &'static dyn Endpoint,
    /// The model's name in the call, for errors.
    pub(crate) model: String,
    /// Whether a stream has a chunk with the usage.
    pub(crate) include_usage: bool,
    begin: Instant,
}

/// A reply in one piece or as a stream.
enum Outcome {
    Reply(Reply),
    Stream(ReplyStream),
}

impl Prepared {
    fn new(
        py: Python<'_>,
        path: &str,
        model: &str,
        content: &Bound<'_, PyDict>,
        given: &Bound<'_, PyDict>,
        router: Option<&Router>,
    ) -> PyResult<Self> {
        let begin = Instant::now();
        let defaults = py.import("polyllm")?.dict();
        verbose::set(defaults.get_item("set_verbose")?)?;
        let endpoint = endpoint(path)?;
        let content = to_json::members(content)?;
        let (provider, name, arguments) = match router {
            Some(router) => {
                let arguments = router.arguments(py, given, &defaults)?;
                (router.provider(py)?, model.to_owned(), arguments)
            }
            None => account(py, model, given, &defaults)?,
        };
        let fail = |error: Error| errors::raise(py, &error, Some(&name));
        let mut call = Call::new(endpoint, body(&name, content, &arguments))
            .with_drop_params(arguments.drop_params)
            .with_timeout(arguments.timeout);
        provider.require(&call).map_err(fail)?;
        endpoint.check(&call.body).map_err(fail)?;
        let stream = arguments.stream && endpoint.is_streamed();
        let include_usage = includes_usage(&arguments.params);
        if !stream {
            call.body.remove("stream_options");
        }
        let context = Context {
            endpoint,
            model: name,
            include_usage,
            begin,
        };
        Ok(Self {
            provider,
            call,
            stream,
            context,
        })
    }

    async fn send(self) -> Result<Outcome, Error> {
        if self.stream {
            let stream = self.provider.stream(self.call).await;
            stream.map(Outcome::Stream)
        } else {
            let reply = self.provider.send(self.call).await;
            reply.map(Outcome::Reply)
        }
    }
}

impl Context {
    fn convert<'py>(
        &self,
        py: Python<'py>,
        outcome: Result<Outcome, Error>,
    ) -> PyResult<Bound<'py, PyAny>> {
        match outcome.map_err(|error| self.raise(py, &error))? {
            Outcome::Reply(reply) => {
                let object = to_python::document(py, self.endpoint, false, &reply.body)?;
                object.setattr("_hidden_params", self.facts(py, &reply.metadata)?)?;
                object.setattr("_response_ms", self.begin.elapsed().as_secs_f64() * 1e3)?;
                Ok(object)
            }
            Outcome::Stream(stream) => {
                let facts = self.facts(py, &stream.metadata)?.unbind();
                let stream = Stream::new(py, stream, facts, self.clone())?;
                Ok(Bound::new(py, stream)?.into_any())
            }
        }
    }

    /// The exception for an error of this call.
    pub(crate) fn raise(&self, py: Python<'_>, error: &Error) -> PyErr {
        errors::raise(py, error, Some(&self.model))
    }

    /// The metadata, under LiteLLM's names where it has them.
    fn facts<'py>(&self, py: Python<'py>, metadata: &Metadata) -> PyResult<Bound<'py, PyDict>> {
        let facts = PyDict::new(py);
        facts.set_item("custom_llm_provider", metadata.provider)?;
        facts.set_item("model", &metadata.model)?;
        facts.set_item("model_id", &metadata.deployment)?;
        facts.set_item("attempts", metadata.attempts)?;
        facts.set_item("request_id", &metadata.upstream_id)?;
        facts.set_item("dropped_params", &metadata.dropped_params)?;
        for (name, value) in &metadata.extra {
            facts.set_item(name, to_python::plain(py, value)?)?;
        }
        Ok(facts)
    }
}

/// The account for a model, the model's name there, and the arguments.
fn account(
    py: Python<'_>,
    model: &str,
    given: &Bound<'_, PyDict>,
    defaults: &Bound<'_, PyDict>,
) -> PyResult<(Arc<dyn Provider>, String, Arguments)> {
    let registry = runtime::with(py, |state| Ok(state.accounts.registry().clone()))?;
    let mut arguments = Arguments::read(given, defaults, &registry)?;
    let name = match &arguments.provider {
        Some(provider) if !model.starts_with(&format!("{provider}/")) => {
            format!("{provider}/{model}")
        }
        _ => model.to_owned(),
    };
    let fail = |error: Error| errors::raise(py, &error, Some(&name));
    let (provider, _) = registry.split(&name).map_err(fail)?;
    arguments.add_defaults(provider, defaults)?;
    let settings = std::mem::take(&mut arguments.settings);
    let found = runtime::with(py, |state| {
        // The closure of `with` must not run Python code, so the error becomes an exception
        // afterwards.
        Ok(state.accounts.find(&name, settings))
    })?;
    let (provider, model) = found.map_err(fail)?;
    Ok((provider, model.to_owned(), arguments))
}

fn endpoint(path: &str) -> PyResult<&'static dyn Endpoint> {
    let found = ENDPOINTS.iter().find(|endpoint| endpoint.path() == path);
    found
        .copied()
        .ok_or_else(|| errors::internal(format!("unknown endpoint {path}")))
}

fn body(model: &str, content: Map<String, Value>, arguments: &Arguments) -> Document {
    let mut members = Map::new();
    members.insert("model".to_owned(), model.into());
    members.extend(content);
    members.extend(arguments.params.clone());
    Document::new(&members)
}

fn includes_usage(params: &Map<String, Value>) -> bool {
    let options = params.get("stream_options").and_then(Value::as_object);
    let wanted = options.and_then(|options| options.get("include_usage"));
    wanted.and_then(Value::as_bool).unwrap_or_default()
}
