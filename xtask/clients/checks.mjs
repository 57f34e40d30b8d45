// Runs the checks of a script: `await check("what", async () => { … })`.
import assert from "node:assert/strict";
import path from "node:path";

const script = path.basename(process.argv[1]);

export async function check(what, body) {
  try {
    await body();
    console.log(`ok    ${script}: ${what}`);
  } catch (error) {
    process.exitCode = 1;
    const text = String(error?.message ?? error).replaceAll("\n", " ");
    console.log(`FAIL  ${script}: ${what}: ${error?.name}: ${text}`);
  }
}

/** The error that `promise` is rejected with, which must be of this class. */
export async function rejected(promise, kind) {
  const error = await promise.then(
    () => assert.fail(`no ${kind.name} was thrown`),
    (error) => error,
  );
  assert.ok(error instanceof kind, `${error?.name}: ${error?.message}`);
  return error;
}

/** All that an iterable yields. */
export async function all(iterable) {
  const items = [];
  for await (const item of iterable) items.push(item);
  return items;
}
