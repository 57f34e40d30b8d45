"""What a type checker knows about the package: mypy checks this file, and nothing runs it."""

from typing import List, Optional

import polyllm
from polyllm import Router, sse, templates


def types() -> None:
    reply: polyllm.ModelResponse = polyllm.completion("m", [{"role": "user", "content": "Hi"}])
    text: Optional[str] = reply.choices[0].message.content
    tokens: int = reply.usage.total_tokens
    for chunk in polyllm.completion("m", [], stream=True):
        piece: Optional[str] = chunk.choices[0].delta.content
    vectors: List[float] = polyllm.embedding("m", ["a"]).data[0].embedding
    score: float = polyllm.rerank("m", "q", ["a"]).results[0].relevance_score
    other: polyllm.ModelResponse = Router([]).completion("m", [])
    prompt: str = templates.render("m", [])
    events: List[sse.Event] = sse.Decoder().feed(b"")
    try:
        polyllm.text_completion("a", "m")
    except polyllm.RateLimitError as error:
        status: int = error.status_code


async def asynchronous() -> None:
    reply: polyllm.ModelResponse = await polyllm.acompletion("m", [])
    async for chunk in await polyllm.acompletion("m", [], stream=True):
        piece: Optional[str] = chunk.choices[0].delta.content
