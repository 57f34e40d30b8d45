"""The functions for asyncio."""

import asyncio
import gc
import threading

import pytest

import polyllm as litellm

LLAMA = "together_ai/meta-llama/Llama-3.3-70B-Instruct-Turbo"
REPLICATE = "replicate/meta/meta-llama-3-8b-instruct"
MESSAGES = [{"role": "user", "content": "What colour is the sky?"}]


def test_every_function_has_an_asynchronous_form(sim):
    async def calls():
        model = "together_ai/Salesforce/Llama-Rank-V1"
        return await asyncio.gather(
            litellm.acompletion(model=LLAMA, messages=MESSAGES),
            litellm.atext_completion("Once upon", "together_ai/acme/base"),
            litellm.aembedding("together_ai/BAAI/bge-base-en-v1.5", ["one"]),
            litellm.arerank(model, "capital", ["a", "b"], top_n=1),
        )

    chat, text, vectors, ranked = asyncio.run(calls())
    assert isinstance(chat, litellm.ModelResponse) and chat.choices[0].message.content
    assert isinstance(text, litellm.TextCompletionResponse)
    assert isinstance(vectors, litellm.EmbeddingResponse)
    assert isinstance(ranked, litellm.RerankResponse) and len(ranked.results) == 1


@pytest.mark.parametrize("model", [LLAMA, REPLICATE])
def test_a_stream_is_an_asynchronous_iterator(sim, model):
    async def read():
        stream = await litellm.acompletion(model, MESSAGES, stream=True)
        return [chunk async for chunk in stream]

    chunks = asyncio.run(read())
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == litellm.completion(model, MESSAGES).choices[0].message.content


def test_a_thousand_calls_run_at_once(sim):
    async def calls():
        messages = [[{"role": "user", "content": f"Number {n}"}] for n in range(1000)]
        return await asyncio.gather(*(litellm.acompletion(LLAMA, m) for m in messages))

    replies = asyncio.run(calls())
    assert len(replies) == 1000
    for number, reply in enumerate(replies):
        assert f"Number {number}" in reply.choices[0].message.content


def test_an_error_is_raised_where_the_call_is_awaited(sim):
    async def call():
        with pytest.raises(litellm.AuthenticationError) as raised:
            await litellm.acompletion(LLAMA, MESSAGES, api_key="invalid")
        return raised.value

    error = asyncio.run(call())
    assert error.status_code == 401 and error.llm_provider == "together_ai"


@pytest.mark.parametrize("stream", [False, True])
def test_a_cancelled_task_is_cancelled_upstream(slow_sim, wait_until, stream):
    async def cancel():
        call = litellm.acompletion(REPLICATE, MESSAGES, stream=stream, api_key="key", prefer_wait=0)
        task = asyncio.create_task(call)
        while slow_sim.predictions()["running"] == 0:
            await asyncio.sleep(0.01)
        if stream:
            chunks = await task
            task = asyncio.ensure_future(chunks.__anext__())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await chunks.aclose()
            return
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    wait_until(lambda: slow_sim.predictions()["canceled"] == 1)


def test_event_loops_in_several_threads(sim):
    replies = []

    def run():
        async def calls():
            return await asyncio.gather(*(litellm.acompletion(LLAMA, MESSAGES) for _ in range(10)))

        replies.extend(asyncio.run(calls()))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(replies) == 40


def test_closed_event_loops_are_freed(sim):
    from polyllm import _aio

    for _ in range(3):
        asyncio.run(litellm.acompletion(LLAMA, MESSAGES))
    gc.collect()
    assert len(_aio._results) == 0
