"""The Responses API of the official `openai` package against the gateway."""

import json

import openai
from checks import address, check, raises, run, same
from pydantic import BaseModel

KEY = address("GATEWAY_KEY")
GATEWAY = address("GATEWAY_URL")
CHAT, TURBO, REPLICATE = "together-chat", "together-turbo", "replicate/meta/meta-llama-3-8b-instruct"
INPUT = "What do you know about earth? Grüße, 世界 🌍"


def client(key=KEY):
    return openai.OpenAI(api_key=key, base_url=f"{GATEWAY}/v1", max_retries=0, timeout=30)


def tool(name):
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    return {"type": "function", "name": name, "parameters": schema, "strict": False}


TOOLS = [tool("get_weather"), tool("get_time")]


def create(model=CHAT, input=INPUT, **more):
    return client().responses.create(model=model, input=input, **more)


def streamed(model=CHAT, input=INPUT, **more):
    """The final response of a stream, and the types of its events."""
    with client().responses.stream(model=model, input=input, **more) as stream:
        types = [event.type for event in stream]
        return stream.get_final_response(), types


for model in [CHAT, TURBO, REPLICATE]:

    @check(f"{model}: text, plain and streamed, the same")
    def text(model=model):
        plain = create(model, instructions="Be a good human!")
        same((plain.object, plain.status, plain.model), ("response", "completed", model))
        assert "earth? Grüße, 世界 🌍" in plain.output_text, plain.output_text
        same(plain.usage.total_tokens, plain.usage.input_tokens + plain.usage.output_tokens)
        final, types = streamed(model, instructions="Be a good human!")
        same(final.output_text, plain.output_text)
        same([item.type for item in final.output], [item.type for item in plain.output])
        same((types[0], types[-1]), ("response.created", "response.completed"))


@check("reasoning comes first, and is accepted back")
def reasoning():
    for answer in [create(reasoning={"effort": "low"}), streamed(reasoning={"effort": "low"})[0]]:
        same([item.type for item in answer.output], ["reasoning", "message"])
        assert answer.output[0].summary[0].text, answer.output[0]
        items = [{"role": "user", "content": INPUT}, *answer.output]
        items = [item if isinstance(item, dict) else item.model_dump() for item in items]
        same(create(input=[*items, {"role": "user", "content": "More."}]).status, "completed")


@check("two tools in parallel, interleaved upstream, and the way back")
def tools():
    ask = [{"role": "user", "content": "Compare Paris and Rome."}]
    for model in [CHAT, TURBO]:
        for answer in [create(model, ask, tools=TOOLS), streamed(model, ask, tools=TOOLS)[0]]:
            calls = [item for item in answer.output if item.type == "function_call"]
            same([call.name for call in calls], ["get_weather", "get_time"])
            same([json.loads(call.arguments)["city"] for call in calls], ["Paris", "Rome"])
            results = [
                {"type": "function_call_output", "call_id": call.call_id, "output": "18"}
                for call in calls
            ]
            items = [item.model_dump() for item in answer.output]
            same(create(model, [*ask, *items, *results], tools=TOOLS).output_text, "Both are mild.")


@check("a custom tool gets its text")
def custom():
    tools = [{"type": "custom", "name": "write_text"}]
    for answer in [
        create(input="Write a haiku to a file.", tools=tools),
        streamed(input="Write a haiku to a file.", tools=tools)[0],
    ]:
        call = answer.output[-1]
        same((call.type, call.name), ("custom_tool_call", "write_text"))
        same(call.input, 'old pond\na "frog" jumps in')


@check("structured output is parsed")
def structured():
    class Person(BaseModel):
        name: str
        age: int

    parsed = client().responses.parse(model=CHAT, input=INPUT, text_format=Person)
    assert isinstance(parsed.output_parsed, Person), parsed
    final, _ = streamed(text_format=Person)
    assert isinstance(final.output_parsed, Person), final


@check("images, by data and by URL")
def images():
    parts = [
        {"type": "input_text", "text": "What is this?"},
        {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo=", "detail": "auto"},
        {"type": "input_image", "image_url": "https://example.com/a.png", "detail": "low"},
    ]
    answer = create(input=[{"role": "user", "content": parts}])
    assert "[image_url]" in answer.output_text, answer.output_text


@check("a limit makes a response incomplete")
def limit():
    answer = create(TURBO, max_output_tokens=3)
    same((answer.status, answer.incomplete_details.reason), ("incomplete", "max_output_tokens"))


@check("tokens are counted")
def count():
    counts = client().responses.input_tokens.count
    short = counts(model=CHAT, input=INPUT).input_tokens
    assert 0 < short < counts(model=CHAT, input=INPUT, tools=TOOLS).input_tokens


@check("a kept response is continued, retrieved, listed and deleted")
def kept():
    first, _ = streamed()
    second = create(previous_response_id=first.id, input="Go on.")
    same(second.previous_response_id, first.id)
    assert second.usage.input_tokens > first.usage.input_tokens, second.usage
    found = client().responses
    same(found.retrieve(first.id).output_text, first.output_text)
    parts = [part.text for item in found.input_items.list(first.id) for part in item.content]
    same(parts[0], INPUT)
    found.delete(first.id)
    with raises(openai.NotFoundError):
        found.retrieve(first.id)
    with raises(openai.BadRequestError) as error:
        create(previous_response_id=second.id)
    same(error.value.code, "previous_response_not_found")


@check("errors have their classes")
def errors():
    with raises(openai.AuthenticationError):
        client(key="wrong").responses.create(model=CHAT, input=INPUT)
    with raises(openai.NotFoundError) as error:
        create("no-such-model")
    same(error.value.code, "model_not_found")
    with raises(openai.BadRequestError):
        create(input=[{"type": "message", "role": "nobody", "content": "x"}])
    with raises(openai.InternalServerError):
        create(input="[sim: status=503]")
    broken = create(input="[sim: error-after=3]", stream=True)
    last = list(broken)[-1]
    same((last.type, last.response.status), ("response.failed", "failed"))
    assert last.response.error.message, last


run()
