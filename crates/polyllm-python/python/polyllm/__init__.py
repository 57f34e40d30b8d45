"""LiteLLM's functions for the models on Together AI and Replicate.

>>> import polyllm as litellm
>>> reply = litellm.completion(
...     model="together_ai/togethercomputer/llama-2-70b-chat",
...     messages=[{"role": "user", "content": "Hello"}],
... )  # doctest: +SKIP
"""

from __future__ import annotations

import atexit as _atexit

from . import _native, exceptions, sse, templates
from ._calls import _direct
from .exceptions import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    APITimeoutError,
    AuthenticationError,
    BadGatewayError,
    BadRequestError,
    ContentPolicyViolationError,
    ContextWindowExceededError,
    InternalServerError,
    InvalidRequestError,
    LiteLLMUnknownProvider,
    NotFoundError,
    OpenAIError,
    PermissionDeniedError,
    RateLimitError,
    ServiceUnavailableError,
    Timeout,
    UnprocessableEntityError,
    UnsupportedParamsError,
)
from .responses import (
    Choices,
    Delta,
    Embedding,
    EmbeddingResponse,
    Message,
    ModelResponse,
    ModelResponseStream,
    RerankResponse,
    StreamingChoices,
    TextCompletionResponse,
    Usage,
)
from .router import Router
from .streaming import CustomStreamWrapper

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional

__all__ = [
    "APIConnectionError",
    "APIError",
    "APIResponseValidationError",
    "APITimeoutError",
    "AuthenticationError",
    "BadGatewayError",
    "BadRequestError",
    "Choices",
    "ContentPolicyViolationError",
    "ContextWindowExceededError",
    "CustomStreamWrapper",
    "Delta",
    "Embedding",
    "EmbeddingResponse",
    "InternalServerError",
    "InvalidRequestError",
    "LiteLLMUnknownProvider",
    "Message",
    "ModelResponse",
    "ModelResponseStream",
    "NotFoundError",
    "OpenAIError",
    "PermissionDeniedError",
    "RateLimitError",
    "RerankResponse",
    "Router",
    "ServiceUnavailableError",
    "StreamingChoices",
    "TextCompletionResponse",
    "Timeout",
    "UnprocessableEntityError",
    "UnsupportedParamsError",
    "Usage",
    "acompletion",
    "aembedding",
    "arerank",
    "atext_completion",
    "completion",
    "embedding",
    "register_prompt_template",
    "rerank",
    "sse",
    "stream_chunk_builder",
    "templates",
    "text_completion",
]

completion = _direct.completion
acompletion = _direct.acompletion
text_completion = _direct.text_completion
atext_completion = _direct.atext_completion
embedding = _direct.embedding
aembedding = _direct.aembedding
rerank = _direct.rerank
arerank = _direct.arerank

#: Whether each call prints a line on standard error: provider, model, status and time.
set_verbose: bool = False
#: Whether parameters that a provider does not support are left out; otherwise they are errors.
drop_params: bool = False
#: The key, if the call has none; before the environment.
api_key: Optional[str] = None
#: The address, if the call has none; before the environment.
api_base: Optional[str] = None
#: The keys of the providers, before `api_key`.
togetherai_api_key: Optional[str] = None
replicate_key: Optional[str] = None
openai_key: Optional[str] = None
#: How often a call is sent again that cannot have been billed; 2 by default.
num_retries: Optional[int] = None
#: The time limit of a call in seconds; 600 by default.
request_timeout: Optional[float] = None


def register_prompt_template(
    model: str,
    roles: Optional[Dict[str, Any]] = None,
    initial_prompt_value: str = "",
    final_prompt_value: str = "",
    tokenizer_config: Optional[Dict[str, Any]] = None,
    *,
    bos_token: str = "",
    eos_token: str = "",
    pre_message_sep: Optional[str] = None,
    post_message_sep: Optional[str] = None,
) -> None:
    """Registers the prompt template of a model, with or without its provider.

    ``roles`` has for each role ``pre_message`` and ``post_message``; or a text, which
    ``pre_message_sep`` separates from the message, and ``post_message_sep`` the message from the
    next one. ``tokenizer_config`` has a Jinja template instead, as Hugging Face's models do.
    """
    if tokenizer_config is not None:
        template = _native.Template.jinja(tokenizer_config=tokenizer_config, name=model)
    else:
        template = _native.Template.custom(
            roles=roles,
            initial_prompt_value=initial_prompt_value,
            final_prompt_value=final_prompt_value,
            bos_token=bos_token,
            eos_token=eos_token,
            pre_message_sep=pre_message_sep,
            post_message_sep=post_message_sep,
        )
    _native.register_template(model, template)


def stream_chunk_builder(
    chunks: List[ModelResponseStream], messages: Optional[List[Any]] = None
) -> ModelResponse:
    """Joins the chunks of a chat into the reply that would have come in one piece."""
    reply: ModelResponse = _native.join(chunks)
    return reply


_atexit.register(_native.shutdown)
