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
  userinfo: { url: string; request: (context: unknown) => unknown };
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

test("who it is, is asked with the token that was given", () => {
  const userinfo = jest.fn();
  void provider().userinfo.request({ client: { userinfo }, tokens: { access_token: "t" } });
  expect(userinfo).toHaveBeenCalledWith("t");
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
