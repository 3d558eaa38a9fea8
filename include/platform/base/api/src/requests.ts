/** What clients may send, and the error that tells them what is wrong with it. */

export class InvalidRequestError extends Error {
  constructor(
    message: string,
    /** the field that is wrong; null when it is the body as a whole */
    readonly field: string | null,
  ) {
    super(message);
  }
}

export function objectOf(body: unknown): Record<string, unknown> {
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    throw new InvalidRequestError("the body has to be a JSON object", null);
  }
  return body as Record<string, unknown>;
}

export function member(value: unknown, known: string[], field: string): string {
  if (typeof value !== "string" || !known.includes(value)) {
    throw new InvalidRequestError(`${field} has to be one of ${known.join(", ")}`, field);
  }
  return value;
}

export function boolean(value: unknown, field: string): boolean {
  if (typeof value !== "boolean") throw new InvalidRequestError(`${field} has to be true or false`, field);
  return value;
}
