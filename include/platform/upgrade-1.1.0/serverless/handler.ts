/**
 * The api as an AWS Lambda function behind an API Gateway (HTTP API): the same routes, made from the same parts.
 *
 * Rules:
 * 1. Parts are opened by the first event and kept: a Lambda is frozen between events, not ended.
 * 2. An event never waits for the connection to Redis to close.
 */

import type { APIGatewayProxyEventV2, APIGatewayProxyStructuredResultV2, Context } from "aws-lambda";
import serverless from "serverless-http";

import { createApp } from "../api/src/app";
import { readConfiguration } from "../api/src/configuration";
import { log } from "../api/src/log";
import { openParts } from "../api/src/service";

type Result = APIGatewayProxyStructuredResultV2;

interface Opened {
  handle: (event: APIGatewayProxyEventV2, context: Context) => Promise<Result>;
  close: () => void;
}

let opened: Promise<Opened> | undefined;

/** Raises ConfigurationError when a variable is missing; the next event then tries again. */
export async function handler(event: APIGatewayProxyEventV2, context: Context): Promise<Result> {
  context.callbackWaitsForEmptyEventLoop = false;
  opened ??= open();
  try {
    return await (await opened).handle(event, context);
  } catch (error) {
    await close();
    throw error;
  }
}

/** Let go of what is open, so that the process can end; the next event opens it again. */
export async function close(): Promise<void> {
  const was = opened;
  opened = undefined;
  await was?.then(
    (parts) => {
      parts.close();
    },
    () => undefined,
  );
}

async function open(): Promise<Opened> {
  // The gateway listens, so there is no port.
  const parts = await openParts(readConfiguration({ ...process.env, PORT: "0" }), log);
  return {
    handle: serverless(createApp({ ...parts, isDraining: () => false })),
    close: () => {
      parts.store.close();
    },
  };
}
