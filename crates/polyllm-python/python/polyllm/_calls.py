"""The functions that call models. A router has the same, with its groups as models."""

from __future__ import annotations

from . import _native
from .streaming import CustomStreamWrapper

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Iterable, List, Literal, Optional, Union, overload

    from .responses import (
        EmbeddingResponse,
        ModelResponse,
        ModelResponseStream,
        RerankResponse,
        TextCompletionResponse,
    )

    Messages = Iterable[Any]
    ChatStream = CustomStreamWrapper[ModelResponseStream]
    TextStream = CustomStreamWrapper[TextCompletionResponse]
else:

    def overload(_):
        return None


_CHAT = "/v1/chat/completions"
_COMPLETIONS = "/v1/completions"
_EMBEDDINGS = "/v1/embeddings"
_RERANK = "/v1/rerank"


class Calls:
    """The calls to a router, or to the models themselves without one."""

    __slots__ = ("_router",)

    def __init__(self, router: Optional[_native.Router] = None) -> None:
        self._router = router

    if TYPE_CHECKING:

        @overload
        def completion(
            self, model: str, messages: Messages = ..., *, stream: Literal[True], **kwargs: Any
        ) -> ChatStream: ...

        @overload
        def completion(
            self,
            model: str,
            messages: Messages = ...,
            *,
            stream: Optional[Literal[False]] = ...,
            **kwargs: Any,
        ) -> ModelResponse: ...

        @overload
        def completion(
            self, model: str, messages: Messages = ..., *, stream: Optional[bool], **kwargs: Any
        ) -> Union[ModelResponse, ChatStream]: ...

    def completion(self, model: str, messages: Messages = (), **kwargs: Any) -> Any:
        """Sends a chat. With ``stream=True``, the reply is an iterator of chunks.

        ``kwargs`` are parameters such as ``temperature``, parameters that only the provider has,
        and ``api_key``, ``api_base``, ``timeout``, ``num_retries``, ``drop_params`` and
        ``extra_headers``. Keys and addresses that are not given come from the environment.
        """
        return self._call(_CHAT, model, {"messages": messages}, kwargs)

    if TYPE_CHECKING:

        @overload
        async def acompletion(
            self, model: str, messages: Messages = ..., *, stream: Literal[True], **kwargs: Any
        ) -> ChatStream: ...

        @overload
        async def acompletion(
            self,
            model: str,
            messages: Messages = ...,
            *,
            stream: Optional[Literal[False]] = ...,
            **kwargs: Any,
        ) -> ModelResponse: ...

        @overload
        async def acompletion(
            self, model: str, messages: Messages = ..., *, stream: Optional[bool], **kwargs: Any
        ) -> Union[ModelResponse, ChatStream]: ...

    async def acompletion(self, model: str, messages: Messages = (), **kwargs: Any) -> Any:
        """Like :meth:`completion`. Cancelling it cancels the call upstream."""
        return await self._acall(_CHAT, model, {"messages": messages}, kwargs)

    if TYPE_CHECKING:

        @overload
        def text_completion(
            self, prompt: Any, model: str, *, stream: Literal[True], **kwargs: Any
        ) -> TextStream: ...

        @overload
        def text_completion(
            self,
            prompt: Any,
            model: str,
            *,
            stream: Optional[Literal[False]] = ...,
            **kwargs: Any,
        ) -> TextCompletionResponse: ...

        @overload
        def text_completion(
            self, prompt: Any, model: str, *, stream: Optional[bool], **kwargs: Any
        ) -> Union[TextCompletionResponse, TextStream]: ...

    def text_completion(self, prompt: Any, model: str, **kwargs: Any) -> Any:
        """Completes a prompt. With ``stream=True``, the reply is an iterator of chunks."""
        return self._call(_COMPLETIONS, model, {"prompt": prompt}, kwargs)

    if TYPE_CHECKING:

        @overload
        async def atext_completion(
            self, prompt: Any, model: str, *, stream: Literal[True], **kwargs: Any
        ) -> TextStream: ...

        @overload
        async def atext_completion(
            self,
            prompt: Any,
            model: str,
            *,
            stream: Optional[Literal[False]] = ...,
            **kwargs: Any,
        ) -> TextCompletionResponse: ...

        @overload
        async def atext_completion(
            self, prompt: Any, model: str, *, stream: Optional[bool], **kwargs: Any
        ) -> Union[TextCompletionResponse, TextStream]: ...

    async def atext_completion(self, prompt: Any, model: str, **kwargs: Any) -> Any:
        """Like :meth:`text_completion`. Cancelling it cancels the call upstream."""
        return await self._acall(_COMPLETIONS, model, {"prompt": prompt}, kwargs)

    def embedding(self, model: str, input: Any = (), **kwargs: Any) -> EmbeddingResponse:
        """Converts texts to vectors."""
        reply: EmbeddingResponse = self._call(_EMBEDDINGS, model, {"input": _list(input)}, kwargs)
        return reply

    async def aembedding(self, model: str, input: Any = (), **kwargs: Any) -> EmbeddingResponse:
        """Like :meth:`embedding`. Cancelling it cancels the call upstream."""
        content = {"input": _list(input)}
        reply: EmbeddingResponse = await self._acall(_EMBEDDINGS, model, content, kwargs)
        return reply

    def rerank(
        self,
        model: str,
        query: str,
        documents: Iterable[Any],
        top_n: Optional[int] = None,
        **kwargs: Any,
    ) -> RerankResponse:
        """Sorts documents by relevance to a query, and returns the best ``top_n``, or all."""
        content = {"query": query, "documents": _list(documents), "top_n": top_n}
        reply: RerankResponse = self._call(_RERANK, model, content, kwargs)
        return reply

    async def arerank(
        self,
        model: str,
        query: str,
        documents: Iterable[Any],
        top_n: Optional[int] = None,
        **kwargs: Any,
    ) -> RerankResponse:
        """Like :meth:`rerank`. Cancelling it cancels the call upstream."""
        content = {"query": query, "documents": _list(documents), "top_n": top_n}
        reply: RerankResponse = await self._acall(_RERANK, model, content, kwargs)
        return reply

    def _call(self, path: str, model: str, content: Dict[str, Any], given: Dict[str, Any]) -> Any:
        reply = _native.call(path, model, content, given, self._router)
        return CustomStreamWrapper(reply) if isinstance(reply, _native.Stream) else reply

    async def _acall(
        self, path: str, model: str, content: Dict[str, Any], given: Dict[str, Any]
    ) -> Any:
        from . import _aio

        reply = await _aio.run(_native.start, path, model, content, given, self._router)
        return CustomStreamWrapper(reply) if isinstance(reply, _native.Stream) else reply


def _list(values: Any) -> Any:
    """Iterators and the like as lists; texts as they are."""
    return values if isinstance(values, (str, list, tuple)) else list(values)


#: Calls without a router.
_direct = Calls()
