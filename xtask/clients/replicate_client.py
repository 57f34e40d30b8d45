"""The official `replicate` package against the simulated Replicate."""

import replicate
from checks import address, check, raises, run, same
from replicate.exceptions import ModelError, ReplicateError

URL = address("REPLICATE_URL")
LLAMA_3 = "meta/meta-llama-3-8b-instruct"
LLAMA_2 = "2796ee9483c3fd7aa2e171d38f4ca12251a30609463dcfd4cd76703f22e96cdf"
MISTRAL = "ishaan-jaff/ishaan-mistral"
INPUT = {"prompt": "What do you know about earth? Grüße, 世界 🌍"}
SAID = "earth? Grüße, 世界 🌍"


def client(token="any"):
    return replicate.Client(api_token=token, base_url=URL)


@check("run: an official model and a version")
def run_models():
    for ref in [LLAMA_3, f"replicate/llama-2-70b-chat:{LLAMA_2}"]:
        text = "".join(client().run(ref, input=INPUT))
        assert SAID in text, text


@check("predictions: create, reload, wait")
def create_and_wait():
    prediction = client().predictions.create(version=LLAMA_2, input=INPUT)
    assert prediction.status in ["starting", "processing"], prediction.status
    prediction.reload()
    prediction.wait()
    same(prediction.status, "succeeded")
    assert SAID in "".join(prediction.output)
    same(client().predictions.get(prediction.id).output, prediction.output)
    assert prediction.metrics["predict_time"] > 0, prediction.metrics


@check("predictions: waiting on the server")
def wait_on_the_server():
    prediction = client().models.predictions.create(model=LLAMA_3, input=INPUT, wait=10)
    assert SAID in "".join(prediction.output)


@check("stream: the same text, event by event")
def stream():
    events = list(client().stream(LLAMA_3, input=INPUT))
    same(events[-1].event.value, "done")
    text = "".join(event.data for event in events if event.event.value == "output")
    same(text, "".join(client().run(LLAMA_3, input=INPUT)))


@check("cancel: a running prediction ends")
def cancel():
    long = {**INPUT, "min_tokens": 500, "max_tokens": 500}
    prediction = client().models.predictions.create(model=LLAMA_3, input=long)
    prediction.cancel()
    prediction.wait()
    same(prediction.status, "canceled")


@check("deployments: get, create a prediction, stream it")
def deployments():
    deployment = client().deployments.get(MISTRAL)
    same((deployment.owner, deployment.name), tuple(MISTRAL.split("/")))
    prediction = deployment.predictions.create(input=INPUT, stream=True)
    text = "".join(event.data for event in prediction.stream() if event.event.value == "output")
    prediction.wait()
    same(text, "".join(prediction.output))


@check("lists, page by page")
def lists():
    for _ in range(101):
        client().models.predictions.create(model=LLAMA_3, input={**INPUT, "max_tokens": 1})
    first = client().predictions.list()
    same(len(first.results), 100)
    second = client().predictions.list(cursor=first.next)
    assert second.results and not {p.id for p in first.results} & {p.id for p in second.results}
    assert MISTRAL in [f"{one.owner}/{one.name}" for one in client().deployments.list()]


@check("models: get, with the schema of the input")
def models():
    model = client().models.get(LLAMA_3)
    same((model.owner, model.name), tuple(LLAMA_3.split("/")))
    schemas = model.latest_version.openapi_schema["components"]["schemas"]
    assert "prompt" in schemas["Input"]["properties"]


@check("hardware and account")
def hardware_and_account():
    assert [one.sku for one in client().hardware.list()]
    assert client().accounts.current().username


@check("a wrong token is an error 401")
def wrong_token():
    with raises(ReplicateError) as error:
        client("invalid").models.predictions.create(model=LLAMA_3, input=INPUT)
    same((error.value.status, error.value.title), (401, "Unauthenticated"))


@check("a wrong input is an error 422 that names the field")
def wrong_input():
    with raises(ReplicateError) as error:
        client().models.predictions.create(model=LLAMA_3, input={**INPUT, "temperature": "hot"})
    same(error.value.status, 422)
    assert "temperature" in error.value.detail, error.value.detail


@check("an unknown model is an error 404")
def unknown_model():
    with raises(ReplicateError) as error:
        client().models.get("acme/no-such-model")
    same(error.value.status, 404)


@check("a prediction that fails is a ModelError")
def failed():
    with raises(ModelError) as error:
        client().run(LLAMA_3, input={"prompt": "[sim: fail=oom]"})
    same(error.value.prediction.status, "failed")
    assert error.value.prediction.error


run()
