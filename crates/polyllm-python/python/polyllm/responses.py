"""Replies: dictionaries whose members are attributes, too.

``reply["choices"][0]["message"]["content"]`` and ``reply.choices[0].message.content`` are the same.
A member that OpenAI's schema has and the upstream left out is ``None``. Any other missing member is
an ``AttributeError`` or a ``KeyError``.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional, Type


class Object(dict):  # type: ignore[type-arg]
    """A JSON object."""

    __slots__ = ("_hidden_params", "_response_ms")

    #: The classes of members that are objects, or lists of objects.
    _members: Dict[str, Type[Object]] = {}
    #: The members that are ``None`` if the upstream left them out.
    _optional: frozenset[str] = frozenset()

    #: Facts about the call, such as the provider; only of a whole reply.
    _hidden_params: Dict[str, Any]
    #: The time of the call in milliseconds; only of a whole reply.
    _response_ms: float

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            message = f"{type(self).__name__} has no attribute {name!r}"
            raise AttributeError(message) from None

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            object.__setattr__(self, name, value)
        else:
            self[name] = value

    def __delattr__(self, name: str) -> None:
        try:
            del self[name]
        except KeyError:
            raise AttributeError(name) from None

    def __missing__(self, key: str) -> Any:
        if key in self._optional:
            return None
        raise KeyError(key)

    def __dir__(self) -> List[str]:
        return [*super().__dir__(), *(key for key in self if isinstance(key, str))]

    def model_dump(self, exclude_none: bool = False, **_: Any) -> Dict[str, Any]:
        """The object as plain dictionaries and lists."""
        dumped: Dict[str, Any] = _plain(self, exclude_none)
        return dumped

    def model_dump_json(self, indent: Optional[int] = None, **options: Any) -> str:
        """The object as JSON."""
        import json

        return json.dumps(self.model_dump(**options), indent=indent, ensure_ascii=False)

    # The names of pydantic 1 and of OpenAI's client.
    def dict(self, **options: Any) -> Dict[str, Any]:
        """Like :meth:`model_dump`."""
        return self.model_dump(**options)

    def to_dict(self, **options: Any) -> Dict[str, Any]:
        """Like :meth:`model_dump`."""
        return self.model_dump(**options)

    def json(self, **options: Any) -> str:
        """Like :meth:`model_dump_json`."""
        return self.model_dump_json(**options)


def _plain(value: Any, exclude_none: bool) -> Any:
    if isinstance(value, dict):
        members = value.items()
        return {
            key: _plain(member, exclude_none)
            for key, member in members
            if not (exclude_none and member is None)
        }
    if isinstance(value, (list, tuple)):
        return [_plain(item, exclude_none) for item in value]
    return value


class Function(Object):
    """The function that a tool call calls."""

    __slots__ = ()
    _optional = frozenset(("arguments", "name"))

    name: Optional[str]
    arguments: str


class _ToolCall(Object):
    """The common members of a tool call and of its pieces."""

    __slots__ = ()
    _members = {"function": Function}
    _optional = frozenset(("function", "id", "type"))

    function: Function


class ChatCompletionMessageToolCall(_ToolCall):
    """A tool call in a message."""

    __slots__ = ()

    id: str
    type: str


class ChatCompletionDeltaToolCall(_ToolCall):
    """A piece of a tool call in a chunk."""

    __slots__ = ()

    index: int
    id: Optional[str]
    type: Optional[str]


class _Output(Object):
    """The common members of a message and of its pieces."""

    __slots__ = ()
    _optional = frozenset(
        ("content", "function_call", "reasoning_content", "refusal", "tool_calls")
    )

    content: Optional[str]
    reasoning_content: Optional[str]


class Message(_Output):
    """The model's message."""

    __slots__ = ()
    _members = {"function_call": Function, "tool_calls": ChatCompletionMessageToolCall}

    role: str
    tool_calls: Optional[List[ChatCompletionMessageToolCall]]


class Delta(_Output):
    """What a chunk adds to a message."""

    __slots__ = ()
    _members = {"function_call": Function, "tool_calls": ChatCompletionDeltaToolCall}
    _optional = _Output._optional | {"role"}

    role: Optional[str]
    tool_calls: Optional[List[ChatCompletionDeltaToolCall]]


class Choices(Object):
    """One of the messages of a reply."""

    __slots__ = ()
    _members = {"message": Message}
    _optional = frozenset(("finish_reason", "logprobs"))

    index: int
    finish_reason: str
    message: Message
    logprobs: Optional[Object]


class StreamingChoices(Object):
    """What a chunk adds to one of the messages."""

    __slots__ = ()
    _members = {"delta": Delta}
    _optional = frozenset(("finish_reason", "logprobs"))

    index: int
    finish_reason: Optional[str]
    delta: Delta
    logprobs: Optional[Object]


class TextChoices(Object):
    """One of the texts of a text completion."""

    __slots__ = ()
    _optional = frozenset(("finish_reason", "logprobs"))

    index: int
    finish_reason: Optional[str]
    text: str
    logprobs: Optional[Object]


class Usage(Object):
    """The tokens that the upstream counted."""

    __slots__ = ()
    _optional = frozenset(("completion_tokens_details", "prompt_tokens_details"))

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class _Completion(Object):
    """The common members of the replies to chats and prompts, and of their chunks."""

    __slots__ = ()

    id: str
    created: int
    model: str
    object: str


class _ChatCompletion(_Completion):
    """The common members of the reply to a chat and of its chunks."""

    __slots__ = ()
    _optional = frozenset(("service_tier", "system_fingerprint", "usage"))

    system_fingerprint: Optional[str]


class ModelResponse(_ChatCompletion):
    """The reply to a chat."""

    __slots__ = ()
    _members = {"choices": Choices, "usage": Usage}

    choices: List[Choices]
    usage: Usage


class ModelResponseStream(_ChatCompletion):
    """A chunk of the reply to a chat."""

    __slots__ = ()
    _members = {"choices": StreamingChoices, "usage": Usage}

    choices: List[StreamingChoices]
    usage: Optional[Usage]


class TextCompletionResponse(_Completion):
    """The reply to a prompt, or a chunk of it."""

    __slots__ = ()
    _members = {"choices": TextChoices, "usage": Usage}
    _optional = frozenset(("system_fingerprint", "usage"))

    choices: List[TextChoices]
    usage: Usage


class Embedding(Object):
    """A vector."""

    __slots__ = ()

    index: int
    object: str
    embedding: List[float]


class EmbeddingResponse(Object):
    """The vectors of texts."""

    __slots__ = ()
    _members = {"data": Embedding, "usage": Usage}
    _optional = frozenset(("usage",))

    data: List[Embedding]
    model: str
    object: str
    usage: Usage


class RerankResult(Object):
    """A document and its relevance."""

    __slots__ = ()
    _optional = frozenset(("document",))

    index: int
    relevance_score: float
    document: Optional[Object]


class RerankResponse(Object):
    """Documents by relevance."""

    __slots__ = ()
    _members = {"results": RerankResult}
    _optional = frozenset(("id", "meta"))

    id: Optional[str]
    results: List[RerankResult]
    meta: Optional[Object]


#: The classes of replies, by the path of the endpoint.
_REPLIES: Dict[str, Type[Object]] = {
    "/v1/chat/completions": ModelResponse,
    "/v1/completions": TextCompletionResponse,
    "/v1/embeddings": EmbeddingResponse,
    "/v1/rerank": RerankResponse,
}

#: The classes of chunks.
_CHUNKS: Dict[str, Type[Object]] = {
    "/v1/chat/completions": ModelResponseStream,
    "/v1/completions": TextCompletionResponse,
}
