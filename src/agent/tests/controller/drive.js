// Drives usp-js by lines of JSON: {"call": "get", "with": [...]} gives {"good": ...} or {"bad": ...}; news gives {"news": ..., "of": id}.
//
// In:  the place of usp-js, options for its connect. Out: {"good": "connected"}, then a line for each line.
"use strict";

const [place, options] = process.argv.slice(2);
const connect = require(place + "/node_modules/usp-js").default;
const say = (what) => process.stdout.write(JSON.stringify(what) + "\n");
const words = (error) => (error instanceof Error ? { errMsg: error.message } : error);

const kept = {};
let orders = 0;

async function main() {
  const usp = await connect(JSON.parse(options), { onError: (error) => say({ trouble: String(error) }) });
  say({ good: "connected" });
  // News of subscriptions that were added by hand: as they were sent. They are answered where that is wanted.
  usp.on(/./, (_, message) => {
    const notify = message && message.body && message.body.request && message.body.request.notify;
    if (!notify || notify.subscriptionId.includes("@")) return;
    say({ notice: notify.event || notify.operComplete || notify, of: notify.subscriptionId });
    if (notify.sendResp) usp._notifyResp(notify.subscriptionId, message.header.msgId).catch(() => {});
  });
  const calls = {
    // A subscription's function that ends it is kept under its id.
    subscribe: async (wish) => {
      kept[wish.id] = await usp.subscribe(wish, (news) => say({ news, of: wish.id, at: Date.now() }));
      return "subscribed";
    },
    unsubscribe: (id) => kept[id](),
    // A command that takes its time: done when its end was told.
    operate: async (path, input, options) => {
      const [run, clean] = await usp.operate(path, options);
      const result = await run(input);
      await clean();
      return result;
    },
    // A command, its answer alone: where its request is, or what it gave. Its end is a notice.
    order: async (path, key, input) => {
      const result = await usp._operate(path, `OPERATE@${++orders}`, true, input, key);
      return (result && result.reqObjPath) || result;
    },
    bye: async () => {
      await usp.disconnect();
      setTimeout(() => process.exit(0), 50);
    },
    now: async () => Date.now(),
  };
  const lines = require("readline").createInterface({ input: process.stdin });
  for await (const line of lines) {
    const { call, with: list } = JSON.parse(line);
    try {
      const result = await (calls[call] || usp[call])(...list);
      say({ good: result === undefined ? null : result });
    } catch (error) {
      say({ bad: words(error) });
    }
  }
}

process.on("uncaughtException", (error) => say({ trouble: words(error) }));
process.on("unhandledRejection", (error) => say({ trouble: words(error) }));
main().catch((error) => say({ bad: words(error) }));
