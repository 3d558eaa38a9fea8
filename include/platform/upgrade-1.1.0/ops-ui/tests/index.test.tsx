import { render, screen } from "@testing-library/react";
import type { GetServerSidePropsContext } from "next";

import { useSession } from "next-auth/react";

import Index, { getServerSideProps } from "../pages/index";

const OVERVIEW = {
  positions: [{ symbol: "BTC-USD", quantity: 0.5, exposure: 50.25 }],
  risk: { exposure: { "BTC-USD": 50.25 }, pnl: -50.25, kill_switch: false },
};

jest.mock("next-auth", () => ({ __esModule: true, getServerSession: jest.fn(() => Promise.resolve(SIGNED_IN)) }));
jest.mock("next-auth/react", () => ({ useSession: jest.fn(() => ({ data: null })), signIn: jest.fn(), signOut: jest.fn() }));
jest.mock("../lib/flags", () => ({ isOn: jest.fn(() => Promise.resolve(mockFlagsOn)) }));

const SIGNED_IN = { user: { name: "Trader" }, expires: "2099-01-01" };
const OFF = { hasLogin: false, hasBacktest: false, session: null, version: "1.1.0" };
let mockFlagsOn = false;

function answering(answers: Record<string, unknown>, status = 200) {
  global.fetch = jest.fn((url: string) => {
    const body = answers[new URL(url).pathname];
    return Promise.resolve({ ok: status === 200, status, json: () => Promise.resolve(body) } as Response);
  }) as typeof fetch;
}

async function propsOf() {
  const res = { statusCode: 200 };
  const result = await getServerSideProps({ res } as unknown as GetServerSidePropsContext);
  if (!("props" in result)) throw new Error("no props");
  return { props: await result.props, status: res.statusCode };
}

beforeEach(() => {
  process.env.API_URL = "http://127.0.0.1:1";
  mockFlagsOn = false;
});

test("positions and risk are shown", () => {
  render(<Index overview={OVERVIEW} {...OFF} />);
  expect(screen.getByRole("cell", { name: "BTC-USD" })).toBeInTheDocument();
  expect(screen.getByText("-50.25")).toBeInTheDocument();
  expect(screen.getByText("off")).toBeInTheDocument();
});

test("a kill switch that is on is shown as an alarm", () => {
  render(<Index overview={{ ...OVERVIEW, risk: { ...OVERVIEW.risk, kill_switch: true } }} {...OFF} />);
  expect(screen.getByText("ON").parentElement).toHaveClass("alarming");
});

test("an empty book says so", () => {
  render(<Index overview={{ ...OVERVIEW, positions: [] }} {...OFF} />);
  expect(screen.getByText("No positions yet.")).toBeInTheDocument();
});

test("what the api answers becomes the page", async () => {
  answering({ "/api/positions": { positions: OVERVIEW.positions }, "/api/risk": OVERVIEW.risk });
  expect(await propsOf()).toEqual({ props: { ...OFF, overview: OVERVIEW }, status: 200 });
});

test.each([
  ["answers an error", {}, 500],
  ["answers something else", { "/api/positions": { positions: "none" }, "/api/risk": OVERVIEW.risk }, 200],
  ["answers no risk", { "/api/positions": { positions: [] }, "/api/risk": null }, 200],
])("when the api %s the page says so, as 502", async (_, answers, status) => {
  answering(answers, status);
  const { props, status: answered } = await propsOf();
  expect(answered).toBe(502);
  render(<Index {...props} />);
  expect(screen.getByRole("alert")).toHaveTextContent("The api does not answer.");
});

test("with its flags off the page offers neither login nor backtest", () => {
  render(<Index overview={OVERVIEW} {...OFF} />);
  expect(screen.queryByRole("button")).toBeNull();
  expect(screen.queryByRole("link")).toBeNull();
});

test("somebody who is not signed in is offered to", () => {
  render(<Index overview={OVERVIEW} {...OFF} hasLogin hasBacktest />);
  screen.getByRole("button", { name: "Sign in with GitHub" }).click();
  expect(jest.requireMock<{ signIn: jest.Mock }>("next-auth/react").signIn).toHaveBeenCalledWith("github");
  expect(screen.getByRole("link", { name: "Backtest" })).toHaveAttribute("href", "/backtest");
});

test("somebody who is signed in is named and can sign out", () => {
  jest.mocked(useSession).mockReturnValueOnce({ data: SIGNED_IN, status: "authenticated", update: jest.fn() });
  render(<Index overview={OVERVIEW} {...OFF} hasLogin />);
  expect(screen.getByText("Trader")).toBeInTheDocument();
  screen.getByRole("button", { name: "Sign out" }).click();
  expect(jest.requireMock<{ signOut: jest.Mock }>("next-auth/react").signOut).toHaveBeenCalled();
});

test("the session is read only when signing in is on", async () => {
  answering({ "/api/positions": { positions: [] }, "/api/risk": OVERVIEW.risk });
  expect((await propsOf()).props.session).toBeNull();
  mockFlagsOn = true;
  expect((await propsOf()).props.session).toEqual(SIGNED_IN);
});
