/** Real servers on loopback for tests: the service itself, and one that plays the backtester. */

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

import type { Configuration } from "../src/configuration";
import type { Log } from "../src/log";
import { startService, type Service } from "../src/service";
import type { Store } from "../src/store";

export interface Line {
  level: string;
  message: string;
  [field: string]: unknown;
}

export interface Answer {
  status: number;
  headers: Headers;
  body: unknown;
}

export class Running {
  readonly lines: Line[] = [];
  private readonly endings: (() => Promise<void>)[] = [];

  /** The service in this process, with `store` for Redis. */
  async service(store: Store, changes: Partial<Configuration> = {}): Promise<Service> {
    const configuration = {
      host: "127.0.0.1",
      port: 0,
      deployEnv: "test",
      redisUrl: "redis://127.0.0.1:1/0",
      backtesterUrl: "http://127.0.0.1:1",
      flagsFile: undefined,
      sentryDsn: undefined,
      ...changes,
    };
    const log: Log = (level, message, fields) => this.lines.push({ level, message, ...fields });
    const service = await startService(configuration, log, store);
    this.endings.push(() => service.drain());
    return service;
  }

  /** A server that gives these answers, one after the other, the last one for ever; what it was asked is kept. */
  async server(...answers: { status: number; body: unknown }[]): Promise<{ address: string; asked: string[] }> {
    const asked: string[] = [];
    const server = createServer((request, response) => {
      let body = "";
      request.on("data", (chunk: Buffer) => (body += chunk.toString()));
      request.on("end", () => {
        const answer = answers[Math.min(asked.length, answers.length - 1)] ?? { status: 500, body: null };
        asked.push(`${request.method ?? ""} ${request.url ?? ""} ${body}`.trim());
        response.writeHead(answer.status, { "content-type": "application/json" }).end(JSON.stringify(answer.body));
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    this.endings.push(
      () =>
        new Promise((resolve) => {
          server.close(() => {
            resolve();
          });
          server.closeAllConnections();
        }),
    );
    return { address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
  }

  async stop(): Promise<void> {
    for (const end of this.endings.splice(0)) await end();
  }
}

export async function get(service: Service, path: string): Promise<Answer> {
  return answerOf(await fetch(service.address + path));
}

export async function post(service: Service, path: string, body: unknown): Promise<Answer> {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const headers = { "content-type": "application/json" };
  return answerOf(await fetch(service.address + path, { method: "POST", headers, body: text }));
}

async function answerOf(response: Response): Promise<Answer> {
  const isJson = response.headers.get("content-type")?.startsWith("application/json");
  return { status: response.status, headers: response.headers, body: isJson ? await response.json() : await response.text() };
}
