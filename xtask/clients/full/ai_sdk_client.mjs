// The AI SDK with its providers for OpenAI's Responses and Anthropic's Messages, against the gateway.
import assert from "node:assert/strict";

import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { generateText, Output, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

import { check } from "./checks.mjs";

const { GATEWAY_URL, GATEWAY_KEY } = process.env;
const options = { apiKey: GATEWAY_KEY, baseURL: `${GATEWAY_URL}/v1` };
const openai = createOpenAI(options);
const anthropic = createAnthropic(options);
const inputSchema = z.object({ city: z.string() });
const tools = {
  get_weather: tool({ inputSchema, execute: async ({ city }) => `Mild in ${city}.` }),
  get_time: tool({ inputSchema, execute: async ({ city }) => `Noon in ${city}.` }),
};
// Without a store at the server, the SDK sends the whole conversation.
const providerOptions = { openai: { store: false, forceReasoning: true } };

for (const [name, model] of [
  ["responses", openai.responses("together-chat")],
  ["messages", anthropic("together-chat")],
]) {
  const asked = { model, providerOptions, maxRetries: 0 };
  await check(`${name}: text, plain and streamed, the same`, async () => {
    const prompt = "What do you know about earth? Grüße, 世界 🌍";
    const { text, usage } = await generateText({ ...asked, prompt });
    assert.match(text, /earth\? Grüße, 世界 🌍/);
    assert.ok(usage.totalTokens > 0, JSON.stringify(usage));
    const stream = streamText({ ...asked, prompt });
    assert.equal(await stream.text, text);
    assert.match(await stream.reasoningText, /simulation/);
  });

  await check(`${name}: tools are run in parallel, plain and streamed`, async () => {
    const agent = { ...asked, prompt: "Compare Paris and Rome.", tools, stopWhen: stepCountIs(3) };
    const { text, steps } = await generateText(agent);
    assert.equal(text, "Both are mild.");
    assert.deepEqual(steps[0].toolCalls.map((call) => call.input.city), ["Paris", "Rome"]);
    const stream = streamText(agent);
    const types = new Set();
    for await (const part of stream.fullStream) types.add(part.type);
    assert.ok(!types.has("error"), [...types].join());
    assert.equal((await stream.steps).at(-1).text, "Both are mild.");
  });

  await check(`${name}: structured output`, async () => {
    const schema = z.object({ name: z.string(), age: z.number().int() });
    const { output } = await generateText({
      ...asked,
      prompt: "Who is it?",
      output: Output.object({ schema }),
    });
    assert.equal(typeof output.name, "string");
  });
}
