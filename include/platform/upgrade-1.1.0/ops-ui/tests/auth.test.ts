/** @jest-environment node */

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

import type { NextApiRequest, NextApiResponse } from "next";
import NextAuth from "next-auth";

import { authOptions } from "../lib/auth";
import handler from "../pages/api/auth/[...nextauth]";

jest.mock("next-auth", () => ({ __esModule: true, default: jest.fn(() => Promise.resolve()) }));
jest.mock("next-auth/providers/github", () => ({ __esModule: true, default: (options: unknown) => options }));
jest.mock("../lib/flags", () => ({ isOn: jest.fn(() => Promise.resolve(mockIsOn)) }));

let mockIsOn = true;

interface Provider {
  authorization: { url: string };
  token: string;
  userinfo: { url: string; request: (context: unknown) => Promise<unknown> };
}

const provider = () => authOptions().providers[0] as unknown as Provider;

beforeEach(() => {
  for (const name of ["GITHUB_BASE_URL", "GITHUB_API_URL"]) Reflect.deleteProperty(process.env, name);
  mockIsOn = true;
});

test("GitHub is asked at its own addresses", () => {
  expect(provider().authorization.url).toBe("https://github.com/login/oauth/authorize");
  expect(provider().token).toBe("https://github.com/login/oauth/access_token");
  expect(provider().userinfo.url).toBe("https://api.github.com/user");
});

test("an environment may point elsewhere", () => {
  process.env.GITHUB_BASE_URL = "http://127.0.0.1:1";
  process.env.GITHUB_API_URL = "http://127.0.0.1:2";
  expect(provider().token).toBe("http://127.0.0.1:1/login/oauth/access_token");
  expect(provider().userinfo.url).toBe("http://127.0.0.1:2/user");
});

/** A server with these answers, by path, to whoever shows the token "t". */
async function withGitHub(answers: Record<string, unknown>, test: () => Promise<void>) {
  const server = createServer((request, response) => {
    const isKnown = request.headers.authorization === "Bearer t" && request.url !== undefined && request.url in answers;
    response.writeHead(isKnown ? 200 : 401, { "content-type": "application/json" });
    response.end(JSON.stringify(isKnown ? answers[request.url ?? ""] : { message: "Bad credentials" }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  process.env.GITHUB_API_URL = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
  try {
    await test();
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

const signedIn = (token: string) => provider().userinfo.request({ tokens: { access_token: token } });
const EMAILS = [
  { email: "second@example.com", primary: false },
  { email: "first@example.com", primary: true },
];

test("who it is, is asked with the token that was given", async () => {
  await withGitHub({ "/user": { id: 1, name: "Ann", email: "ann@example.com" } }, async () => {
    await expect(signedIn("t")).resolves.toMatchObject({ name: "Ann", email: "ann@example.com" });
    await expect(signedIn("stolen")).rejects.toThrow("GitHub answered 401 to /user");
  });
});

test("an address that is not in the profile is the primary one of the person's addresses", async () => {
  await withGitHub({ "/user": { id: 1, email: null }, "/user/emails": EMAILS }, async () => {
    await expect(signedIn("t")).resolves.toMatchObject({ id: 1, email: "first@example.com" });
  });
});

test("with the flag on, NextAuth answers", async () => {
  const [request, response] = [{}, {}] as unknown as [NextApiRequest, NextApiResponse];
  await handler(request, response);
  expect(NextAuth).toHaveBeenCalledWith(request, response, expect.objectContaining({ session: expect.anything() as unknown }));
});

test("with the flag off there is nothing", async () => {
  mockIsOn = false;
  const json = jest.fn();
  const status = jest.fn(() => ({ json }));
  const [request, response] = [{}, { status }] as unknown as [NextApiRequest, NextApiResponse];
  await handler(request, response);
  expect(status).toHaveBeenCalledWith(404);
});
