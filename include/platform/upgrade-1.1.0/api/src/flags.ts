/**
 * Feature flags, through OpenFeature, from a JSON file: {"flags": {"name": true}}.
 *
 * Rules:
 * 1. A flag that is not in the file, or is no boolean there, is off; so are all while the file cannot be read.
 * 2. The file is read again when it has changed, by the time of the next question.
 */

import { readFileSync, statSync } from "node:fs";

import {
  type Client,
  ErrorCode,
  type JsonValue,
  OpenFeature,
  type Provider,
  type ResolutionDetails,
  StandardResolutionReasons,
} from "@openfeature/server-sdk";

import { described, type Log } from "./log";

export const BACKTEST_DASHBOARD = "backtest-dashboard";

/** A client of OpenFeature whose flags are those of `file`. */
export async function openFlags(file: string | undefined, log: Log): Promise<Client> {
  await OpenFeature.setProviderAndWait(new FileProvider(file, log));
  return OpenFeature.getClient();
}

export class FileProvider implements Provider {
  readonly metadata = { name: "file" };
  readonly runsOn = "server";
  private flags: Record<string, unknown> = {};
  /** what tells one state of the file from another; empty when there is none */
  private mark = "";

  constructor(
    private readonly file: string | undefined,
    private readonly log: Log,
  ) {}

  resolveBooleanEvaluation(flag: string, otherwise: boolean): Promise<ResolutionDetails<boolean>> {
    this.readIfChanged();
    const value = this.flags[flag];
    if (typeof value === "boolean") return Promise.resolve({ value, reason: StandardResolutionReasons.STATIC });
    return Promise.resolve(this.missing(flag, otherwise));
  }

  resolveStringEvaluation(flag: string, otherwise: string): Promise<ResolutionDetails<string>> {
    return Promise.resolve(this.missing(flag, otherwise));
  }

  resolveNumberEvaluation(flag: string, otherwise: number): Promise<ResolutionDetails<number>> {
    return Promise.resolve(this.missing(flag, otherwise));
  }

  resolveObjectEvaluation<T extends JsonValue>(flag: string, otherwise: T): Promise<ResolutionDetails<T>> {
    return Promise.resolve(this.missing(flag, otherwise));
  }

  private missing<T>(flag: string, otherwise: T): ResolutionDetails<T> {
    const errorCode = flag in this.flags ? ErrorCode.TYPE_MISMATCH : ErrorCode.FLAG_NOT_FOUND;
    return { value: otherwise, reason: StandardResolutionReasons.DEFAULT, errorCode };
  }

  private readIfChanged(): void {
    const mark = this.marked();
    if (mark === this.mark) return;
    this.mark = mark;
    this.flags = {};
    if (this.file === undefined || mark === "") return;
    try {
      this.flags = (JSON.parse(readFileSync(this.file, "utf8")) as { flags?: Record<string, unknown> }).flags ?? {};
    } catch (error) {
      this.log("warning", "flags cannot be read, so all are off", { error: described(error) });
    }
  }

  private marked(): string {
    if (this.file === undefined) return "";
    const found = statSync(this.file, { bigint: true, throwIfNoEntry: false });
    return found === undefined ? "" : [found.ino, found.mtimeNs, found.size].join("/");
  }
}
