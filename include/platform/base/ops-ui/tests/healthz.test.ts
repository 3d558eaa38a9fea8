import type { NextApiRequest, NextApiResponse } from "next";

import handler from "../pages/api/healthz";

test("health names service and version", () => {
  const json = jest.fn();
  const status = jest.fn(() => ({ json }));
  const [request, response] = [{}, { status }] as unknown as [NextApiRequest, NextApiResponse];
  handler(request, response);
  expect(status).toHaveBeenCalledWith(200);
  expect(json).toHaveBeenCalledWith({ status: "ok", service: "ops-ui", version: "1.0.0" });
});
