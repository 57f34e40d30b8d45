//! Providers that break one requirement each.

use std::fmt;
use std::sync::{Arc, Mutex};

use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, stream};
use llm_provider::{
    Call, Capabilities, Chunk, Document, Error, Metadata, Provider, Reply, ReplyEvent, ReplyStream,
    Result, Settings,
};
use llm_types::ModelList;
use serde_json::Value;

use crate::acme::{Acme, NAME};

/// The difference between a mutant and [`Acme`].
#[derive(Clone, Copy)]
pub(crate) enum Mutation {
    Nothing,
    Capabilities(fn() -> Capabilities),
    /// The options of the call, such as its timeout.
    Call(fn(&mut bool, &mut Option<std::time::Duration>)),
    /// The output of `Debug`.
    Debug(fn(&Settings) -> String),
    /// The error of a call or a stream.
    Error(fn(Error, &Settings) -> Error),
    /// The result in place of the error of a plain call.
    ErrorAnswer(fn(&Error) -> Option<Value>),
    /// The events of a stream, which is read to its end first.
    Events(fn(&mut Vec<Result<Value>>)),
    Metadata(fn(&mut Metadata)),
    Models(fn(&mut Value)),
    /// The body of a plain reply.
    Reply(fn(&mut Value)),
    Request(fn(&mut Value, &Settings)),
    Settings(fn(&mut Settings)),
    /// Every call returns the reply of the first.
    Cached,
    /// Dropped calls continue.
    Detached,
    /// Redirects are followed, with the key.
    Redirected,
    /// Retries have no pause.
    Hasty,
}

pub(crate) struct Mutant {
    acme: Arc<Acme>,
    settings: Settings,
    mutation: Mutation,
    cache: Mutex<Option<Value>>,
}

impl Mutant {
    pub(crate) fn new(mut settings: Settings, mutation: Mutation) -> Result<Self> {
        match mutation {
            Mutation::Settings(change) => change(&mut settings),
            Mutation::Hasty => settings.max_retries = Some(0),
            _ => {}
        }
        Ok(Self {
            acme: Arc::new(Acme::new(&settings)?),
            settings,
            mutation,
            cache: Mutex::default(),
        })
    }

    fn mutate_call(&self, mut call: Call) -> Call {
        match self.mutation {
            Mutation::Call(change) => change(&mut call.drop_params, &mut call.timeout),
            Mutation::Request(change) => {
                if let Ok(mut body) = serde_json::from_slice(call.body.bytes()) {
                    change(&mut body, &self.settings);
                    call.body = Document::new(&body);
                }
            }
            _ => {}
        }
        call
    }

    async fn plain(&self, call: Call) -> Result<Reply> {
        let call = self.mutate_call(call);
        let acme = Arc::clone(&self.acme);
        let reply = match self.mutation {
            Mutation::Detached => {
                let task = tokio::spawn(async move { acme.send(call).await });
                task.await.unwrap()
            }
            Mutation::Hasty => {
                let first = acme.send(call.clone()).await;
                match first {
                    Err(_) => acme.send(call).await,
                    first => first,
                }
            }
            _ => acme.send(call).await,
        };
        let mut reply = match reply {
            Ok(reply) => reply,
            Err(error) => {
                self.redirect(&error).await;
                let Mutation::ErrorAnswer(answer) = self.mutation else {
                    return Err(self.mutate_error(error));
                };
                let answer = answer(&error).ok_or(error)?;
                return Ok(Reply::new(
                    Document::new(&answer),
                    Metadata::new(NAME, "acme-large"),
                ));
            }
        };
        let mut body: Value = serde_json::from_slice(reply.body.bytes()).unwrap();
        match self.mutation {
            Mutation::Reply(change) => {
                change(&mut body);
                reply.body = Document::new(&body);
            }
            Mutation::Cached => {
                let mut cache = self.cache.lock().unwrap();
                reply.body = Document::new(cache.get_or_insert(body));
            }
            Mutation::Metadata(change) => change(&mut reply.metadata),
            _ => {}
        }
        Ok(reply)
    }

    async fn streamed(&self, call: Call) -> Result<ReplyStream> {
        let call = self.mutate_call(call);
        let begun = match (self.acme.stream(call.clone()).await, self.mutation) {
            (Err(_), Mutation::Hasty) => self.acme.stream(call).await,
            (begun, _) => begun,
        };
        let mut begun = match begun {
            Ok(begun) => begun,
            Err(error) => {
                self.redirect(&error).await;
                return Err(self.mutate_error(error));
            }
        };
        if let Mutation::Metadata(change) = self.mutation {
            change(&mut begun.metadata);
        }
        let (mutation, settings) = (self.mutation, self.settings.clone());
        Ok(begun.map_events(move |events| mutate_events(events, mutation, settings)))
    }

    fn mutate_error(&self, error: Error) -> Error {
        match self.mutation {
            Mutation::Error(change) => change(error, &self.settings),
            _ => error,
        }
    }

    /// Sends the key to the target of a redirect.
    async fn redirect(&self, error: &Error) {
        let page = error.body().map(|page| String::from_utf8_lossy(page));
        let page = page.unwrap_or_default();
        let target = page.split_once("href=\"http://");
        let host = target.and_then(|(_, rest)| rest.split('/').next());
        if let (Mutation::Redirected, Some(host)) = (self.mutation, host) {
            let mut stream = tokio::net::TcpStream::connect(host).await.unwrap();
            let request = format!("POST / HTTP/1.1\r\nhost: {host}\r\ncontent-length: 0\r\n\r\n");
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes()).await;
            let _ = tokio::io::AsyncReadExt::read(&mut stream, &mut [0]).await;
        }
    }
}

fn mutate_events(
    events: BoxStream<'static, Result<ReplyEvent>>,
    mutation: Mutation,
    settings: Settings,
) -> BoxStream<'static, Result<ReplyEvent>> {
    match mutation {
        Mutation::Error(change) => events
            .map(move |event| event.map_err(|error| change(error, &settings)))
            .boxed(),
        Mutation::Events(change) => {
            let changed = async move {
                let mut all: Vec<Result<Value>> =
                    events.map(|event| event.map(value_of)).collect().await;
                change(&mut all);
                stream::iter(
                    all.into_iter()
                        .map(move |event| event.map(|chunk| ReplyEvent::Chunk(chunk_of(&chunk)))),
                )
            };
            stream::once(changed).flatten().boxed()
        }
        Mutation::Detached => {
            let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
            tokio::spawn(async move {
                let mut events = events;
                while let Some(event) = events.next().await {
                    let _ = sender.send(event);
                }
            });
            stream::poll_fn(move |context| receiver.poll_recv(context)).boxed()
        }
        _ => events,
    }
}

fn value_of(event: ReplyEvent) -> Value {
    match event {
        ReplyEvent::Chunk(chunk) => serde_json::from_slice(chunk.bytes()).unwrap(),
        other => panic!("Acme has no event {:?}", std::mem::discriminant(&other)),
    }
}

/// A chunk whose flags match its content.
fn chunk_of(value: &Value) -> Chunk {
    let has = |text: &Value| text.as_str().is_some_and(|text| !text.is_empty());
    let mut choices = value["choices"].as_array().into_iter().flatten();
    let has_output = choices.any(|choice| has(&choice["delta"]["content"]) || has(&choice["text"]));
    let mut choices = value["choices"].as_array().into_iter().flatten();
    let is_finish = choices.any(|choice| choice["finish_reason"].is_string());
    let chunk = Chunk::new(Document::new(value))
        .with_output(has_output)
        .with_finish(is_finish);
    match serde_json::from_value(value["usage"].clone()) {
        Ok(usage) if value["usage"].is_object() => chunk.with_usage(usage),
        _ => chunk,
    }
}

impl fmt::Debug for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mutation {
            Mutation::Debug(show) => f.write_str(&show(&self.settings)),
            _ => self.acme.fmt(f),
        }
    }
}

impl Provider for Mutant {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        match self.mutation {
            Mutation::Capabilities(capabilities) => capabilities(),
            _ => self.acme.capabilities(),
        }
    }

    fn send(&self, call: Call) -> BoxFuture<'_, Result<Reply>> {
        Box::pin(self.plain(call))
    }

    fn stream(&self, call: Call) -> BoxFuture<'_, Result<ReplyStream>> {
        Box::pin(self.streamed(call))
    }

    fn models(&self) -> BoxFuture<'_, Result<ModelList>> {
        Box::pin(async {
            let list = self.acme.models().await?;
            let Mutation::Models(change) = self.mutation else {
                return Ok(list);
            };
            let mut value = serde_json::to_value(list).unwrap();
            change(&mut value);
            Ok(serde_json::from_value(value).unwrap())
        })
    }
}
