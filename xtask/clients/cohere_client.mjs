// The official `cohere-ai` package: rerank, against the simulated Together and the gateway.
import assert from "node:assert/strict";

import { Cohere, CohereClient, CohereClientV2 } from "cohere-ai";

import { check, rejected } from "./checks.mjs";

const { GATEWAY_KEY, GATEWAY_URL, TOGETHER_URL } = process.env;
const documents = [
  "Carson City is the capital city of the American state of Nevada.",
  "Washington, D.C. is the capital of the United States.",
  "Capital punishment has existed in the United States since before it was a country.",
];
const question = { query: "What is the capital of the United States?", documents, topN: 2 };
const connect = (Client, baseUrl, token = GATEWAY_KEY) =>
  new Client({ token, baseUrl, maxRetries: 0 });

function checkAnswer({ results }) {
  assert.equal(results.length, 2);
  assert.equal(results[0].index, 1);
  assert.ok(results[0].relevanceScore >= results[1].relevanceScore);
}

await check("rerank of the first API against the simulated Together", async () => {
  const client = connect(CohereClient, TOGETHER_URL, "any");
  const model = "Salesforce/Llama-Rank-V1";
  const answer = await client.rerank({ ...question, model, returnDocuments: true });
  checkAnswer(answer);
  assert.equal(answer.results[0].document.text, documents[1]);
});

await check("rerank of the first API through the gateway", async () => {
  const client = connect(CohereClient, GATEWAY_URL);
  const answer = await client.rerank({ ...question, model: "reranker", returnDocuments: true });
  checkAnswer(answer);
  assert.equal(answer.results[0].document.text, documents[1]);
  assert.ok(answer.id && answer.meta.billedUnits);
});

await check("rerank of the second API through the gateway, with a /v1 too", async () => {
  for (const base of [GATEWAY_URL, `${GATEWAY_URL}/v1`]) {
    const client = connect(CohereClientV2, base);
    const answer = await client.rerank({ ...question, model: "reranker" });
    checkAnswer(answer);
    assert.ok(answer.results.every((result) => !("document" in result)));
  }
});

await check("a wrong key is an UnauthorizedError", async () => {
  const client = connect(CohereClientV2, GATEWAY_URL, "wrong");
  await rejected(client.rerank({ ...question, model: "reranker" }), Cohere.UnauthorizedError);
});

await check("a model without rerank is a BadRequestError that says what it has", async () => {
  const client = connect(CohereClientV2, GATEWAY_URL);
  const asked = client.rerank({ ...question, model: "mistral-deployment" });
  const error = await rejected(asked, Cohere.BadRequestError);
  assert.match(error.body.error.message, /does not support rerank; it supports chat/);
});
