import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { gunzipSync } from "node:zlib";

import { NO_TRACKER, openErrorTracker } from "../src/error-tracker";
import { described } from "../src/log";

test("without a DSN nothing is sent anywhere", async () => {
  expect(await openErrorTracker({ sentryDsn: undefined, deployEnv: "test" })).toBe(NO_TRACKER);
});

test("with a DSN an exception arrives, with release and environment", async () => {
  const arrived: string[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const body = Buffer.concat(chunks);
      arrived.push((request.headers["content-encoding"] === "gzip" ? gunzipSync(body) : body).toString());
      response.writeHead(200, { "content-type": "application/json" }).end("{}");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const port = (server.address() as AddressInfo).port;
  const tracker = await openErrorTracker({ sentryDsn: `http://key@127.0.0.1:${port}/1`, deployEnv: "test" });
  tracker.report(new Error("a fill without a price"));
  await tracker.flush();
  server.closeAllConnections();
  server.close();
  expect(arrived.join("\n")).toContain("a fill without a price");
  expect(arrived.join("\n")).toMatch(/"release":"api@\d+\.\d+\.\d+"/);
});

test("passwords in addresses are not part of a description", () => {
  expect(described(new Error("redis://:hunter2@10.0.0.1:6379 refused"))).toBe("Error: redis://***@10.0.0.1:6379 refused");
});
