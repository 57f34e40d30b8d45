"""The official `together` package against the simulated Together."""

import urllib.request

import together
from checks import address, check, raises, run, same

URL = address("TOGETHER_URL")
MESSAGES = [{"role": "user", "content": "What do you know about earth? Grüße, 世界 🌍"}]
# Both ways in which Together streams, by model.
MODELS = ["meta-llama/Llama-3.3-70B-Instruct-Turbo", "openai/gpt-oss-20b"]


def client(key="any"):
    return together.Together(api_key=key, base_url=URL, max_retries=0, timeout=30)


for model in MODELS:

    @check(f"{model}: chat, plain and streamed")
    def chat(model=model):
        answer = client().chat.completions.create(model=model, messages=MESSAGES)
        text = answer.choices[0].message.content
        same(answer.choices[0].finish_reason, "stop")
        assert "earth? Grüße, 世界 🌍" in text, text
        stream = client().chat.completions.create(model=model, messages=MESSAGES, stream=True)
        chunks = list(stream)
        choices = [chunk.choices[0] for chunk in chunks if chunk.choices]
        same("".join(choice.delta.content or "" for choice in choices), text)
        same([choice.finish_reason for choice in choices if choice.finish_reason], ["stop"])
        used = [chunk.usage.total_tokens for chunk in chunks if chunk.usage]
        same(used, [answer.usage.total_tokens])


@check("a completion, plain and streamed")
def completion():
    asked = {"model": "togethercomputer/LLaMA-2-7B-32K", "prompt": "Once upon", "max_tokens": 8}
    answer = client().completions.create(**asked)
    chunks = list(client().completions.create(stream=True, **asked))
    text = "".join(chunk.choices[0].text or "" for chunk in chunks if chunk.choices)
    same(text, answer.choices[0].text)
    assert text, "no text"


@check("embeddings: texts that share words are near")
def embeddings():
    answer = client().embeddings.create(
        model="BAAI/bge-large-en-v1.5", input=["the blue sky", "a blue sky", "tax law"]
    )
    sky, another, law = [item.embedding for item in answer.data]
    near = sum(a * b for a, b in zip(sky, another, strict=True))
    far = sum(a * b for a, b in zip(sky, law, strict=True))
    assert near > far, (near, far)


@check("rerank: the document about the query comes first")
def rerank():
    answer = client().rerank.create(
        model="Salesforce/Llama-Rank-V1",
        query="What is the capital of the United States?",
        documents=["Carson City is in Nevada.", "Washington is the capital of the United States."],
        return_documents=True,
        top_n=1,
    )
    same([result.index for result in answer.results], [1])
    assert "Washington" in answer.results[0].document.text


@check("models are a bare list")
def models():
    # `models.list()` of this package asks another product, which wants a project.
    listed = client().get("/v1/models", cast_to=object)
    assert set(MODELS) <= {model["id"] for model in listed}


@check("a wrong key is an AuthenticationError")
def wrong_key():
    with raises(together.AuthenticationError) as error:
        client("invalid").chat.completions.create(model=MODELS[0], messages=MESSAGES)
    same(error.value.body["error"]["code"], "invalid_api_key")


@check("an unknown model is a NotFoundError")
def unknown_model():
    with raises(together.NotFoundError) as error:
        client().chat.completions.create(model="no-such/model", messages=MESSAGES)
    same(error.value.body["error"]["code"], "model_not_available")


@check("an overload (asked for in the prompt) is an InternalServerError")
def overloaded():
    messages = [{"role": "user", "content": "[sim: status=503]"}]
    with raises(together.InternalServerError) as error:
        client().chat.completions.create(model=MODELS[0], messages=messages)
    same(error.value.status_code, 503)


@check("a stream that breaks off (asked for in the prompt) is an APIError")
def broken_stream():
    messages = [{"role": "user", "content": "[sim: error-after=3]"}]
    with raises(together.APIError):
        list(client().chat.completions.create(model=MODELS[0], messages=messages, stream=True))


@check("a prompt is echoed with its logprobs, and logprobs come in columns")
def echo():
    answer = client().completions.create(
        model=MODELS[0], prompt="The sky is blue", echo=True, logprobs=1, max_tokens=2
    )
    same(answer.prompt[0].text, "The sky is blue")
    same(answer.prompt[0].logprobs.token_logprobs[0], None)
    same(len(answer.choices[0].logprobs.tokens), 2)


@check("completions in the shape of 2024 are streamed")
def completion_tokens():
    chunks = client().completions.create(
        model="meta-llama/Meta-Llama-3.1-8B", prompt="Once upon", max_tokens=3, stream=True
    )
    told = [chunk.token.text for chunk in chunks]
    same((len(told), told[-1]), (4, "<|eot_id|>"))


@check("a tool is called, plain and streamed")
def tools():
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}}
    tool = {"type": "function", "function": {"name": "weather", "parameters": parameters}}
    for model in MODELS:
        asked = {"model": model, "messages": MESSAGES, "tools": [tool], "tool_choice": "required"}
        call = client().chat.completions.create(**asked).choices[0].message.tool_calls[0]
        same(call.function.name, "weather")
        chunks = client().chat.completions.create(stream=True, **asked)
        parts = [
            part.function.arguments
            for chunk in chunks
            for choice in chunk.choices
            for part in choice.delta.tool_calls or []
        ]
        same("".join(part or "" for part in parts), call.function.arguments)


@check("rate limits: headers until they are used up, then a RateLimitError")
def limits():
    limited = together.Together(
        api_key="together-py", base_url=address("LIMITED_URL"), max_retries=0, timeout=30
    )
    asked = {"model": MODELS[0], "messages": MESSAGES}
    for left in ["1", "0"]:
        headers = limited.chat.completions.with_raw_response.create(**asked).headers
        same(headers["x-ratelimit-remaining"], left)
    with raises(together.RateLimitError) as error:
        limited.chat.completions.create(**asked)
    same(error.value.body["error"]["type"], "dynamic_request_limited")
    assert int(error.value.response.headers["x-ratelimit-reset"]) > 1000


@check("retries get through a short overload")
def retries():
    messages = [{"role": "user", "content": "try again"}]
    url = f"{address('LIMITED_URL')}/_sim/faults?path=/chat&times=1"
    urllib.request.urlopen(url, data=b"status=503").close()
    patient = together.Together(api_key="retries-py", base_url=address("LIMITED_URL"), timeout=30)
    patient.chat.completions.create(model=MODELS[0], messages=messages)


run()
