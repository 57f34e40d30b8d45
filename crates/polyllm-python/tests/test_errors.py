"""Failures: the class, its attributes and its text."""

import copy
import pickle

import pytest

import polyllm as litellm
from polyllm import exceptions

LLAMA = "together_ai/meta-llama/Llama-3.3-70B-Instruct-Turbo"
MESSAGES = [{"role": "user", "content": "What colour is the sky?"}]


def fail(fault, **options):
    messages = [{"role": "user", "content": f"[sim: {fault}] a secret prompt"}]
    with pytest.raises(litellm.APIError) as raised:
        litellm.completion(LLAMA, messages, num_retries=0, **options)
    assert "secret" not in str(raised.value) and "together-key" not in str(raised.value)
    assert raised.value.llm_provider == "together_ai"
    assert raised.value.model == LLAMA.split("/", 1)[1]
    return raised.value


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "BadRequestError"),
        (401, "AuthenticationError"),
        (402, "APIError"),
        # With this status, Together reports prompts that are too long.
        (403, "ContextWindowExceededError"),
        (404, "NotFoundError"),
        (408, "Timeout"),
        (422, "UnprocessableEntityError"),
        (429, "RateLimitError"),
        (500, "InternalServerError"),
        (502, "BadGatewayError"),
        (503, "ServiceUnavailableError"),
        (504, "Timeout"),
    ],
)
def test_a_status_has_litellm_s_class(sim, status, kind):
    error = fail(f"status={status}")
    assert type(error) is getattr(litellm, kind) and error.status_code == status


def test_failures_without_a_status(sim, environment):
    assert type(fail("hang", timeout=0.2)) is litellm.Timeout
    assert type(fail("garbage")) is litellm.APIResponseValidationError
    environment.setenv("TOGETHER_AI_API_BASE", "http://127.0.0.1:9")
    with pytest.raises(litellm.APIConnectionError) as raised:
        litellm.completion(LLAMA, MESSAGES, num_retries=0)
    assert raised.value.status_code == 500


def test_a_prompt_that_is_too_long(sim):
    with pytest.raises(litellm.ContextWindowExceededError) as raised:
        litellm.completion("together_ai/acme/tiny-context", [{"role": "user", "content": "w " * 99}])
    assert isinstance(raised.value, litellm.BadRequestError)


def test_a_model_without_provider(sim):
    with pytest.raises(litellm.LiteLLMUnknownProvider, match="together_ai/"):
        litellm.completion("gpt-4", MESSAGES)


def test_a_retry_advice_is_an_attribute():
    error = exceptions.RateLimitError("slow", "together_ai", "m", retry_after=2.0)
    assert (error.status_code, error.retry_after, str(error)) == (429, 2.0, "slow")
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(other) is type(error) and other.__dict__ == error.__dict__


class Unsendable:
    pass


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"messages": [{"role": "user", "content": Unsendable()}]}, r"messages\[0\]\.content: .*Unsendable"),
        ({"temperature": float("nan")}, "temperature: NaN"),
        ({"seed": 1 << 70}, "seed: an integer of more than 64 bits"),
        ({"user": "\ud800"}, "user: the text has a surrogate"),
        ({"logit_bias": {1: 2}}, "logit_bias: the keys of a mapping must be strings"),
        ({"messages": []}, "messages"),
        ({"messages": "Hello"}, "messages"),
        ({"timeout": -1}, "timeout: expected a positive number"),
        ({"timeout": "soon"}, "timeout: expected a positive number"),
        ({"extra_body": 5}, "extra_body: expected a mapping"),
        ({"custom_llm_provider": 5}, "custom_llm_provider: expected a string"),
        ({"fallbacks": ["m"]}, "fallbacks is not supported: use polyllm.Router"),
        ({"api_kye": "secret"}, "unknown argument api_kye; did you mean api_key"),
        ({"api_base": "nonsense"}, "together_ai"),
        ({"num_retries": "many"}, "max_retries"),
    ],
)
def test_bad_input_is_a_bad_request(sim, arguments, message):
    arguments = {"messages": MESSAGES, **arguments}
    with pytest.raises(litellm.BadRequestError, match=message) as raised:
        litellm.completion(LLAMA, **arguments)
    assert "secret" not in str(raised.value)
    assert sim.requests() == []


def test_a_value_that_contains_itself_is_a_bad_request(sim):
    endless = []
    endless.append(endless)
    with pytest.raises(litellm.BadRequestError, match="contains itself"):
        litellm.completion(LLAMA, endless)


def test_errors_of_the_caller_s_own_objects_are_raised(sim):
    class Broken:
        def model_dump(self, **_):
            raise ZeroDivisionError("own error")

    with pytest.raises(ZeroDivisionError, match="own error"):
        litellm.completion(LLAMA, [Broken()])
