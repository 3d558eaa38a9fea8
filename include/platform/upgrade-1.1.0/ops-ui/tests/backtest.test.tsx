import { fireEvent, render, screen } from "@testing-library/react";
import type { GetServerSidePropsContext } from "next";

import Backtest, { getServerSideProps } from "../pages/backtest";

jest.mock("../lib/flags", () => ({ isOn: jest.fn(() => Promise.resolve(mockIsOn)) }));

let mockIsOn = true;
const RESULT = { symbol: "BTC-USD", trades: 7, return_percent: 12.345, max_drawdown_percent: 3.2, equity: [1, 1.2, 1.1] };

function answering(body: unknown, status = 200) {
  const asked = jest.fn(() => Promise.resolve({ ok: status === 200, status, json: () => Promise.resolve(body) } as Response));
  global.fetch = asked as typeof fetch;
  return asked;
}

function submit() {
  render(<Backtest />);
  fireEvent.change(screen.getByLabelText("Fast average"), { target: { value: "7" } });
  fireEvent.submit(screen.getByRole("button", { name: "Run backtest" }));
}

test("a backtest is asked for as the form says, and its results are shown", async () => {
  const asked = answering(RESULT);
  submit();
  expect(await screen.findByText("12.35 %")).toBeInTheDocument();
  expect(screen.getByText("7")).toBeInTheDocument();
  expect(screen.getByRole("img", { name: "Equity" })).toBeInTheDocument();
  const [path, request] = asked.mock.calls[0] as unknown as [string, { body: string }];
  expect(path).toBe("/api/backtest");
  expect(JSON.parse(request.body)).toEqual({ symbol: "BTC-USD", fast: 7, slow: 20 });
});

test("what the api refuses is said", async () => {
  answering({ error: "fast has to be below slow" }, 400);
  submit();
  expect(await screen.findByRole("alert")).toHaveTextContent("fast has to be below slow");
});

test("an error without words is said by its number", async () => {
  answering({}, 502);
  submit();
  expect(await screen.findByRole("alert")).toHaveTextContent("The backtest ended with 502.");
});

test("no answer is said", async () => {
  global.fetch = jest.fn(() => Promise.reject(new Error("refused"))) as typeof fetch;
  submit();
  expect(await screen.findByRole("alert")).toHaveTextContent("The backtest could not be run; try again.");
});

test.each([
  [true, { props: {} }],
  [false, { notFound: true }],
])("with its flag %s the page is there or not", async (isOn, expected) => {
  mockIsOn = isOn;
  expect(await getServerSideProps({} as GetServerSidePropsContext)).toEqual(expected);
});
