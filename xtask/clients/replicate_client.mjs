// The official `replicate` package against the simulated Replicate.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { text } from "node:stream/consumers";

import Replicate, { validateWebhook } from "replicate";

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

await check("predictions, page by page", async () => {
  const created = [];
  for (let number = 0; number < 101; number += 1) {
    const tiny = { ...input, max_tokens: 1 };
    created.push((await client.predictions.create({ model: LLAMA_3, input: tiny })).id);
  }
  const pages = await all(client.paginate(client.predictions.list));
  const ids = pages.flat().map((one) => one.id);
  assert.ok(pages.length > 1);
  assert.equal(new Set(ids).size, ids.length);
  assert.deepEqual(ids.slice(0, 101), created.reverse());
});

await check("deployments: create, update, delete", async () => {
  const created = await client.deployments.create({
    name: "from-javascript",
    model: "replicate/llama-2-70b-chat",
    version: LLAMA_2,
    hardware: "gpu-t4",
    min_instances: 0,
    max_instances: 1,
  });
  assert.equal(created.current_release.number, 1);
  const { owner, name } = created;
  const updated = await client.deployments.update(owner, name, { max_instances: 2 });
  assert.equal(updated.current_release.number, 2);
  assert.equal(await client.deployments.delete(owner, name), true);
  const error = await rejected(client.deployments.get(owner, name), Error);
  assert.equal(error.response.status, 404);
});

await check("models: list, search, versions", async () => {
  const named = (models) => models.map((one) => `${one.owner}/${one.name}`);
  assert.ok(named((await client.models.list()).results).includes(LLAMA_3));
  assert.deepEqual(named((await client.models.search("llama-3 8b")).results), [LLAMA_3]);
  const model = ["replicate", "llama-2-70b-chat"];
  const versions = await client.models.versions.list(...model);
  assert.deepEqual(versions.results.map((one) => one.id), [LLAMA_2]);
  assert.equal((await client.models.versions.get(...model, LLAMA_2)).id, LLAMA_2);
});

await check("collections, hardware, account", async () => {
  const slugs = (await client.collections.list()).results.map((one) => one.slug);
  assert.ok(slugs.includes("language-models"));
  assert.ok((await client.collections.get("language-models")).models.length > 0);
  assert.ok((await client.hardware.list()).length > 0);
  assert.ok((await client.accounts.current()).username);
});

await check("files: create, get, list, delete; as an input", async () => {
  const content = new Blob(["\0\r\n--not the boundary\r\n"], { type: "text/plain" });
  const made = await client.files.create(content, { a: 1 });
  assert.deepEqual([made.size, made.content_type, made.metadata], [23, "text/plain", { a: 1 }]);
  assert.deepEqual((await client.files.get(made.id)).checksums, made.checksums);
  assert.ok((await client.files.list()).results.some((one) => one.id === made.id));
  assert.equal(await client.files.delete(made.id), true);
  const error = await rejected(client.files.get(made.id), Error);
  assert.equal(error.response.status, 404);

  const asked = { ...input, image_input: [content] };
  const created = await client.predictions.create({ model: "openai/gpt-5", input: asked });
  const [image] = created.input.image_input;
  assert.ok(image.startsWith(`${process.env.REPLICATE_URL}/v1/files/`), image);
});

await check("webhooks: start to end, with valid signatures", async () => {
  const secret = (await client.webhooks.default.secret.get()).key;
  const received = [];
  const server = createServer(async (request, response) => {
    const webhook = { headers: request.headers, body: await text(request) };
    response.end();
    received.push(webhook);
    const { status } = JSON.parse(webhook.body);
    if (!["starting", "processing"].includes(status)) server.emit("told", status);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const created = await client.predictions.create({
    model: LLAMA_3,
    input,
    webhook: `http://127.0.0.1:${server.address().port}/hook`,
    webhook_events_filter: ["start", "output", "logs", "completed"],
  });
  const [status] = await once(server, "told", { signal: AbortSignal.timeout(20_000) });
  server.close();
  server.closeAllConnections();
  assert.equal(status, "succeeded");
  assert.ok(received.length >= 4, `${received.length} webhooks`);
  for (const webhook of received) {
    assert.equal(JSON.parse(webhook.body).id, created.id);
    assert.equal(await validateWebhook(webhook, secret), true);
    const changed = { ...webhook, body: `${webhook.body} ` };
    assert.equal(await validateWebhook(changed, secret), false);
  }
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

await check("too many requests are an error 429, after all retries", async () => {
  const limited = { prompt: "[sim: status=429]" };
  const error = await rejected(client.predictions.create({ model: LLAMA_3, input: limited }), Error);
  assert.equal(error.response.status, 429);
  assert.match(error.message, /Your rate limit resets in ~/);
});

await check("a prediction that fails throws", async () => {
  const asked = client.run(LLAMA_3, { input: { prompt: "[sim: fail=oom]" } });
  await rejected(asked, Error);
});
