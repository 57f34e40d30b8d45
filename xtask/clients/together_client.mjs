// The official `together-ai` package against the simulated Together.
import assert from "node:assert/strict";

import Together from "together-ai";

import { all, check, rejected } from "./checks.mjs";

const connect = (apiKey, url = process.env.TOGETHER_URL) =>
  new Together({ apiKey, baseURL: `${url}/v1`, maxRetries: 0, timeout: 30_000 });
const client = connect("any");
const messages = [{ role: "user", content: "What do you know about earth? Grüße, 世界 🌍" }];
// Both ways in which Together streams, by model.
const MODELS = ["meta-llama/Llama-3.3-70B-Instruct-Turbo", "openai/gpt-oss-20b"];

for (const model of MODELS) {
  await check(`${model}: chat, plain and streamed`, async () => {
    const answer = await client.chat.completions.create({ model, messages });
    const text = answer.choices[0].message.content;
    assert.match(text, /earth\? Grüße, 世界 🌍/);
    const chunks = await all(await client.chat.completions.create({ model, messages, stream: true }));
    const choices = chunks.flatMap((chunk) => chunk.choices);
    assert.equal(choices.map((choice) => choice.delta.content ?? "").join(""), text);
    assert.deepEqual(choices.map((choice) => choice.finish_reason).filter(Boolean), ["stop"]);
    const used = chunks.map((chunk) => chunk.usage?.total_tokens).filter(Boolean);
    assert.deepEqual(used, [answer.usage.total_tokens]);
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

await check("a tool is called, plain and streamed", async () => {
  const parameters = { type: "object", properties: { city: { type: "string" } } };
  const tools = [{ type: "function", function: { name: "weather", parameters } }];
  for (const model of MODELS) {
    const asked = { model, messages, tools, tool_choice: "required" };
    const answer = await client.chat.completions.create(asked);
    const [call] = answer.choices[0].message.tool_calls;
    assert.equal(call.function.name, "weather");
    const chunks = await all(await client.chat.completions.create({ ...asked, stream: true }));
    const parts = chunks.flatMap(({ choices }) => choices[0]?.delta.tool_calls ?? []);
    const streamed = parts.map((part) => part.function.arguments ?? "").join("");
    assert.equal(streamed, call.function.arguments);
  }
});

await check("embeddings: one vector for each text", async () => {
  const model = "BAAI/bge-large-en-v1.5";
  const answer = await client.embeddings.create({ model, input: ["the blue sky", "tax law"] });
  assert.deepEqual(answer.data.map((item) => item.embedding.length), [1024, 1024]);
});

await check("rerank: the document about the query comes first", async () => {
  const answer = await client.rerank.create({
    model: "Salesforce/Llama-Rank-V1",
    query: "What is the capital of the United States?",
    documents: ["Carson City is in Nevada.", "Washington is the capital of the United States."],
    top_n: 1,
  });
  assert.deepEqual(answer.results.map((result) => result.index), [1]);
});

await check("models are a bare list", async () => {
  const ids = (await client.models.list()).map((model) => model.id);
  for (const model of MODELS) assert.ok(ids.includes(model), model);
});

await check("a wrong key is an AuthenticationError", async () => {
  const asked = connect("invalid").chat.completions.create({ model: MODELS[0], messages });
  await rejected(asked, Together.AuthenticationError);
});

await check("an unknown model is a NotFoundError", async () => {
  const asked = client.chat.completions.create({ model: "no-such/model", messages });
  await rejected(asked, Together.NotFoundError);
});

await check("a stream that breaks off with an error throws", async () => {
  const messages = [{ role: "user", content: "[sim: error-after=3]" }];
  const stream = await client.chat.completions.create({ model: MODELS[0], messages, stream: true });
  await rejected(all(stream), Error);
});

await check("rate limits: headers until they are used up, then a RateLimitError", async () => {
  const limited = connect("together-js", process.env.LIMITED_URL).chat.completions;
  for (const left of ["1", "0"]) {
    const asked = limited.create({ model: MODELS[0], messages });
    const { headers } = await asked.asResponse();
    assert.equal(headers.get("x-ratelimit-remaining"), left);
  }
  const error = await rejected(
    limited.create({ model: MODELS[0], messages }),
    Together.RateLimitError,
  );
  assert.ok(Number(error.headers.get("x-ratelimit-reset")) > 1000);
});

await check("an overload (asked for in the prompt) is an InternalServerError", async () => {
  const messages = [{ role: "user", content: "[sim: status=503]" }];
  const asked = client.chat.completions.create({ model: MODELS[0], messages });
  await rejected(asked, Together.InternalServerError);
});
