"""The official `openai` package against the simulated Together itself."""

import urllib.request

import openai
from checks import address, check, raises, run, same

URL = address("TOGETHER_URL")
TURBO = "meta-llama/Llama-3.3-70B-Instruct-Turbo"
# Both ways in which Together streams, by model.
MODELS = [TURBO, "openai/gpt-oss-20b"]
MESSAGES = [{"role": "user", "content": "What do you know about earth? Grüße, 世界 🌍"}]


def client(key="any", url=URL):
    return openai.OpenAI(api_key=key, base_url=f"{url}/v1", max_retries=0, timeout=30)


def chat(model=TURBO, content=None, **more):
    messages = [{"role": "user", "content": content}] if content else MESSAGES
    return client().chat.completions.create(model=model, messages=messages, **more)


for model in MODELS:

    @check(f"{model}: chat, plain and streamed")
    def plain_and_streamed(model=model):
        answer = chat(model)
        choices = [choice for chunk in chat(model, stream=True) for choice in chunk.choices]
        text = "".join(choice.delta.content or "" for choice in choices)
        same(text, answer.choices[0].message.content)
        same([choice.finish_reason for choice in choices if choice.finish_reason], ["stop"])
        assert "earth? Grüße, 世界 🌍" in text, text


@check("completions, plain and streamed in both shapes")
def completions():
    for model in ["togethercomputer/LLaMA-2-7B-32K", "meta-llama/Meta-Llama-3.1-8B"]:
        asked = {"model": model, "prompt": "Once upon", "max_tokens": 8}
        answer = client().completions.create(**asked)
        chunks = list(client().completions.create(stream=True, **asked))
        same("".join(chunk.choices[0].text for chunk in chunks), answer.choices[0].text)
        same(answer.usage.completion_tokens, 8)


@check("a prompt is echoed with its logprobs")
def echo():
    more = {"echo": True, "logprobs": 1, "max_tokens": 0}
    answer = client().completions.create(model=TURBO, prompt="The sky is blue", **more)
    [prompt] = answer.model_extra["prompt"]
    same(prompt["text"], "The sky is blue")
    same(prompt["logprobs"]["token_logprobs"][0], None)


@check("logprobs of the engines of 2026 have OpenAI's shape")
def logprobs():
    # An integer here, not a flag.
    choice = chat(MODELS[1], logprobs=2).choices[0]
    tokens = choice.logprobs.content
    assert all(len(token.top_logprobs) == 2 for token in tokens), tokens
    assert "".join(token.token for token in tokens).endswith(choice.message.content)


@check("embeddings: numbers, though this client asks for base64")
def embeddings():
    answer = client().embeddings.create(model="BAAI/bge-large-en-v1.5", input=["sky", "law"])
    same([len(item.embedding) for item in answer.data], [1024, 1024])


@check("the errors, each as its class")
def errors():
    long = "word " * 100
    for content, model, kind, code in [
        (None, "no-such/model", openai.NotFoundError, "model_not_available"),
        (None, "acme/stream-only", openai.BadRequestError, "streaming_required"),
        (long, "acme/tiny-context", openai.BadRequestError, None),
        (long, "qwen/tiny-context", openai.BadRequestError, None),
        ("[sim: status=429]", TURBO, openai.RateLimitError, None),
        ("[sim: status=503]", TURBO, openai.InternalServerError, None),
        ("[sim: cut-after=20]", TURBO, openai.APIConnectionError, None),
    ]:
        with raises(kind) as error:
            chat(model, content)
        same(getattr(error.value, "code", None), code)
    with raises(openai.AuthenticationError) as error:
        client("invalid").embeddings.create(model="BAAI/bge-large-en-v1.5", input="x")
    same(error.value.code, "invalid_api_key")


@check("a stream that breaks off with an error is an APIError")
def broken_stream():
    for model in MODELS:
        with raises(openai.APIError):
            list(chat(model, "[sim: error-after=3]", stream=True))


@check("rate limits: headers until they are used up, then a RateLimitError")
def limits():
    limited = client("openai-py", address("LIMITED_URL")).chat.completions.with_raw_response
    for left in ["1", "0"]:
        headers = limited.create(model=TURBO, messages=MESSAGES).headers
        same(headers["x-ratelimit-remaining"], left)
        assert int(headers["x-tokenlimit-remaining"]) > 0
    with raises(openai.RateLimitError) as error:
        limited.create(model=TURBO, messages=MESSAGES)
    same(error.value.type, "dynamic_request_limited")
    assert int(error.value.response.headers["x-ratelimit-reset"]) > 1000


@check("a fault over HTTP strikes as often as it was told")
def faults():
    url = f"{address('LIMITED_URL')}/_sim/faults?path=/embeddings&times=1"
    urllib.request.urlopen(url, data=b"status=500").close()
    ask = client("faults-py", address("LIMITED_URL")).embeddings
    with raises(openai.InternalServerError):
        ask.create(model="acme/faults-py", input="x")
    ask.create(model="acme/faults-py", input="x")


run()
