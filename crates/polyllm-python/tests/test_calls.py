"""Calls in one piece: what is sent, and what the reply is."""

import copy
import json
import pickle

import pytest

import polyllm as litellm

LLAMA = "together_ai/meta-llama/Llama-3.3-70B-Instruct-Turbo"
MESSAGES = [{"role": "user", "content": "What colour is the sky?"}]


def test_a_reply_is_an_object_and_a_mapping(sim):
    reply = litellm.completion(model=LLAMA, messages=MESSAGES)
    assert isinstance(reply, litellm.ModelResponse) and isinstance(reply, dict)
    message = reply.choices[0].message
    assert message is reply["choices"][0]["message"]
    assert isinstance(message, litellm.Message) and message.role == "assistant"
    assert "colour" in message.content and message.content == message["content"]
    assert reply.usage.total_tokens == reply["usage"]["total_tokens"] > 0
    assert reply.get("nothing") is None and "choices" in reply
    # Members of the schema that the upstream left out are None, all others are errors.
    assert message.function_call is None and message["function_call"] is None
    with pytest.raises(AttributeError, match="ModelResponse has no attribute 'nothing'"):
        reply.nothing
    with pytest.raises(KeyError):
        reply["nothing"]


def test_a_reply_prints_like_a_dictionary(sim, capsys):
    reply = litellm.completion(LLAMA, MESSAGES)
    print(reply)
    printed = capsys.readouterr().out
    assert "'choices': [{" in printed and "'message': {'role': 'assistant'" in printed
    assert repr(reply) == repr(reply.model_dump())


def test_a_reply_can_be_dumped_copied_and_pickled(sim):
    reply = litellm.completion(LLAMA, MESSAGES)
    dumped = reply.model_dump()
    assert type(dumped) is dict and type(dumped["choices"][0]["message"]) is dict
    assert json.loads(reply.model_dump_json()) == dumped == reply.dict() == json.loads(reply.json())
    for other in (copy.deepcopy(reply), pickle.loads(pickle.dumps(reply))):
        assert other == reply and isinstance(other.choices[0].message, litellm.Message)
        assert other._hidden_params == reply._hidden_params


def test_a_reply_has_facts_about_its_call(sim):
    reply = litellm.completion(LLAMA, MESSAGES)
    assert reply._hidden_params["custom_llm_provider"] == "together_ai"
    assert reply._response_ms > 0


def test_parameters_are_sent_and_none_is_left_out(sim):
    litellm.completion(
        LLAMA,
        (message for message in MESSAGES) and MESSAGES,
        temperature=0.5,
        max_tokens=7,
        stop=("a", "b"),
        top_k=20,
        seed=None,
        extra_body={"safety_model": "guard"},
    )
    body = sim.requests()[-1]["body"]
    assert body["temperature"] == 0.5 and body["max_tokens"] == 7 and body["stop"] == ["a", "b"]
    assert body["top_k"] == 20 and body["safety_model"] == "guard"
    assert "seed" not in body and body["model"] == LLAMA.split("/", 1)[1]


def test_arguments_for_logs_and_prices_are_not_sent(sim):
    litellm.completion(LLAMA, MESSAGES, metadata={"trace": 1}, together_ai=True, caching=False)
    assert set(sim.requests()[-1]["body"]) <= {"model", "messages", "stream"}


def test_a_reply_can_be_sent_back(sim):
    reply = litellm.completion(LLAMA, MESSAGES)
    history = [*MESSAGES, reply.choices[0].message, {"role": "user", "content": "Why?"}]
    litellm.completion(LLAMA, history)
    assert sim.requests()[-1]["body"]["messages"][1]["role"] == "assistant"


def test_keys_are_read_when_the_call_is_made(sim, environment):
    environment.setenv("TOGETHERAI_API_KEY", "invalid-key")
    with pytest.raises(litellm.AuthenticationError):
        litellm.completion(LLAMA, MESSAGES)
    environment.setenv("TOGETHERAI_API_KEY", "another-key")
    litellm.completion(LLAMA, MESSAGES)
    environment.delenv("TOGETHERAI_API_KEY")
    with pytest.raises(litellm.AuthenticationError, match="TOGETHERAI_API_KEY"):
        litellm.completion(LLAMA, MESSAGES)
    litellm.completion(LLAMA, MESSAGES, api_key="of the call")
    environment.setattr(litellm, "api_key", "of the module")
    litellm.completion(LLAMA, MESSAGES)


def test_address_and_headers_of_a_call(sim, environment):
    environment.setenv("TOGETHER_AI_API_BASE", "http://127.0.0.1:9")
    litellm.completion(
        LLAMA, MESSAGES, base_url=sim.together, headers={"x-a": "1"}, extra_headers={"x-b": "2"}
    )
    headers = sim.requests()[-1]["headers"]
    assert (headers["x-a"], headers["x-b"]) == ("1", "2")


def test_the_provider_may_be_an_argument(sim):
    model = LLAMA.split("/", 1)[1]
    reply = litellm.completion(model, MESSAGES, custom_llm_provider="together_ai")
    assert reply.choices[0].finish_reason == "stop"


def test_unsupported_parameters_are_errors_or_dropped(sim, environment):
    model = "replicate/meta/meta-llama-3-8b-instruct"
    with pytest.raises(litellm.UnsupportedParamsError) as raised:
        litellm.completion(model, MESSAGES, logit_bias={"1": 1})
    assert raised.value.param == "logit_bias" and raised.value.status_code == 400
    litellm.completion(model, MESSAGES, logit_bias={"1": 1}, drop_params=True)
    environment.setattr(litellm, "drop_params", True)
    reply = litellm.completion(model, MESSAGES, logit_bias={"1": 1})
    assert reply._hidden_params["dropped_params"] == ["logit_bias"]


def test_text_completion(sim):
    reply = litellm.text_completion(prompt="Once upon", model="together_ai/acme/base", max_tokens=5)
    assert isinstance(reply, litellm.TextCompletionResponse)
    assert isinstance(reply.choices[0].text, str) and reply["choices"][0]["index"] == 0


def test_embedding(sim):
    model = "together_ai/BAAI/bge-base-en-v1.5"
    reply = litellm.embedding(model=model, input=["one", "two"])
    assert isinstance(reply, litellm.EmbeddingResponse) and len(reply.data) == 2
    assert isinstance(reply.data[1].embedding[0], float) and reply.data[1]["index"] == 1


def test_rerank(sim):
    documents = ["Carson City is the capital of Nevada.", "Washington, D.C. is the capital."]
    model = "together_ai/Salesforce/Llama-Rank-V1"
    reply = litellm.rerank(model=model, query="the capital", documents=documents, top_n=1)
    assert isinstance(reply, litellm.RerankResponse) and len(reply.results) == 1
    assert reply.results[0]["index"] in (0, 1) and reply.results[0].relevance_score >= 0


def test_a_template_renders_the_prompt(sim):
    litellm.register_prompt_template(
        model="acme/registered", roles={"user": {"pre_message": "<u>", "post_message": "</u>"}}
    )
    litellm.completion("together_ai/acme/registered", [{"role": "user", "content": "Hi"}])
    request = sim.requests()[-1]
    assert request["path"] == "/v1/completions" and request["body"]["prompt"] == "<u>Hi</u>"
    with pytest.raises(ValueError, match="pre_message_sep"):
        litellm.register_prompt_template("acme/m", roles={}, pre_message_sep="\n")
    config = {"chat_template": "{% for m in messages %}[{{ m['content'] }}]{% endfor %}"}
    litellm.register_prompt_template("acme/jinja", tokenizer_config=config)
    litellm.completion("together_ai/acme/jinja", [{"role": "user", "content": "Hi"}])
    assert sim.requests()[-1]["body"]["prompt"] == "[Hi]"


def test_set_verbose_prints_calls_without_keys_and_prompts(sim, environment, capfd):
    environment.setattr(litellm, "set_verbose", True)
    litellm.completion(LLAMA, [{"role": "user", "content": "a secret prompt"}])
    lines = capfd.readouterr().err
    assert "together_ai" in lines and "200" in lines
    assert "secret" not in lines and "together-key" not in lines
    environment.setattr(litellm, "set_verbose", False)
    litellm.completion(LLAMA, MESSAGES)
    assert capfd.readouterr().err == ""
