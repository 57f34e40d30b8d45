"""The official `openai-agents` package against the gateway."""

import asyncio

from agents import Agent, OpenAIResponsesModel, Runner, function_tool, set_tracing_disabled
from checks import address, check, run, same
from openai import AsyncOpenAI
from pydantic import BaseModel

set_tracing_disabled(True)


def agent(**more):
    client = AsyncOpenAI(
        api_key=address("GATEWAY_KEY"), base_url=address("GATEWAY_URL") + "/v1", max_retries=0
    )
    model = OpenAIResponsesModel(model="together-chat", openai_client=client)
    return Agent(name="Ada", instructions="Be a good human!", model=model, **more)


@function_tool
def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"Mild in {city}."


@function_tool
def get_time(city: str) -> str:
    """The time of a city."""
    return f"Noon in {city}."


@check("a text")
def text():
    result = Runner.run_sync(agent(), "What do you know about earth?")
    assert "You said: What do you know about earth?" in result.final_output, result.final_output


@check("tools are run, plain and streamed")
def tools():
    async def streamed():
        result = Runner.run_streamed(agent(tools=[get_weather, get_time]), "Compare Paris and Rome.")
        return [event.type async for event in result.stream_events()], result.final_output

    result = Runner.run_sync(agent(tools=[get_weather, get_time]), "Compare Paris and Rome.")
    same(result.final_output, "Both are mild.")
    types, output = asyncio.run(streamed())
    same(output, "Both are mild.")
    assert "run_item_stream_event" in types, types


@check("structured output is parsed")
def structured():
    class Person(BaseModel):
        name: str
        age: int

    result = Runner.run_sync(agent(output_type=Person), "Who is it?")
    assert isinstance(result.final_output, Person), result.final_output


run()
