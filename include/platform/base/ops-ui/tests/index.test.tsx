import { render, screen } from "@testing-library/react";
import type { GetServerSidePropsContext } from "next";

import Index, { getServerSideProps } from "../pages/index";

const OVERVIEW = {
  positions: [{ symbol: "BTC-USD", quantity: 0.5, exposure: 50.25 }],
  risk: { exposure: { "BTC-USD": 50.25 }, pnl: -50.25, kill_switch: false },
};

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
});

test("positions and risk are shown", () => {
  render(<Index overview={OVERVIEW} version="1.0.0" />);
  expect(screen.getByRole("cell", { name: "BTC-USD" })).toBeInTheDocument();
  expect(screen.getByText("-50.25")).toBeInTheDocument();
  expect(screen.getByText("off")).toBeInTheDocument();
});

test("a kill switch that is on is shown as an alarm", () => {
  render(<Index overview={{ ...OVERVIEW, risk: { ...OVERVIEW.risk, kill_switch: true } }} version="1.0.0" />);
  expect(screen.getByText("ON").parentElement).toHaveClass("alarming");
});

test("an empty book says so", () => {
  render(<Index overview={{ ...OVERVIEW, positions: [] }} version="1.0.0" />);
  expect(screen.getByText("No positions yet.")).toBeInTheDocument();
});

test("what the api answers becomes the page", async () => {
  answering({ "/api/positions": { positions: OVERVIEW.positions }, "/api/risk": OVERVIEW.risk });
  expect(await propsOf()).toEqual({ props: { overview: OVERVIEW, version: "1.0.0" }, status: 200 });
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
