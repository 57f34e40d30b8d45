"""The official `replicate` package against the simulated Replicate."""

import http.server
import io
import json
import queue
import threading
from contextlib import contextmanager

import replicate
from checks import address, check, raises, run, same
from replicate.exceptions import ModelError, ReplicateError
from replicate.webhook import InvalidSignatureError

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


@check("deployments: create, update, delete")
def managed_deployments():
    model, version = f"replicate/llama-2-70b-chat:{LLAMA_2}".split(":")
    created = client().deployments.create(
        name="from-python",
        model=model,
        version=version,
        hardware="gpu-t4",
        min_instances=0,
        max_instances=1,
    )
    same((created.name, created.current_release.number), ("from-python", 1))
    owner = created.owner
    updated = client().deployments.update(owner, created.name, max_instances=2)
    release = updated.current_release
    same((release.number, release.configuration.max_instances), (2, 2))
    assert client().deployments.delete(owner, created.name)
    with raises(ReplicateError) as error:
        client().deployments.get(f"{owner}/{created.name}")
    same(error.value.status, 404)


@check("lists, by the client's own paginator")
def paginate():
    pages = list(replicate.paginate(client().predictions.list))
    ids = [one.id for page in pages for one in page]
    assert len(pages) > 1 and len(set(ids)) == len(ids), len(ids)


@check("models: list and search")
def model_lists():
    names = [f"{one.owner}/{one.name}" for one in client().models.list()]
    assert LLAMA_3 in names, names
    found = [f"{one.owner}/{one.name}" for one in client().models.search("llama-3 8b")]
    same(found, [LLAMA_3])


@check("models: versions")
def versions():
    model = client().models.get("replicate/llama-2-70b-chat")
    same([one.id for one in model.versions.list()], [LLAMA_2])
    same(model.versions.get(LLAMA_2).id, LLAMA_2)


@check("collections: list and get")
def collections():
    slugs = [one.slug for one in client().collections.list()]
    assert "language-models" in slugs, slugs
    models = client().collections.get("language-models").models
    assert LLAMA_3 in [f"{one.owner}/{one.name}" for one in models]


@check("files: create, get, list, delete; as an input")
def files():
    content = b"\x00\r\n--not the boundary\r\n\xff"
    made = client().files.create(io.BytesIO(content), filename="a.bin", metadata={"a": 1})
    same((made.name, made.size, made.metadata), ("a.bin", len(content), {"a": 1}))
    same(client().files.get(made.id).checksums, made.checksums)
    assert made.id in [one.id for one in client().files.list()]
    assert client().files.delete(made.id)
    with raises(ReplicateError) as error:
        client().files.get(made.id)
    same(error.value.status, 404)

    asked = {**INPUT, "image_input": [io.BytesIO(content)]}
    prediction = client().models.predictions.create(model="openai/gpt-5", input=asked)
    [image] = prediction.input["image_input"]
    assert image.startswith(f"{URL}/v1/files/"), image


@contextmanager
def receiver():
    """An address that receives webhooks, and where they are put as (headers, body)."""
    received = queue.Queue()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            received.put((dict(self.headers), body))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/hook", received
        server.shutdown()


@check("webhooks: start to end, with valid signatures")
def webhooks():
    secret = client().webhooks.default.secret()
    with receiver() as (url, received):
        created = client().models.predictions.create(
            model=LLAMA_3,
            input=INPUT,
            webhook=url,
            webhook_events_filter=["start", "output", "logs", "completed"],
        )
        statuses = []
        while not statuses or statuses[-1] in ["starting", "processing"]:
            headers, body = received.get(timeout=20)
            statuses.append(json.loads(body)["status"])
            same(json.loads(body)["id"], created.id)
            checked = {"headers": headers, "secret": secret, "tolerance": 60}
            client().webhooks.validate(body=body, **checked)
            with raises(InvalidSignatureError):
                client().webhooks.validate(body=body + " ", **checked)
    assert statuses[-1] == "succeeded" and len(statuses) >= 4, statuses
    assert SAID in "".join(json.loads(body)["output"])


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


@check("too many requests are an error 429")
def throttled():
    with raises(ReplicateError) as error:
        limited = {"prompt": "[sim: status=429]"}
        client().models.predictions.create(model=LLAMA_3, input=limited)
    same(error.value.status, 429)
    assert "Your rate limit resets in ~" in error.value.detail, error.value.detail


@check("no credit is an error 402")
def no_credit():
    with raises(ReplicateError) as error:
        broke = {"prompt": "[sim: status=402]"}
        client().models.predictions.create(model=LLAMA_3, input=broke)
    same((error.value.status, error.value.title), (402, "Insufficient credit"))


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
