// The official `openai` package against the gateway.
import assert from "node:assert/strict";

import OpenAI from "openai";

import { all, check, rejected } from "./checks.mjs";

const { GATEWAY_KEY, GATEWAY_URL, DEMO_URL } = process.env;
const LLAMA_3 = "replicate/meta/meta-llama-3-8b-instruct";
const MODELS = ["together-chat", LLAMA_3, "llama-2-by-version", "mistral-deployment"];
const messages = [
  { role: "system", content: "Be a good human!" },
  { role: "user", content: "What do you know about earth? Grüße, 世界 🌍" },
];

const connect = (more = {}) =>
  new OpenAI({
    apiKey: GATEWAY_KEY,
    baseURL: `${GATEWAY_URL}/v1`,
    maxRetries: 0,
    timeout: 30_000,
    ...more,
  });
const client = connect();
const chat = (model, more = {}) => client.chat.completions.create({ model, messages, ...more });
const textOf = (chunks) => chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join("");

for (const model of MODELS) {
  let text;

  await check(`${model}: plain`, async () => {
    const answer = await chat(model);
    assert.equal(answer.object, "chat.completion");
    assert.equal(answer.model, model);
    const [choice] = answer.choices;
    assert.equal(choice.finish_reason, "stop");
    text = choice.message.content;
    assert.match(text, /earth\? Grüße, 世界 🌍/);
    const { prompt_tokens, completion_tokens, total_tokens } = answer.usage;
    assert.ok(prompt_tokens > 0 && completion_tokens > 0);
    assert.equal(total_tokens, prompt_tokens + completion_tokens);
  });

  await check(`${model}: streamed, the same text`, async () => {
    const chunks = await all(await chat(model, { stream: true }));
    assert.equal(textOf(chunks), text);
    const finished = chunks.filter((chunk) => chunk.choices[0].finish_reason);
    assert.deepEqual(finished.map((chunk) => chunk.choices[0].finish_reason), ["stop"]);
    assert.ok(chunks.every((chunk) => chunk.usage == null));
  });

  await check(`${model}: usage in the stream's last chunk when asked for`, async () => {
    const options = { stream: true, stream_options: { include_usage: true } };
    const chunks = await all(await chat(model, options));
    const last = chunks.pop();
    assert.deepEqual(last.choices, []);
    assert.ok(last.usage.total_tokens > 0);
    assert.ok(chunks.every((chunk) => chunk.usage == null));
  });

  await check(`${model}: the helper that gathers a stream`, async () => {
    const runner = client.chat.completions.stream({ model, messages });
    assert.equal(await runner.finalContent(), text);
  });
}

await check("a tool is called, plain and streamed", async () => {
  const parameters = { type: "object", properties: { city: { type: "string" } } };
  const tools = [{ type: "function", function: { name: "weather", parameters } }];
  const asked = { tools, tool_choice: "required" };
  const answer = await chat("together-chat", asked);
  assert.equal(answer.choices[0].finish_reason, "tool_calls");
  const [call] = answer.choices[0].message.tool_calls;
  assert.equal(call.function.name, "weather");

  const runner = client.chat.completions.stream({ model: "together-chat", messages, ...asked });
  const [streamed] = (await runner.finalMessage()).tool_calls;
  assert.deepEqual(streamed.function, call.function);
});

await check("embeddings: floats, base64, and what the client asks for by itself", async () => {
  const create = (more) =>
    client.embeddings.create({ model: "embedder", input: ["good morning", "Grüße 🌍"], ...more });
  const byItself = await create();
  const floats = await create({ encoding_format: "float" });
  const base64 = await create({ encoding_format: "base64" });
  assert.equal(byItself.model, "embedder");
  assert.ok(byItself.usage.total_tokens > 0);
  byItself.data.forEach(({ embedding, index }, place) => {
    assert.equal(index, place);
    assert.equal(embedding.length, 1024);
    const apart = embedding.map((a, i) => Math.abs(a - floats.data[place].embedding[i]));
    assert.ok(Math.max(...apart) < 1e-6);
  });
  assert.ok(base64.data.every(({ embedding }) => typeof embedding === "string"));
});

await check("a text completion, plain and streamed, the same text", async () => {
  const asked = { model: "writer", prompt: "The sky is", max_tokens: 30, stop: "\n\n" };
  const answer = await client.completions.create(asked);
  assert.equal(answer.object, "text_completion");
  assert.equal(answer.model, "writer");
  const chunks = await all(await client.completions.create({ ...asked, stream: true }));
  const text = chunks.map((chunk) => chunk.choices[0].text).join("");
  assert.equal(text, answer.choices[0].text);
  assert.ok(text.length > 0 && chunks.every((chunk) => chunk.model === "writer"));
});

await check("what a model has not is a BadRequestError that says what it has", async () => {
  const asked = client.embeddings.create({ model: LLAMA_3, input: "x" });
  const error = await rejected(asked, OpenAI.BadRequestError);
  assert.equal(error.code, "unsupported");
  assert.match(error.message, /does not support embeddings; it supports chat/);
});

await check("a base URL without /v1", async () => {
  const bare = connect({ baseURL: GATEWAY_URL });
  await bare.chat.completions.create({ model: "together-chat", messages });
});

await check("a stream left early, and the client can go on", async () => {
  for await (const chunk of await chat(LLAMA_3, { stream: true })) {
    if (chunk.choices[0].delta.content) break;
  }
  await chat(LLAMA_3);
});

await check("a wrong key is an AuthenticationError", async () => {
  const stranger = connect({ apiKey: "wrong" });
  const error = await rejected(stranger.models.list(), OpenAI.AuthenticationError);
  assert.equal(error.code, "invalid_api_key");
});

await check("an unknown model is a NotFoundError that names the nearest", async () => {
  for (const stream of [false, true]) {
    const error = await rejected(chat("together-chta", { stream }), OpenAI.NotFoundError);
    assert.equal(error.code, "model_not_found");
    assert.match(error.message, /together-chat/);
  }
});

await check("a request that makes no sense is a BadRequestError", async () => {
  for (const messages of ["not a list", [{ role: "user", content: 1 }], []]) {
    const error = await rejected(chat("together-chat", { messages }), OpenAI.BadRequestError);
    assert.equal(error.type, "invalid_request_error");
  }
});

await check("models are listed, and found by names with slashes", async () => {
  const listed = await all(client.models.list());
  const others = ["together-turbo", "together-llama", "together-qwen", "embedder", "reranker", "writer"];
  assert.deepEqual(listed.map((model) => model.id).sort(), [...MODELS, ...others].sort());
  for (const model of MODELS) {
    assert.equal((await client.models.retrieve(model)).id, model);
  }
  await rejected(client.models.retrieve("no/such"), OpenAI.NotFoundError);
});

await check("the gateway without configuration: any key, and it says that it simulates", async () => {
  const demo = connect({ apiKey: "anything", baseURL: `${DEMO_URL}/v1` });
  for await (const { id: model } of demo.models.list()) {
    const asked = demo.chat.completions.create({ model, messages });
    const { data, response } = await asked.withResponse();
    assert.equal(response.headers.get("x-polyllm-simulated"), "true");
    assert.match(data.choices[0].message.content, /simulated/);
  }
});
