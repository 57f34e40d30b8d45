"""The `litellm` package as a client, with virtual keys of the gateway."""

import os

# Otherwise litellm asks another host for its prices.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm
from checks import address, check, raises, run, same
from litellm.proxy.client import Client

URL = address("GATEWAY_URL")
MESSAGES = [{"role": "user", "content": "What do you know about the sea?"}]
master = Client(base_url=URL, api_key=address("GATEWAY_KEY"))
litellm.num_retries = 0
litellm.suppress_debug_info = True


def key(**settings):
    return master.keys.generate(**settings)["key"]


def ask(secret, **more):
    request = {"model": "openai/together-turbo", "api_base": URL + "/v1", "messages": MESSAGES}
    return litellm.completion(**{**request, "api_key": secret, "max_tokens": 20, **more})


@check("a completion with a virtual key, whole and streamed, has its usage")
def completion():
    secret = key()
    answer = ask(secret)
    assert answer.choices[0].message.content, answer
    assert answer.usage.prompt_tokens > 0 and answer.usage.completion_tokens > 0, answer.usage
    chunks = list(ask(secret, stream=True, stream_options={"include_usage": True}))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    same(chunks[-1].usage.total_tokens, answer.usage.total_tokens)


@check("the gateway as a proxy of LiteLLM (litellm_proxy/…)")
def proxy():
    answer = ask(key(), model="litellm_proxy/together-turbo", api_base=URL)
    assert answer.choices[0].message.content, answer
    headers = answer._hidden_params["additional_headers"]
    assert headers["llm_provider-x-litellm-call-id"], headers


@check("embeddings and rerank")
def others():
    secret = key()
    found = litellm.embedding(
        model="openai/embedder", input=["sea"], api_base=URL + "/v1", api_key=secret
    )
    assert len(found.data[0]["embedding"]) > 1, found
    ranked = litellm.rerank(
        model="litellm_proxy/reranker", query="sea", documents=["the sea", "stars"], top_n=1,
        api_base=URL, api_key=secret,
    )
    same(len(ranked.results), 1)


@check("a key without the model, a blocked key and an unknown one are errors of their kind")
def refusals():
    narrow = key(models=["embedder"])
    # litellm has no error of its own for a 403.
    with raises(litellm.BadRequestError) as error:
        ask(narrow)
    assert "may not call the model" in str(error.value), error.value
    with raises(litellm.AuthenticationError):
        ask("sk-unknown-key-0123456789")
    blocked = key()
    master.http.request("POST", "/key/block", json={"key": blocked})
    with raises(litellm.AuthenticationError):
        ask(blocked)


@check("a budget ends with a RateLimitError")
def budget():
    made = master.http.request("POST", "/key/generate", json={"max_budget": 0.000001})
    with raises(litellm.RateLimitError) as error:
        ask(made["key"])
    assert "budget" in str(error.value), error.value


run()
