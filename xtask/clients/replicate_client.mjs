// The official `replicate` package against the simulated Replicate.
import assert from "node:assert/strict";

import Replicate from "replicate";

import { all, check, rejected } from "./checks.mjs";

const connect = (auth) => new Replicate({ auth, baseUrl: `${process.env.REPLICATE_URL}/v1` });
const client = connect("any");
const LLAMA_3 = "meta/meta-llama-3-8b-instruct";
const LLAMA_2 = "2796ee9483c3fd7aa2e171d38f4ca12251a30609463dcfd4cd76703f22e96cdf";
const input = { prompt: "What do you know about earth? Grüße, 世界 🌍" };
const SAID = /earth\? Grüße, 世界 🌍/;

await check("run: an official model and a version", async () => {
  for (const ref of [LLAMA_3, `replicate/llama-2-70b-chat:${LLAMA_2}`]) {
    const output = await client.run(ref, { input });
    assert.match(output.join(""), SAID);
  }
});

await check("predictions: create, wait, get", async () => {
  const created = await client.predictions.create({ version: LLAMA_2, input });
  assert.ok(["starting", "processing"].includes(created.status), created.status);
  const done = await client.wait(created, { interval: 100 });
  assert.equal(done.status, "succeeded");
  assert.match(done.output.join(""), SAID);
  assert.deepEqual((await client.predictions.get(created.id)).output, done.output);
});

await check("predictions: waiting on the server", async () => {
  const done = await client.predictions.create({ model: LLAMA_3, input, wait: 10 });
  assert.match(done.output.join(""), SAID);
});

await check("stream: the same text, event by event", async () => {
  const events = await all(client.stream(LLAMA_3, { input }));
  assert.equal(events.at(-1).event, "done");
  const output = events.filter((event) => event.event === "output");
  const text = output.map((event) => event.data).join("");
  assert.equal(text, (await client.run(LLAMA_3, { input })).join(""));
});

await check("cancel: a running prediction ends", async () => {
  const long = { ...input, min_tokens: 500, max_tokens: 500 };
  const created = await client.predictions.create({ model: LLAMA_3, input: long });
  await client.predictions.cancel(created.id);
  const done = await client.wait(created, { interval: 50 });
  assert.equal(done.status, "canceled");
});

await check("deployments: get, and create a prediction", async () => {
  const [owner, name] = ["ishaan-jaff", "ishaan-mistral"];
  assert.equal((await client.deployments.get(owner, name)).name, name);
  const created = await client.deployments.predictions.create(owner, name, { input });
  const done = await client.wait(created, { interval: 100 });
  assert.match(done.output.join(""), SAID);
});

await check("lists, page by page", async () => {
  const listed = await client.predictions.list();
  assert.ok(listed.results.length > 0);
  const pages = await all(client.paginate(client.deployments.list));
  assert.ok(pages.flat().some((one) => one.name === "ishaan-mistral"));
});

await check("models: get, with the schema of the input", async () => {
  const model = await client.models.get(...LLAMA_3.split("/"));
  const { schemas } = model.latest_version.openapi_schema.components;
  assert.ok(schemas.Input.properties.prompt);
});

await check("a wrong token is an error 401", async () => {
  const error = await rejected(connect("invalid").predictions.list(), Error);
  assert.equal(error.response.status, 401);
});

await check("a wrong input is an error 422", async () => {
  const wrong = { ...input, temperature: "hot" };
  const asked = client.predictions.create({ model: LLAMA_3, input: wrong });
  const error = await rejected(asked, Error);
  assert.equal(error.response.status, 422);
  assert.match(error.message, /temperature/);
});

await check("a prediction that fails throws", async () => {
  const asked = client.run(LLAMA_3, { input: { prompt: "[sim: fail=oom]" } });
  await rejected(asked, Error);
});
