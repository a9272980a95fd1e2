// SPDX-License-Identifier: BSL-1.0
// What node-redis does with its default options. usage: node_redis.mjs PORT
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { createClient, RESP_TYPES, WatchError } from "redis";

const url = `redis://127.0.0.1:${process.argv[2]}`;
const connect = () => createClient({ url }).on("error", (e) => { throw e; }).connect();
const c = await connect();
const other = await connect();

assert.equal(await c.ping(), "PONG");
assert.equal(await c.set("greeting", "hello"), "OK");
assert.equal(await c.get("greeting"), "hello");
assert.equal(await c.get("nix"), null);
assert.deepEqual(await c.mGet(["greeting", "nix"]), ["hello", null]);
assert.equal(String(await c.incrByFloat("f", 1.5)), "1.5");
assert.deepEqual({ ...(await c.configGet("port")) }, { port: process.argv[2] });
assert.match(await c.info("server"), /redis_version:7/);
assert.match((await c.clientInfo()).libName, /node-redis/);
const found = [];
for await (const keys of c.scanIterator({ MATCH: "gree*" })) found.push(...keys);
assert.deepEqual(found, ["greeting"]);

assert.deepEqual(await c.multi().set("a", "1").incr("a").get("a").get("nix").exec(),
                 ["OK", 2, "2", null]);
const replies = await c.multi().set("s", "x").incr("s").get("s").exec().catch((e) => e.replies);
assert.match(String(replies[1]), /not an integer/);
assert.equal(replies[2], "x");
assert.deepEqual(await Promise.all([c.set("b", "1"), c.incr("b")]), ["OK", 2]);

await c.watch("a");
await other.set("a", "10");
await assert.rejects(c.multi().incr("a").exec(), WatchError);
await c.watch("a");
assert.deepEqual(await c.multi().incr("a").exec(), [11]);

const sub = await connect();
const got = [];
await sub.subscribe("news", (text, channel) => got.push(["channel", channel, text]));
await sub.pSubscribe("n*", (text, channel) => got.push(["pattern", channel, text]));
assert.equal(await c.publish("news", "text"), 2);
for (let i = 0; i < 500 && got.length < 2; ++i) await sleep(20);
assert.deepEqual(got, [["channel", "news", "text"], ["pattern", "news", "text"]]);
assert.equal(await sub.get("greeting"), "hello"); // as RESP3 allows
await sub.unsubscribe();
await sub.pUnsubscribe();
assert.equal(await c.publish("news", "text"), 0);

const big = Buffer.alloc(40 << 20, "0123456789abcdef");
const binary = c.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
assert.equal(await c.set("big", big), "OK");
assert.ok(big.equals(await binary.get("big")));

await c.set("k", "v", { expiration: { type: "PX", value: 50 } });
await sleep(100);
assert.equal(await c.get("k"), null);
await c.set("k", "v", { EX: 100 });
assert.ok((await c.ttl("k")) > 0);
assert.equal(await c.persist("k"), 1);
assert.equal(await c.flushAll(), "OK");
await Promise.all([c, other, sub].map((x) => x.close()));
const about = new URL("./node_modules/redis/package.json", import.meta.url);
console.log("node-redis", JSON.parse(readFileSync(about)).version);
