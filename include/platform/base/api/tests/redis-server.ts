/** A real Redis for a test, where the machine has the program on its PATH. */

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const PROGRAM = "redis-server";

export function isRedisInstalled(): boolean {
  try {
    execFileSync(PROGRAM, ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

export class RedisServer {
  private readonly folder = mkdtempSync(join(tmpdir(), "redis-"));
  private process: ChildProcess | undefined;
  private port = 0;

  get url(): string {
    return `redis://:secret@127.0.0.1:${this.port}/0`;
  }

  /** Returns once it takes connections; started again, it has the port and the data that it had. */
  async start(): Promise<void> {
    if (this.port === 0) this.port = await freePort();
    const options = ["--port", String(this.port), "--bind", "127.0.0.1", "--requirepass", "secret"];
    const kept = ["--dir", this.folder, "--appendonly", "yes", "--appendfsync", "always"];
    const started = spawn(PROGRAM, [...options, ...kept], { stdio: ["ignore", "pipe", "inherit"] });
    this.process = started;
    await new Promise<void>((resolve, reject) => {
      started.once("exit", () => {
        reject(new Error("redis-server ended before it was ready"));
      });
      started.stdout.on("data", (chunk: Buffer) => {
        if (/ready to accept connections/i.test(chunk.toString())) resolve();
      });
    });
  }

  /** As a crash. */
  async kill(): Promise<void> {
    const running = this.process;
    if (running?.exitCode === null && running.signalCode === null) {
      running.kill("SIGKILL");
      await once(running, "exit");
    }
  }

  async remove(): Promise<void> {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
