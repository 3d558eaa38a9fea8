/** Log lines: one JSON object each, on standard output. Secrets are never given to it. */

import { SERVICE, VERSION } from "./identity";

export type Level = "info" | "warning" | "error";
export type Log = (level: Level, message: string, fields?: Record<string, unknown>) => void;

export const log: Log = (level, message, fields = {}) => {
  const line = { at: new Date().toISOString(), level, service: SERVICE, version: VERSION, message, ...fields };
  process.stdout.write(`${JSON.stringify(line)}\n`);
};

/** What an error says about itself, without addresses that hold a password. */
export function described(error: unknown): string {
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return text.replace(/(\w+:\/\/)[^\s/@]*@/g, "$1***@");
}
