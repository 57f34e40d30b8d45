"""Routers with LiteLLM's `model_list`."""

import asyncio

import pytest

import polyllm as litellm
from polyllm import Router

MODEL = "meta-llama/Llama-3.3-70B-Instruct-Turbo"
MESSAGES = [{"role": "user", "content": "What colour is the sky?"}]


def deployment(name, **params):
    params.setdefault("model", f"together_ai/{MODEL}")
    return {"model_name": name, "litellm_params": params}


def test_a_router_calls_deployments_by_their_group(sim):
    params = {"api_key": "os.environ/TOGETHERAI_API_KEY", "max_tokens": 5}
    router = Router(model_list=[deployment("chat", **params)])
    assert router.get_model_names() == ["chat"]
    reply = router.completion(model="chat", messages=MESSAGES)
    assert isinstance(reply, litellm.ModelResponse)
    assert reply._hidden_params["model_id"] == f"together_ai/{MODEL}"
    assert sim.requests()[-1]["body"]["max_tokens"] == 5
    chunks = list(router.completion("chat", MESSAGES, stream=True))
    assert isinstance(chunks[0], litellm.ModelResponseStream)

    async def calls():
        stream = await router.acompletion("chat", MESSAGES, stream=True)
        return [chunk async for chunk in stream]

    assert len(asyncio.run(calls())) == len(chunks)


def test_a_failing_group_falls_back_to_another(sim):
    router = Router(
        model_list=[deployment("first", api_key="invalid"), deployment("second")],
        fallbacks=[{"first": ["second"]}],
        num_retries=0,
    )
    reply = router.completion("first", MESSAGES)
    assert reply.choices[0].message.content


def test_registered_templates_apply_to_deployments(sim):
    litellm.register_prompt_template("acme/routed", {"user": {"pre_message": "<r>"}})
    router = Router([deployment("chat", model="together_ai/acme/routed")])
    router.completion("chat", [{"role": "user", "content": "Hi"}])
    assert sim.requests()[-1]["body"]["prompt"] == "<r>Hi"


def test_all_errors_of_a_model_list_are_reported(sim):
    entries = [deployment("a", model="nobody/model"), {"model_name": "b"}]
    with pytest.raises(ValueError, match="litellm_params") as raised:
        Router(model_list=entries, routing_strategy="fastest")
    text = str(raised.value)
    assert "name of a provider" in text and "peak-ewma" in text
    with pytest.raises(ValueError, match="model_list"):
        Router()


def test_a_setting_without_effect_is_a_warning(sim):
    with pytest.warns(UserWarning, match="client_ttl"):
        Router([deployment("chat")], client_ttl=5)


def test_calls_of_an_unknown_group_and_with_settings_fail(sim):
    router = Router([deployment("chat")])
    with pytest.raises(litellm.BadRequestError, match="chatt"):
        router.completion("chatt", MESSAGES)
    with pytest.raises(litellm.BadRequestError, match="litellm_params"):
        router.completion("chat", MESSAGES, api_key="key")
