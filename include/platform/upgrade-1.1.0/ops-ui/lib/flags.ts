/**
 * Feature flags, through the OpenFeature SDK, from a JSON file: {"flags": {"name": true}}.
 *
 * Rules:
 * 1. A flag that is not in the file, or is no boolean there, is off; so are all while the file cannot be read.
 * 2. The file is read again when it has changed, by the provider and by the time of the next question: each of Next's
 *    bundles has a copy of this module, and all of them ask the one provider that was set last.
 */

import { readFileSync, statSync } from "node:fs";

import {
  ErrorCode,
  type JsonValue,
  OpenFeature,
  type Provider,
  type ResolutionDetails,
  StandardResolutionReasons,
} from "@openfeature/server-sdk";

export type Flag = "github-login" | "backtest-dashboard";

let isReady: Promise<void> | undefined;

export async function isOn(flag: Flag): Promise<boolean> {
  isReady ??= OpenFeature.setProviderAndWait(new FileProvider());
  await isReady;
  return OpenFeature.getClient().getBooleanValue(flag, false);
}

class FileProvider implements Provider {
  readonly metadata = { name: "file" };
  readonly runsOn = "server";
  private flags: Record<string, unknown> = {};
  /** what tells one state of the file from another */
  private mark = "";

  resolveBooleanEvaluation(flag: string, otherwise: boolean): Promise<ResolutionDetails<boolean>> {
    this.readIfChanged(process.env.FLAGS_FILE);
    const value = this.flags[flag];
    if (typeof value !== "boolean") return missing(otherwise);
    return Promise.resolve({ value, reason: StandardResolutionReasons.STATIC });
  }

  resolveStringEvaluation(_flag: string, otherwise: string): Promise<ResolutionDetails<string>> {
    return missing(otherwise);
  }

  resolveNumberEvaluation(_flag: string, otherwise: number): Promise<ResolutionDetails<number>> {
    return missing(otherwise);
  }

  resolveObjectEvaluation<T extends JsonValue>(_flag: string, otherwise: T): Promise<ResolutionDetails<T>> {
    return missing(otherwise);
  }

  private readIfChanged(file: string | undefined): void {
    try {
      const { ino, mtimeNs, size } = statSync(file ?? "", { bigint: true });
      const mark = [file, ino, mtimeNs, size].join("/");
      if (mark === this.mark) return;
      this.flags = flagsOf(JSON.parse(readFileSync(file ?? "", "utf8")));
      this.mark = mark;
    } catch {
      this.flags = {};
      this.mark = "";
    }
  }
}

function missing<T>(value: T): Promise<ResolutionDetails<T>> {
  return Promise.resolve({ value, reason: StandardResolutionReasons.DEFAULT, errorCode: ErrorCode.FLAG_NOT_FOUND });
}

function flagsOf(value: unknown): Record<string, unknown> {
  const flags = typeof value === "object" && value !== null && "flags" in value ? value.flags : undefined;
  if (typeof flags !== "object" || flags === null) throw new Error('expected {"flags": {…}}');
  return { ...flags };
}
