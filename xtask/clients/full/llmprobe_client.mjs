// llmprobe: no MUST assertion fails on any surface that the gateway has, for two engines of Together:
// one that names natural ends, and one that reasons.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { check } from "./checks.mjs";

const { GATEWAY_URL, GATEWAY_KEY, PATH } = process.env;
const LLMPROBE = new URL("node_modules/llmprobe/bin/dist/llmprobe.mjs", import.meta.url).pathname;

for (const model of ["together-llama", "together-qwen"]) {
  await check(`${model}: no MUST assertion fails`, async () => {
    const probe = spawnSync(
      process.execPath,
      [
        ...[LLMPROBE, `${GATEWAY_URL}/v1`, "-k", GATEWAY_KEY, "-m", model],
        ...["--no-bench", "--no-save", "--no-color"],
      ],
      {
        encoding: "utf8",
        env: { HOME: mkdtempSync(path.join(tmpdir(), "llmprobe-")), PATH },
        maxBuffer: 1 << 26,
        timeout: 120_000,
      },
    );
    const report = probe.stdout;
    const failed = report.match(/^  ✗ (chat|responses|messages|models|embeddings|completions).*$/gm);
    console.log(`note  ${model}: ${report.match(/ENGINE CONFORMANCE.*/)?.[0]}`);
    for (const [line] of report.matchAll(/^  (models|chat|responses|messages|count-tokens|embeddings|completions) .*\d+\/\d+.*$/gm)) {
      console.log(`note${line}`);
    }
    assert.equal(probe.status, 0, `${failed?.join("; ")} ${probe.stderr}`);
    assert.match(report, /ENGINE CONFORMANCE +100%/);
  });
}
