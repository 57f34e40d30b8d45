// Codex (`codex exec`) completes a task with tools through the gateway, twice in a row, with one
// request for each turn of the script.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { check } from "./checks.mjs";

const { GATEWAY_URL, GATEWAY_KEY, TOGETHER_URL, PATH } = process.env;
const CODEX = new URL("node_modules/@openai/codex/bin/codex.js", import.meta.url).pathname;
const CONFIG = `
model = "together-chat"
model_provider = "polyllm"
[model_providers.polyllm]
name = "polyllm"
base_url = "${GATEWAY_URL}/v1"
env_key = "GATEWAY_KEY"
wire_api = "responses"
request_max_retries = 0
stream_max_retries = 0
`;

const chats = async () => {
  const counts = await fetch(`${TOGETHER_URL}/_sim/counts`);
  return (await counts.json()).started;
};

for (const run of ["first", "second"]) {
  await check(`a task with two commands, ${run} run`, async () => {
    const home = mkdtempSync(path.join(tmpdir(), "codex-"));
    const work = path.join(home, "work");
    mkdirSync(path.join(home, ".codex"));
    mkdirSync(work);
    writeFileSync(path.join(home, ".codex", "config.toml"), CONFIG);
    const before = await chats();
    const codex = spawnSync(
      process.execPath,
      [
        ...[CODEX, "exec", "--skip-git-repo-check", "--json"],
        "--dangerously-bypass-approvals-and-sandbox",
        "Create the file greeting.txt.",
      ],
      {
        cwd: work,
        encoding: "utf8",
        env: { GATEWAY_KEY, HOME: home, PATH, NO_PROXY: "127.0.0.1" },
        stdio: ["ignore", "pipe", "pipe"],
        timeout: 60_000,
      },
    );
    const said = `${codex.stdout}\n${codex.stderr}`;
    assert.equal(codex.status, 0, said.slice(-2000));
    assert.equal(readFileSync(path.join(work, "greeting.txt"), "utf8"), "hello\n");
    assert.match(codex.stdout, /The file has the greeting\./);
    assert.equal((await chats()) - before, 3, "one request for each turn");
  });
}
