"""The official `anthropic` package against the gateway: the API version of 2026-10-21 and, with an
older package, that of 2023-06-01."""

import asyncio

import anthropic
from checks import address, check, raises, run, same
from pydantic import BaseModel

KEY = address("GATEWAY_KEY")
GATEWAY = address("GATEWAY_URL")
VERSION = tuple(int(part) for part in anthropic.__version__.split(".")[:2])
# Together with and without reasoning, and Replicate.
CHAT, TURBO, REPLICATE = "together-chat", "together-turbo", "replicate/meta/meta-llama-3-8b-instruct"
USER = [{"role": "user", "content": "What do you know about earth? Grüße, 世界 🌍"}]


def client(key=KEY, base=GATEWAY):
    return anthropic.Anthropic(api_key=key, base_url=base, max_retries=0, timeout=30)


def tool(name, **properties):
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return {"name": name, "description": f"The {name} of a city", "input_schema": schema}


TOOLS = [tool("get_weather", city={"type": "string"}), tool("get_time", city={"type": "string"})]


def create(model=CHAT, messages=USER, **more):
    return client().messages.create(model=model, max_tokens=400, messages=messages, **more)


def streamed(model=CHAT, messages=USER, **more):
    """The final message of a stream, and the types of its events."""
    asked = {"model": model, "max_tokens": 400, "messages": messages, **more}
    with client().messages.stream(**asked) as stream:
        types = [event.type for event in stream]
        return stream.get_final_message(), types


for model in [CHAT, TURBO, REPLICATE]:

    @check(f"{model}: text, plain and streamed, the same")
    def text(model=model):
        plain = create(model, system=[{"type": "text", "text": "Be a good human!"}])
        same((plain.type, plain.role, plain.model), ("message", "assistant", model))
        same((plain.stop_reason, plain.stop_sequence), ("end_turn", None))
        assert plain.id.startswith("msg_") and plain._request_id, plain
        assert "earth? Grüße, 世界 🌍" in plain.content[-1].text, plain.content
        assert plain.usage.input_tokens > 0 and plain.usage.output_tokens > 0, plain.usage
        message, types = streamed(model, system="Be a good human!")
        same([block.type for block in message.content], [block.type for block in plain.content])
        same(message.content[-1].text, plain.content[-1].text)
        same(message.usage.output_tokens, plain.usage.output_tokens)
        same((types[0], types[-1]), ("message_start", "message_stop"))


@check("thinking blocks come first, are signed, and are accepted back")
def thinking():
    asked = {"thinking": {"type": "enabled", "budget_tokens": 1024}}
    for message in [create(**asked), streamed(**asked)[0]]:
        first, answer = message.content
        same((first.type, answer.type), ("thinking", "text"))
        assert first.thinking and first.signature, first
        more = [*USER, {"role": "assistant", "content": message.content}, *USER]
        same(create(messages=more, **asked).stop_reason, "end_turn")
    off = create("together-qwen", thinking={"type": "disabled"})
    same([block.type for block in off.content], ["text"])


@check("two tools in parallel, interleaved upstream, and the way back with an error")
def tools():
    ask = [{"role": "user", "content": "Compare Paris and Rome."}]
    for model in [CHAT, TURBO]:
        for message in [create(model, ask, tools=TOOLS), streamed(model, ask, tools=TOOLS)[0]]:
            same(message.stop_reason, "tool_use")
            calls = [block for block in message.content if block.type == "tool_use"]
            same([call.name for call in calls], ["get_weather", "get_time"])
            same([call.input for call in calls], [{"city": "Paris"}, {"city": "Rome"}])
            results = [
                {"type": "tool_result", "tool_use_id": call.id, "content": "18", "is_error": True}
                for call in calls
            ]
            turns = [{"role": "assistant", "content": message.content}, {"role": "user", "content": results}]
            answer = create(model, ask + turns, tools=TOOLS)
            same(answer.content[-1].text, "Both are mild.")


@check("disable_parallel_tool_use allows one call")
def single_call():
    ask = [{"role": "user", "content": "Compare Paris and Rome."}]
    choice = {"type": "auto", "disable_parallel_tool_use": True}
    for message in [
        create(messages=ask, tools=TOOLS, tool_choice=choice),
        streamed(messages=ask, tools=TOOLS, tool_choice=choice)[0],
    ]:
        same([block.name for block in message.content if block.type == "tool_use"], ["get_weather"])


@check("a chosen tool is called, without a text")
def chosen():
    choice = {"type": "tool", "name": "get_time"}
    message, types = streamed(tools=TOOLS, tool_choice=choice)
    same([block.type for block in message.content if block.type != "thinking"], ["tool_use"])
    assert "input_json" in types, types


@check("images as base64 and by URL, and documents")
def images():
    data = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
    parts = [
        {"type": "text", "text": "What is this?"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}},
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Ada"}},
    ]
    answer = create(messages=[{"role": "user", "content": parts}])
    assert "[image_url]" in answer.content[-1].text, answer.content


@check("structured output follows the schema")
def structured():
    class Person(BaseModel):
        name: str
        age: int

    schema = {**Person.model_json_schema(), "additionalProperties": False}
    format = {"type": "json_schema", "schema": schema}
    answer = create(extra_body={"output_config": {"format": format}})
    Person.model_validate_json(answer.content[-1].text)
    if VERSION >= (2, 0):
        asked = {"model": CHAT, "max_tokens": 400, "messages": USER}
        parsed = client().messages.parse(output_format=Person, **asked)
        assert isinstance(parsed.parsed_output, Person), parsed


@check("a stop sequence ends the message and is named")
def stop():
    for model in [CHAT, TURBO, REPLICATE]:
        for message in [
            create(model, stop_sequences=["nope", "earth"]),
            streamed(model, stop_sequences=["nope", "earth"])[0],
        ]:
            same((message.stop_reason, message.stop_sequence), ("stop_sequence", "earth"))
            assert message.content[-1].text.endswith("about "), message.content


@check("max_tokens ends a message early")
def max_tokens():
    answer = client().messages.create(model=TURBO, max_tokens=3, messages=USER)
    same((answer.stop_reason, answer.usage.output_tokens), ("max_tokens", 3))


@check("tokens are counted, more for more")
def count():
    counter = client().messages.count_tokens
    counts = [
        counter(model=CHAT, messages=USER).input_tokens,
        counter(model=CHAT, messages=USER, system="Be a good human!").input_tokens,
        counter(model=CHAT, messages=USER, system="Be a good human!", tools=TOOLS).input_tokens,
    ]
    assert 0 < counts[0] < counts[1] < counts[2], counts


@check("errors have their classes")
def errors():
    with raises(anthropic.AuthenticationError):
        client(key="wrong").messages.create(model=CHAT, max_tokens=9, messages=USER)
    with raises(anthropic.NotFoundError) as error:
        create("no-such-model")
    same(error.value.body["error"]["type"], "not_found_error")
    with raises(anthropic.BadRequestError):
        create(messages=[])
    with raises(anthropic.APIStatusError) as error:
        create(messages=[{"role": "user", "content": "[sim: status=503]"}])
    same((error.value.status_code, error.value.body["error"]["type"]), (529, "overloaded_error"))
    with raises(anthropic.APIStatusError) as error:
        streamed(messages=[{"role": "user", "content": "[sim: error-after=3]"}])
    assert error.value.body["error"]["message"], error.value


@check("models are listed")
def models():
    listed = [model.id for model in client().models.list(limit=100)]
    assert CHAT in listed, listed
    same(client().models.retrieve(CHAT).id, CHAT)


@check("the asynchronous client, under the alias /anthropic")
def asynchronous():
    async def text(client, model):
        asked = {"model": model, "max_tokens": 400, "messages": USER}
        async with client.messages.stream(**asked) as stream:
            return "".join([text async for text in stream.text_stream])

    async def all_models():
        options = {"api_key": KEY, "base_url": f"{GATEWAY}/anthropic", "timeout": 30}
        async with anthropic.AsyncAnthropic(**options) as client:
            return await asyncio.gather(*(text(client, model) for model in [CHAT, TURBO, REPLICATE]))

    for answer in asyncio.run(all_models()):
        assert "earth? Grüße, 世界 🌍" in answer, answer


if VERSION >= (2, 0):

    @check("the tool runner falls back from threads to the whole conversation")
    def tool_runner():
        @anthropic.beta_tool
        def get_weather(city: str) -> str:
            """The weather of a city."""
            return f"Mild in {city}."

        @anthropic.beta_tool
        def get_time(city: str) -> str:
            """The time of a city."""
            return f"Noon in {city}."

        runner = client().beta.messages.tool_runner(
            model=CHAT,
            max_tokens=400,
            tools=[get_weather, get_time],
            messages=[{"role": "user", "content": "Compare Paris and Rome."}],
        )
        same(runner.until_done().content[-1].text, "Both are mild.")


run()
