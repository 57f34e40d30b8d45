"""The official `openai` package against the gateway."""

import asyncio
import time

import openai
import replicate
from checks import address, check, raises, run, same

KEY = address("GATEWAY_KEY")
GATEWAY = address("GATEWAY_URL")
LLAMA_3 = "replicate/meta/meta-llama-3-8b-instruct"
MODELS = ["together-chat", LLAMA_3, "llama-2-by-version", "mistral-deployment"]
MESSAGES = [
    {"role": "system", "content": "Be a good human!"},
    {"role": "user", "content": "What do you know about earth? Grüße, 世界 🌍"},
]


def client(key=KEY, base=f"{GATEWAY}/v1"):
    return openai.OpenAI(api_key=key, base_url=base, max_retries=0, timeout=30)


def chat(model, **more):
    return client().chat.completions.create(model=model, messages=MESSAGES, **more)


def upstream():
    """Replicate itself, to see what reached it."""
    return replicate.Client(api_token="any", base_url=address("REPLICATE_URL"))


for model in MODELS:

    @check(f"{model}: plain")
    def plain(model=model):
        answer = chat(model)
        same((answer.object, answer.model, len(answer.choices)), ("chat.completion", model, 1))
        choice = answer.choices[0]
        same((choice.message.role, choice.finish_reason), ("assistant", "stop"))
        assert "earth? Grüße, 世界 🌍" in choice.message.content, choice.message.content
        usage = answer.usage
        assert usage.prompt_tokens > 0 and usage.completion_tokens > 0, usage
        same(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens)

    @check(f"{model}: streamed, the same text")
    def streamed(model=model):
        chunks = list(chat(model, stream=True))
        same({chunk.object for chunk in chunks}, {"chat.completion.chunk"})
        same({chunk.model for chunk in chunks}, {model})
        same(len({chunk.id for chunk in chunks}), 1)
        same({len(chunk.choices) for chunk in chunks}, {1})
        same({chunk.usage for chunk in chunks}, {None})
        reasons = [chunk.choices[0].finish_reason for chunk in chunks]
        same([reason for reason in reasons if reason], ["stop"])
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        same(text, chat(model).choices[0].message.content)

    @check(f"{model}: usage in the stream's last chunk when asked for")
    def usage(model=model):
        *chunks, last = chat(model, stream=True, stream_options={"include_usage": True})
        same({chunk.usage for chunk in chunks}, {None})
        same(last.choices, [])
        same(last.usage.total_tokens, chat(model).usage.total_tokens)


@check("max_tokens ends an answer early")
def max_tokens():
    for model in MODELS:
        answer = chat(model, max_tokens=3)
        same((model, answer.choices[0].finish_reason), (model, "length"))
        # Llama 3 on Replicate counts its empty last token.
        assert 3 <= answer.usage.completion_tokens <= 4, answer.usage


@check("a tool is called, plain and streamed")
def tools():
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}}
    tool = {"type": "function", "function": {"name": "weather", "parameters": parameters}}
    asked = {"tools": [tool], "tool_choice": "required"}
    choice = chat("together-chat", **asked).choices[0]
    same(choice.finish_reason, "tool_calls")
    call = choice.message.tool_calls[0]
    same(call.function.name, "weather")

    stream = client().chat.completions.stream(model="together-chat", messages=MESSAGES, **asked)
    with stream as events:
        for _ in events:
            pass
        message = events.get_final_completion().choices[0].message
    same([call.function.name for call in message.tool_calls], ["weather"])
    same(message.tool_calls[0].function.arguments, call.function.arguments)


@check("embeddings: floats, base64, and what the client asks for by itself")
def embeddings():
    texts = ["good morning", "good night", "Grüße 🌍"]
    create = client().embeddings.create
    by_itself = create(model="embedder", input=texts)
    floats = create(model="embedder", input=texts, encoding_format="float")
    base64 = create(model="embedder", input=texts, encoding_format="base64")
    same((by_itself.object, by_itself.model), ("list", "embedder"))
    same([one.index for one in by_itself.data], [0, 1, 2])
    same({len(one.embedding) for one in by_itself.data}, {1024})
    assert all(isinstance(one.embedding, str) for one in base64.data), "no base64"
    for one, other in zip(by_itself.data, floats.data, strict=True):
        assert max(abs(a - b) for a, b in zip(one.embedding, other.embedding)) < 1e-6
    assert by_itself.usage.prompt_tokens > 0 and by_itself.usage.total_tokens > 0, by_itself.usage
    same(len(create(model="embedder", input="one").data), 1)


@check("a text completion, plain and streamed, the same text")
def completions():
    create = client().completions.create
    asked = {"model": "writer", "prompt": "The sky is", "max_tokens": 30, "stop": "\n\n"}
    answer = create(**asked)
    same((answer.object, answer.model), ("text_completion", "writer"))
    assert answer.choices[0].text and answer.choices[0].finish_reason in ["stop", "length"], answer
    assert answer.usage.completion_tokens > 0, answer.usage
    chunks = list(create(stream=True, **asked))
    same({(chunk.object, chunk.model) for chunk in chunks}, {("text_completion", "writer")})
    same("".join(chunk.choices[0].text for chunk in chunks), answer.choices[0].text)
    reasons = [chunk.choices[0].finish_reason for chunk in chunks]
    same([reason for reason in reasons if reason], [answer.choices[0].finish_reason])
    *chunks, last = create(stream=True, stream_options={"include_usage": True}, **asked)
    same((last.choices, last.usage.total_tokens), ([], answer.usage.total_tokens))
    same({chunk.usage for chunk in chunks}, {None})


@check("what a model has not is a BadRequestError that says what it has")
def unsupported():
    with raises(openai.BadRequestError) as error:
        client().embeddings.create(model=LLAMA_3, input="x")
    same((error.value.code, error.value.param), ("unsupported", "model"))
    assert "does not support embeddings; it supports chat" in error.value.message, error.value.message


@check("embeddings and completions that make no sense are BadRequestErrors")
def bad_requests():
    with raises(openai.BadRequestError) as error:
        client().embeddings.create(model="embedder", input=[])
    same(error.value.param, "input")
    with raises(openai.BadRequestError) as error:
        client().completions.create(model="writer", prompt=["a", 1])
    same(error.value.param, "prompt[1]")


@check("the asynchronous client, four at a time")
def asynchronous():
    async def text(client, model):
        stream = await client.chat.completions.create(model=model, messages=MESSAGES, stream=True)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    async def all_models():
        async with openai.AsyncOpenAI(api_key=KEY, base_url=f"{GATEWAY}/v1", timeout=30) as client:
            return await asyncio.gather(*(text(client, model) for model in MODELS))

    for answer in asyncio.run(all_models()):
        assert "earth? Grüße, 世界 🌍" in answer, answer


@check("a base URL without /v1")
def without_v1():
    client(base=GATEWAY).chat.completions.create(model="together-chat", messages=MESSAGES)


@check("Azure's client, whose paths name the model")
def azure():
    azure = openai.AzureOpenAI(
        azure_endpoint=GATEWAY, azure_deployment=LLAMA_3, api_key=KEY, api_version="2024-10-21", max_retries=0
    )
    answer = azure.chat.completions.create(model="gpt-4o", messages=MESSAGES)
    same((answer.model, answer.choices[0].finish_reason), (LLAMA_3, "stop"))
    chunks = list(azure.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=True))
    same({chunk.model for chunk in chunks}, {LLAMA_3})


@check("Replicate gets the prompt in Llama 3's own format, once")
def prompt():
    messages = [
        {"role": "system", "content": "Be a good human!"},
        {"role": "user", "content": "What do you know about earth?"},
    ]
    client().chat.completions.create(model=LLAMA_3, messages=messages)
    sent = upstream().predictions.list().results[0].input
    same(
        sent["prompt"],
        "<|start_header_id|>system<|end_header_id|>\n\nBe a good human!<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nWhat do you know about earth?<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
    )
    # Else the model would wrap the prompt in its own template again.
    same(sent["prompt_template"], "{prompt}")


@check("a stream closed early cancels its prediction, and the client can go on")
def closed_early():
    answers = client().chat.completions
    long = {"max_tokens": 400, "extra_body": {"min_tokens": 400}}
    with answers.create(model=LLAMA_3, messages=MESSAGES, stream=True, **long) as stream:
        next(chunk for chunk in stream if chunk.choices[0].delta.content)
    deadline = time.monotonic() + 1
    while (status := upstream().predictions.list().results[0].status) != "canceled":
        assert time.monotonic() < deadline, f"the prediction is {status} after a second"
        time.sleep(0.05)
    chat(LLAMA_3)


@check("a wrong key is an AuthenticationError")
def wrong_key():
    with raises(openai.AuthenticationError) as error:
        client(key="wrong").models.list()
    same((error.value.code, error.value.type), ("invalid_api_key", "invalid_request_error"))


@check("an unknown model is a NotFoundError that names the nearest")
def unknown_model():
    for stream in [False, True]:
        with raises(openai.NotFoundError) as error:
            chat("together-chta", stream=stream)
        same((error.value.code, error.value.param), ("model_not_found", "model"))
        assert "together-chat" in error.value.message, error.value.message


@check("an unknown path is a NotFoundError")
def unknown_path():
    with raises(openai.NotFoundError):
        client().files.list()


@check("a request that makes no sense is a BadRequestError")
def bad_request():
    for messages in ["not a list", [{"role": "user", "content": 1}], []]:
        with raises(openai.BadRequestError) as error:
            client().chat.completions.create(model="together-chat", messages=messages)
        same(error.value.type, "invalid_request_error")
        assert error.value.message, "no message"


@check("an overloaded upstream is an InternalServerError that names it")
def overloaded():
    messages = [{"role": "user", "content": "[sim: status=503]"}]
    for model, name in [("together-chat", "together"), (LLAMA_3, "replicate")]:
        with raises(openai.InternalServerError) as error:
            client().chat.completions.create(model=model, messages=messages)
        assert error.value.status_code in [502, 503], error.value
        assert name in error.value.message.lower(), error.value.message


@check("an answer that breaks off upstream is an APIError in the stream")
def broken_stream():
    messages = [{"role": "user", "content": "[sim: error-after=3]"}]
    answers = client().chat.completions
    stream = answers.create(model="together-chat", messages=messages, stream=True)
    with raises(openai.APIError) as error:
        list(stream)
    assert error.value.message, "no message"


@check("models are listed, and found by names with slashes")
def models():
    listed = client().models.list().data
    others = {"together-turbo", "together-llama", "together-qwen", "reranker", "embedder", "writer"}
    same({model.id for model in listed}, {*MODELS, *others})
    same({model.object for model in listed}, {"model"})
    for model in MODELS:
        same(client().models.retrieve(model).id, model)
    with raises(openai.NotFoundError) as error:
        client().models.retrieve("no/such")
    same(error.value.code, "model_not_found")


@check("the gateway without configuration: any key, and it says that it simulates")
def demo():
    open_to_all = client(key="anything", base=address("DEMO_URL") + "/v1")
    models = [model.id for model in open_to_all.models.list()]
    assert len(models) >= 4, models
    for model in models:
        raw = open_to_all.chat.completions.with_raw_response.create(model=model, messages=MESSAGES)
        same(raw.headers["x-polyllm-simulated"], "true")
        assert "simulated" in raw.parse().choices[0].message.content


@check("the configured gateway does not claim to simulate")
def configured():
    raw = client().models.with_raw_response.list()
    assert "x-polyllm-simulated" not in raw.headers


run()
