// The official `openai` package against the simulated Together itself.
import assert from "node:assert/strict";

import OpenAI from "openai";

import { all, check, rejected } from "./checks.mjs";

const { TOGETHER_URL, LIMITED_URL } = process.env;
const connect = (apiKey = "any", url = TOGETHER_URL) =>
  new OpenAI({ apiKey, baseURL: `${url}/v1`, maxRetries: 0, timeout: 30_000 });
const client = connect();
const TURBO = "meta-llama/Llama-3.3-70B-Instruct-Turbo";
// Both ways in which Together streams, by model.
const MODELS = [TURBO, "openai/gpt-oss-20b"];
const say = (content) => [{ role: "user", content }];
const messages = say("What do you know about earth? Grüße, 世界 🌍");

for (const model of MODELS) {
  await check(`${model}: chat, plain, streamed and gathered`, async () => {
    const answer = await client.chat.completions.create({ model, messages });
    const text = answer.choices[0].message.content;
    assert.match(text, /earth\? Grüße, 世界 🌍/);
    const chunks = await all(await client.chat.completions.create({ model, messages, stream: true }));
    const choices = chunks.flatMap((chunk) => chunk.choices);
    assert.equal(choices.map((choice) => choice.delta.content ?? "").join(""), text);
    assert.deepEqual(choices.map((choice) => choice.finish_reason).filter(Boolean), ["stop"]);
    const runner = client.chat.completions.stream({ model, messages });
    assert.equal(await runner.finalContent(), text);
  });
}

await check("completions, plain and streamed in both shapes", async () => {
  for (const model of ["togethercomputer/LLaMA-2-7B-32K", "meta-llama/Meta-Llama-3.1-8B"]) {
    const asked = { model, prompt: "Once upon", max_tokens: 8 };
    const answer = await client.completions.create(asked);
    const chunks = await all(await client.completions.create({ ...asked, stream: true }));
    assert.equal(chunks.map((chunk) => chunk.choices[0].text).join(""), answer.choices[0].text);
    assert.equal(answer.usage.completion_tokens, 8);
  }
});

await check("embeddings: numbers, when this client asks for them", async () => {
  const model = "BAAI/bge-large-en-v1.5";
  const asked = { model, input: ["sky", "law"], encoding_format: "float" };
  const answer = await client.embeddings.create(asked);
  assert.deepEqual(answer.data.map((item) => item.embedding.length), [1024, 1024]);
});

await check("the errors, each as its class", async () => {
  const long = "word ".repeat(100);
  for (const [content, model, kind, code] of [
    ["hi", "no-such/model", OpenAI.NotFoundError, "model_not_available"],
    ["hi", "acme/stream-only", OpenAI.BadRequestError, "streaming_required"],
    [long, "acme/tiny-context", OpenAI.BadRequestError, null],
    [long, "qwen/tiny-context", OpenAI.BadRequestError, null],
    ["[sim: status=429]", TURBO, OpenAI.RateLimitError, null],
    ["[sim: status=503]", TURBO, OpenAI.InternalServerError, null],
  ]) {
    const asked = client.chat.completions.create({ model, messages: say(content) });
    const error = await rejected(asked, kind);
    assert.equal(error.code, code);
  }
  const stranger = connect("invalid").chat.completions.create({ model: TURBO, messages });
  const error = await rejected(stranger, OpenAI.AuthenticationError);
  assert.equal(error.code, "invalid_api_key");
});

await check("a stream that breaks off throws", async () => {
  for (const fault of ["error-after=3", "cut-after=500"]) {
    const asked = { model: TURBO, messages: say(`[sim: ${fault}]`), stream: true };
    await rejected(all(await client.chat.completions.create(asked)), Error);
  }
});

await check("rate limits: headers until they are used up, then a RateLimitError", async () => {
  const limited = connect("openai-js", LIMITED_URL).chat.completions;
  for (const left of ["1", "0"]) {
    const { response } = await limited.create({ model: TURBO, messages }).withResponse();
    assert.equal(response.headers.get("x-ratelimit-remaining"), left);
  }
  const error = await rejected(limited.create({ model: TURBO, messages }), OpenAI.RateLimitError);
  assert.equal(error.type, "dynamic_request_limited");
  assert.ok(Number(error.headers.get("x-ratelimit-reset")) > 1000);
});
