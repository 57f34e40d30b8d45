// The Responses API of the official `openai` package against the gateway.
import assert from "node:assert/strict";

import OpenAI from "openai";

import { all, check, rejected } from "./checks.mjs";

const { GATEWAY_URL, GATEWAY_KEY } = process.env;
const client = new OpenAI({
  apiKey: GATEWAY_KEY,
  baseURL: `${GATEWAY_URL}/v1`,
  maxRetries: 0,
  timeout: 30_000,
});
const input = "What do you know about earth? Grüße, 世界 🌍";
const MODELS = ["together-chat", "together-turbo", "replicate/meta/meta-llama-3-8b-instruct"];
const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const tools = ["get_weather", "get_time"].map((name) => ({
  type: "function",
  name,
  parameters,
  strict: false,
}));

for (const model of MODELS) {
  await check(`${model}: text, plain and streamed, the same`, async () => {
    const plain = await client.responses.create({ model, input });
    assert.match(plain.output_text, /earth\? Grüße, 世界 🌍/);
    const streamed = await client.responses.stream({ model, input }).finalResponse();
    assert.equal(streamed.output_text, plain.output_text);
    const events = await all(await client.responses.create({ model, input, stream: true }));
    assert.deepEqual(events.map((event) => event.sequence_number), [...events.keys()]);
    assert.equal(events.at(-1).type, "response.completed");
  });
}

await check("two tools in parallel, plain and streamed, and back", async () => {
  for (const model of MODELS.slice(0, 2)) {
    const ask = [{ role: "user", content: "Compare Paris and Rome." }];
    const asked = { model, input: ask, tools };
    const stream = client.responses.stream(asked);
    for (const answer of [await client.responses.create(asked), await stream.finalResponse()]) {
      const calls = answer.output.filter((item) => item.type === "function_call");
      assert.deepEqual(calls.map((call) => JSON.parse(call.arguments).city), ["Paris", "Rome"]);
      const results = calls.map(({ call_id }) => ({
        type: "function_call_output",
        call_id,
        output: "18",
      }));
      const items = answer.output.map(({ parsed_arguments, ...item }) => item);
      const next = await client.responses.create({ ...asked, input: [...ask, ...items, ...results] });
      assert.equal(next.output_text, "Both are mild.");
    }
  }
});

await check("structured output is parsed", async () => {
  const schema = {
    type: "object",
    properties: { name: { type: "string" } },
    required: ["name"],
    additionalProperties: false,
  };
  const format = { type: "json_schema", name: "person", schema, strict: true };
  const answer = await client.responses.parse({ model: MODELS[0], input, text: { format } });
  assert.equal(typeof JSON.parse(answer.output_text).name, "string");
});

await check("errors have their classes", async () => {
  const create = (model, input) => client.responses.create({ model, input });
  await rejected(create("no-such-model", "hi"), OpenAI.NotFoundError);
  await rejected(create(MODELS[0], "[sim: status=503]"), OpenAI.InternalServerError);
  const stream = await client.responses.create({
    model: MODELS[0],
    input: "[sim: error-after=3]",
    stream: true,
  });
  assert.equal((await all(stream)).at(-1).type, "response.failed");
});
