"""LiteLLM's client for the key API of its proxy, and the examples of its docs, against the gateway."""

import os

# Otherwise litellm asks another host for its prices.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import requests
from checks import address, check, raises, run, same
from litellm.proxy.client import Client
from litellm.proxy.client.exceptions import UnauthorizedError
from litellm.proxy.client.users import UsersManagementClient

URL, MASTER = address("GATEWAY_URL"), address("GATEWAY_KEY")
client = Client(base_url=URL, api_key=MASTER)


def call(method, path, key=MASTER, **more):
    """As the curl lines of LiteLLM's docs do it."""
    headers = {"Authorization": f"Bearer {key}"}
    return requests.request(method, URL + path, headers=headers, timeout=30, **more)


def info(key):
    return call("GET", "/key/info", params={"key": key}).json()["info"]


@check("LiteLLM's client generates, lists, changes, reads and deletes keys")
def keys():
    made = client.keys.generate(
        models=["together-chat"], aliases={"gpt": "together-chat"}, duration="24h", key_alias="docs"
    )
    assert made["key"].startswith("sk-") and made["expires"] and made["token"], made
    same([made["models"], made["aliases"]], [["together-chat"], {"gpt": "together-chat"}])
    client.keys.update(key=made["key"], models=["together-chat", "embedder"])
    same(client.keys.info(made["key"])["info"]["models"], ["together-chat", "embedder"])
    listed = client.keys.list(key_alias="docs", return_full_object=True, size=10)
    same([found["key_alias"] for found in listed["keys"]], ["docs"])
    deleted = client.keys.delete(key_aliases=["docs"])
    same(deleted["deleted_keys"], [made["token"]])
    other = client.keys.generate()
    same(client.keys.delete(keys=[other["key"]])["deleted_keys"], [other["token"]])


@check("a wrong master key is an UnauthorizedError")
def wrong():
    with raises(UnauthorizedError):
        Client(base_url=URL, api_key="sk-wrong-master-key").keys.list()


@check("the fields of the docs: budgets, limits, metadata, tags, owners")
def fields():
    settings = {
        "models": ["together-chat"],
        "max_budget": 0.5,
        "soft_budget": 0.25,
        "budget_duration": "30d",
        "rpm_limit": 10,
        "tpm_limit": 1000,
        "max_parallel_requests": 3,
        "duration": "20m",
        "metadata": {"user": "ishaan@berri.ai"},
        "tags": ["jobs"],
        "blocked": False,
        "permissions": {},
        "config": {},
        "guardrails": [],
    }
    made = call("POST", "/key/generate", json=settings).json()
    ignored = {"duration", "permissions", "config", "guardrails"}
    for name in settings.keys() - ignored:
        same(made[name], settings[name])
    same(info(made["key"])["spend"], 0)
    fresh = call("POST", "/key/regenerate", json={"key": made["key"]}).json()
    same([fresh["max_budget"], fresh["key"] != made["key"]], [0.5, True])
    same(call("GET", "/key/info", key=fresh["key"]).json()["info"]["max_budget"], 0.5)
    same(call("GET", "/key/info", key=made["key"]).status_code, 401)


@check("users and teams own keys; LiteLLM's client lists them")
def owners():
    users = UsersManagementClient(base_url=URL, api_key=MASTER)
    made = users.create_user({"user_id": "ada", "max_budget": 5, "user_alias": "Ada"})
    assert made["key"].startswith("sk-"), made
    same("ada" in [user["user_id"] for user in users.list_users()], True)
    same(users.get_user("ada")["user_alias"], "Ada")
    team = call("POST", "/team/new", json={"team_alias": "Sea", "rpm_limit": 5}).json()
    same(team["team_id"] in [found["team_id"] for found in client.teams.list()], True)
    key = client.keys.generate(team_id=team["team_id"], user_id="ada")
    same([key["team_id"], key["user_id"]], [team["team_id"], "ada"])
    users.delete_user(["ada"])
    same(call("GET", "/v1/models", key=key["key"]).status_code, 401)


@check("spend of a key: /spend/logs, /key/info and /global/spend/report")
def spend():
    team = call("POST", "/team/new", json={"team_alias": "Spend"}).json()["team_id"]
    key = client.keys.generate(team_id=team)["key"]
    body = {
        "model": "together-turbo",
        "messages": [{"role": "user", "content": "Hello"}],
        "max_tokens": 10,
        "user": "customer-1",
    }
    answer = call("POST", "/chat/completions", key=key, json=body)
    call_id = answer.headers["x-litellm-call-id"]
    cost = float(answer.headers["x-litellm-response-cost"])
    assert cost > 0, answer.headers
    [log] = call("GET", "/spend/logs", params={"api_key": key}).json()
    same([log["request_id"], log["spend"], log["end_user"]], [call_id, cost, "customer-1"])
    same(log["total_tokens"], answer.json()["usage"]["total_tokens"])
    same(info(key)["spend"], cost)
    day = log["startTime"][:10]
    dates = {"start_date": day, "end_date": day, "group_by": "team"}
    report = call("GET", "/global/spend/report", params=dates).json()
    teams = [found for found in report[-1]["teams"] if found["team_name"] == team]
    same([found["total_spend"] for found in teams], [cost])


@check("models and health, as LiteLLM's client reads them")
def models():
    assert "together-chat" in [model["id"] for model in client.models.list()]
    named = [model["model_name"] for model in client.models.info()]
    assert "together-chat" in named, named
    same(client.http.request("GET", "/health/liveliness"), "I'm alive!")


run()
