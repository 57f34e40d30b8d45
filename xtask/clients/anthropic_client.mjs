// The official `@anthropic-ai/sdk` package against the gateway.
import assert from "node:assert/strict";

import Anthropic from "@anthropic-ai/sdk";

import { check, rejected } from "./checks.mjs";

const { GATEWAY_URL, GATEWAY_KEY } = process.env;
const connect = (apiKey = GATEWAY_KEY) =>
  new Anthropic({ apiKey, baseURL: GATEWAY_URL, maxRetries: 0, timeout: 30_000 });
const client = connect();
const say = (content) => [{ role: "user", content }];
const messages = say("What do you know about earth? Grüße, 世界 🌍");
const MODELS = ["together-chat", "together-turbo", "replicate/meta/meta-llama-3-8b-instruct"];
const tool = (name) => ({
  name,
  input_schema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
});
const tools = [tool("get_weather"), tool("get_time")];

for (const model of MODELS) {
  await check(`${model}: text, plain and streamed, the same`, async () => {
    const asked = { model, max_tokens: 400, messages };
    const plain = await client.messages.create(asked);
    assert.equal(plain.stop_reason, "end_turn");
    assert.match(plain.content.at(-1).text, /earth\? Grüße, 世界 🌍/);
    const streamed = await client.messages.stream(asked).finalMessage();
    assert.deepEqual(streamed.content, plain.content);
    assert.deepEqual(streamed.usage.output_tokens, plain.usage.output_tokens);
  });
}

await check("two tools in parallel, plain and streamed, and back", async () => {
  for (const model of MODELS.slice(0, 2)) {
    const asked = { model, max_tokens: 400, messages: say("Compare Paris and Rome."), tools };
    const stream = client.messages.stream(asked);
    for (const message of [await client.messages.create(asked), await stream.finalMessage()]) {
      assert.equal(message.stop_reason, "tool_use");
      const calls = message.content.filter((block) => block.type === "tool_use");
      assert.deepEqual(calls.map((call) => call.input), [{ city: "Paris" }, { city: "Rome" }]);
      const results = calls.map(({ id }) => ({ type: "tool_result", tool_use_id: id, content: "18" }));
      const turns = [{ role: "assistant", content: message.content }, { role: "user", content: results }];
      const answer = await client.messages.create({ ...asked, messages: [...asked.messages, ...turns] });
      assert.equal(answer.content.at(-1).text, "Both are mild.");
    }
  }
});

await check("tokens are counted, and models listed", async () => {
  const count = (more) => client.messages.countTokens({ model: MODELS[0], messages, ...more });
  const [short, long] = [await count({}), await count({ tools })];
  assert.ok(short.input_tokens > 0 && long.input_tokens > short.input_tokens);
  const models = [];
  for await (const model of client.models.list()) models.push(model.id);
  assert.ok(models.includes(MODELS[0]), models.join());
});

await check("errors have their classes", async () => {
  const create = (model, content, by = client) =>
    by.messages.create({ model, max_tokens: 9, messages: say(content) });
  await rejected(create(MODELS[0], "hi", connect("wrong")), Anthropic.AuthenticationError);
  await rejected(create("no-such-model", "hi"), Anthropic.NotFoundError);
  const error = await rejected(create(MODELS[0], "[sim: status=503]"), Anthropic.APIError);
  assert.equal(error.status, 529);
  const broken = client.messages.stream({
    model: MODELS[0],
    max_tokens: 400,
    messages: say("[sim: error-after=3]"),
  });
  await rejected(broken.finalMessage(), Anthropic.AnthropicError);
});
