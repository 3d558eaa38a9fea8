/** Settings, from environment variables only; one that is missing or malformed is named. */

export class ConfigurationError extends Error {}

export interface Configuration {
  host: string;
  port: number;
  deployEnv: string;
  redisUrl: string;
  /** Base address of the backtester. */
  backtesterUrl: string;
  /** JSON file of feature flags; undefined when all are off. */
  flagsFile: string | undefined;
  /** Where exceptions are sent; undefined when nowhere. */
  sentryDsn: string | undefined;
}

type Environment = Record<string, string | undefined>;

const DEPLOY_ENVS = ["staging", "production", "test"];

/** Raises ConfigurationError for the first variable that cannot be used. Values are never part of it. */
export function readConfiguration(environment: Environment): Configuration {
  return {
    host: environment.HOST ?? "127.0.0.1",
    port: port(required(environment, "PORT")),
    deployEnv: oneOf("DEPLOY_ENV", required(environment, "DEPLOY_ENV"), DEPLOY_ENVS),
    redisUrl: address("REDIS_URL", required(environment, "REDIS_URL"), ["redis:", "rediss:"]),
    backtesterUrl: httpAddress(environment, "BACKTESTER_URL"),
    flagsFile: environment.FLAGS_FILE || undefined,
    sentryDsn: environment.SENTRY_DSN ? address("SENTRY_DSN", environment.SENTRY_DSN, ["http:", "https:"]) : undefined,
  };
}

function required(environment: Environment, name: string): string {
  const value = environment[name];
  if (!value) throw new ConfigurationError(`${name} is not set`);
  return value;
}

function port(text: string): number {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 0 || number > 65535) {
    throw new ConfigurationError("PORT is no port number");
  }
  return number;
}

function oneOf(name: string, value: string, known: string[]): string {
  if (!known.includes(value)) throw new ConfigurationError(`${name} is none of ${known.join(", ")}`);
  return value;
}

function httpAddress(environment: Environment, name: string): string {
  return address(name, required(environment, name), ["http:", "https:"]).replace(/\/+$/, "");
}

function address(name: string, text: string, protocols: string[]): string {
  if (!URL.canParse(text) || !protocols.includes(new URL(text).protocol)) {
    throw new ConfigurationError(`${name} is no address that starts with ${protocols.map((p) => `${p}//`).join(" or ")}`);
  }
  return text;
}
