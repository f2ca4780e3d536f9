// Drives usp-js by lines of JSON: {"call": "get", "with": [...]} gives {"good": ...} or {"bad": ...}; news gives {"news": ..., "of": id}.
//
// In:  the place of usp-js, options for its connect. Out: {"good": "connected"}, then a line for each line.
//
// By MQTT it connects by itself; for `protocol` "call" (we call by WebSocket), "answer" (we are called), "uds" it gets what it needs from
// somebody else's WebSocket (npm: websocket, ws) and from Node's sockets. {"listens": port} says where it can be called.
"use strict";

const [place, options] = process.argv.slice(2);
const modules = place + "/node_modules/";
const usual = require(modules + "usp-js").default;
const { loadProtobuf } = require(modules + "usp-js/node/configurations/mqtt");
const buildConnect = require(modules + "usp-js/node/configurations/build").default;
const say = (what) => process.stdout.write(JSON.stringify(what) + "\n");
const words = (error) => (error instanceof Error ? { errMsg: error.message } : error);

// What usp-js wants of a connection; whoever brings messages calls `bring`. A record that only says that the agent is there
// (websocket_connect, 9, or uds_connect, 13, both empty and last) makes usp-js give up the call that is under way: it does not hear it.
function connection(send, end) {
  const heard = [];
  const greets = (data) => [0x4a, 0x6a].includes(data[data.length - 2]) && data[data.length - 1] === 0;
  return {
    bring: (data) => !greets(data) && heard.forEach((hears) => hears("", data)),
    on: (key, hears) => key === "message" && heard.push(hears),
    subscribe: async () => null,
    unsubscribe: async () => null,
    publish: async (_, data) => send(Buffer.from(data)),
    end: async () => end(),
  };
}

const ways = {
  // We call the agent.
  call: (options) =>
    new Promise((resolve, reject) => {
      // By TLS it has to be the gateway that is meant, by the endpoint id in its certificate; the host's name is not in it.
      const is = (_, { subjectaltname }) =>
        subjectaltname === "URI:urn:bbf:usp:id:" + options.toId ? undefined : new Error("another's certificate");
      const file = (name) => options[name] && require("fs").readFileSync(options[name]);
      const own = { cert: file("cert"), key: file("key") };
      const tlsOptions = options.ca ? { ca: file("ca"), checkServerIdentity: is, ...own } : {};
      const client = new (require(modules + "websocket").client)({ tlsOptions });
      client.on("connectFailed", (error) => reject(new Error(String(error))));
      client.on("connect", (socket) => {
        const made = connection((data) => socket.sendBytes(data), () => socket.close());
        socket.on("message", (message) => made.bring(message.binaryData));
        socket.on("close", (code) => say({ trouble: "closed " + code }));
        resolve(made);
      });
      const word = () => "Basic " + Buffer.from(options.username + ":" + options.password).toString("base64");
      const url = `${options.ca ? "wss" : "ws"}://${options.host}:${options.port}${options.path}?eid=${encodeURIComponent(options.fromId)}`;
      client.connect(url, "v1.usp", null, options.username ? { authorization: word() } : {});
    }),
  // The agent calls us: another WebSocket than above.
  answer: (options) =>
    new Promise((resolve) => {
      const { WebSocketServer } = require(modules + "ws");
      const server = options.cert
        ? require("https").createServer({ cert: require("fs").readFileSync(options.cert), key: require("fs").readFileSync(options.key) })
        : require("http").createServer();
      const sockets = new WebSocketServer({ server, handleProtocols: (offered) => (offered.has("v1.usp") ? "v1.usp" : false) });
      sockets.on("connection", (socket, request) => {
        const made = connection((data) => socket.send(data), () => socket.close());
        socket.on("message", (data) => made.bring(data));
        say({ called: request.url, proves: request.headers.authorization || "" });
        resolve(made);
      });
      server.listen(options.port, options.host, () => say({ listens: server.address().port }));
    }),
  // Frames of a Unix socket.
  uds: (options) =>
    new Promise((resolve, reject) => {
      const socket = require("net").connect(options.path);
      const frame = (type, data) => {
        const head = Buffer.alloc(13);
        head.write("_USP");
        head.writeUInt32BE(data.length + 5, 4);
        head[8] = type;
        head.writeUInt32BE(data.length, 9);
        return Buffer.concat([head, data]);
      };
      const made = connection((data) => socket.write(frame(3, data)), () => socket.end());
      let input = Buffer.alloc(0);
      socket.on("error", reject);
      socket.on("close", () => say({ trouble: "closed" }));
      socket.on("data", (data) => {
        input = Buffer.concat([input, data]);
        while (input.length >= 8 && input.length >= 8 + input.readUInt32BE(4)) {
          const value = input.subarray(13, 8 + input.readUInt32BE(4));
          if (input[8] === 1) resolve(made);
          else if (input[8] === 2) reject(new Error(String(value)));
          else made.bring(value);
          input = input.subarray(8 + input.readUInt32BE(4));
        }
      });
      socket.write(frame(1, Buffer.from(options.fromId)));
    }),
};

function connect(options, events) {
  const way = ways[options.protocol];
  if (!way) return usual(options, events);
  const decodeID = require(modules + "usp-js/node/commands").decodeId;
  return buildConnect({ connectClient: way, decodeID, loadProtobuf })(options, events);
}

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
