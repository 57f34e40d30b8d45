"""The `langchain-openai` package, unchanged, against the gateway."""

import openai
from checks import address, check, raises, run, same
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAI, OpenAIEmbeddings
from pydantic import BaseModel

ACCOUNT = {"api_key": address("GATEWAY_KEY"), "base_url": address("GATEWAY_URL") + "/v1"}


def chat(**more):
    return ChatOpenAI(**{"model": "together-turbo", "max_retries": 0, **ACCOUNT, **more})


@tool
def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"Mild in {city}."


class City(BaseModel):
    name: str


@check("invoke, with usage")
def invoke():
    answer = chat().invoke("What do you know about the sea?")
    assert answer.content, answer
    assert answer.usage_metadata["total_tokens"] > 0, answer


@check("stream, with usage at the end")
def stream():
    chunks = list(chat(stream_usage=True).stream("What do you know about the sea?"))
    assert len(chunks) > 2, chunks
    assert any(chunk.usage_metadata for chunk in chunks), chunks[-1]


@check("a batch runs at the same time")
def batch():
    same(len(chat().batch(["one", "two", "three"])), 3)


@check("tools are called, and their results are read")
def tools():
    model = chat().bind_tools([get_weather], tool_choice="get_weather")
    question = HumanMessage("get_weather of Paris")
    answer = model.invoke([question])
    [called] = answer.tool_calls
    same(called["name"], "get_weather")
    result = ToolMessage("Mild.", tool_call_id=called["id"])
    assert chat().invoke([question, answer, result]).content


@check("structured output")
def structured():
    model = chat().with_structured_output(City, method="json_schema")
    assert model.invoke("Name a city").name


@check("the Responses API")
def responses():
    assert chat(use_responses_api=True).invoke("Hello").text


@check("embeddings")
def embeddings():
    model = OpenAIEmbeddings(model="embedder", check_embedding_ctx_length=False, **ACCOUNT)
    assert len(model.embed_query("sea")) > 1
    same(len(model.embed_documents(["sea", "wind"])), 2)


@check("completions")
def completions():
    assert OpenAI(model="writer", max_retries=0, **ACCOUNT).invoke("The sea")


@check("errors are those of the openai package")
def errors():
    with raises(openai.NotFoundError):
        chat(model="no-such-model").invoke("Hello")
    with raises(openai.AuthenticationError):
        chat(api_key="sk-unknown-key-0123456789").invoke("Hello")


run()
