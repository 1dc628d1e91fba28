// The flows of the benchmark as handlers of Restate: five durable steps, and three calls one after the other.
import http from "node:http";
import http2 from "node:http2";
import * as restate from "@restatedev/restate-sdk";

// The library is written for Node 22; this is what Node 20 lacks of it.
Promise.withResolvers ??= function withResolvers() {
  let resolve, reject;
  const promise = new this((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
};

const upstream = process.env.UPSTREAM;
const agent = new http.Agent({ keepAlive: true });

/** One call of the upstream over a kept connection, which costs Node less than `fetch`. */
function call(path) {
  return new Promise((resolve, reject) => {
    const request = http.get(upstream + path, { agent }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (part) => (text += part));
      response.on("end", () => resolve(JSON.parse(text)));
      response.on("error", reject);
    });
    request.on("error", reject);
  });
}

const bench = restate.service({
  name: "bench",
  handlers: {
    five: async (ctx, input) => {
      let n = input.n;
      for (const step of ["a", "b", "c", "d", "e"]) {
        n = await ctx.run(step, () => n + 1);
      }
      return { n };
    },
    three: async (ctx) => {
      let last = null;
      for (const step of ["a", "b", "c"]) {
        last = await ctx.run(step, () => call(`/${step}`));
      }
      return last;
    },
  },
});

const server = http2.createServer(restate.createEndpointHandler({ services: [bench] }));
server.listen(0, "127.0.0.1", () => console.log(JSON.stringify({ port: server.address().port })));
