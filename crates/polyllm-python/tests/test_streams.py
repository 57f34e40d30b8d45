"""Streamed replies."""

import pytest

import polyllm as litellm

LLAMA = "together_ai/meta-llama/Llama-3.3-70B-Instruct-Turbo"
REPLICATE = "replicate/meta/meta-llama-3-8b-instruct"
MESSAGES = [{"role": "user", "content": "What colour is the sky?"}]


@pytest.mark.parametrize("model", [LLAMA, REPLICATE])
def test_chunks_are_joined_to_the_reply_in_one_piece(sim, model):
    whole = litellm.completion(model, MESSAGES)
    stream = litellm.completion(model, MESSAGES, stream=True)
    assert isinstance(stream, litellm.CustomStreamWrapper)
    chunks = list(stream)
    assert all(isinstance(chunk, litellm.ModelResponseStream) for chunk in chunks)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == whole.choices[0].message.content
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    joined = litellm.stream_chunk_builder(chunks, messages=MESSAGES)
    assert isinstance(joined, litellm.ModelResponse)
    assert joined.choices[0].message.content == text
    assert list(stream) == []


def test_the_usage_comes_only_if_it_was_requested(sim):
    without = list(litellm.completion(LLAMA, MESSAGES, stream=True))
    assert all(chunk.choices for chunk in without)
    options = {"include_usage": True}
    chunks = list(litellm.completion(LLAMA, MESSAGES, stream=True, stream_options=options))
    assert not chunks[-1].choices and chunks[-1].usage.total_tokens > 0


def test_a_text_completion_is_streamed(sim):
    stream = litellm.text_completion("Once upon", "together_ai/acme/base", stream=True)
    chunks = list(stream)
    assert all(isinstance(chunk, litellm.TextCompletionResponse) for chunk in chunks)
    assert "".join(chunk.choices[0].text for chunk in chunks)


def test_a_stream_has_facts_about_its_call(sim):
    stream = litellm.completion(REPLICATE, MESSAGES, stream=True)
    assert stream._hidden_params["custom_llm_provider"] == "replicate"


def test_a_closed_stream_returns_no_more_chunks(sim):
    with litellm.completion(LLAMA, MESSAGES, stream=True) as stream:
        next(stream)
    assert list(stream) == []


def test_a_stream_that_breaks_ends_with_an_error(sim):
    messages = [{"role": "user", "content": "[sim: cut-after=700] " + "word " * 50}]
    stream = litellm.completion(LLAMA, messages, stream=True)
    with pytest.raises(litellm.APIConnectionError) as raised:
        list(stream)
    assert raised.value.llm_provider == "together_ai"
    assert list(stream) == []


def test_a_dropped_stream_is_cancelled_upstream(slow_sim, wait_until):
    stream = litellm.completion(REPLICATE, MESSAGES, stream=True, api_key="key", timeout=60)
    assert slow_sim.predictions()["running"] == 1
    del stream
    wait_until(lambda: slow_sim.predictions()["canceled"] == 1)
